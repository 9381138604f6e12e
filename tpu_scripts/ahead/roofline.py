"""How long a step should take: its work over the published rates of the chips."""

import dataclasses
from collections.abc import Sequence

from tpu_scripts.ahead.collectives import Collective
from tpu_scripts.topologies import Topology

ICI_HOP_SECONDS = 1e-6
DCN_HOP_SECONDS = 100e-6
# A ring sends both ways round along one axis; the links of the other axes are left unused.
_RING_LINKS = 2

ASSUMPTIONS = (
    "every unit runs at its published peak rate: a model of the program, not a measurement",
    "compute: XLA's FLOPs at the bfloat16 peak, also for float32, whose operands the matrix unit "
    "rounds to bfloat16 in one pass (jax's default precision)",
    "memory: XLA's bytes accessed at the HBM rate, which is too slow where they stay in on-chip "
    "memory; compute and memory overlap fully",
    "a conditional counts as often as it is taken (an InfoGAN's generator moves one step in five), "
    "by XLA's count of its costliest branch; a loop counts as one pass of its body",
    "collectives inside a slice: a ring over 2 links at the rate of one direction each, and "
    f"{ICI_HOP_SECONDS * 1e6:g} us a hop along each axis; nothing overlaps with them",
    "between slices: an all-reduce at a chip's share of the data-centre network, and "
    f"{DCN_HOP_SECONDS * 1e6:g} us a hop",
    "the host keeps up: a step never waits for its batch",
)


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Estimated seconds of one step on every chip.

    `efficiency` is the part of the step that is not communication: how the speed of a chip compares
    with that of one chip alone on the same share of the batch (weak scaling).
    """

    compute: float
    memory: float
    ici: float
    dcn: float

    @property
    def step(self) -> float:
        """The whole step."""
        return self.work + self.ici + self.dcn

    @property
    def work(self) -> float:
        """The step without its collectives."""
        return max(self.compute, self.memory)

    @property
    def bound(self) -> str:
        """What takes most of the step."""
        times = {
            "compute": self.compute,
            "memory": self.memory,
            "interconnect": self.ici,
            "data-centre network": self.dcn,
        }
        return max(times, key=lambda name: times[name])

    @property
    def efficiency(self) -> float:
        """Work over step, in (0, 1]."""
        return self.work / self.step if self.step else 1.0


def estimate(
    *,
    flops: float,
    bytes_accessed: float,
    collectives: Sequence[Collective],
    topology: Topology,
    slices: int,
    every: int = 1,
) -> Roofline:
    """Returns the times of the mean step from what one device does in it.

    Args:
      flops: of the mean step.
      bytes_accessed: likewise.
      collectives: of a step that takes every branch.
      topology: of one slice.
      slices: how many are joined.
      every: one step in so many takes the branches.
    """
    chip = topology.generation

    def share(collective: Collective) -> float:
        return 1 / every if collective.conditional else 1.0

    return Roofline(
        compute=flops / (chip.peak_bf16_tflops * 1e12),
        memory=bytes_accessed / (chip.hbm_gb_per_s * 1e9),
        ici=sum(share(c) * estimate_ici(c, topology) for c in collectives if c.network == "ici"),
        dcn=sum(
            share(c)
            * ring_seconds(
                c.kind,
                c.num_bytes,
                devices=slices,
                bytes_per_second=chip.dcn_gb_per_s * 1e9,
                hops=slices - 1,
                hop_seconds=DCN_HOP_SECONDS,
            )
            for c in collectives
            if c.network == "dcn"
        ),
    )


def estimate_ici(collective: Collective, topology: Topology) -> float:
    """Returns the seconds of a collective inside a slice."""
    devices = min(collective.group_size or topology.chips, topology.chips)
    chip = topology.generation
    return ring_seconds(
        collective.kind,
        collective.num_bytes,
        devices=devices,
        bytes_per_second=_RING_LINKS * chip.ici_link_gb_per_s * 1e9,
        hops=min(devices - 1, sum(size - 1 for size in topology.dimensions)),
        hop_seconds=ICI_HOP_SECONDS,
    )


def ring_seconds(
    kind: str,
    num_bytes: float,
    *,
    devices: int,
    bytes_per_second: float,
    hops: int,
    hop_seconds: float,
) -> float:
    """Returns the seconds of a collective over a ring.

    An all-reduce of B bytes over n devices sends 2 (n - 1) / n x B from each (a reduce-scatter and
    an all-gather), every other collective half of that (Patarasuk and Yuan, *Bandwidth optimal
    all-reduce algorithms*, 2009).
    """
    if devices <= 1:
        return 0.0
    passes = 2 if kind == "all-reduce" else 1
    sent = passes * (devices - 1) / devices * num_bytes
    return sent / bytes_per_second + passes * hops * hop_seconds

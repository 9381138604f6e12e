"""TPU slices: what each accelerator type and topology is made of, on Cloud TPU and on GKE.

Figures are the vendor's published ones (Cloud TPU system architecture pages; GKE "Plan TPUs"),
peaks rather than measured rates.
"""

import dataclasses
import math

from qlae.common.errors import UserError, make_unknown_name_error


@dataclasses.dataclass(frozen=True)
class Generation:
    """One TPU generation; every rate is per chip, and GB is 1e9 bytes."""

    name: str
    accelerator_prefix: str  # v5litepod-256: the prefix, then chips x cores_per_chip.
    cores_per_chip: int
    runtime_version: str
    hbm_gib: int
    hbm_gb_per_s: float
    peak_bf16_tflops: float
    ici_links: int
    ici_link_gb_per_s: float  # One direction of one link; both directions run at once.
    dcn_gb_per_s: float
    shapes: tuple[str, ...]
    single_host_shapes: tuple[str, ...]


_SHAPES_2D = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_SHAPES_V4 = (
    *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8"),
    *("8x8x8", "8x8x16", "8x16x16"),
)
_SHAPES_V5P = (*_SHAPES_V4, "16x16x16", "16x16x24")

GENERATIONS: dict[str, Generation] = {
    generation.name: generation
    for generation in (
        Generation(
            name="v4",
            accelerator_prefix="v4",
            cores_per_chip=2,
            runtime_version="tpu-ubuntu2204-base",
            hbm_gib=32,
            hbm_gb_per_s=1228.0,
            peak_bf16_tflops=275.0,
            ici_links=6,
            ici_link_gb_per_s=50.0,
            dcn_gb_per_s=6.25,  # Assumed equal to v5p's: not published per chip.
            shapes=_SHAPES_V4,
            single_host_shapes=("2x2x1",),
        ),
        Generation(
            name="v5e",
            accelerator_prefix="v5litepod",
            cores_per_chip=1,
            runtime_version="v2-alpha-tpuv5-lite",
            hbm_gib=16,
            hbm_gb_per_s=819.0,
            peak_bf16_tflops=197.0,
            ici_links=4,
            ici_link_gb_per_s=50.0,
            dcn_gb_per_s=3.125,
            shapes=_SHAPES_2D,
            single_host_shapes=("1x1", "2x2", "2x4"),
        ),
        Generation(
            name="v5p",
            accelerator_prefix="v5p",
            cores_per_chip=2,
            runtime_version="v2-alpha-tpuv5",
            hbm_gib=95,
            hbm_gb_per_s=2765.0,
            peak_bf16_tflops=459.0,
            ici_links=6,
            ici_link_gb_per_s=100.0,
            dcn_gb_per_s=6.25,
            shapes=_SHAPES_V5P,
            single_host_shapes=("2x2x1",),
        ),
        Generation(
            name="v6e",
            accelerator_prefix="v6e",
            cores_per_chip=1,
            runtime_version="v2-alpha-tpuv6e",
            hbm_gib=32,
            hbm_gb_per_s=1640.0,
            peak_bf16_tflops=918.0,
            ici_links=4,
            ici_link_gb_per_s=100.0,
            dcn_gb_per_s=12.5,
            shapes=_SHAPES_2D,
            single_host_shapes=("1x1", "2x2", "2x4"),
        ),
    )
}

# XPK's own device table starts v5e at eight chips; every other type here is known to it.
_XPK_UNKNOWN = frozenset({"v5e:1x1", "v5e:2x2"})


@dataclasses.dataclass(frozen=True)
class Topology:
    """One slice: a generation and the shape of its chips.

    A host is one TPU VM, which is one worker and one JAX process. A chip is one JAX device: v4 and
    v5p present their two cores as one (megacore).
    """

    generation: Generation
    shape: str

    @property
    def name(self) -> str:
        """`v5e:16x16`, the name that JAX's ahead-of-time topologies use too."""
        return f"{self.generation.name}:{self.shape}"

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Chips along each axis of the slice."""
        return tuple(int(size) for size in self.shape.split("x"))

    @property
    def chips(self) -> int:
        """Chips (JAX devices) in one slice."""
        return math.prod(self.dimensions)

    @property
    def accelerator_type(self) -> str:
        """`v5litepod-256`, as the Cloud TPU API names it."""
        return f"{self.generation.accelerator_prefix}-{self.chips * self.generation.cores_per_chip}"

    @property
    def hosts(self) -> int:
        """TPU VMs (workers) in one slice made through the Cloud TPU API."""
        return 1 if self.shape in self.generation.single_host_shapes else self.chips // 4

    @property
    def xpk_type(self) -> str:
        """The `--tpu-type` of XPK. Raises `UserError` where XPK has none."""
        if self.name in _XPK_UNKNOWN:
            raise UserError(
                f"topology {self.name!r} is too small for XPK: its smallest v5e slice is v5e:2x4"
            )
        return self.accelerator_type


TOPOLOGIES: dict[str, Topology] = {
    topology.name: topology
    for generation in GENERATIONS.values()
    for topology in (Topology(generation, shape) for shape in generation.shapes)
}
_BY_ACCELERATOR_TYPE = {topology.accelerator_type: topology for topology in TOPOLOGIES.values()}


def get_topology(name: str) -> Topology:
    """Returns the slice called `name`: `v5e:16x16`, or its accelerator type `v5litepod-256`.

    Raises:
      UserError: no such slice; the message gives the nearest names.
    """
    key = name.strip().lower()
    if key.startswith("v5e-"):
        key = key.replace("v5e-", "v5litepod-", 1)
    topology = TOPOLOGIES.get(key) or _BY_ACCELERATOR_TYPE.get(key)
    if topology is None:
        raise make_unknown_name_error("topology", name, [*TOPOLOGIES, *_BY_ACCELERATOR_TYPE])
    return topology

"""The train step of a config, compiled on this machine's CPU for a TPU slice that is elsewhere."""

import dataclasses
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Sequence

import jax
from jax.experimental import topologies
from ml_collections import ConfigDict

from qlae.common.errors import RunFailed, UserError
from tpu_scripts.ahead.branches import measure_branches
from tpu_scripts.ahead.collectives import Collective, count_loops, parse_collectives
from tpu_scripts.experiment import check_batch, make_step
from tpu_scripts.topologies import Topology

# Without these libtpu asks a metadata server that is not there, takes a lock, and complains; which
# slice is named does not matter.
_LIBTPU_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}


class DoesNotFitError(RunFailed):
    """A step that needs more HBM than a chip has."""


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of HBM of one device while it runs the step; outputs without those in place of inputs.

    A donated argument is overwritten by an output, and counts once.
    """

    arguments: int
    outputs: int
    temporaries: int
    code: int

    @property
    def peak(self) -> int:
        """All together."""
        return self.arguments + self.outputs + self.temporaries + self.code


@dataclasses.dataclass(frozen=True)
class CompiledStep:
    """What XLA says of one step; everything but the batch size is per device.

    Attributes:
      members: runs in the program; more than one for a population.
      num_population: devices along the mesh's `population`; the others share a member's batch.
      parameters: numbers in the model of one member.
      flops: XLA's count for one device, the body of a loop counted once, a conditional as its
        costliest branch.
      bytes_accessed: likewise.
      loops: `while` loops.
      seconds: that compiling took here.
      revision: of this repository; a later one may be another program.
      effort: of the compiler, from -1 to 1; 0 is what a run gets.
      branch_flops: of `flops`, those in costliest branches.
      branch_bytes: likewise.
      every: one step in so many takes such a branch; 1 also where that was not recorded.
    """

    topology: str
    slices: int
    batch_size: int
    arm: str
    dataset: str
    compute_dtype: str
    members: int
    num_population: int
    parameters: int
    memory: Memory
    flops: float
    bytes_accessed: float
    collectives: tuple[Collective, ...]
    loops: int
    seconds: float
    versions: dict[str, str]
    revision: str
    effort: float = 0.0
    branch_flops: float = 0.0
    branch_bytes: float = 0.0
    every: int = 1

    @property
    def mean_flops(self) -> float:
        """Of the mean step, which takes a branch as often as it is taken."""
        return self.flops - (1 - 1 / self.every) * self.branch_flops

    @property
    def mean_bytes(self) -> float:
        """Bytes accessed, likewise."""
        return self.bytes_accessed - (1 - 1 / self.every) * self.branch_bytes

    @property
    def lacks_branch(self) -> bool:
        """Whether it is a GAN's, of which it was not recorded what its branch costs."""
        return "gan" in self.arm and not self.branch_bytes

    @property
    def passes(self) -> int:
        """How often the loop over the members of a device runs; without one, once."""
        return self.members // self.num_population if self.loops else 1


def compile_step(
    config: ConfigDict, topology: Topology, slices: int = 1, effort: float = 0.0
) -> CompiledStep:
    """Compiles the step that `experiments.train` would run on these slices.

    Args:
      config: of the run or population.
      topology: of one slice.
      slices: how many of them are joined.
      effort: of the compiler, from -1 (soonest) to 1; 0 is what a run gets.

    Raises:
      UserError: a config, batch or mesh that does not go with the slices.
      DoesNotFitError: the compiler found no way to fit it into the HBM.
    """
    chips, start = topology.chips * slices, time.monotonic()
    check_batch(config, topology, slices)
    step = make_step(config, make_devices(topology, slices))
    lowered = step.function.lower(*step.arguments)
    try:
        compiled = lowered.compile({"exec_time_optimization_effort": effort} if effort else None)
    except jax.errors.JaxRuntimeError as error:
        raise _explain(error, topology) from error
    cost, text = compiled.cost_analysis(), compiled.as_text()
    seconds = time.monotonic() - start
    branch_flops, branch_bytes = measure_branches(text)
    memory = _read_memory(compiled.memory_analysis())
    if memory.peak > topology.generation.hbm_gib * 2**30:
        raise _make_does_not_fit(f"{memory.peak / 2**30:.2f}G", topology)
    return CompiledStep(
        topology=topology.name,
        slices=slices,
        batch_size=config.batch_size,
        arm=config.arm,
        dataset=config.data.name,
        compute_dtype=config.compute_dtype,
        members=step.num_members,
        num_population=step.num_population,
        parameters=sum(x.size for x in jax.tree.leaves(step.arguments[0].params))
        // step.num_members,
        memory=memory,
        flops=cost["flops"],
        bytes_accessed=cost["bytes accessed"],
        collectives=parse_collectives(text, chips),
        loops=count_loops(text),
        seconds=seconds,
        versions=get_versions(),
        revision=get_revision(),
        effort=effort,
        branch_flops=branch_flops * cost["flops"],
        branch_bytes=branch_bytes * cost["bytes accessed"],
        every=config.objective.get("generator_every", 1),
    )


def make_devices(topology: Topology, slices: int = 1) -> Sequence[jax.Device]:
    """Returns devices that can be compiled for, but not run on.

    Raises:
      UserError: libtpu is not installed.
    """
    if not has_libtpu():
        raise UserError("libtpu is not installed, and it holds the TPU compiler: pip install it")
    for name, value in _LIBTPU_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    options: dict = {"num_slices": slices} if slices > 1 else {}
    if topology.generation.name == "v4":  # Its two cores are one device only when asked.
        options["chip_config_name"] = "megacore"
    devices = topologies.get_topology_desc(topology.name, "tpu", **options).devices
    assert len(devices) == topology.chips * slices, (topology, slices, len(devices))
    return devices


def has_libtpu() -> bool:
    """Whether the TPU compiler is installed."""
    return importlib.util.find_spec("libtpu") is not None


def get_versions() -> dict[str, str]:
    """Returns the versions that a compiled program depends on."""
    return {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "libtpu")}


def get_revision() -> str:
    """Returns the commit of the code, `-dirty` where that has changes, `unknown` without git."""
    git = ("git", "-C", str(pathlib.Path(__file__).parents[2]))
    try:
        commit = subprocess.run(
            [*git, "describe", "--always"], capture_output=True, text=True, check=False
        ).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py"], check=False)
    except OSError:
        return "unknown"
    return f"{commit}{'-dirty' if changed.returncode else ''}" if commit else "unknown"


def _read_memory(stats) -> Memory:
    return Memory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes - stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )


def _explain(error: Exception, topology: Topology) -> Exception:
    """Returns a `DoesNotFitError` for a lack of HBM, and any other error as it is."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return error
    match = re.search(r"\((\S+)\) exceeds available HBM", str(error))
    return _make_does_not_fit(match[1] if match else "more", topology)


def _make_does_not_fit(used: str, topology: Topology) -> DoesNotFitError:
    return DoesNotFitError(
        f"the step does not fit a chip of {topology.name}: it needs {used} of HBM, and there are "
        f"{topology.generation.hbm_gib}G; take more chips or a smaller --config.batch_size"
    )

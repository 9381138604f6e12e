"""The table of paper-scale steps on 1 to 256 chips, compiled row by row and resumed."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable

from ml_collections import ConfigDict

from qlae.common.files import write_whole
from tpu_scripts.ahead.collectives import Collective, find_gradients
from tpu_scripts.ahead.compiled import CompiledStep, Memory, get_versions
from tpu_scripts.ahead.report import count_chips, make_document, make_roofline
from tpu_scripts.ahead.roofline import ASSUMPTIONS
from tpu_scripts.topologies import get_topology

RESULTS = pathlib.Path(__file__).parent / "results"
_DATASET = "shapes3d_rendered"
_ARMS = ("qlae", "qlinfo_wgan_gp")
_DTYPES = ("float32", "bfloat16")
# The ends and the middle first: a table broken off is of use.
_SHAPES = (("1x1", "4x4", "16x16"), ("2x2", "8x8"))
_COLUMNS = (
    *("arm", "dtype", "slice", "chips", "global batch", "peak HBM, GiB", "GFLOP", "GB accessed"),
    *("gradient all-reduces", "compute, ms", "memory, ms", "collectives, ms", "step, ms"),
    *("images/s", "efficiency", "code"),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One program of the table."""

    arm: str
    compute_dtype: str
    topology: str

    @property
    def name(self) -> str:
        """Key in the file of results."""
        return f"{self.arm}/{self.compute_dtype}/{self.topology}"

    @property
    def config(self) -> str:
        """The config's file and dataset."""
        return f"experiments/configs/{self.arm}.py:{_DATASET}"

    def overrides(self, batch_size: int) -> tuple[str, ...]:
        """The flags beside the config; a slice of more chips than images gets one image a chip."""
        chips = get_topology(self.topology).chips
        return (
            f"--config.compute_dtype={self.compute_dtype}",
            f"--config.batch_size={max(batch_size, chips)}",
        )


ROWS = tuple(
    Row(arm, compute_dtype, f"v5e:{shape}")
    for shapes in _SHAPES
    for compute_dtype in _DTYPES
    for arm in _ARMS
    for shape in shapes
)


def make_table(
    load: Callable[[str, tuple[str, ...]], ConfigDict],
    compile_row: Callable[[ConfigDict, str], CompiledStep],
    *,
    rows: Iterable[Row] = ROWS,
    directory: pathlib.Path = RESULTS,
    say: Callable[[str], None] = print,
) -> None:
    """Compiles the rows that are missing, writing both files after each.

    A row is missing when it is not in the file, was compiled by other versions of the compiler, or
    does not say what its branch costs.
    To compile one again, delete it from the file.

    Args:
      load: config and overrides -> config.
      compile_row: config, topology -> the step.
      rows: in the order in which they are compiled.
      directory: of `aot.json` and `aot.md`.
      say: told each row before it is compiled.
    """
    directory.mkdir(parents=True, exist_ok=True)
    steps = load_steps(directory / "aot.json")
    for row in rows:
        done = steps.get(row.name)
        if done is not None and done.versions == get_versions() and not done.lacks_branch:
            continue
        batch_size = load(row.config, ()).batch_size
        config = load(row.config, row.overrides(batch_size))
        say(f"compiling {row.name}, global batch {config.batch_size}")
        steps[row.name] = compile_row(config, row.topology)
        write_table(steps, directory)


def write_table(steps: dict[str, CompiledStep], directory: pathlib.Path) -> None:
    """Writes the rows as JSON and as Markdown, each at once or not at all."""
    known = {row.name: index for index, row in enumerate(ROWS)}
    names = sorted(steps, key=lambda name: (known.get(name, len(known)), name))
    documents = {name: make_document(steps[name]) for name in names}
    write_whole(directory / "aot.json", json.dumps(documents, indent=1) + "\n")
    write_whole(directory / "aot.md", format_table([steps[name] for name in names]))


def load_steps(path: pathlib.Path) -> dict[str, CompiledStep]:
    """Reads the rows that are there."""
    if not path.exists():
        return {}
    documents = json.loads(path.read_text())
    return {name: load_step(document) for name, document in documents.items()}


def load_step(document: dict) -> CompiledStep:
    """Returns the step of a document that `make_document` made."""
    fields = dict(document["step"])
    fields["memory"] = Memory(**fields["memory"])
    fields["collectives"] = tuple(Collective(**one) for one in fields["collectives"])
    return CompiledStep(**fields)


def format_table(steps: list[CompiledStep]) -> str:
    """Returns the Markdown page: arms and dtypes together, slices growing."""
    steps = sorted(steps, key=lambda s: (s.arm, s.compute_dtype != "float32", count_chips(s)))
    alone = {(s.arm, s.compute_dtype): s for s in steps if count_chips(s) == 1}
    rows = [_row(step, alone.get((step.arm, step.compute_dtype))) for step in steps]
    lines = [list(_COLUMNS), ["---"] * len(_COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    versions = sorted({f"{k} {v}" for step in steps for k, v in step.versions.items()})
    efforts = sorted({step.effort for step in steps if step.effort})
    effort = f"\nThe compiler's effort was {efforts[0]:g}; a run's is 0." if efforts else ""
    old = sorted({step.revision for step in steps if step.lacks_branch})
    every = f"\nIn programs of {', '.join(old)}, a conditional counts in every step." if old else ""
    assumptions = "\n".join(f"- {assumption}" for assumption in ASSUMPTIONS)
    return f"""# Paper-scale train steps, compiled ahead of time for TPU v5e

{table}

Programs compiled by XLA for TPU and not run: memory, FLOPs and bytes are the compiler's, per chip
and step; times are a roofline. "efficiency" compares images/s per chip with the one-chip row of the
same arm and dtype, where that is in the table; "code" is the commit compiled.{effort}{every}

{assumptions}

`python -m tpu_scripts.ahead.compile --table` compiles the rows that are missing, and may be stopped
and started again; `--topology=v5e:4x4 --config=experiments/configs/qlae.py:{_DATASET}`
compiles one alone. Images are rendered in the step.

Here are {len(steps)} of the {len(ROWS)} rows, by {", ".join(versions)}.
"""


def _row(step: CompiledStep, alone: CompiledStep | None) -> list[str]:
    roofline, chips = make_roofline(step), count_chips(step)
    speed = step.batch_size / roofline.step
    efficiency = ""
    if alone is not None:
        efficiency = f"{speed / chips / (alone.batch_size / make_roofline(alone).step):.0%}"
    return [
        *(step.arm, step.compute_dtype, step.topology, str(chips), str(step.batch_size)),
        *(f"{step.memory.peak / 2**30:.2f}", f"{step.mean_flops / 1e9:.4g}"),
        *(f"{step.mean_bytes / 1e9:.4g}", _format_gradients(step)),
        *(f"{seconds * 1e3:.3g}" for seconds in (roofline.compute, roofline.memory)),
        f"{(roofline.ici + roofline.dcn) * 1e3:.3g}",
        *(f"{roofline.step * 1e3:.3g}", f"{speed:,.0f}", efficiency, step.revision),
    ]


def _format_gradients(step: CompiledStep) -> str:
    return (
        "; ".join(
            " + ".join(
                f"{size / 2**20:.2f} MiB {dtype}" for dtype, size in c.bytes_by_dtype.items()
            )
            + (" (in a branch)" if c.conditional else "")
            for c in find_gradients(step.collectives)
        )
        or "none"
    )

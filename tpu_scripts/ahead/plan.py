"""How long a table of runs takes on a TPU slice, each cell's seeds trained as one population.

  python -m tpu_scripts.ahead.plan --topology=v5e:16x16 experiments/configs/paper_table.py

Each population gets chips of its own and splits its members over them; its hours count compilation,
checkpoints and the last scores. Step times are rooflines of the programs in results/aot.json,
compiled for one chip; --compute_dtype=bfloat16 takes those of the other dtype, --steps=N another
number of steps than the configs'.
"""

import itertools
import pathlib
import sys
from collections import Counter
from collections.abc import Sequence

from ml_collections import ConfigDict

from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from tpu_scripts.ahead.compiled import CompiledStep
from tpu_scripts.ahead.report import make_roofline
from tpu_scripts.ahead.roofline import ASSUMPTIONS
from tpu_scripts.ahead.schedule import ASSUMPTIONS as SCHEDULED
from tpu_scripts.ahead.schedule import Cell, Share, schedule
from tpu_scripts.ahead.table import RESULTS, load_steps
from tpu_scripts.experiment import load_config, load_table
from tpu_scripts.flags import at_least_one
from tpu_scripts.topologies import Topology, get_topology

_ASSUMED = (
    "an arm without a compiled program of its own takes that of one with the same networks; "
    "the datasets differ in their latents alone",
)


def make_cells(
    table: ConfigDict,
    root: pathlib.Path,
    steps: dict[str, CompiledStep],
    generation: str,
    compute_dtype: str,
    num_steps: int | None,
) -> list[Cell]:
    """Returns the cells of a table.

    Raises:
      UserError: an arm like which nothing was compiled, or a config that cannot be read.
    """
    compiled = {
        _get_networks(_load(root, table, step.arm, step.dataset)): step
        for step in steps.values()
        if step.topology == f"{generation}:1x1" and step.compute_dtype == compute_dtype
    }
    own = {step.arm: step for step in compiled.values()}
    populations = []
    for arm, dataset in itertools.product(table.arms, table.datasets):
        config = _load(root, table, arm, dataset)
        step = own.get(arm) or compiled.get(_get_networks(config))
        if step is None:
            raise UserError(
                f"no program like {arm}'s has been compiled for {generation}:1x1 in "
                f"{compute_dtype}: run python -m tpu_scripts.ahead.compile --table"
            )
        steps_of_a_run = num_steps or config.num_steps
        populations.append(
            Cell(
                *(arm, dataset, tuple(table.seeds), steps_of_a_run),
                num_checkpoints=-(-steps_of_a_run // config.checkpoint_every),
                scored_images=tuple(config.data[f"num_{name}"] for name in config.eval.splits),
                step=step,
            )
        )
    return populations


def _load(root: pathlib.Path, table: ConfigDict, arm: str, dataset: str) -> ConfigDict:
    return load_config(root, table.config.format(arm=arm, dataset=dataset), ())


def _get_networks(config: ConfigDict) -> tuple:
    """What decides the time of a step: its networks, its batch, one player or two."""
    model = config.model
    networks = (str(model.encoder.to_dict()), str(model.decoder.to_dict()))
    return (*networks, config.batch_size, "generator_every" in config.objective)


def format_plan(waves: Sequence[Sequence[Share]], topology: Topology) -> str:
    """Returns the table of the plan, its sum, and what it assumes."""
    columns = ("arm", "populations", "chips each", "seeds by chip", "step, ms", "HBM, GiB")
    rows = [(*columns, "hours", "program of")]
    for wave in waves:
        for (arm, chips), group in itertools.groupby(
            sorted(wave, key=lambda share: (share.population.arm, share.chips)),
            key=lambda share: (share.population.arm, share.chips),
        ):
            shares = list(group)
            one = shares[0].population
            seeds = ("+".join(map(str, together)) for together in one.share_out(chips))
            rows.append(
                (
                    *(arm, str(len(shares)), str(chips), ",".join(seeds)),
                    f"{make_roofline(one.step).step * 1e3:.3g}",
                    f"{one.peak_bytes(chips) / 2**30:.2f}",
                    f"{max(share.hours for share in shares):.2f}",
                    one.step.arm,
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    steps = [share.population.step for wave in waves for share in wave]
    old = sorted({f"{step.arm}'s" for step in steps if step.lacks_branch})
    every = [f"but in {' and '.join(old)} program it counts in every step: compile again"]
    assumed = (*SCHEDULED, *_ASSUMED, *ASSUMPTIONS, *(every if old else ()))
    lines += ["", *_format_sum(waves, topology), "", "assumed", *(f"  - {x}" for x in assumed)]
    return "\n".join(lines)


def _format_sum(waves: Sequence[Sequence[Share]], topology: Topology) -> list[str]:
    shares = [share for wave in waves for share in wave]
    runs = sum(len(share.population.seeds) for share in shares)
    most = max(sum(share.chips for share in wave) for wave in waves)
    last = [max(wave, key=lambda share: share.hours) for wave in waves]
    used = sum(share.chips * share.hours for share in shares)
    after = f" in {len(waves)} waves" if len(waves) > 1 else ""
    parts: Counter[str] = Counter()
    for share in last:
        parts.update(share.population.time_parts(share.chips))
    minutes = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in parts.items())
    return [
        f"{runs} runs in {len(shares)} populations on {topology.name}: "
        f"{sum(share.hours for share in last):.2f} hours{after}, {most} of {topology.chips} chips, "
        f"{used:,.0f} chip-hours of work",
        f"minutes of those that end last: {minutes}",
    ]


def make_parser() -> Parser:
    """The flags."""
    parser = Parser("tpu_scripts.ahead.plan", __doc__)
    add = parser.add_argument
    add("table", help="a table of runs, such as experiments/configs/paper_table.py")
    add("--topology", required=True, help="v5e:16x16, or its accelerator type v5litepod-256")
    add("--compute_dtype", default="float32", choices=("float32", "bfloat16"))
    add("--steps", type=at_least_one, help="steps of a run; by default those of its config")
    return parser


def run(arguments: Sequence[str], root: pathlib.Path) -> None:
    """Prints the plan.

    Raises:
      UserError: a mistake in the flags or the table, or a program that has not been compiled.
    """
    options = make_parser().parse_args(arguments)
    topology = get_topology(options.topology)
    table = load_table(options.table)
    steps = load_steps(RESULTS / "aot.json")
    generation = topology.generation.name
    populations = make_cells(table, root, steps, generation, options.compute_dtype, options.steps)
    print(format_plan(schedule(populations, topology), topology))


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command(lambda given: run(given, pathlib.Path.cwd()), arguments)


if __name__ == "__main__":
    sys.exit(main())

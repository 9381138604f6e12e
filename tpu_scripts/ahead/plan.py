"""How long a table of runs takes on a TPU slice, each cell's seeds trained as one population.

  python -m tpu_scripts.ahead.plan --topology=v5e:16x16 experiments/configs/paper_table.py

Each population gets chips of its own and splits its members over them. Step times are rooflines of
the programs in results/aot.json, compiled for one chip; --compute_dtype=bfloat16 takes those of the
other dtype, --steps=N another number of steps than the configs'.
"""

import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Sequence

from ml_collections import ConfigDict

from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from tpu_scripts.ahead.compiled import CompiledStep
from tpu_scripts.ahead.report import make_roofline
from tpu_scripts.ahead.roofline import ASSUMPTIONS
from tpu_scripts.ahead.table import RESULTS, load_steps
from tpu_scripts.experiment import load_config, load_table
from tpu_scripts.flags import at_least_one
from tpu_scripts.topologies import Topology, get_topology

_ASSUMED = (
    "a chip trains its members one after the other, each as the program compiled for one chip",
    "an arm without a compiled program of its own takes that of one with the same networks; "
    "the datasets differ in their latents alone",
    "compiling, checkpoints, evaluation and restarts are not counted",
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """The seeds of one cell of the table, trained as one program.

    Attributes:
      arm: row of the table.
      dataset: column of the table.
      members: how many seeds.
      num_steps: of each.
      step: one member's, compiled for one chip.
    """

    arm: str
    dataset: str
    members: int
    num_steps: int
    step: CompiledStep

    def members_per_chip(self, chips: int) -> int:
        """The most that any of its chips trains."""
        return -(-self.members // chips)

    def hours(self, chips: int) -> float:
        """From first step to last."""
        seconds = make_roofline(self.step).step * self.num_steps
        return self.members_per_chip(chips) * seconds / 3600

    def peak_bytes(self, chips: int) -> int:
        """HBM of a chip: every member's state, and what one step needs."""
        memory = self.step.memory
        return memory.peak + (self.members_per_chip(chips) - 1) * memory.arguments


@dataclasses.dataclass(frozen=True)
class Share:
    """A population and its chips."""

    population: Cell
    chips: int

    @property
    def hours(self) -> float:
        """Of the population on these chips."""
        return self.population.hours(self.chips)


def schedule(populations: Sequence[Cell], topology: Topology) -> list[list[Share]]:
    """Returns waves of populations that train side by side, one wave after the other.

    Raises:
      UserError: one member alone does not fit a chip.
    """
    hbm = topology.generation.hbm_gib * 2**30
    shares = [Share(one, _find_fewest_chips(one, hbm)) for one in populations]
    if sum(share.chips for share in shares) <= topology.chips:
        return [_spread(shares, topology.chips)]
    waves: list[list[Share]] = [[]]
    for share in sorted(shares, key=lambda share: -share.hours):
        if sum(other.chips for other in waves[-1]) + share.chips > topology.chips:
            waves.append([])
        waves[-1].append(share)
    return [_spread(wave, topology.chips) for wave in waves]


def _find_fewest_chips(population: Cell, hbm: int) -> int:
    for chips in _sizes(population):
        if population.peak_bytes(chips) <= hbm:
            return chips
    raise UserError(
        f"a member of {population.arm} needs {population.peak_bytes(population.members):,} bytes "
        f"of HBM, and a chip has {hbm:,}: take another generation"
    )


def _sizes(population: Cell) -> list[int]:
    """Numbers of chips that divide a slice: powers of two, up to a chip a member."""
    return list(
        itertools.takewhile(
            lambda chips: chips < 2 * population.members, (2**power for power in range(20))
        )
    )


def _spread(shares: Sequence[Share], chips: int) -> list[Share]:
    """Gives spare chips to whichever population would end last, until that is no help."""
    shares = list(shares)
    while True:
        last = max(range(len(shares)), key=lambda index: shares[index].hours)
        share = shares[last]
        more = 2 * share.chips
        spare = chips - sum(other.chips for other in shares)
        if more not in _sizes(share.population) or spare < share.chips:
            return shares
        shares[last] = Share(share.population, more)


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
        members = len(table.seeds)
        populations.append(Cell(arm, dataset, members, num_steps or config.num_steps, step))
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
    columns = ("arm", "populations", "chips each", "members a chip", "step, ms", "HBM, GiB")
    rows = [(*columns, "hours", "program of")]
    for wave in waves:
        for (arm, chips), group in itertools.groupby(
            sorted(wave, key=lambda share: (share.population.arm, share.chips)),
            key=lambda share: (share.population.arm, share.chips),
        ):
            shares = list(group)
            one = shares[0].population
            rows.append(
                (
                    *(arm, str(len(shares)), str(chips), str(one.members_per_chip(chips))),
                    f"{make_roofline(one.step).step * 1e3:.3g}",
                    f"{one.peak_bytes(chips) / 2**30:.2f}",
                    f"{max(share.hours for share in shares):.2f}",
                    one.step.arm,
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    shares = [share for wave in waves for share in wave]
    runs = sum(share.population.members for share in shares)
    most = max(sum(share.chips for share in wave) for wave in waves)
    hours = sum(max(share.hours for share in wave) for wave in waves)
    used = sum(share.chips * share.hours for share in shares)
    after = f" in {len(waves)} waves" if len(waves) > 1 else ""
    lines += [
        "",
        f"{runs} runs in {len(shares)} populations on {topology.name}: {hours:.2f} hours{after}, "
        f"{most} of {topology.chips} chips, {used:,.0f} chip-hours of work",
        "",
        "assumed",
        *(f"  - {line}" for line in (*_ASSUMED, *ASSUMPTIONS)),
    ]
    return "\n".join(lines)


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

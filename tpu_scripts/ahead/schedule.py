"""Which populations train side by side on a slice, on how many chips each, and for how long."""

import dataclasses
import itertools
from collections.abc import Sequence

from qlae.common.errors import UserError
from tpu_scripts.ahead.compiled import CompiledStep
from tpu_scripts.ahead.report import make_roofline
from tpu_scripts.topologies import Topology

HOST_BYTES_PER_SECOND = 4e9
SCORE_SECONDS = 2.0

ASSUMPTIONS = (
    "a chip trains its members one after the other, each as the program compiled for one chip",
    "compilation takes as long as it took where the table was made",
    f"a checkpoint stops its chips while they hand their states over at {HOST_BYTES_PER_SECOND:g} "
    "bytes a second each; it is stored beside training",
    "checkpoints are scored beside training; the end waits for the last one of each member, one "
    "after another: a third of a step for as many images, on a chip alike, and "
    f"{SCORE_SECONDS:g} s for the metrics of each split",
    "restarts are not counted",
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """The seeds of one cell of the table, trained as one program.

    Attributes:
      arm: row of the table.
      dataset: column of the table.
      seeds: of its members.
      num_steps: of each.
      num_checkpoints: of each.
      scored_images: of each split that the last checkpoint is scored on.
      step: one member's, compiled for one chip.
    """

    arm: str
    dataset: str
    seeds: tuple[int, ...]
    num_steps: int
    num_checkpoints: int
    scored_images: tuple[int, ...]
    step: CompiledStep

    def share_out(self, chips: int) -> list[tuple[int, ...]]:
        """Returns the seeds that each chip trains, as `Layout` lays them out."""
        most = -(-len(self.seeds) // chips)
        return [self.seeds[first : first + most] for first in range(0, len(self.seeds), most)]

    def time_parts(self, chips: int) -> dict[str, float]:
        """Returns the seconds of everything from the program's start to its last record."""
        members = len(self.share_out(chips)[0])
        step = make_roofline(self.step).step
        state = members * self.step.memory.arguments
        images = sum(self.scored_images)
        score = images / self.step.batch_size * step / 3 + SCORE_SECONDS * len(self.scored_images)
        return {
            "compilation": self.step.seconds,
            "steps": members * step * self.num_steps,
            "checkpoints": self.num_checkpoints * state / HOST_BYTES_PER_SECOND,
            "evaluation": len(self.seeds) * score,
        }

    def hours(self, chips: int) -> float:
        """All of that."""
        return sum(self.time_parts(chips).values()) / 3600

    def peak_bytes(self, chips: int) -> int:
        """HBM of a chip: every member's state, and what one step needs."""
        memory = self.step.memory
        return memory.peak + (len(self.share_out(chips)[0]) - 1) * memory.arguments


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
    least = population.peak_bytes(len(population.seeds))
    raise UserError(
        f"a member of {population.arm} needs {least:,} bytes of HBM, and a chip has {hbm:,}: take "
        "another generation"
    )


def _sizes(population: Cell) -> list[int]:
    """Numbers of chips that divide a slice: powers of two, up to a chip a member."""
    return list(
        itertools.takewhile(
            lambda chips: chips < 2 * len(population.seeds), (2**power for power in range(20))
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

"""What a fault has cost, and the table of all of them."""

import dataclasses
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

HEAD = "| fault | times tried | lost steps | wrong bits | duplicates | seconds to recover |"


@dataclass
class Outcome:
    """One row.

    Attributes:
        fault: in words.
        tried: how often.
        lost_steps: that one fault cost at most: taken again after it.
        wrong_bits: checkpoints or records that are not what an undisturbed run makes, or missing.
        duplicates: points of a curve, or records, that are there twice.
        seconds: from a start after the fault to its first new step, record or answer.
    """

    fault: str
    tried: int = 0
    lost_steps: int = 0
    wrong_bits: int = 0
    duplicates: int = 0
    seconds: list[float] = field(default_factory=list)

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.fault,
            self.tried + other.tried,
            max(self.lost_steps, other.lost_steps),
            self.wrong_bits + other.wrong_bits,
            self.duplicates + other.duplicates,
            self.seconds + other.seconds,
        )

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong, missing or there twice."""
        return self.tried > 0 and not self.wrong_bits and not self.duplicates

    def to_row(self) -> str:
        """Returns the row in Markdown; of the seconds the median and the most."""
        seconds = "-"
        if self.seconds:
            seconds = f"{statistics.median(self.seconds):.1f}, at most {max(self.seconds):.1f}"
        cells = (
            self.fault,
            self.tried,
            self.lost_steps,
            self.wrong_bits,
            self.duplicates,
            seconds,
        )
        return f"| {' | '.join(map(str, cells))} |"

    def to_json(self) -> dict:
        """Returns what `Outcome(**...)` takes."""
        return dataclasses.asdict(self)


def make_table(outcomes: Sequence[Outcome]) -> str:
    """Returns all rows in Markdown."""
    return "\n".join([HEAD, "|---|---|---|---|---|---|", *(each.to_row() for each in outcomes)])


def merge_rows(page: str, table: str) -> str:
    """Returns the table on a page with the rows of another: of one fault, the new one."""
    rows = {}
    for line in [*page.splitlines(), *table.splitlines()]:
        if line.startswith("|"):
            fault = line.split(" | ")[0]
            rows[re.sub(r"[+-][\d.]+", "", fault)] = line  # a slope in its name is a result
    return "\n".join(rows.values())

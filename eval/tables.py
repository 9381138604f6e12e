"""How a table of results is written: terminal, Markdown, LaTeX and CSV."""

import csv
import dataclasses
import io
from collections.abc import Callable
from typing import NamedTuple

ALL_DATASETS = "mean over datasets"
_SHARED_COLUMNS = (
    "protocol",
    "split",
    "dialect",
    "metric_version",
    "step",
    "num_samples",
    "against",
)
_COLUMNS = (
    "dataset",
    "model",
    "score",
    "mean",
    "low",
    "high",
    "num_runs",
    "num_diverged",
    "ceiling",
    "best",
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One score of one row on one dataset.

    Attributes:
      dataset: name, or ALL_DATASETS.
      row: label of the line: the model, and its configuration where there are several.
      score: name of the score.
      mean: over runs.
      half_width: of the 95% interval; None where a single run gives none.
      num_runs: number of seeds (over datasets: of runs) behind the mean.
      num_diverged: number of further seeds that failed in training, and are in no mean.
      ceiling: what a perfect code scores, where that is below 0.98; else None.
      is_best: whether no other cell of the column is better beyond its interval; never of a single
        run. Of a difference: whether its interval excludes 0.
    """

    dataset: str
    row: str
    score: str
    mean: float
    half_width: float | None
    num_runs: int
    num_diverged: int = 0
    ceiling: float | None = None
    is_best: bool = False


class Kind(NamedTuple):
    """What records must share to be averaged or compared."""

    protocol: str
    split: str
    dialect: str
    metric_version: str
    step: int
    num_samples: int


@dataclasses.dataclass(frozen=True)
class Table:
    """Results that may be compared.

    Attributes:
      kind: what all its records share.
      scores: names of the columns.
      cells: in any order.
      against: the row that the others' differences are from, by seed; "" in a table of means.
    """

    kind: Kind
    scores: tuple[str, ...]
    cells: list[Cell]
    against: str = ""

    @property
    def title(self) -> str:
        """What all numbers of the table share."""
        kind = self.kind
        title = (
            f"protocol {kind.protocol}, split {kind.split}, dialect {kind.dialect}, "
            f"step {kind.step}, {kind.num_samples} samples, metrics version {kind.metric_version}"
        )
        return f"difference from {self.against}, paired by seed; {title}" if self.against else title

    @property
    def legend(self) -> str:
        """What its numbers and its mark mean."""
        interval = "± 95% t interval over seeds, from two on"
        if self.against:
            return f"mean difference {interval}; marked where the interval excludes 0"
        ceiling = "; (of X): a perfect code scores X" if any(c.ceiling for c in self.cells) else ""
        return f"mean {interval}; best marked, or not told apart from it{ceiling}"

    def blocks(self) -> list[tuple[str, list[tuple[str, list[Cell | None]]]]]:
        """Datasets in order of name, the mean over them last; each with its rows of cells."""
        names = sorted({cell.dataset for cell in self.cells} - {ALL_DATASETS})
        if any(cell.dataset == ALL_DATASETS for cell in self.cells):
            names.append(ALL_DATASETS)
        found = {(cell.dataset, cell.row, cell.score): cell for cell in self.cells}
        blocks = []
        for dataset in names:
            rows = sorted({cell.row for cell in self.cells if cell.dataset == dataset})
            cells = [[found.get((dataset, row, score)) for score in self.scores] for row in rows]
            blocks.append((dataset, list(zip(rows, cells, strict=True))))
        return blocks


def format_terminal(tables: list[Table]) -> str:
    """Aligned text; an asterisk marks the best."""
    parts = []
    for table in tables:
        lines = [table.title, f"{table.legend}; the mark is *"]
        header = ["", *table.scores, "runs", "diverged"]
        blocks = [
            (dataset, [[row, *_cells(table, cells, _plain)] for row, cells in rows])
            for dataset, rows in table.blocks()
        ]
        grid = [header, *(line for _, lines_of in blocks for line in lines_of)]
        widths = [max(len(line[column]) for line in grid) for column in range(len(header))]
        for dataset, rows in blocks:
            lines += ["", _align([dataset, *[""] * (len(header) - 1)], widths)]
            lines += [_align(header, widths), *(_align(row, widths) for row in rows)]
        parts.append("\n".join(line.rstrip() for line in lines))
    return "\n\n\n".join(parts)


def format_markdown(tables: list[Table]) -> str:
    """One Markdown table for each dataset; the best in bold."""
    parts = []
    for table in tables:
        parts.append(f"### {table.title}\n\n{table.legend}; the mark is bold.")
        for dataset, rows in table.blocks():
            lines = [[dataset, *table.scores, "runs", "diverged"]]
            lines += [["---"] * len(lines[0])]
            lines += [[f"`{row}`", *_cells(table, cells, _bold)] for row, cells in rows]
            parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts)


def format_latex(tables: list[Table]) -> str:
    """One tabular (with booktabs rules) for each table; the best in bold."""
    parts = []
    for table in tables:
        width = len(table.scores) + 3
        lines = [
            f"% {table.title}; {table.legend}; the mark is bold",
            r"\begin{tabular}{l" + "c" * len(table.scores) + "rr}",
            r"\toprule",
            " & ".join(["model", *map(_escape, table.scores), "runs", "diverged"]) + r" \\",
        ]
        for dataset, rows in table.blocks():
            lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{{_escape(dataset)}}} \\"]
            lines += [
                " & ".join([_escape(row), *_cells(table, cells, _math)]) + r" \\"
                for row, cells in rows
            ]
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join(parts)


def format_csv(tables: list[Table]) -> str:
    """One line for each cell, in full precision; `low` and `high` are empty for a single run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_SHARED_COLUMNS, *_COLUMNS))
    for table in tables:
        shared = [*table.kind, table.against]
        cells = [cell for _, rows in table.blocks() for _, row in rows for cell in row if cell]
        for cell in cells:
            low, high = "", ""
            if cell.half_width is not None:
                low, high = repr(cell.mean - cell.half_width), repr(cell.mean + cell.half_width)
            where = [cell.dataset, cell.row, cell.score]
            counts = [cell.num_runs, cell.num_diverged]
            ceiling = "" if cell.ceiling is None else repr(cell.ceiling)
            best = int(cell.is_best)
            writer.writerow([*shared, *where, repr(cell.mean), low, high, *counts, ceiling, best])
    return text.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[list[Table]], str]] = {
    "terminal": format_terminal,
    "markdown": format_markdown,
    "latex": format_latex,
    "csv": format_csv,
}


def _cells(
    table: Table, cells: list[Cell | None], write: Callable[[Cell | None, str], str]
) -> list[str]:
    """A row's numbers, its number of runs and of diverged ones; a range where scores differ."""
    sign = "+" if table.against else ""
    found = [cell for cell in cells if cell is not None]
    counts = (
        sorted({cell.num_runs for cell in found}),
        sorted({cell.num_diverged for cell in found}),
    )
    ranges = [str(nums[0]) if len(nums) == 1 else f"{nums[0]}-{nums[-1]}" for nums in counts]
    return [*(write(cell, sign) for cell in cells), *ranges]


def _plain(cell: Cell | None, sign: str) -> str:
    if cell is None:
        return "-"
    # A blank in place of the mark keeps the digits of a column in line.
    return _number(cell, sign, " ± ") + ("*" if cell.is_best else " ")


def _bold(cell: Cell | None, sign: str) -> str:
    if cell is None:
        return "-"
    number = _number(cell, sign, " ± ")
    return f"**{number}**" if cell.is_best else number


def _math(cell: Cell | None, sign: str) -> str:
    if cell is None:
        return "--"
    number = _number(cell, sign, r" \pm ")
    return rf"$\mathbf{{{number}}}$" if cell.is_best else f"${number}$"


def _number(cell: Cell, sign: str, between: str) -> str:
    digits = 1 if cell.score.startswith("num_") else 3
    spread = "" if cell.half_width is None else f"{between}{cell.half_width:.{digits}f}"
    ceiling = "" if cell.ceiling is None else f" (of {cell.ceiling:.2f})"
    return f"{cell.mean:{sign}.{digits}f}{spread}{ceiling}"


def _align(line: list[str], widths: list[int]) -> str:
    first, *rest = line
    cells = [first.ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
    return "  ".join(cells)


def _escape(text: str) -> str:
    for character in "_&%#":
        text = text.replace(character, "\\" + character)
    return text

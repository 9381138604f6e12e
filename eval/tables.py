"""How a table of results is written: terminal, Markdown, LaTeX and CSV."""

import csv
import dataclasses
import io
from collections.abc import Callable

ALL_DATASETS = "mean over datasets"
_SHARED_COLUMNS = ("protocol", "metric_version", "step", "num_samples")
_COLUMNS = ("dataset", "model", "score", "mean", "low", "high", "num_runs", "best")


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
      is_best: whether no other cell of the column is better beyond its interval.
    """

    dataset: str
    row: str
    score: str
    mean: float
    half_width: float | None
    num_runs: int
    is_best: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Results that may be compared: one protocol, metric version, step and number of samples."""

    protocol: str
    metric_version: str
    step: int
    num_samples: int
    scores: tuple[str, ...]
    cells: list[Cell]

    @property
    def title(self) -> str:
        """What all numbers of the table share."""
        return (
            f"protocol {self.protocol}, step {self.step}, {self.num_samples} samples, "
            f"metrics version {self.metric_version}"
        )

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
        lines = [table.title, "mean ± 95% t interval over seeds; * best, or not told apart from it"]
        header = ["", *table.scores, "runs"]
        blocks = [
            (dataset, [[row, *map(_plain, cells), _runs(cells)] for row, cells in rows])
            for dataset, rows in table.blocks()
        ]
        grid = [header, *(line for _, lines_of in blocks for line in lines_of)]
        widths = [max(len(line[column]) for line in grid) for column in range(len(header))]
        for dataset, rows in blocks:
            lines += ["", _align([dataset, *[""] * len(table.scores), ""], widths)]
            lines += [_align(header, widths), *(_align(row, widths) for row in rows)]
        parts.append("\n".join(line.rstrip() for line in lines))
    return "\n\n\n".join(parts)


def format_markdown(tables: list[Table]) -> str:
    """One Markdown table for each dataset; the best in bold."""
    parts = []
    for table in tables:
        parts.append(f"### {table.title}\n\nMean ± 95% t interval over seeds; best in bold.")
        for dataset, rows in table.blocks():
            lines = [[dataset, *table.scores, "runs"], ["---"] * (len(table.scores) + 2)]
            lines += [[f"`{row}`", *map(_bold, cells), _runs(cells)] for row, cells in rows]
            parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts)


def format_latex(tables: list[Table]) -> str:
    """One tabular (with booktabs rules) for each table; the best in bold."""
    parts = []
    for table in tables:
        width = len(table.scores) + 2
        lines = [
            f"% {table.title}; mean and 95% t interval over seeds; best in bold",
            r"\begin{tabular}{l" + "c" * len(table.scores) + "r}",
            r"\toprule",
            " & ".join(["model", *map(_escape, table.scores), "runs"]) + r" \\",
        ]
        for dataset, rows in table.blocks():
            lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{{_escape(dataset)}}} \\"]
            lines += [
                " & ".join([_escape(row), *map(_math, cells), _runs(cells)]) + r" \\"
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
        shared = [table.protocol, table.metric_version, table.step, table.num_samples]
        cells = [cell for _, rows in table.blocks() for _, row in rows for cell in row if cell]
        for cell in cells:
            low, high = "", ""
            if cell.half_width is not None:
                low, high = repr(cell.mean - cell.half_width), repr(cell.mean + cell.half_width)
            where = [cell.dataset, cell.row, cell.score]
            best = int(cell.is_best)
            writer.writerow([*shared, *where, repr(cell.mean), low, high, cell.num_runs, best])
    return text.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[list[Table]], str]] = {
    "terminal": format_terminal,
    "markdown": format_markdown,
    "latex": format_latex,
    "csv": format_csv,
}


def _plain(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    # A blank in place of the mark keeps the digits of a column in line.
    return _number(cell, " ± ") + ("*" if cell.is_best else " ")


def _bold(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return f"**{_number(cell, ' ± ')}**" if cell.is_best else _number(cell, " ± ")


def _math(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    number = _number(cell, r" \pm ")
    return rf"$\mathbf{{{number}}}$" if cell.is_best else f"${number}$"


def _number(cell: Cell, between: str) -> str:
    spread = "" if cell.half_width is None else f"{between}{cell.half_width:.3f}"
    return f"{cell.mean:.3f}{spread}"


def _runs(cells: list[Cell | None]) -> str:
    """Number of runs of a row; a range where scores differ in it."""
    counts = sorted({cell.num_runs for cell in cells if cell is not None})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def _align(line: list[str], widths: list[int]) -> str:
    first, *rest = line
    cells = [first.ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
    return "  ".join(cells)


def _escape(text: str) -> str:
    for character in "_&%#":
        text = text.replace(character, "\\" + character)
    return text

"""How benchmarks measure and write down figures: machine, medians, JSON and Markdown."""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

RESULTS = pathlib.Path(__file__).parent / "results"
_PACKAGES = ("numpy", "scipy", "scikit-learn", "jax", "flax", "grain", "tensorflow-datasets")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code: processor, cores, load, versions, threads."""
    return {
        "processor": _processor(),
        "cores": _cores(),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "threads": {name: os.environ.get(name, "unset") for name in _THREAD_VARIABLES},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def median_seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median wall time of `function()` over `repeats` calls, after one call to warm up."""
    return median_seconds_in_turn([function], repeats)[0]


def median_seconds_in_turn(functions: list[Callable[[], Any]], repeats: int) -> list[float]:
    """The same for several functions, called in turn so that a drift of the machine meets all."""
    return [statistics.median(taken) for taken in sample_seconds_in_turn(functions, repeats)]


def sample_seconds_in_turn(
    functions: Sequence[Callable[[], Any]], repeats: int
) -> list[list[float]]:
    """Wall times of each function's calls, in turn, after one call of each to warm up."""
    for function in functions:
        function()
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return seconds


def write_report(
    name: str, title: str, rows: list[dict], notes: str, directory: pathlib.Path = RESULTS
) -> None:
    """Writes `name`.json and `name`.md under `directory` and prints the table.

    Args:
      name: file name without suffix.
      title: heading of the Markdown file.
      rows: one dict per line of the table; columns are the keys in order of first appearance.
      notes: what was measured and how to measure it again, as Markdown.
      directory: where the files go.
    """
    directory.mkdir(parents=True, exist_ok=True)
    where = machine()
    table = _markdown_table(rows)
    document = {"title": title, "machine": where, "rows": rows, "notes": notes}
    (directory / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    packages = ", ".join(f"{package} {version}" for package, version in where["packages"].items())
    threads = ", ".join(f"{name}={value}" for name, value in where["threads"].items())
    machine_line = (
        f"{where['processor']}, {where['cores']} cores (load {where['load_1min']}), "
        f"Python {where['python']}, {packages}; {threads}; {where['date']}."
    )
    text = f"# {title}\n\n{table}\n\n{notes.strip()}\n\nMachine: {machine_line}\n"
    (directory / f"{name}.md").write_text(text)
    print(table)


def format_changes(
    name: str, rows: list[dict], identity: Sequence[str], measured: Sequence[str]
) -> list[str]:
    """Compares rows with those of the last committed report of that name, on the same machine kind.

    Args:
      name: of the report, which names the machine kind.
      rows: of this run.
      identity: columns that say which row is which.
      measured: columns that are compared.

    Returns:
      One line a row that both have; one line that there is nothing to compare with, otherwise.
    """
    committed = _load_committed(name)
    if committed is None:
        return [f"no committed {name}.json to compare with"]
    before = {tuple(row[column] for column in identity): row for row in committed["rows"]}
    lines = []
    for row in rows:
        key = tuple(row[column] for column in identity)
        ratios = [
            f"{column} x{row[column] / before[key][column]:.2f}"
            for column in (measured if key in before else ())
            if row.get(column) and before[key].get(column)
        ]
        if ratios:
            what = ", ".join(str(part) for part in key)
            lines.append(f"{what}: {'; '.join(ratios)} of {committed['machine']['date']}")
    return lines


def _load_committed(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, check=False
    )
    return json.loads(shown.stdout) if shown.returncode == 0 else None


def _markdown_table(rows: list[dict]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row.get(column, "")) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        # Three digits, without an exponent.
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""What is done of a record that is being made: a killed worker repeats one metric at most."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

from etils import epath

from eval.records import Record
from qlae.common.files import write_whole
from qlae.common.schema import TEXT, Rule, by_name

Scores = dict[str, dict[str, float]]
_NUMBERS = by_name(by_name(Rule("a number, or not one", lambda value: isinstance(value, float))))
_LINES = by_name(TEXT)


class Draft:
    """Scores by metric, each written down as soon as it is known, beside the record to be.

    Args:
        record: where that will lie.
    """

    def __init__(self, record: epath.Path):
        self._path = record.parent / f".{record.name}.draft"

    def compute(
        self,
        names: Iterable[str],
        compute: Callable[[str], tuple[Scores, dict[str, str]]],
    ) -> tuple[Scores, dict[str, str]]:
        """Returns scores by metric, and errors by metric, of those that failed.

        Args:
            names: of the metrics.
            compute: name -> the same of one metric; not asked for one that is written down.
        """
        scores, errors = self._load()
        for name in names:
            if name in scores or name in errors:
                continue
            found, failed = compute(name)
            for metric, values in found.items():
                scores[metric] = {key: float(value) for key, value in values.items()}
            errors |= failed
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps({"scores": scores, "errors": errors}))
        return {name: scores[name] for name in names if name in scores}, {
            name: errors[name] for name in names if name in errors
        }

    def delete(self) -> None:
        """Forgets all; what cannot be deleted is in nobody's way."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _load(self) -> tuple[Scores, dict[str, str]]:
        """Reads what is written down; nothing, where that cannot be read."""
        found: Any = None
        with contextlib.suppress(OSError, ValueError, RecursionError):
            found = json.loads(self._path.read_text())
        if not isinstance(found, dict):
            return {}, {}
        scores: Any = found.get("scores")
        errors: Any = found.get("errors")
        if not _NUMBERS.holds(scores) or not _LINES.holds(errors):
            return {}, {}
        return scores, errors


def add_metrics(before: Record, added: Record) -> Record:
    """Returns a record with the metrics of another evaluation of its checkpoint added."""
    return dataclasses.replace(
        before,
        scores=added.scores | before.scores,
        errors=added.errors | before.errors,
        ceilings=added.ceilings | before.ceilings,
        metrics=[*dict.fromkeys([*before.metrics, *added.metrics])],
    )

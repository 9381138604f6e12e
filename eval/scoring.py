"""Where a config's names of metrics meet the table of metrics."""

from collections.abc import Iterable

from eval.metrics.errors import InputError
from eval.metrics.registry import get_metric
from qlae.common.errors import UserError


def check_metrics(names: Iterable[str]) -> None:
    """Raises `UserError`, with the nearest name, for one that is no metric's."""
    try:
        for name in names:
            get_metric(name)
    except InputError as error:
        raise UserError(f"config.eval.metrics: {error}") from error

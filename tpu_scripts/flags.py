"""What the flags of this room's commands have in common."""

import argparse
from collections.abc import Sequence

from qlae.common.command_line import Parser
from qlae.common.errors import UserError


def at_least_one(text: str) -> int:
    """A whole number of at least one, for argparse."""
    if (value := int(text)) >= 1:
        return value
    raise ValueError


def effort(text: str) -> float:
    """A compiler's effort, for argparse."""
    try:
        if -1 <= (value := float(text)) <= 1:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r}: expected a number from -1 (soonest) to 1 (best)")


def parse_overrides(
    parser: Parser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Returns the flags, and the `--config.KEY=VALUE` overrides among the arguments."""
    options, rest = parser.parse_known_args(arguments)
    for argument in rest:
        if not (argument.startswith("--config.") and "=" in argument):
            raise UserError(f"unknown flag {argument!r} (see --help)")
    return options, tuple(rest)

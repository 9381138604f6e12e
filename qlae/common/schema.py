"""What values must be, each rule in words and as a predicate: of configs, records, run directories.

`find_wrong` is the one check of all of them.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Rule:
    """What a value must be, in words and as a predicate of it."""

    words: str
    holds: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def each(rule: Rule) -> Rule:
    """Returns the rule of lists."""
    return Rule(
        f"a list, each {rule.words}",
        lambda values: isinstance(values, tuple | list) and all(map(rule.holds, values)),
    )


def by_name(rule: Rule) -> Rule:
    """Returns the rule of dictionaries."""
    return Rule(
        f"an object, each value {rule.words}",
        lambda values: isinstance(values, Mapping) and all(map(rule.holds, values.values())),
    )


def matrix(rule: Rule) -> Rule:
    """Returns the rule of lists of equally long lists."""
    rows = each(each(rule))
    return Rule(
        f"a list of equally long lists, each value {rule.words}",
        lambda values: rows.holds(values) and len(set(map(len, values))) <= 1,
    )


def maybe(rule: Rule) -> Rule:
    """Returns the rule of values that may be None."""
    return Rule(f"{rule.words}, or null", lambda value: value is None or rule.holds(value))


TEXT = Rule("a text", lambda value: isinstance(value, str))
WORD = Rule(
    "a word of letters, digits, . _ -",
    lambda value: isinstance(value, str) and _WORD.fullmatch(value) is not None,
)
TRUTH = Rule("true or false", lambda value: isinstance(value, bool))
OBJECT = Rule("an object", lambda value: isinstance(value, Mapping))
NUMBER = Rule("a finite number", is_number)
COUNT = Rule("a whole number of at least 1", lambda value: is_whole(value) and value >= 1)
SEVERAL = Rule("a whole number of at least 2", lambda value: is_whole(value) and value >= 2)
WHOLE = Rule("a whole number of at least 0", lambda value: is_whole(value) and value >= 0)
SEED = Rule(
    "a whole number from 0 to 4294967295", lambda value: is_whole(value) and 0 <= value < 2**32
)
NOT_NEGATIVE = Rule("a finite number of at least 0", lambda value: is_number(value) and value >= 0)
POSITIVE = Rule("a finite number above 0", lambda value: is_number(value) and value > 0)
MOMENT = Rule("at least 0 and below 1", lambda value: is_number(value) and 0 <= value < 1)
SIZES = Rule(
    "a list of at least one whole number of at least 1",
    lambda sizes: (
        isinstance(sizes, tuple | list) and len(sizes) > 0 and all(map(COUNT.holds, sizes))
    ),
)
SIZES_IF_ANY = Rule(
    "a list of whole numbers of at least 1, which may be empty",
    lambda sizes: isinstance(sizes, tuple | list) and all(map(COUNT.holds, sizes)),
)


def find_wrong(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> str | None:
    """Returns, of the first value that is not what its rule says, one line; None if all are.

    Args:
        values: by name; one that is missing is left to whoever needs it.
        rules: by name.
    """
    for name, rule in rules.items():
        if name in values and not rule.holds(values[name]):
            return f"{name}={values[name]!r}"[:200] + f": expected {rule.words}"
    return None

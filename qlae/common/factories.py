"""From names and options that a user wrote to calls; a mistake there is one line."""

from collections.abc import Callable, Mapping
from typing import Any

from qlae.common.errors import UserError, make_unknown_name_error


def get_named(kind: str, table: Mapping[str, Any], name: str) -> Any:
    """Returns an entry of a table.

    Raises:
        UserError: it has none of that name.
    """
    if name not in table:
        raise make_unknown_name_error(kind, name, table)
    return table[name]


def build(where: str, factory: Callable, options: Mapping[str, Any], *args, **kwargs) -> Any:
    """Calls a factory with the options that stand at a place of the config.

    Raises:
        UserError: it does not take them, or lacks one.
    """
    try:
        return factory(*args, **kwargs, **options)
    except TypeError as error:
        if "keyword" not in str(error):
            raise
        raise UserError(f"{where} {dict(options)}: {str(error).splitlines()[0]}") from error


def build_named(
    where: str, table: Mapping[str, Callable], options: Mapping[str, Any], *args, **kwargs
) -> Any:
    """As `build`, with the factory that `options["name"]` names; its kind is the place's end.

    Raises:
        UserError: there is no such factory, or it does not take the other options.
    """
    others = {name: value for name, value in options.items() if name != "name"}
    factory = get_named(where.split(".")[-1], table, options["name"])
    return build(where, factory, others, *args, **kwargs)

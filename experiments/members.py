"""The members of a population: seeds x settings, each configured as a run alone would be."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ml_collections import ConfigDict

from qlae.common.errors import UserError
from qlae.run_directory import RunDirectory


@dataclass(frozen=True)
class Member:
    """One run of a population.

    Attributes:
        config: what it would be given to run alone.
        directory: its run directory.
    """

    config: ConfigDict
    directory: RunDirectory


def make_members(config: ConfigDict, directory: RunDirectory) -> list[Member]:
    """Returns the members of a config: itself alone, or seeds x settings below the directory.

    `population.seeds` counts seeds from `config.seed` on; `population.learning_rate`,
    `population.weight_decay` and `population.weights.NAME` list values. All of them are traced, so
    one compiled program serves every member.

    Raises:
        UserError: no seeds, a value twice, or the weight of a term that the model does not have.
    """
    if config.population.seeds < 1:
        raise UserError(f"config.population.seeds={config.population.seeds}: at least 1 is needed")
    for name in config.population.weights:
        if name not in config.weights:
            raise UserError(f"config.population.weights.{name}: {config.arm} has no such term")
    settings = list(_settings(config))
    if config.population.seeds == 1 and settings == [{}]:
        return [Member(config, directory)]
    return [
        _make_member(config, directory, setting, config.seed + offset)
        for setting in settings
        for offset in range(config.population.seeds)
    ]


def _make_member(
    config: ConfigDict, directory: RunDirectory, setting: dict[str, float], seed: int
) -> Member:
    alone = ConfigDict(config.to_dict())
    alone.seed = seed
    alone.population = {
        "seeds": 1,
        "learning_rate": (),
        "weight_decay": (),
        "weights": dict.fromkeys(config.population.weights, ()),
    }
    alone.update_from_flattened_dict(setting)
    names = "_".join(f"{key.split('.')[-1]}_{value!r}" for key, value in setting.items())
    path = directory.path / names if names else directory.path
    return Member(alone, RunDirectory(path / f"seed_{seed}"))


def _settings(config: ConfigDict) -> Iterator[dict[str, float]]:
    """Yields every combination of the values that a population varies beside the seed."""
    population = config.population
    axes = {f"optimizer.{name}": population[name] for name in ("learning_rate", "weight_decay")}
    axes |= {f"weights.{name}": values for name, values in population.weights.items()}
    for key, values in axes.items():
        if len(set(values)) < len(values):
            raise UserError(f"config.population.{key.split('.', 1)[-1]} lists a value twice")
    axes = {key: values for key, values in axes.items() if values}
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, map(float, values), strict=True))

"""The members of a population: seeds x settings, each configured as a run alone would be."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ml_collections import ConfigDict

from qlae.common.errors import UserError
from qlae.run_directory import RunDirectory


@dataclass(frozen=True)
class Member:
    """One run of a population, or the only one.

    Attributes:
        config: what it would be given to run alone.
        directory: its run directory.
    """

    config: ConfigDict
    directory: RunDirectory


def is_population(config: ConfigDict) -> bool:
    """Whether a config stands for several runs in one program."""
    return config.population.seeds > 1 or any(_settings(config))


def make_members(config: ConfigDict, run: RunDirectory) -> list[Member]:
    """Returns the members of a config: itself alone, or seeds x settings below the directory.

    `population.seeds` counts seeds from `config.seed` on; `population.learning_rate`,
    `population.weight_decay` and `population.weights.NAME` list values. All of them are traced, so
    one compiled program serves every member.

    Raises:
        UserError: no seeds, or the weight of a term that the model does not have.
    """
    if config.population.seeds < 1:
        raise UserError(f"config.population.seeds={config.population.seeds}: at least 1 is needed")
    for name in config.population.weights:
        if name not in config.weights:
            raise UserError(f"config.population.weights.{name}: {config.arm} has no such term")
    if not is_population(config):
        return [Member(config, run)]
    return [
        _make_member(config, run, settings, config.seed + offset)
        for settings in _settings(config)
        for offset in range(config.population.seeds)
    ]


def _make_member(
    config: ConfigDict, run: RunDirectory, settings: dict[str, float], seed: int
) -> Member:
    alone = ConfigDict(config.to_dict())
    alone.seed = seed
    alone.population.seeds = 1
    for name in ("learning_rate", "weight_decay"):
        alone.population[name] = ()
    for name in alone.population.weights:
        alone.population.weights[name] = ()
    alone.update_from_flattened_dict(settings)
    names = "_".join(f"{key.split('.')[-1]}_{value:g}" for key, value in settings.items())
    path = run.path / names / f"seed_{seed}" if names else run.path / f"seed_{seed}"
    return Member(alone, RunDirectory(path))


def _settings(config: ConfigDict) -> Iterator[dict[str, float]]:
    """Yields every combination of the values that a population varies beside the seed."""
    population = config.population
    axes = {f"optimizer.{name}": population[name] for name in ("learning_rate", "weight_decay")}
    axes |= {f"weights.{name}": values for name, values in population.weights.items()}
    axes = {key: values for key, values in axes.items() if values}
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))

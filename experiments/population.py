"""The runs that one program trains: seeds x settings, each configured as a run alone would be.

A lone run is a population of one, in its own directory.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
from ml_collections import ConfigDict

from experiments import processes
from qlae.common.errors import RunFailed, UserError
from qlae.dataset_facts import DatasetFacts
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


class Population:
    """The members of a population, and which of them have failed.

    A member that diverges ends alone: its directory says why, and as long as it does, the member is
    not trained, logged, averaged or saved again, in this start or a later one.
    """

    def __init__(self, members: Sequence[Member]):
        self.members = members
        failures = ((index, member.directory.failure) for index, member in enumerate(members))
        self.failed = {index: failure for index, failure in failures if failure}

    @property
    def living(self) -> list[int]:
        """The members that have not failed."""
        return [index for index in range(len(self.members)) if index not in self.failed]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return all(self.members[index].directory.is_complete for index in self.living)

    def claim(self, facts: DatasetFacts) -> None:
        """Claims the directories of the living; the first process writes, after all have looked.

        Raises:
            UserError: on every process, if one directory is another run's or cannot be written.
        """
        with processes.together():
            for index in self.living:
                self.members[index].directory.check(self.members[index].config)
        with processes.together():
            for index in self.living if jax.process_index() == 0 else ():
                self.members[index].directory.claim(self.members[index].config, facts)

    def fail(self, diverged: dict[int, str]) -> None:
        """Ends members, given where each diverged; raises `RunFailed` when none is left."""
        for index in set(diverged) & set(self.living):
            reason = (
                f"{diverged[index]}: the run has diverged and stopped; lower "
                "config.optimizer.learning_rate or look at the data"
            )
            self.failed[index] = reason
            directory = self.members[index].directory
            if jax.process_index() == 0:
                directory.fail(reason)
                if len(self.members) > 1:
                    print(f"\n{directory.path}: {reason}", file=sys.stderr)
        if not self.living:
            self.check()

    def check(self) -> None:
        """Raises `RunFailed` if any member has failed."""
        if not self.failed:
            return
        if len(self.members) == 1:
            directory = self.members[0].directory
            raise RunFailed(f"{self.failed[0]}; delete {directory.path}/FAILED for another try")
        paths = ", ".join(str(self.members[index].directory.path) for index in sorted(self.failed))
        raise RunFailed(
            f"{len(self.failed)} of {len(self.members)} members have diverged; the FAILED of each "
            f"says where, and deleting it gives another try: {paths}"
        )


def make_population(config: ConfigDict, directory: RunDirectory) -> Population:
    """Returns the population of a config: itself alone, or seeds x settings below the directory.

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
        return Population([Member(config, directory)])
    return Population(
        [
            _make_member(config, directory, setting, config.seed + offset)
            for setting in settings
            for offset in range(config.population.seeds)
        ]
    )


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

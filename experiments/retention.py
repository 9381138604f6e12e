"""Which checkpoints a run keeps: the newest, milestones, and whatever has not been scored yet."""

from ml_collections import ConfigDict

from eval.scoring import list_scored
from experiments.population import Population
from qlae.training.checkpoints import Retire


def make_retire(population: Population) -> Retire | None:
    """Returns the function that says which checkpoints may be deleted; None where all are kept.

    `checkpoints.keep_newest` counts those that all members have, from the newest back; 0 keeps all.
    `checkpoints.keep_every` keeps the steps that it divides; 0 is none of them. Without an
    evaluator nothing is scored, and nothing deleted.
    """
    config = population.members[0].config.checkpoints
    if not config.keep_newest:
        return None

    def retire(finalised: dict[int, list[int]]) -> dict[int, list[int]]:
        common = sorted(set.intersection(*map(set, finalised.values())))[-config.keep_newest :]
        if len(common) < config.keep_newest:
            return {}
        return {
            index: _choose(population, index, config, [s for s in steps if s < common[0]])
            for index, steps in finalised.items()
        }

    return retire


def _choose(population: Population, index: int, config: ConfigDict, steps: list[int]) -> list[int]:
    """Returns which of these steps of a member may go."""
    member = population.members[index]
    steps = [step for step in steps if not config.keep_every or step % config.keep_every]
    return list_scored(member.directory.path, member.config, steps)

"""The table of a model's parameters, one row an array, beside each config."""

import jax
from clu import parameter_overview

from experiments.population import Population
from qlae.common.files import write_whole
from qlae.training.state import Params


def write_parameter_tables(population: Population, abstract_params: Params) -> None:
    """Writes `parameters.txt` of every living member; the first process alone."""
    if jax.process_index() != 0:
        return
    table = parameter_overview.get_parameter_overview(abstract_params, include_stats=False)
    for index in population.living:
        write_whole(population.members[index].directory.path / "parameters.txt", f"{table}\n")

"""The benchmark of populations measures what it says it does."""

import jax
import pytest

from experiments.benchmarks import population


@pytest.mark.heavy
def test_each_size_has_a_row_with_the_lone_run_as_the_measure(monkeypatch):
    monkeypatch.setattr(population, "_MEMBERS", (1, 2))
    alone, both = population.measure("tests/configs/tiny.py", steps=2, repeats=1)
    assert (alone["members"], both["members"]) == (1, 2)
    assert alone["times one after another"] == 1
    assert both["rows of devices"] == min(2, jax.device_count())
    assert both["member steps/s"] == 2 * both["steps/s of a member"]
    ratio = both["member steps/s"] / alone["member steps/s"]
    assert abs(both["times one after another"] - ratio) < 1e-9

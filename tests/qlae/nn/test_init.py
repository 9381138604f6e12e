"""One draw for a whole model: right for each layer, shared by none, the same wherever it runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.specs import get_spec
from experiments.config_file import load_config
from qlae.dataset_facts import DatasetFacts
from qlae.latents.vector import VectorLatents
from qlae.nn.init import draw_params
from qlae.program import Program, make_program
from qlae.training.layout import Layout
from qlae.training.mesh import make_mesh


def make(config: str) -> Program:
    names = get_spec("shapes3d_rendered").source_names
    return make_program(load_config(config), DatasetFacts((16, 16, 3), names, num_train=1))


def by_name(params) -> dict[str, np.ndarray]:
    leaves = jax.tree.leaves_with_path(jax.device_get(params))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


@pytest.fixture(scope="module")
def params() -> dict[str, np.ndarray]:
    config = "experiments/configs/quickstart.py:qlinfo_wgan_gp"
    return by_name(jax.jit(make(config).init)(0).params)


def fan_ins(params: dict[str, np.ndarray]) -> dict[str, int]:
    """The fan-in of each random parameter: a bias has that of its kernel."""
    found = {name: leaf[..., 0].size for name, leaf in params.items() if name.endswith("/kernel")}
    biases = {name.replace("/kernel", "/bias"): fan_in for name, fan_in in found.items()}
    return found | {name: fan_in for name, fan_in in biases.items() if name in params}


def test_random_parameters_are_uniform_within_their_fan_in(params):
    found = fan_ins(params)
    assert len(found) > 15
    for name, fan_in in found.items():
        values, bound = params[name].astype(float).ravel(), fan_in**-0.5
        deviation = bound / 3**0.5
        assert np.abs(values).max() <= bound * (1 + 1e-6), name
        assert abs(values.mean()) < 4 * deviation / values.size**0.5, name
        # A uniform distribution's sample variance has a relative standard error of sqrt(0.8 / n).
        variance = np.mean(values**2)
        assert abs(variance / deviation**2 - 1) < 4 * (0.8 / values.size) ** 0.5, name
        if values.size > 500:
            assert np.abs(values).max() > 0.98 * bound, name


def test_other_parameters_are_constants(params):
    rest = {name: leaf for name, leaf in params.items() if name not in fan_ins(params)}
    for name, leaf in rest.items():
        if name == "latents/codebook":
            expected = np.tile(np.linspace(-0.5, 0.5, 10), (12, 1))
            np.testing.assert_array_equal(leaf, expected.astype(np.float32))
        else:
            expected = {"scale": 1, "bias": 0, "input_map": 0.1}[name.split("/")[-1]]
            np.testing.assert_array_equal(leaf, np.float32(expected), err_msg=name)


def test_embeddings_are_uniform_of_unit_length():
    latents = VectorLatents(3, num_values=512, embedding_size=64)
    draw_params(latents, jax.random.key(0))
    values = latents.codebook[...]
    assert 0.99 * (3 / 64) ** 0.5 < jnp.abs(values).max() <= (3 / 64) ** 0.5
    np.testing.assert_allclose((values**2).sum(-1).mean(), 1, atol=0.02)


def test_no_two_parameters_share_numbers(params):
    """No three numbers in a row occur twice, whatever each layer scales them by."""
    rows = [
        np.lib.stride_tricks.sliding_window_view(params[name].ravel() * fan_in**0.5, 3)
        for name, fan_in in fan_ins(params).items()
        if params[name].size >= 3
    ]
    windows = np.round(np.concatenate(rows), 5)
    assert len(np.unique(windows, axis=0)) == len(windows)


def test_another_seed_gives_other_numbers(params):
    other = by_name(
        jax.jit(make("experiments/configs/quickstart.py:qlinfo_wgan_gp").init)(1).params
    )
    for name in fan_ins(params):
        assert not (params[name] == other[name]).all(), name


def test_a_seed_has_the_same_bits_on_any_mesh_and_in_a_population():
    program = make("tests/configs/tiny.py")
    seeds = np.arange(3)
    alone = [jax.device_get(jax.jit(program.init)(seed)) for seed in seeds]
    everywhere = Layout(make_mesh((1, 8))).replicated
    meshed = jax.device_get(jax.jit(program.init, out_shardings=everywhere)(seeds[1]))
    jax.tree.map(np.testing.assert_array_equal, meshed, alone[1])
    population = jax.device_get(jax.jit(lambda seeds: jax.lax.map(program.init, seeds))(seeds))
    for seed in seeds:
        member = jax.tree.map(lambda leaf, seed=seed: leaf[seed], population)
        jax.tree.map(np.testing.assert_array_equal, member, alone[seed])

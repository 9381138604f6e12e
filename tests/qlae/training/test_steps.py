"""The train step: sharded as alone, seeded, and each player in its turn."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiments.config_file import load_config
from experiments.step_check import make_abstract_arguments
from experiments.trainer import Trainer, make_trainer
from qlae.common.errors import UserError
from qlae.training.mesh import choose_mesh_shape


def train(model: str, num_devices: int, num_steps: int):
    """Returns the state and the metrics of every step."""
    config = load_config(f"tests/configs/tiny.py:{model}")
    return take_steps(make_trainer(config, 1, jax.devices()[:num_devices]), [0], num_steps)


def take_steps(trainer: Trainer, seeds, num_steps: int):
    """Returns the state and the metrics of every step, on the host, stacked over seeds."""
    configs = [ConfigDict({**trainer.config.to_dict(), "seed": seed}) for seed in seeds]
    state = trainer.init(trainer.put_seeds(configs))
    hyperparameters = trainer.put_hyperparameters(configs)
    history = []
    batches = trainer.make_batches()
    for _ in range(num_steps):
        batch = trainer.feed.put(next(batches))
        state, metrics = trainer.step(state, hyperparameters, batch)
        history.append(jax.device_get(metrics))
    return jax.device_get(state), history


@pytest.mark.heavy
@pytest.mark.parametrize("model", ["qlae", "beta_tcvae", "qlinfo_wgan_gp"])
def test_one_and_eight_devices_agree(model):
    (_, one), (_, eight) = train(model, 1, 6), train(model, 8, 6)
    for a, b in zip(one, eight, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6, err_msg=name)
    totals = [
        [value for name, value in step.items() if name.endswith("loss/total")]
        for step in (one[0], eight[0])
    ]
    np.testing.assert_allclose(*totals, rtol=1e-6)


def test_members_that_share_devices_equal_lone_runs():
    """Two rows of four devices: the second member, in its slot, is the run with seed 1."""
    config = load_config("tests/configs/tiny.py")
    trainer = make_trainer(config, 2, jax.devices()[:8])
    assert dict(trainer.layout.mesh.shape) == {"population": 2, "data": 4}
    state, _ = take_steps(trainer, [0, 1], 20)
    alone, _ = take_steps(make_trainer(config, 1, jax.devices()[:1]), [1], 20)
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(a[0], b[1], atol=1e-5)


def test_every_step_repeats_bit_for_bit():
    (first, _), (second, _) = train("qlae", 1, 3), train("qlae", 1, 3)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("model", ["qlae", "qlinfo_wgan_gp"])
def test_one_program_takes_every_step_of_a_fresh_or_restored_run(model):
    trainer = make_trainer(load_config(f"tests/configs/tiny.py:{model}"), 1, jax.devices()[:1])
    abstract = make_abstract_arguments(trainer)
    after, _ = trainer.step.eval_shape(*abstract)
    configs = [trainer.config]
    fresh = trainer.init.eval_shape(trainer.put_seeds(configs))
    expected = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, False), abstract[0])
    for state in (fresh, after):
        found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), state)
        assert found == expected


def test_the_generator_moves_on_every_fifth_step():
    _, history = train("qlinfo_wgan_gp", 1, 10)
    assert [step["moved/generator"] for step in history] == [0, 0, 0, 0, 1] * 2
    assert all(step["moved/critic"] == 1 for step in history)
    assert history[3]["generator/loss/total"] == 0
    assert history[4]["generator/loss/total"] != 0


@pytest.mark.parametrize(
    ("num_members", "num_devices", "shape"),
    [
        (1, 8, (1, 8)),
        (3, 8, (4, 2)),
        (7, 8, (8, 1)),
        (9, 8, (8, 1)),
        (2, 1, (1, 1)),
        (2, 6, (2, 3)),
    ],
)
def test_a_population_takes_a_row_a_member_or_all_devices(num_members, num_devices, shape):
    assert choose_mesh_shape(num_devices, 48, num_members=num_members) == shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 20}, r"batch_size=20 does not divide by 8 .* such as 16"),
        ({"batch_size": 24, "num_data": 3}, "needs 3 devices, but there are 8"),
        ({"batch_size": 24, "num_data": 0}, "data=0: each must be at least 1"),
        ({"batch_size": 24, "num_population": 2}, "is more than the number of members, 1"),
    ],
)
def test_a_mesh_that_cannot_be_is_one_line(options, message):
    with pytest.raises(UserError, match=message):
        choose_mesh_shape(8, **options)

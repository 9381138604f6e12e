"""The train step: sharded as alone, seeded, and each player in its turn."""

import jax
import numpy as np
import pytest

from data_pipelines.pipeline import make_train_iterator
from experiments.cli import load_config
from experiments.wiring import make_wiring
from qlae.errors import UserError
from qlae.training.sharding import make_sharding, put


def train(model: str, num_devices: int, num_steps: int):
    """Returns the state and the metrics of every step."""
    config = load_config(f"tests/configs/tiny.py:{model}")
    wiring = make_wiring(config, jax.devices()[:num_devices])
    state = wiring.init(0)
    hyperparameters = put(wiring.hyperparameters, wiring.state_sharding)
    history = []
    batches = make_train_iterator(
        wiring.dataset, wiring.split, batch_size=16, seed=0, emit=wiring.emit
    )
    for _ in range(num_steps):
        state, metrics = wiring.step(
            state, hyperparameters, wiring.sharding.put_batch(next(batches))
        )
        history.append(jax.device_get(metrics))
    return jax.device_get(state), history


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


def test_every_step_repeats_bit_for_bit():
    (first, _), (second, _) = train("qlae", 1, 3), train("qlae", 1, 3)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_generator_moves_on_every_fifth_step():
    _, history = train("qlinfo_wgan_gp", 1, 10)
    assert [step["moved/generator"] for step in history] == [0, 0, 0, 0, 1] * 2
    assert all(step["moved/critic"] == 1 for step in history)
    assert history[3]["generator/loss/total"] == 0
    assert history[4]["generator/loss/total"] != 0


def test_a_batch_that_does_not_divide_names_one_that_does():
    with pytest.raises(UserError, match=r"batch_size=20 does not divide by 8 .* such as 16"):
        make_sharding(devices=jax.devices()[:8]).check_batch(20)
    with pytest.raises(UserError, match="needs 3 devices, but there are 8"):
        make_sharding(3, devices=jax.devices()[:8])

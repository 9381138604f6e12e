"""The train step: sharded as alone, seeded, and each player in its turn."""

import jax
import numpy as np
import pytest

from data_pipelines.pipeline import make_train_iterator
from experiments.cli import load_config
from experiments.members import make_members
from experiments.wiring import Wiring, make_wiring
from qlae.common.errors import UserError
from qlae.run_directory import RunDirectory
from qlae.training.sharding import choose_mesh, put


def train(model: str, num_devices: int, num_steps: int):
    """Returns the state and the metrics of every step."""
    config = load_config(f"tests/configs/tiny.py:{model}")
    return take_steps(make_wiring(config, jax.devices()[:num_devices]), 0, num_steps)


def take_steps(wiring: Wiring, seed, num_steps: int):
    """Returns the state and the metrics of every step, on the host."""
    state = wiring.init(seed)
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


def test_members_that_share_devices_equal_lone_runs():
    """Two rows of four devices: the second member, in its slot, is the run with seed 1."""
    config = load_config("tests/configs/tiny.py")
    config.population.seeds = 2
    members = [member.config for member in make_members(config, RunDirectory("unused"))]
    wiring = make_wiring(config, jax.devices()[:8], members)
    assert dict(wiring.sharding.mesh.shape) == {"population": 2, "data": 4}
    state, _ = take_steps(wiring, wiring.population.stack([0, 1]), 20)
    alone, _ = take_steps(make_wiring(members[1], jax.devices()[:1]), 1, 20)
    member = wiring.population.take(state, 1)
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(member.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


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
    assert choose_mesh(num_devices, 48, num_members=num_members) == shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 20}, r"batch_size=20 does not divide by 8 .* such as 16"),
        ({"batch_size": 24, "num_data": 3}, "needs 3 devices, but there are 8"),
        ({"batch_size": 24, "num_data": 0}, "data=0: each must be at least 1"),
        ({"batch_size": 24, "num_population": 2}, "but this is one run"),
    ],
)
def test_a_mesh_that_cannot_be_is_one_line(options, message):
    with pytest.raises(UserError, match=message):
        choose_mesh(8, **options)

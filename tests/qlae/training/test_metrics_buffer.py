"""Metrics wait on the device, and are averaged by player and by slot."""

import jax.numpy as jnp
import numpy as np

from qlae.training.metrics_buffer import MetricsBuffer


def metrics(**values):
    return {name.replace("_", "/"): jnp.asarray(value) for name, value in values.items()}


def test_means_are_those_of_the_steps_since_the_last_fetch():
    buffer = MetricsBuffer()
    for step, loss in enumerate((1.0, 2.0, 6.0), 1):
        buffer.append(step, metrics(loss_total=[loss, 10 * loss], moved_autoencoder=[1.0, 1.0]))
    means, diverged = buffer.fetch(newest=False)
    np.testing.assert_allclose(means["loss/total"], [1.5, 15])
    assert diverged == {}
    means, _ = buffer.fetch(newest=True)
    np.testing.assert_allclose(means["loss/total"], [6, 60])
    assert buffer.fetch(newest=True) == ({}, {})


def test_a_player_is_averaged_over_the_steps_on_which_it_moved():
    buffer = MetricsBuffer()
    for step in range(1, 5):
        moves = float(step == 4)
        buffer.append(
            step,
            metrics(
                critic_loss=[2.0],
                generator_loss=[8.0 * moves],
                moved_critic=[1.0],
                moved_generator=[moves],
            ),
        )
    means, _ = buffer.fetch(newest=True)
    assert means == {"critic/loss": [2.0], "generator/loss": [8.0]}
    buffer.append(5, metrics(generator_loss=[0.0], moved_critic=[1.0], moved_generator=[0.0]))
    assert buffer.fetch(newest=True)[0] == {}


def test_a_slot_that_diverges_is_told_once_with_the_step():
    buffer = MetricsBuffer()
    losses = ([1.0, 1.0, 1.0], [1.0, np.nan, 1.0], [np.inf, np.nan, 1.0])
    for step, loss in enumerate(losses, 1):
        buffer.append(step, metrics(loss_total=loss, moved_autoencoder=[1.0] * 3))
    _, diverged = buffer.fetch(newest=True)
    assert diverged == {0: "loss/total is inf at step 3", 1: "loss/total is nan at step 2"}
    buffer.append(4, metrics(loss_total=losses[-1], moved_autoencoder=[1.0] * 3))
    assert buffer.fetch(newest=True)[1] == {}


def test_what_other_processes_hold_is_gathered():
    buffer = MetricsBuffer(lambda tree: [{"loss/total": np.array([7.0]), "moved/a": [1.0]}])
    buffer.append(1, metrics(loss_total=[1.0], moved_a=[1.0]))
    assert buffer.fetch(newest=True)[0]["loss/total"] == 7

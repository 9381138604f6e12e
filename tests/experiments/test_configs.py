"""Every cell of the paper's tables: a config that builds and steps at paper scale, unallocated."""

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from data_pipelines.specs import SPECS, get_spec
from eval.metrics.registry import METRICS
from experiments.config_check import check_config
from experiments.configs import quickstart
from experiments.configs.arms import ARMS, BEYOND_GANS, GANS, get_arm_config
from experiments.configs.base import DATASETS
from experiments.configs.networks import (
    make_dense_networks,
    make_image_networks,
    make_small_image_networks,
)
from experiments.listing import format_listing
from qlae.common.errors import UserError
from qlae.dataset_facts import DatasetFacts
from qlae.program import Program, make_program

PAPER = {  # method, section 5
    "qlae": ("weight_decay", (0.1, 0.001, 0.1, 0.1)),
    "beta_vae": ("kl", (3, 0.1, 10, 0.3)),
    "beta_tcvae": ("total_correlation", (3, 0.3, 3, 1)),
    "bio_ae": ("activity", (0.01, 0.01, 0.01, 0.1)),
    "vq_vae_weight_decay": ("weight_decay", (0.01,) * 4),
    "qlinfo_wgan_gp": ("weight_decay", (1e-3, 1e-3, 1e-4, 1e-3)),
    "info_wgan_gp": ("weight_decay", (1e-4,) * 4),
    "qlae_no_weight_decay": ("weight_decay", (0,) * 4),
    "qlinfo_wgan_gp_no_weight_decay": ("weight_decay", (0,) * 4),
    # What came after it: the authors' own.
    "tripod": ("normalized_hessian_penalty", (1e-2, 1e-4, 1e-2, 1e-8)),
    "tripod_naive": ("hessian_penalty", (1e-2, 1e-4, 1e-2, 1e-8)),
    "qlae_multi_information": ("multi_information", (1e-4, 1e-8, 1e-10, 1e-4)),
    "factor_qvae": ("total_correlation", (1e-4, 1e-6, 5e-5, 5e-5)),
    "qvae": ("uniform_kl", (1e-3, 5e-5, 5e-5, 5e-5)),
    "fsq": ("weight_decay", (0.1, 0.001, 0.1, 0.1)),
}


# (steps, batch) where they are not the paper's.
SCALES = {
    **dict.fromkeys((arm for arm in ARMS if arm.startswith("tripod")), (250_000, 64)),
    **dict.fromkeys(("factor_qvae", "factor_dvae"), (50_000, 512)),
    **dict.fromkeys(("qvae", "dvae"), (100_000, 256)),
    **dict.fromkeys(GANS + BEYOND_GANS, (200_000, 64)),
}


TRACED_STEPS: dict[str, tuple] = {}  # by all that a step is made of


def step_shapes(config: ConfigDict, name: str):
    """Returns the shapes of one step's results, computing nothing.

    Steps that differ in the values of traced scalars alone are one, and traced once.
    """
    spec = get_spec(name)
    program = make_program(
        config, DatasetFacts(spec.image_shape, spec.source_names, spec.num_images)
    )
    parts = {part: config[part] for part in ("model", "objective", "batch_size", "compute_dtype")}
    weights = {term: bool(weight) for term, weight in config.weights.items()}
    optimizers = program.optimizer_options
    step = str((parts, weights, optimizers, spec.image_shape, spec.num_sources, spec.num_images))
    if step not in TRACED_STEPS:
        TRACED_STEPS[step] = trace_step(program, (config.batch_size, *spec.image_shape))
    return TRACED_STEPS[step]


def trace_step(program: Program, shape: tuple[int, ...]):
    """Returns the shapes of the state before a step on images of a shape, and of its results."""
    step = program.make_step(lambda batch: batch["image"].astype(jnp.float32) / 255)
    image = jax.ShapeDtypeStruct(shape, jnp.uint8)
    state = program.abstract_state
    return state, jax.eval_shape(step, state, program.hyperparameters, {"image": image})


@pytest.mark.heavy
@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("arm", ARMS)
def test_every_pair_builds_and_steps_at_paper_scale(arm, name):
    config = get_arm_config(arm, name)
    before, (after, metrics) = step_shapes(config, name)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), before) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), after
    )
    assert any(name.endswith("loss/total") for name in metrics)
    assert config.arm == arm
    assert (config.num_steps, config.batch_size) == SCALES.get(arm, (200_000, 128))
    check_config(config)
    codebook = before.params.get("latents", {}).get("codebook")
    if config.model.name in ("qlae", "qlinfo_wgan_gp"):
        shared = config.model.latents.shared
        assert codebook.shape == ((10,) if shared else (2 * SPECS[name].num_sources, 10))


@pytest.mark.parametrize("name", sorted(set(SPECS) - set(DATASETS)))
def test_every_other_dataset_has_a_config_too(name):
    state, _ = step_shapes(get_arm_config("qlae", name), name)
    assert state.params["latents"]["codebook"].shape[0] == 2 * SPECS[name].num_sources


@pytest.mark.parametrize("arm", PAPER)
def test_hyperparameters_are_the_papers(arm):
    key, values = PAPER[arm]
    for name, value in zip(DATASETS, values, strict=True):
        config = get_arm_config(arm, name)
        assert (config.optimizer if key == "weight_decay" else config.weights)[key] == value


@pytest.mark.parametrize("decoder", ["conv", "style"])
@pytest.mark.parametrize("make", [make_image_networks, make_small_image_networks])
def test_every_decoder_fits_a_64_pixel_image(make, decoder):
    config = get_arm_config("qlae", "shapes3d")
    config.model.encoder, config.model.decoder = make()
    config.model.decoder.name = decoder
    before, (after, _) = step_shapes(config, "shapes3d")
    assert jax.tree.structure(before) == jax.tree.structure(after)


@pytest.mark.heavy
@pytest.mark.parametrize("arm", ARMS)
def test_losses_are_summed_in_float32_whatever_the_network_computes_in(arm):
    config = get_arm_config(arm, "shapes3d")
    config.compute_dtype = "bfloat16"
    config.model.encoder, config.model.decoder = make_small_image_networks()
    _, (_, metrics) = step_shapes(config, "shapes3d")
    assert {str(metric.dtype) for metric in metrics.values()} == {"float32"}


def test_dense_networks_fit_too():
    config = get_arm_config("ae", "dsprites")
    config.model.encoder, config.model.decoder = make_dense_networks()
    before, (after, _) = step_shapes(config, "dsprites")
    assert jax.tree.structure(before) == jax.tree.structure(after)


def test_the_quickstart_serves_every_arm():
    for arm in ARMS:
        assert quickstart.get_config(arm).arm == arm
    with pytest.raises(UserError, match="did you mean 'qlae'"):
        quickstart.get_config("qlea")


def test_the_quickstarts_weights_mean_what_the_papers_do():
    beta_vae = quickstart.get_config("beta_vae")
    assert beta_vae.weights.kl == pytest.approx(3 / 4)  # nats a pixel, of a quarter of them
    assert beta_vae.weights.reconstruction == 1
    # 200,000 steps at 1e-3, 12,000 at 2.5e-3.
    assert quickstart.get_config("bio_ae").optimizer.weight_decay == pytest.approx(1e-4 * 200 / 30)
    # 200,000 steps at 2e-4, 4,000 at 5e-4.
    assert quickstart.get_config("qlinfo_wgan_gp").optimizer.weight_decay == pytest.approx(0.02)
    for arm in ("qlae", "qlae_grid", "fsq"):
        assert quickstart.get_config(arm).optimizer.weight_decay == 0.75
    assert quickstart.get_config("qlae_no_weight_decay").optimizer.weight_decay == 0


def test_the_listing_has_a_line_for_everything():
    expected = [*ARMS, *SPECS, *METRICS]
    names = [line.split()[0] for line in format_listing().splitlines() if line.startswith("  ")]
    assert names == expected

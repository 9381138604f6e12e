"""Every model at paper scale, without computing anything."""

import jax
import pytest
from flax import nnx
from ml_collections import ConfigDict

from experiments.config_file import load_config
from qlae import zoo
from qlae.common.errors import UserError
from qlae.dataset_facts import DatasetFacts
from qlae.program import make_program
from qlae.training.optimizer import make_decay_mask


def program_of(config: ConfigDict):
    return make_program(config, DatasetFacts((64, 64, 3), tuple("abcdef"), 480_000))


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_qlae_has_the_papers_parameters_by_module():
    params = program_of(load_config("experiments/configs/qlae.py:shapes3d")).abstract_params
    sizes = {name: count(module) for name, module in params.items()}
    assert sizes == {"encoder": 3_684_524, "decoder": 3_967_136, "latents": 120}


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("tripod", {"encoder": 4_098_092, "decoder": 16_140_163}),
        (
            "factor_qvae",
            {
                "encoder": 19_092_556,
                "decoder": 2_871_619,
                "latents": 64,
                "discriminator": 4_775_002,
            },
        ),
        ("fsq", {"encoder": 3_684_524, "decoder": 3_967_136}),
    ],
)
def test_later_models_have_their_papers_parameters(arm, expected):
    params = program_of(load_config(f"experiments/configs/{arm}.py:shapes3d")).abstract_params
    assert {name: count(module) for name, module in params.items()} == expected


def test_weight_decay_spares_codebooks_and_biases_alone():
    config = load_config("experiments/configs/qlae.py:shapes3d")
    model = nnx.eval_shape(lambda: zoo.make_model(config, image_shape=(64, 64, 3), num_latents=12))
    decays = dict(jax.tree.leaves_with_path(make_decay_mask(model)))
    by_name = {jax.tree_util.keystr(path): decay for path, decay in decays.items()}
    assert by_name["['latents']['codebook']"] is False
    assert by_name["['decoder']['input_map']"] is True
    assert by_name["['encoder']['blocks'][0]['norm']['scale']"] is True
    assert by_name["['decoder']['blocks'][0]['modulation']['kernel']"] is True
    spared = {name for name, decay in by_name.items() if not decay}
    assert spared == {n for n in by_name if n.endswith(("['bias']", "['codebook']"))}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.name", "qlea", "unknown model 'qlea': did you mean 'qlae'"),
        ("model.encoder.name", "cov", "unknown encoder 'cov': did you mean 'conv'"),
        ("model.latents", {"num_vals": 3}, "num_vals"),
        ("model.decoder", {"name": "style", "widths": (4,)}, "missing 3 required keyword"),
        (
            "weights",
            {"kl": 1.0},
            "weights.kl: there is no such term; the loss terms of qlae",
        ),
        ("model.name", "beta_vae", "unexpected keyword argument 'learnable'"),
        ("objective", {"generator_every": 5}, "generator_every"),
        (
            "objective",
            {"probe": {"activations": ("blok3",)}},
            "unknown activation of the decoder 'blok3': did you mean 'block3'",
        ),
        ("optimizer.players", {"critic": {"b1": 0.5}}, "unknown player 'critic'"),
    ],
)
def test_mistakes_in_a_config_are_one_line(key, value, message):
    config = load_config("experiments/configs/qlae.py:shapes3d")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message) as error:
        program_of(config)
    assert "\n" not in str(error.value)


def test_a_term_without_its_weight_is_one_line():
    config = load_config("experiments/configs/qlae.py:shapes3d")
    del config.weights.commit
    with pytest.raises(UserError, match="lacks 'commit'; the loss terms of qlae"):
        program_of(config)


def test_parameters_of_another_model_are_refused():
    program = program_of(load_config("experiments/configs/qlae.py:shapes3d"))
    params = program.abstract_params
    with pytest.raises(ValueError, match="codebook"):
        program.merge(params | {"latents": {}})

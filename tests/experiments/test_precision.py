"""The precision of a step's products: what the config says, and what runs without the key had."""

import json

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments.compilation import with_precision
from experiments.config_file import load_config
from qlae.restore import restore
from qlae.run_directory import get_config_id, get_matmul_precision
from tests import runs


def count_precise(config):
    """How many products of a gradient's program are asked to be of the highest precision."""

    def loss(kernel, image):
        window = jax.lax.conv(image, kernel, (1, 1), "SAME")
        return jnp.sum(window.reshape(len(image), -1) @ jnp.ones((64, 2)))

    function = with_precision(config, jax.grad(loss))
    text = jax.jit(function).lower(jnp.ones((1, 1, 3, 3)), jnp.ones((2, 1, 8, 8))).as_text()
    return text.count("HIGHEST")


def test_every_product_and_derivative_of_a_step_takes_it():
    assert count_precise(ConfigDict({"matmul_precision": "highest"})) >= 4
    assert count_precise(ConfigDict({"matmul_precision": "default"})) == 0
    assert count_precise(ConfigDict({})) == 0


def test_the_default_is_the_config_of_runs_that_lack_the_key():
    config = load_config("tests/configs/tiny.py", ())
    assert get_matmul_precision(config) == "default"
    identity = get_config_id(config)
    config.matmul_precision = "highest"
    assert get_config_id(config) != identity
    with config.unlocked():
        del config.matmul_precision
    assert get_config_id(config) == identity
    assert get_matmul_precision(config) == "default"


def test_a_run_without_the_key_resumes_and_restores(tmp_path):
    steps = "--config.num_steps=2"
    assert runs.train(tmp_path / "run", steps)[0] == 0
    path = tmp_path / "run" / "config.json"
    document = json.loads(path.read_text())
    del document["config"]["matmul_precision"]
    path.write_text(json.dumps(document))
    assert restore(str(tmp_path / "run")).num_latents
    code, _, errors = runs.train(tmp_path / "run", steps)
    assert code == 0, errors
    code, _, errors = runs.train(tmp_path / "run", steps, "--config.matmul_precision=highest")
    assert code == 2
    assert "matmul_precision" in errors

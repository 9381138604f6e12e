"""Every number of a config is checked in one place, before anything is claimed."""

import pytest
from ml_collections import ConfigDict

from experiments.config_check import RULES, check_config
from experiments.config_file import load_config
from experiments.configs.arms import ARMS, get_arm_config
from qlae.common.errors import UserError
from tests import runs

NAN = float("nan")


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_passes(arm):
    check_config(get_arm_config(arm, "shapes3d"))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", 2**32, "from 0 to 4294967295"),
        ("seed", -1, "from 0 to 4294967295"),
        ("num_steps", 0, "at least 1"),
        ("compute_dtype", "float64", '"float32" or "bfloat16"'),
        ("compute_dtype", "float16", '"float32" or "bfloat16"'),
        ("matmul_precision", "best", '"default", "high" or "highest"'),
        ("eval.batch_size", 0, "at least 1"),
        ("model.latents_per_source", 0, "at least 1"),
        ("model.encoder.widths", (), "at least one whole number"),
        ("model.encoder.widths", (0, 0), "at least one whole number"),
        ("model.encoder.widths", ("a", "b"), "at least one whole number"),
        ("model.encoder.strides", (0, 0), "at least one whole number"),
        ("model.encoder.widths", (4,), "1 widths, 2 kernel_sizes"),
        ("model.decoder.dense", (0,), "whole numbers of at least 1, which may be empty"),
        ("model.decoder.widths", (4,), "1 widths, 2 kernel_sizes"),
        ("model.decoder.strides", ("a", "b"), "at least one whole number"),
        ("model.decoder.kernel_sizes", (0, 4), "at least one whole number"),
        ("optimizer.learning_rate", -1.0, "above 0"),
        ("optimizer.learning_rate", NAN, "above 0"),
        ("optimizer.weight_decay", -0.1, "at least 0"),
        ("optimizer.b1", 2.0, "below 1"),
        ("optimizer.clip", -1.0, "above 0"),
        ("weights.quantize", -1.0, "at least 0"),
        ("population.learning_rate", ("a",), "a list, each a finite number above 0"),
        ("population.weights.commit", (-1.0,), "a list, each"),
        ("profile.steps", (5, 3), "first and last step"),
        ("profile.steps", (1, 100), "ends after the run, at step 40"),
        ("eval.metrics", ("infomek",), "did you mean 'infomec'"),
        ("eval.metrics", (True,), "a list, each a text"),
        ("data.marginalised", ((1,),), "a list, each a text"),
        ("data.protocol", 3, "a text"),
    ],
)
def test_what_cannot_be_is_one_line(key, value, expected):
    config = load_config(runs.TINY)
    with config.unlocked(), config.ignore_type():
        config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=expected) as error:
        check_config(config)
    assert f"config.{key.rsplit('.', 1)[0]}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("arm", ARMS)
def test_every_number_of_every_arm_has_a_rule(arm):
    """What nobody checks is found by whoever meets its traceback."""
    config = load_config(f"tests/configs/tiny.py:{arm}")
    unchecked = {
        key
        for key, value in flatten(config)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    groups = ("weights.", "population.weights.", "objective.warmup_steps.")
    unchecked = {key for key in unchecked - set(RULES) if not key.startswith(groups)}
    assert unchecked <= {"mesh.population", "mesh.data"}  # which the mesh checks


def flatten(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value

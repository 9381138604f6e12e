"""A run restored by one call, from its directory alone."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from qlae.common.errors import UserError
from qlae.restore import open_run, restore
from tests import runs

LIGHT = """
import sys
for name in ("grain", "tensorflow_datasets", "array_record", "sklearn", "tensorboardX"):
    sys.modules[name] = None
from qlae.restore import restore
run = restore(sys.argv[1])
print(run.decode(run.encode(run.decode(run.encode(__import__("numpy").zeros((1, 8, 8, 3)))))).shape)
"""


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A tiny run with checkpoints of steps 10 and 20."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert runs.train(folder, "--config.num_steps=20")[0] == 0
    return folder


@pytest.fixture(scope="module")
def run(workdir):
    return restore(workdir)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, 8, 8, 3), np.float32)


def test_it_knows_its_run(run, workdir):
    assert (run.step, restore(workdir, 10).step) == (20, 10)
    assert run.config.arm == "qlae"
    assert (run.num_latents, run.num_values, run.image_shape) == (12, 10, (8, 8, 3))
    assert run.source_names[:2] == ("floor_hue", "wall_hue")
    assert run.nmi_SxZ is None
    assert repr(run) == "RestoredModel(qlae on shapes3d_rendered, step 20)"


def test_it_encodes_and_decodes_as_the_model_does(run, images):
    latents = run.encode(images)
    codes = run.model.encode(images)
    np.testing.assert_array_equal(latents, codes.indices)
    assert latents.dtype == np.int32
    logits = np.asarray(run.model.decode(codes.z_hat))
    np.testing.assert_allclose(run.decode(latents), 1 / (1 + np.exp(-logits)), atol=1e-5)
    np.testing.assert_array_equal(run.reconstruct(images), run.decode(latents))
    bytes_B = np.round(images * 255).astype(np.uint8)
    np.testing.assert_array_equal(run.encode(bytes_B), run.encode(bytes_B / 255))


def test_it_sweeps_one_latent(run, images):
    swept = run.traverse(images[0], 4)
    assert swept.shape == (10, 8, 8, 3)
    own = run.encode(images[:1])[0, 4]
    np.testing.assert_allclose(swept[own], run.reconstruct(images[:1])[0], atol=1e-6)
    np.testing.assert_array_equal(run.traverse(images[0], 4, [3, 7]), swept[[3, 7]])


def test_scores_of_its_step_are_found(workdir, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(workdir, folder)
    record = folder / "eval" / "heldout" / "step_000000020.metrics_1.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"nmi_SxZ": [[0.25] * 12] * 6}))
    np.testing.assert_array_equal(restore(folder).nmi_SxZ, np.full((6, 12), 0.25))
    assert restore(folder, 10).nmi_SxZ is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.encode(np.zeros((1, 16, 16, 3))), r"shape \(1, 16, 16, 3\): expected \(B"),
        (lambda run: run.encode(np.full((1, 8, 8, 3), 200.0)), "range from 200 to 200: expected"),
        (lambda run: run.encode(np.full((1, 8, 8, 3), np.nan)), r"expected \[0, 1\], or uint8"),
        (lambda run: run.decode(np.full((1, 12), 10)), "from 10 to 10: the codebook has values 0"),
        (lambda run: run.decode(np.full((1, 12), -1)), "indices range from -1"),
        (lambda run: run.decode(np.zeros((1, 12))), "expected integer indices of the codebook"),
        (lambda run: run.decode(np.zeros((1, 3), int)), r"expected \(B, 12\)"),
        (lambda run: run.traverse(np.zeros((8, 8, 3)), 12), "no latent 12: expected 0 to 11"),
        (lambda run: run.traverse(np.zeros((8, 8, 3)), 0, [0.5]), "expected integer indices"),
        (lambda run: run.sample(4), "qlae is an autoencoder: only GANs sample"),
    ],
)
def test_mistakes_are_one_clear_line(run, call, message):
    with pytest.raises(UserError, match=message):
        call(run)


def test_runs_that_cannot_be_restored_say_why(workdir, tmp_path):
    with pytest.raises(UserError, match=r"no run at .*nothing: it has no config\.json"):
        restore(tmp_path / "nothing")
    with pytest.raises(UserError, match="has no checkpoint of step 15: 10, 20"):
        restore(workdir, 15)
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(workdir / "config.json", begun)
    with pytest.raises(UserError, match="has no checkpoint yet"):
        restore(begun)


def test_differences_from_the_config_are_listed(workdir, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(workdir, folder)
    document = json.loads((folder / "config.json").read_text())
    document["config"]["model"]["decoder"]["dense"] = [16, 24]
    (folder / "config.json").write_text(json.dumps(document))
    with pytest.raises(UserError) as caught:
        restore(folder)
    message = str(caught.value)
    assert "decoder.mlp.layers.1.kernel is missing, expected float32[16, 24]" in message
    assert (
        "decoder.blocks.0.modulation.kernel is float32[16, 8], expected float32[24, 8]" in message
    )


def test_versions_that_differ_are_named(workdir, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(workdir, folder)
    document = json.loads((folder / "config.json").read_text())
    here = document["versions"]["jax"]
    document["versions"]["jax"] = "0.0.1"
    (folder / "config.json").write_text(json.dumps(document))
    assert restore(folder).versions == {"jax": ("0.0.1", here)}
    assert f"saved with jax 0.0.1, here {here}" in repr(restore(folder))


@pytest.mark.process
def test_it_needs_no_package_that_reads_data_and_warns_of_nothing(workdir):
    command = [sys.executable, "-c", LIGHT, str(workdir)]
    done = subprocess.run(command, cwd=runs.ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(1, 8, 8, 3)\n", "")


def test_its_parameters_are_those_of_its_run(run, workdir):
    stored = open_run(workdir)
    params = stored.load(20)
    np.testing.assert_array_equal(params["latents"]["codebook"], run.model.latents.codebook[...])

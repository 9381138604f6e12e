"""A model as one file, run by readers that know nothing of JAX."""

import importlib.util

import jax
import numpy as np
import pytest

from eval.export import export
from eval.readers import with_numpy
from qlae.dataset_facts import DatasetFacts
from qlae.program import make_program
from qlae.restored_model import RestoredModel
from qlae.run_directory import RunDirectory
from tests import runs
from tests.configs import tiny

FACTS = DatasetFacts((8, 8, 3), ("a", "b"), 1_000)
NETWORKS = {
    "conv": {"name": "conv"},
    "dense": {"name": "dense", "dense": (16, 8)},
}


def make_run(folder, model: str, network: str = "") -> RestoredModel:
    """A model that nobody has trained."""
    config = tiny.get_config(model)
    if network == "dense":
        config.model.encoder = config.model.decoder = NETWORKS["dense"]
    elif network:
        config.model.decoder.name = network
    directory = RunDirectory(folder)
    directory.claim(config, FACTS)
    program = make_program(config, FACTS)
    model_ = program.merge(jax.jit(program.init)(0).params)
    return RestoredModel(model_, directory, FACTS, 0)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("model", "network"),
    [
        ("qlae", ""),
        ("qlae", "conv"),
        ("qlae_global", "dense"),
        ("vq_vae", ""),
        ("beta_vae", "dense"),
        ("qlinfo_wgan_gp", ""),
    ],
)
def test_the_readers_equal_the_model(tmp_path, model, network):
    run = make_run(tmp_path / "run", model, network)
    file = tmp_path / "model.npz"
    file.write_bytes(export(run))
    images = np.random.default_rng(0).random((3, *run.image_shape), np.float32)
    latents = run.encode(images)
    for load, convert in readers():
        encode, decode = load(file)
        np.testing.assert_allclose(encode(convert(images)), latents, atol=1e-5)
        np.testing.assert_allclose(decode(convert(latents)), run.decode(latents), atol=1e-5)


def readers():
    """The reader in NumPy and, where PyTorch is installed, the one in PyTorch."""
    yield with_numpy.load, np.asarray
    if importlib.util.find_spec("torch"):
        import torch

        from eval.readers import with_torch

        yield with_torch.load, lambda array: torch.from_numpy(np.array(array))


@pytest.mark.parametrize("name", ["with_numpy.py", "with_torch.py"])
def test_a_reader_is_short_enough_to_copy(name):
    lines = (runs.ROOT / "eval" / "readers" / name).read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith('"""')]
    assert len(code) <= 40


def test_no_run_is_one_line_and_nothing_is_written(tmp_path):
    file = tmp_path / "model.npz"
    code, _, errors = runs.run("eval.export", str(tmp_path / "none"), f"--out={file}")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert not file.exists()

"""A model as one file, run by readers that know nothing of JAX."""

import os
import re
import subprocess

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
TORCH = runs.ROOT / "build" / "torch" / "bin" / "python"
READ = """
import numpy as np, torch
from eval.readers import with_torch
encode, decode = with_torch.load("model.npz")
asked = {name: torch.from_numpy(array) for name, array in np.load("asked.npz").items()}
np.savez("answered.npz", latents=encode(asked["images"]), pictures=decode(asked["latents"]))
print(torch.__version__)
"""


def make_run(folder, model: str, network: str = "") -> RestoredModel:
    """A model that nobody has trained."""
    config = tiny.get_config(model)
    if network.startswith("patches"):
        config.model.decoder.name = network.partition(", ")[2] or "style"
        for part in (config.model.encoder, config.model.decoder):
            part.update({"patch": 2, "kernel_sizes": (3, 4), "strides": (1, 2)})
    elif network == "dense":
        config.model.encoder = config.model.decoder = NETWORKS["dense"]
    elif network:
        config.model.decoder.name = network
    directory = RunDirectory(folder)
    directory.claim(config, FACTS)
    program = make_program(config, FACTS)
    model_ = program.merge(jax.jit(program.init)(0).params)
    return RestoredModel(model_, directory, FACTS, 0)


MODELS = pytest.mark.parametrize(
    ("model", "network"),
    [
        ("qlae", ""),
        ("qlae", "conv"),
        ("qlae", "patches"),
        ("qlae", "patches, conv"),
        ("qlae_global", "dense"),
        ("vq_vae", ""),
        ("beta_vae", "dense"),
        ("qlinfo_wgan_gp", ""),
    ],
)


@pytest.mark.heavy
@MODELS
def test_the_reader_in_numpy_equals_the_model(tmp_path, model, network):
    run = make_run(tmp_path / "run", model, network)
    file = tmp_path / "model.npz"
    file.write_bytes(export(run))
    images = np.random.default_rng(0).random((3, *run.image_shape), np.float32)
    latents = run.encode(images)
    encode, decode = with_numpy.load(file)
    np.testing.assert_allclose(encode(images), latents, atol=1e-5)
    np.testing.assert_allclose(decode(latents), run.decode(latents), atol=1e-5)


@pytest.mark.interop
@pytest.mark.process
@pytest.mark.skipif(not TORCH.exists(), reason="PyTorch is not installed: make interop")
@MODELS
def test_the_reader_in_pytorch_equals_the_model(tmp_path, model, network):
    run = make_run(tmp_path / "run", model, network)
    (tmp_path / "model.npz").write_bytes(export(run))
    images = np.random.default_rng(0).random((3, *run.image_shape), np.float32)
    latents = run.encode(images)
    np.savez(tmp_path / "asked.npz", images=images, latents=latents)
    print(f"{model} {network or 'default'}, PyTorch {run_torch(READ, tmp_path)}".strip())
    answered = np.load(tmp_path / "answered.npz")
    for name, expected in (("latents", latents), ("pictures", run.decode(latents))):
        print(f"  {name} differ by at most {np.abs(answered[name] - expected).max():.1e}")
        np.testing.assert_allclose(answered[name], expected, atol=1e-5)


@pytest.mark.interop
@pytest.mark.process
@pytest.mark.skipif(not TORCH.exists(), reason="PyTorch is not installed: make interop")
def test_the_example_scores_a_model_in_pytorch(tmp_path):
    example = runs.ROOT / "eval" / "metrics" / "examples" / "score_pytorch.py"
    printed = run_torch(example.read_text(), tmp_path)
    print("the example:", printed.strip())
    infom, infoe, infoc = map(float, re.findall(r"Info[MEC] (\S+)", printed))
    assert 0 < infom < 1
    assert 0 < infoe < 1
    assert 0 < infoc < 1


def run_torch(code: str, folder) -> str:
    """Returns what the code prints where PyTorch is installed and JAX is not."""
    done = subprocess.run(
        [TORCH, "-c", code], cwd=folder, env=os.environ | {"PYTHONPATH": str(runs.ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


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

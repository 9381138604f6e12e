"""A small network compiled for TPU slices, and what the command says of mistakes."""

import json
import pathlib

import jax
import pytest

from tpu_scripts.ahead import compile as command
from tpu_scripts.ahead import compiled, table
from tpu_scripts.ahead.collectives import find_gradients
from tpu_scripts.ahead.report import describe_step_gradients
from tpu_scripts.experiment import load_config
from tpu_scripts.topologies import get_topology

pytestmark = pytest.mark.process  # Compiling asks git for the revision.
ROOT = pathlib.Path(__file__).parents[3]
TINY = "tests/configs/tiny.py"
QLAE = "experiments/configs/qlae.py:shapes3d_rendered"
needs_libtpu = pytest.mark.skipif(
    not compiled.has_libtpu(), reason="libtpu, which holds the TPU compiler, is not installed"
)


@pytest.fixture(autouse=True)
def _in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def _fail(capsys, *arguments: str) -> tuple[int, str]:
    """Runs a command that must end with one error line; returns its exit status and the line."""
    status = command.main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    return status, line


@needs_libtpu
def test_one_float32_all_reduce_on_a_slice(tmp_path, capsys):
    path = tmp_path / "new" / "report.json"
    arguments = ["--topology=v5e:2x4", f"--config={TINY}", f"--json={path}"]
    assert command.main(arguments) == 0
    output = capsys.readouterr().out
    assert "one train step on v5e:2x4 (8 chips)" in output
    assert "scaling efficiency" in output
    document = json.loads(path.read_text())
    step = table.load_step(document)
    gradients = find_gradients(step.collectives)
    # Beside the gradients it carries three scalars: the loss and its two terms.
    assert [c.bytes_by_dtype for c in gradients] == [{"f32": 4 * (step.parameters + 3)}]
    assert [c.group_size for c in gradients] == [8]
    assert step.collectives == tuple(gradients)
    assert step.loops == 0
    assert 0 < step.memory.peak < 2**30
    assert step.flops > 0 < step.bytes_accessed
    assert 0 < document["scaling_efficiency"] < 1


@needs_libtpu
def test_two_slices_reduce_inside_each_before_between_them():
    config = load_config(ROOT, TINY, ())
    step = compiled.compile_step(config, get_topology("v5e:2x4"), slices=2)
    networks = {c.network for c in step.collectives}
    assert networks == {"ici", "dcn"}
    gradients = find_gradients(step.collectives)
    assert {dtype for c in gradients for dtype in c.bytes_by_dtype} == {"f32"}


@needs_libtpu
def test_members_of_a_population_exchange_nothing():
    config = load_config(ROOT, TINY, ("--config.population.seeds=4",))
    step = compiled.compile_step(config, get_topology("v5e:2x2"))
    assert (step.members, step.num_population, step.passes) == (4, 4, 1)
    assert step.collectives == ()
    assert "whole batch: nothing to reduce" in describe_step_gradients(step)


@needs_libtpu
@pytest.mark.parametrize(
    ("name", "slices"), [("v4:2x2x1", 1), ("v5p:2x2x2", 1), ("v6e:2x4", 1), ("v5e:4x4", 3)]
)
def test_a_device_is_a_chip(name, slices):
    topology = get_topology(name)
    devices = compiled.make_devices(topology, slices)
    assert len(devices) == topology.chips * slices
    kind = {"v4": "TPU v4", "v5p": "TPU v5", "v6e": "TPU v6 lite", "v5e": "TPU v5 lite"}
    assert {d.device_kind for d in devices} == {kind[topology.generation.name]}


@needs_libtpu
def test_a_step_that_does_not_fit(capsys):
    arguments = ("--topology=v5e:1x1", f"--config={TINY}", "--config.batch_size=8000000")
    status, line = _fail(capsys, *arguments)
    assert status == 1
    assert line.startswith("error: the step does not fit a chip of v5e:1x1: it needs ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--topology=v5e:16x15", f"--config={QLAE}"), "did you mean 'v5e:16x16'"),
        (
            ("--topology=v5e:16x16", f"--config={QLAE}"),
            "v5e:16x16: config.batch_size=128 does not divide by 256 devices along 'data'; use a ",
        ),
        (("--topology=v5e:4x4", "--config=experiments/configs/qlea.py"), "configs/qlae.py"),
        (("--topology=v5e:4x4", f"--config={QLAE}", "--config.batch=1"), "batch"),
        (("--topology=v5e:4x4", f"--config={QLAE}", "--config.batch_size=0"), "at least 1"),
        (
            ("--topology=v5e:4x4", f"--config={QLAE}", "--config.population.seeds=0"),
            "population.seeds=0: expected a whole number of at least 1",
        ),
        (("--topology=v5e:4x4",), "--config=FILE.py:DATASET are both needed"),
        (("--topology=v5e:4x4", f"--config={QLAE}", "--slices=0"), "--slices"),
        (("--table", "--topology=v5e:4x4"), "--topology does not go with it"),
        (("--table", "--slices=2"), "--slices does not go with it"),
        (("--topology=v5e:4x4", f"--config={QLAE}", "--effort=2"), "from -1 (soonest) to 1 (best)"),
        (
            ("--topology=v5e:4x4", f"--config={QLAE}", "--config.compute_dtype=fp8"),
            'expected "float32" or "bfloat16"',
        ),
    ],
)
def test_a_mistake_is_one_line(capsys, arguments, expected):
    status, line = _fail(capsys, *arguments)
    assert status == 2
    assert line.startswith("error: ")
    assert expected in line


def test_without_libtpu_the_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(compiled, "has_libtpu", lambda: False)
    status, line = _fail(capsys, "--topology=v5e:2x4", f"--config={TINY}")
    assert (status, "libtpu is not installed" in line) == (2, True)


def test_another_compiler_error_is_not_a_lack_of_memory():
    error = jax.errors.JaxRuntimeError("INTERNAL: something else")
    assert compiled._explain(error, get_topology("v5e:1x1")) is error

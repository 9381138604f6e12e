"""Random mistakes on every surface: configs, overrides, records, run directories, files.

Whatever is given, a command ends with a code of its own and at most one line of error, in bounded
time, and what was there before is as it was.
"""

import contextlib
import json
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from eval.metrics.errors import InputError
from experiments.config_file import load_config
from qlae.common.errors import UserError
from qlae.run_directory import flatten, to_plain
from tests import runs
from tests.faults.outcome import Outcome

_PATIENCE = 120  # seconds, after which a command hangs
# What stands where a number, a text or a list was expected.
ODD: tuple[Any, ...] = (
    *(0, -1, 1, 2**31, 2**32, 2**64, 10**30, 0.5, -0.0, 1e-320, 1e308, True, False, None),
    *("", " ", "a", "²", "../x", "/", "\x00", "ä" * 300, "1e999", "nan", "-", "[]", "{"),
    *((), [], {}, [1], ["a"], [[]], [[1], [1, 2]], {"a": 1}, [None], (0, 0), (4,), (5, 3)),
    *(float("nan"), float("inf"), -float("inf")),
)
RECORD = {
    "model": "qlae",
    "dataset": "shapes3d",
    "seed": 0,
    "protocol": "heldout",
    "step": 10,
    "metric_version": "2",
    "num_samples": 100,
    "scores": {"infom": 0.5, "psnr": 20.0},
    "errors": {"mig": "no latents"},
    "source_names": ["floor", "wall"],
    "nmi_SxZ": [[0.1, 0.9, 0.0], [0.3, 0.2, 0.1]],
    "active_latents": [True, True, False],
    "versions": {"jax": "0.10.2"},
    "config_id": "0123456789ab",
    "split": "test",
    "dialect": "lq2023",
    "decisions": {"estimator": "plug-in"},
    "ceilings": {"infom": 0.9},
    "latent_sample": [[0.0, 1.0], [2.0, 3.0]],
}


class Surface:
    """What is tried on one surface, and what came of it.

    Args:
        name: of the surface.
        seed: of the mistakes.
    """

    def __init__(self, name: str, seed: int = 0):
        self.outcome, self.rng = Outcome(f"fuzz: {name}"), np.random.default_rng(seed)

    def choose(self, values: Any) -> Any:
        """Returns one of several values."""
        values = list(values)
        return values[int(self.rng.integers(len(values)))]

    def attempt(self, what: object, kept: Path, module: str, *arguments: str) -> None:
        """Runs a command in this process; a traceback, a hang, a changed file are wrong."""
        before = _read_all(kept)
        self.outcome.tried += 1
        try:
            with _ending():
                code, _, errors = runs.run(module, *arguments)
            complaints = [line for line in errors.splitlines() if line.startswith("error:")]
            problem = "" if code in (0, 1, 2, 75) else f"exit code {code}"
            if code and len(complaints) < 1:
                problem = f"exit code {code} without a line: {errors}"
        except InputError as error:  # which `eval.score` calls its user's mistake
            problem = "" if module == "eval.score" and "\n" not in str(error) else str(error)
        except Exception:
            problem = traceback.format_exc()
        after = _read_all(kept)
        if lost := sorted(path for path in before if after.get(path) != before[path]):
            problem += f"changed: {lost}"
        if problem:
            self.outcome.wrong_bits += 1
            print(f"{self.outcome.fault}: {what!r}: {module} {arguments}: {problem}", flush=True)


def fuzz_overrides(folder: Path, tries: int, seed: int = 0) -> Outcome:
    """Gives training odd overrides, up to where it would claim its directory."""
    surface = Surface("overrides of a config, up to the claim", seed)
    keys = sorted(flatten(to_plain(load_config(runs.TINY))))
    for _ in range(tries):
        words = []
        for _ in range(int(surface.rng.integers(1, 4))):
            value = surface.choose(ODD)
            text = value if isinstance(value, str) else repr(value)
            words.append(f"--config.{surface.choose(keys)}={text}")
        with _claiming_nothing():
            arguments = (f"--config={runs.TINY}", f"--workdir={folder / 'never'}", *words)
            surface.attempt(words, folder, "experiments.train", *arguments)
        assert not (folder / "never").exists()
    return surface.outcome


def fuzz_records(folder: Path, tries: int, seed: int = 0) -> Outcome:
    """Makes tables of records of which one is odd."""
    surface = Surface("records", seed)
    run = folder / "records/run"
    path = run / "eval/heldout/step_000000010.metrics_2.json"
    path.parent.mkdir(parents=True)
    _write_config(run)
    whole = json.dumps(RECORD, indent=1)
    for number in range(tries):
        document, what = json.loads(whole), ""
        if number % 3:
            what = surface.choose(document)
            document[what] = _make_odd(surface, document[what])
            path.write_text(json.dumps(document, default=str))
        else:
            path.write_bytes(damage_text(whole.encode(), surface.rng))
        surface.attempt((what, document.get(what)), run.parent, "eval.results", str(run.parent))
    shutil.rmtree(run.parent)
    return surface.outcome


def fuzz_directories(folder: Path, trained: Path, tries: int, seed: int = 0) -> Outcome:
    """Opens run directories of which one file is odd.

    Args:
        folder: for them.
        trained: a run of the tiny config, which is copied.
        tries: how many.
        seed: of the mistakes.
    """
    surface = Surface("run directories", seed)
    run, out = folder / "directories/run", folder / "model.npz"
    for number in range(tries):
        shutil.rmtree(run.parent, ignore_errors=True)
        shutil.copytree(trained, run, ignore=shutil.ignore_patterns("logs", "lease.json"))
        what = _spoil(surface, run)
        config = f"--config={runs.TINY}"
        commands = (
            ("eval.results", str(run)),
            ("experiments.compare", str(run), str(trained)),
            ("eval.export", str(run), f"--out={out}"),
            ("experiments.train", config, f"--workdir={run}", "--config.num_steps=60"),
        )
        with _claiming_nothing():
            module, *arguments = commands[number % len(commands)]
            surface.attempt(what, run, module, *arguments)
        out.unlink(missing_ok=True)
    shutil.rmtree(run.parent)
    return surface.outcome


def fuzz_arrays(folder: Path, tries: int, seed: int = 0) -> Outcome:
    """Scores damaged npy, npz and csv files."""
    surface, place = Surface("npy, npz and csv files to score", seed), folder / "arrays"
    place.mkdir()
    sources = surface.rng.integers(0, 4, (60, 2))
    np.save(place / "sources.npy", sources)
    for number in range(tries):
        path = place / f"latents.{('npy', 'npz', 'csv')[number % 3]}"
        latents = np.concatenate([sources, sources[:, :1]], axis=1)
        if path.suffix == ".npy":
            np.save(path, latents)
        elif path.suffix == ".npz":
            np.savez(path, latents=latents)
        else:
            np.savetxt(path, latents, fmt="%d", delimiter=",")
        path.write_bytes(damage(path.read_bytes(), int(surface.rng.integers(4)), surface.rng))
        arguments = (f"--sources={place / 'sources.npy'}", f"--latents={path}", "--discrete")
        surface.attempt(path.name, place, "eval.score", *arguments, "--metrics=mig")
    shutil.rmtree(place)
    return surface.outcome


def damage(content: bytes, how: int, rng: np.random.Generator) -> bytes:
    """Flips bits, cuts off the end, overwrites a stretch of the start, or shuffles the end."""
    damaged = bytearray(content)
    if how == 0:
        for _ in range(3):
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
    elif how == 1:
        del damaged[rng.integers(1, len(damaged)) :]
    elif how == 2:
        start = rng.integers(max(1, min(len(damaged) - 300, 3000)))
        damaged[start : start + 200] = rng.bytes(200)
    else:
        start = rng.integers(max(1, len(damaged) - 2000))
        damaged[start:] = rng.permutation(np.frombuffer(bytes(damaged[start:]), np.uint8)).tobytes()
    return bytes(damaged)


def damage_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Damages a text in one place of a few bytes, so that much of it still reads."""
    start = int(rng.integers(len(content)))
    return content[:start] + rng.bytes(int(rng.integers(3))) + content[start + 2 :]


def _make_odd(surface: Surface, value: Any) -> Any:
    """Returns what may stand for a value: something odd, in its place or in one of its parts."""
    if isinstance(value, dict) and value and surface.rng.random() < 0.5:
        key = surface.choose(value)
        return value | {key: _make_odd(surface, value[key])}
    if isinstance(value, list) and value and surface.rng.random() < 0.5:
        return [_make_odd(surface, value[0]), *value[1:]]
    return surface.choose(ODD)


def _spoil(surface: Surface, run: Path) -> object:
    """Makes one file of a run odd; returns what was done."""
    config = json.loads((run / "config.json").read_text())
    progress = json.loads((run / "progress.json").read_text())
    kind = surface.choose(("config", "config text", "progress", "lease", "FAILED", "checkpoint"))
    if kind == "config":
        node = config
        while isinstance(node, dict) and node and (node is config or surface.rng.random() < 0.8):
            parent, key = node, surface.choose(node)
            node = node[key]
        parent[key] = surface.choose(ODD)
        (run / "config.json").write_text(json.dumps(config, default=str))
        return key, parent[key]
    if kind == "config text":
        (run / "config.json").write_bytes(
            damage_text((run / "config.json").read_bytes(), surface.rng)
        )
    elif kind == "progress":
        (run / "progress.json").write_text(json.dumps(_make_odd(surface, progress), default=str))
    elif kind == "lease":
        lease = {"host": "a", "boot": "b", "pid": 1, "start": "", "path": "", "token": ""}
        (run / "lease.json").write_text(json.dumps(_make_odd(surface, lease), default=str))
    elif kind == "FAILED":
        (run / "FAILED").write_bytes(surface.rng.bytes(3))
    else:
        files = sorted(path for path in (run / "checkpoints").rglob("*") if path.is_file())
        path = surface.choose(files)
        how = int(surface.rng.integers(5))
        if how == 4 or not path.stat().st_size:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes(), how, surface.rng))
        return str(path.relative_to(run)), how
    return kind


def _write_config(run: Path) -> None:
    config = to_plain(load_config(runs.TINY))
    (run / "config.json").write_text(json.dumps({"config": config}))


def _read_all(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@contextlib.contextmanager
def _claiming_nothing() -> Iterator[None]:
    """Ends training where it would write for the first time."""
    error = UserError("accepted")
    with mock.patch("experiments.population.Population.claim", side_effect=error):
        yield


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Raises `TimeoutError` in what takes too long."""

    def end(number: int, frame: Any) -> None:
        raise TimeoutError(f"it hangs: not done in {_PATIENCE} s")

    before: Callable[[int, Any], Any] | int | None = signal.signal(signal.SIGALRM, end)
    signal.alarm(_PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

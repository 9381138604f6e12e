"""Damaged files of every published format, and damaged prepared datasets, read."""

import shutil
import traceback
from pathlib import Path

import numpy as np
import pytest

from data_pipelines import prepare
from data_pipelines.datasets import make_dataset
from qlae.common.errors import UserError
from tests.data_pipelines import published_files as files
from tests.data_pipelines.test_prepare import SOURCES
from tests.faults.fuzz import damage
from tests.faults.outcome import Outcome


def fuzz_readers(folder: Path, rounds: int, seed: int = 0) -> Outcome:
    """Prepares damaged sources, then reads damaged shards: one line, or the true images.

    Args:
        folder: for them; a file that appears in it elsewhere than in the target is wrong.
        rounds: of each format.
        seed: of the damage.
    """
    outcome = Outcome("fuzz: published files to prepare, and array_record to read")
    rng = np.random.default_rng(seed)
    for case, (name, write) in SOURCES.items():
        if case.endswith("folder"):  # what an archive unpacked to has no checksum
            continue
        place = folder / case
        place.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            spec = files.shrink(patch, name)
            source, expected = write(spec, place)
            paths = [path for path in sorted(source.rglob("*")) if path.is_file()] or [source]
            whole = place / "whole"
            prepare.prepare(name, whole, source, verify_checksum=False)
            shards = sorted(whole.rglob("*array_record*"))
            for number in range(rounds):
                target = place / f"data{number}"
                if number % 3 == 2:
                    shutil.copytree(whole, target)
                    path, prepared = target / shards[0].relative_to(whole), True
                else:
                    path, prepared = paths[rng.integers(len(paths))], False
                content = path.read_bytes()
                path.write_bytes(damage(content, int(rng.integers(4)), rng))
                problem = _read(name, source, target, expected, prepared)
                if not prepared:
                    path.write_bytes(content)
                shutil.rmtree(target, ignore_errors=True)
                known = {source.name, whole.name}
                if stray := {entry.name for entry in place.iterdir()} - known:
                    problem += f"written beside the target: {stray}"
                outcome.tried += 1
                if problem:
                    outcome.wrong_bits += 1
                    print(f"{outcome.fault}: {case} {path.name}: {problem}", flush=True)
        shutil.rmtree(place)
    return outcome


def _read(name: str, source: Path, target: Path, expected: np.ndarray, prepared: bool) -> str:
    """Prepares a dataset unless it is, and reads it; returns what is wrong with that."""
    try:
        if not prepared:
            prepare.prepare(name, target, source, verify_checksum=False)
        images = make_dataset(name, data_dir=target, cache="none").images(np.arange(len(expected)))
    except UserError as error:
        return "more than a line" if "\n" in str(error) else ""
    except Exception:
        return traceback.format_exc()
    return "" if np.array_equal(images, expected) else "it reads otherwise"

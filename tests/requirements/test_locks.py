"""The locks: exact versions with hashes, nothing of where they came from, no more than needed."""

import re
from pathlib import Path

import pytest

LOCKS = sorted((Path(__file__).parents[2] / "requirements").glob("*.lock"))
BASE = next(path for path in LOCKS if path.stem == "cpu")


def entries(path: Path) -> dict[str, str]:
    """Returns each requirement of a lock: name to everything after it."""
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    return dict(re.match(r"([a-z0-9._-]+)(.*)", line).groups() for line in lines)


def test_there_is_a_lock_for_every_target():
    assert [path.stem for path in LOCKS] == ["cpu", "cuda12", "cuda13", "dev", "tpu"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_holds_versions_and_hashes_alone(path):
    for name, rest in entries(path).items():
        assert re.fullmatch(r"==\S+( ; [^-]+)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", rest), name
    others = [line for line in path.read_text().splitlines() if not re.match(r"[a-z0-9 ]", line)]
    included = [] if path == BASE else ["-r cpu.lock"]
    assert others == ["# Written by `make lock`.", *included]


@pytest.mark.parametrize("path", [p for p in LOCKS if p != BASE], ids=lambda path: path.stem)
def test_a_lock_adds_to_the_base_and_repeats_nothing_of_it(path):
    assert entries(path)
    assert not set(entries(path)) & set(entries(BASE))


def test_a_newcomer_gets_nothing_that_training_does_not_need():
    developers = {"libtpu", "mypy", "pytest", "ruff", "pyarrow", "tensorflow"}
    assert not set(entries(BASE)) & developers
    assert {"jax", "jaxlib", "flax", "grain", "gcsfs"} <= set(entries(BASE))

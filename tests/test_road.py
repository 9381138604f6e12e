"""The road from the command line to the gradient, as WORKSPACE.md shows it: it stays short."""

import re
import traceback
from pathlib import Path

import pytest

from qlae.objectives.terms import TERMS
from tests import runs

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
MOST_FILES, MOST_LINES, MOST_PARAMETERS = 11, 1_100, 6


def find_road():
    text = (ROOT / "WORKSPACE.md").read_text()
    section = text.split("## The road")[1].split("\n## ")[0]
    return re.findall(r"^\| `([\w/]+\.py)` \|", section, re.MULTILINE)


def test_the_road_is_short():
    road = find_road()
    lines = sum(len((ROOT / path).read_text().splitlines()) for path in road)
    assert len(road) <= MOST_FILES
    assert lines <= MOST_LINES


def test_what_runs_when_a_gradient_is_traced_is_on_the_road(tmp_path, monkeypatch):
    seen = set()
    compute = TERMS["reconstruction"]

    def note_the_stack(forward):
        seen.update(Path(frame.filename) for frame in traceback.extract_stack())
        return compute(forward)

    monkeypatch.setitem(TERMS, "reconstruction", note_the_stack)
    assert runs.train(tmp_path / "run", "--config.num_steps=1")[0] == 0
    met = {path.relative_to(ROOT).as_posix() for path in seen if path.is_relative_to(ROOT)}
    met = {path for path in met if not path.startswith((".venv/", "tests/"))}
    assert "qlae/training/steps.py" in met
    # Beside the road: how a command is called, and that shapes are checked before anything else.
    beside = {"qlae/common/command_line.py", "experiments/step_check.py"}
    assert met - set(find_road()) == beside

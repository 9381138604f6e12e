"""The import law of WORKSPACE.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Also a package of its own, under another name, so its files name one another relatively.
METRICS = ROOT / "eval" / "metrics"
MAY_IMPORT = {
    "qlae": set(),
    "data_pipelines": set(),
    "eval": {"qlae", "data_pipelines"},
    "experiments": {"qlae", "data_pipelines", "eval"},
    "tpu_scripts": {"experiments"},
}
# The leaf under all rooms; it imports none of them.
LEAF = "qlae.common"
# Inside qlae a layer imports only those before it; a name covers its package or module.
QLAE_LAYERS = [
    "common",
    "dataset_facts",
    "run_directory",
    "provenance",
    "collectives",
    "nn",
    "latents",
    "models",
    "objectives",
    "families",
    "zoo",
    "training",
    "program",
    "restored_model",
    "restore",
]
FILES = [
    pytest.param(path, id=str(path.relative_to(ROOT)))
    for room in MAY_IMPORT
    for path in sorted((ROOT / room).rglob("*.py"))
]


def imported(path: Path) -> set[str]:
    """Returns the full names of all modules that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module
            if node.level:
                assert (node.level, path.parent) == (1, METRICS), f"{path}: relative import"
                module = ".".join(filter(None, ("eval.metrics", node.module)))
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return names


@pytest.mark.parametrize("path", FILES)
def test_rooms_import_only_what_the_law_allows(path):
    room = path.relative_to(ROOT).parts[0]
    names = {name for name in imported(path) if name != LEAF and not name.startswith(f"{LEAF}.")}
    rooms = {name.split(".")[0] for name in names} & ({*MAY_IMPORT, "tests"})
    assert rooms - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", FILES)
def test_nobody_shadows_the_builtin_eval(path):
    assert "eval" not in {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }


def test_metrics_know_nothing_else_of_eval():
    for path in METRICS.rglob("*.py"):
        rooms = tuple(f"{room}." for room in MAY_IMPORT)
        others = {name for name in imported(path) if name.startswith(rooms)}
        assert all(name.startswith("eval.metrics") for name in others), path


@pytest.mark.process
def test_metrics_can_be_renamed():
    for path in METRICS.rglob("*.py"):
        assert "eval.metrics" not in path.read_text(), f"{path}: import relatively"


def test_layers_of_qlae_import_downward():
    for path in (ROOT / "qlae").rglob("*.py"):
        layer = path.relative_to(ROOT / "qlae").parts[0].removesuffix(".py")
        if layer not in QLAE_LAYERS:  # the top: run_directory, __init__
            continue
        used = {name.split(".")[1] for name in imported(path) if name.startswith("qlae.")}
        above = set(QLAE_LAYERS[QLAE_LAYERS.index(layer) + 1 :])
        assert not used & above, f"{path} imports {used & above}"

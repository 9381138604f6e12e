"""The wheels in an empty environment, beside what they say that they need and nothing else."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[1]

SCORE = """
import time
began = time.perf_counter()
import infomec
seconds = time.perf_counter() - began
import numpy as np
rng = np.random.default_rng(0)
sources = rng.integers(0, 4, (2000, 3))
result = infomec.compute_infomec(sources, sources[:, ::-1], discrete=True)
assert "sklearn" not in __import__("sys").modules
scores, errors = infomec.compute_metrics(["mig", "sap"], sources, sources, discrete=True)
assert not errors
print(seconds, result.infom, result.infoc, scores["mig"]["mig"])
"""
IMPORT_ALL = """
import importlib, pkgutil
import qlae
for module in pkgutil.walk_packages(qlae.__path__, "qlae."):
    importlib.import_module(module.name)
"""


def build(source: Path, folder: Path) -> Path:
    """Returns the wheel of a copy of `source`, so that building leaves nothing in the project."""
    ignored = shutil.ignore_patterns(".*", "runs", "tests", "build", "dist", "__pycache__")
    shutil.copytree(source, folder / "source", ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder / "dist"]
    subprocess.run([*pip, *options, folder / "source"], check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Returns the Python of a new environment: the wheel, and what its metadata asks for."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (metadata,) = packages.glob("*.dist-info")
    link_requirements(importlib.metadata.PathDistribution(metadata), packages)
    return folder / "bin" / "python"


def link_requirements(distribution, packages: Path, extras: str = "") -> None:
    """Links what `distribution` needs, and what that needs, from this environment."""
    for requirement in distribution.requires or ():
        needed, _, marker = requirement.partition(";")
        extra = re.search(r"extra == [\"'](.+?)[\"']", marker)
        if extra and extra[1] not in extras.split(","):
            continue
        name, wanted = re.match(r"([\w.-]+)(?:\[(.+?)\])?", needed).groups()
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "bin")}
        new = [top for top in tops if not (packages / top).exists()]
        for top in new:
            (packages / top).symlink_to(found.locate_file(top))
        if new:
            link_requirements(found, packages, wanted or "")


def run(python: Path, code: str, folder: Path) -> str:
    """Returns what the code prints in that environment, where nothing else can be imported."""
    command = [python, "-I", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def top_folders(wheel: Path) -> set[str]:
    """Returns what a wheel installs, its own metadata aside."""
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    return {name for name in names if not name.endswith(".dist-info")}


def test_infomec_alone_scores_arrays(tmp_path):
    wheel = build(ROOT / "eval" / "metrics", tmp_path)
    assert top_folders(wheel) == {"infomec"}
    printed = run(install(wheel, tmp_path / "environment"), SCORE, tmp_path)
    assert [float(value) for value in printed.split()[1:]] == pytest.approx([1, 1, 1], abs=0.01)


def test_qlae_alone_imports_and_claims_no_other_name(tmp_path):
    wheel = build(ROOT, tmp_path)
    assert top_folders(wheel) == {"qlae"}
    run(install(wheel, tmp_path / "environment"), IMPORT_ALL, tmp_path)

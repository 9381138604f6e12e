"""Compiled programs are kept: on CPU in the user's cache, apart for each kind of processor."""

import jax
import jax.numpy as jnp
import pytest

from experiments import compilation
from qlae.run_directory import RunDirectory


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    before = jax.config.jax_compilation_cache_dir
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    compilation.compilation_cache.reset_cache()


def test_what_is_compiled_is_kept_for_this_processor(no_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jax.jit(lambda x: x + 1)(jnp.ones(3))  # compiled before there is a cache
    compilation.keep_compiled(RunDirectory(tmp_path / "run"))
    jax.jit(lambda x: x * 3 + 2)(jnp.ones(3))
    (folder,) = (tmp_path / "cache/qlae/compiled").iterdir()
    assert folder.name == compilation.identify_processor()
    assert list(folder.iterdir())
    assert not (tmp_path / "run").exists()


def test_the_environments_own_place_is_left_alone(no_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
    before = jax.config.jax_compilation_cache_dir
    compilation.keep_compiled(RunDirectory(tmp_path / "run"))
    assert jax.config.jax_compilation_cache_dir == before


def test_an_accelerators_programs_lie_in_the_run_directory(no_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    compilation.keep_compiled(RunDirectory(tmp_path / "run"))
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "run/compilation_cache")


def test_processors_that_differ_have_names_that_differ(monkeypatch, tmp_path):
    names, path = [], tmp_path / "cpuinfo"
    monkeypatch.setattr(compilation, "Path", lambda _: path)
    for flags in ("avx2", "avx2 avx512f", "avx2"):
        text = f"processor : 0\nmodel name : x\nflags : {flags}\ncpu MHz : 2{len(names)}00\n"
        path.write_text(text)
        names.append(compilation.identify_processor())
    assert names[0] == names[2] != names[1]

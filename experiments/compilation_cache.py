"""Compiled programs, kept in the run directory, so that a restart does not wait for them."""

import os

import jax

from qlae.run_directory import RunDirectory


def keep_compiled(directory: RunDirectory) -> None:
    """Lets JAX keep what it compiles, unless its environment names a place of its own.

    Not on CPU, whose programs fit the very processor that they were compiled on.
    """
    if jax.default_backend() != "cpu" and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(directory.path / "compilation_cache"))

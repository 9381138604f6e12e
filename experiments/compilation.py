"""What is done to wait less for compilation."""

import functools
import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from qlae.run_directory import DEFAULT_PRECISION, RunDirectory, get_matmul_precision


def jit_once(function: Callable, out_shardings: NamedSharding) -> Callable:
    """Jits what is called once: on CPU it compiles in half the time, and runs slower.

    XLA:CPU's older emitters, which the option brings back, give fused loops fewer forms to try.
    """
    on_cpu = out_shardings.mesh.devices.flat[0].platform == "cpu"
    options = {"xla_cpu_use_fusion_emitters": False} if on_cpu else None
    return jax.jit(function, out_shardings=out_shardings, compiler_options=options)


def with_precision(config: ConfigDict, function: Callable) -> Callable:
    """Returns a function whose products are those of `config.matmul_precision` when it is traced.

    The default is the backend's: float32 operands are rounded to bfloat16 on TPUs, to TF32 on GPUs.
    """
    precision = get_matmul_precision(config)
    if precision == DEFAULT_PRECISION:
        return function

    @functools.wraps(function)
    def traced(*arguments: Any) -> Any:
        with jax.default_matmul_precision(precision):
            return function(*arguments)

    return traced


def keep_compiled(directory: RunDirectory) -> None:
    """Lets JAX keep what it compiles, unless its environment names a place of its own.

    In the run directory, whoever resumes it; but on CPU, whose programs fit the very processor that
    they were compiled on, in the user's cache, apart for each kind of processor.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    if jax.default_backend() == "cpu":
        path = str(find_user_cache() / "qlae" / "compiled" / identify_processor())
    else:
        path = str(directory.path / "compilation_cache")
    jax.config.update("jax_compilation_cache_dir", path)
    compilation_cache.reset_cache()  # what compiled before has settled that there is none


def find_user_cache() -> Path:
    """Returns where this user's programs keep what they can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def identify_processor() -> str:
    """Returns a name that processors share which can do the same."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    wanted = ("flags", "Features", "model name")
    abilities = sorted({line for line in lines if line.startswith(wanted)}) or lines
    return hashlib.sha256("\n".join([platform.machine(), *abilities]).encode()).hexdigest()[:12]

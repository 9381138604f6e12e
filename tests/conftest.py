"""Eight simulated devices and one compilation cache for every test, before jax is imported."""

import os
import subprocess
import tempfile

import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
# So XLA compiles in a tenth of the time, of the processor's as well; what it compiles is slow, and
# serves for a few steps on a few images.
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0 "
    "--xla_force_host_platform_device_count=8"
)
# Processes that tests start inherit these; the same tiny programs compile again and again.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="qlae-tests-")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


@pytest.fixture(autouse=True)
def no_unmarked_process(request, monkeypatch):
    """Keeps `make check` quick: there, what starts a process must have said so by its mark."""
    if "not process" in request.config.option.markexpr:

        def refuse(*args, **kwargs):
            raise AssertionError("this test starts a process: mark it with pytest.mark.process")

        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)

"""The store for tests: their own process's clients use it, and those of processes they start."""

import fsspec
import fsspec.config
import gcsfs
import gcsfs.core
import pytest
from etils.epath import backend

from tests.store.server import serve


@pytest.fixture
def store(monkeypatch):
    """An empty store; `gs://bucket` lies on it."""
    with serve() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        # What fsspec and gcsfs take from the environment once, when they are imported.
        config = fsspec.config.conf.get("gcs", {}) | {"token": "anon"}
        monkeypatch.setitem(fsspec.config.conf, "gcs", config)
        fsspec.register_implementation("gcs", gcsfs.core.GCSFileSystem, clobber=True)
        forget_connections()
        yield server
        forget_connections()


def forget_connections() -> None:
    """Makes the next `gs://` path ask the store anew, as a process that just began does."""
    backend.fsspec_backend._get_filesystem.cache_clear()
    gcsfs.core.GCSFileSystem.clear_instance_cache()

"""XLA's flags as libtpu knows them: at one that it does not, it ends the process without a word."""

import os
import re

import pytest


@pytest.fixture(autouse=True)
def flags_for_tpus(monkeypatch):
    """Takes the tests' flags of XLA:CPU away, here and from the processes that are started."""
    flags = re.sub(r"--xla_cpu_\S+", "", os.environ["XLA_FLAGS"])
    monkeypatch.setenv("XLA_FLAGS", flags.strip())

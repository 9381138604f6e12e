"""Randomly damaged sources of every format: refused in one line, or read without a difference."""

import numpy as np
import pytest

from data_pipelines import prepare
from data_pipelines.datasets import make_dataset
from qlae.common.errors import UserError
from tests.data_pipelines import published_files as files
from tests.data_pipelines.test_prepare import SOURCES
from tests.faults.fuzz import damage

ROUNDS = 8
CASES = sorted(case for case in SOURCES if not case.endswith("folder"))


@pytest.mark.parametrize("case", CASES)
def test_damage_is_refused_or_harmless(case, tmp_path, monkeypatch):
    name, write = SOURCES[case]
    spec = files.shrink(monkeypatch, name)
    source, expected = write(spec, tmp_path)
    published = [source] if source.is_file() else sorted(source.iterdir())
    rng = np.random.default_rng(CASES.index(case))
    for round_ in range(ROUNDS):
        path = published[rng.integers(len(published))]
        whole = path.read_bytes()
        path.write_bytes(damage(whole, round_ % 4, rng))
        data = tmp_path / f"data{round_}"
        try:
            prepare.prepare(name, data, source, verify_checksum=False)
        except UserError as error:
            line = str(error)
        else:
            line = ""
            images = make_dataset(name, data_dir=data).images(np.arange(spec.num_images))
            np.testing.assert_array_equal(images, expected)
        assert "\n" not in line
        path.write_bytes(whole)

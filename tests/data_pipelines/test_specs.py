"""The specs against the published facts of each dataset."""

import numpy as np
import pytest

from data_pipelines.specs import SPECS, get_spec
from qlae.common.errors import UserError

PUBLISHED = {
    "shapes3d": (480_000, (10, 10, 10, 8, 4, 15)),
    "shapes3d_rendered": (480_000, (10, 10, 10, 8, 4, 15)),
    "dsprites": (737_280, (3, 6, 40, 32, 32)),
    "dsprites_rendered": (737_280, (3, 6, 40, 32, 32)),
    "mpi3d_complex": (460_800, (4, 4, 2, 3, 3, 40, 40)),
    "mpi3d_toy": (1_036_800, (6, 6, 2, 3, 3, 40, 40)),
    "mpi3d_realistic": (1_036_800, (6, 6, 2, 3, 3, 40, 40)),
    "mpi3d_real": (1_036_800, (6, 6, 2, 3, 3, 40, 40)),
    "falcor3d": (233_280, (5, 6, 6, 6, 6, 6, 6)),
    "isaac3d": (737_280, (3, 8, 5, 4, 4, 4, 6, 4, 4)),
    "smallnorb": (48_600, (5, 10, 9, 18, 6)),
    "cars3d": (17_568, (4, 24, 183)),
}


def test_every_dataset_has_the_published_size():
    assert set(SPECS) == set(PUBLISHED)
    for name, (images, cardinalities) in PUBLISHED.items():
        spec = get_spec(name)
        assert (spec.num_images, spec.cardinalities) == (images, cardinalities)
        assert spec.num_latents == 2 * len(cardinalities) == 2 * spec.num_sources
        assert len(set(spec.source_names)) == spec.num_sources
        assert all(len(set(source.values)) == source.cardinality for source in spec.sources)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_sources_and_indices_are_inverse_over_the_grid(name):
    spec = get_spec(name)
    indices = np.arange(0, spec.num_images, 7)
    sources = spec.sources_at(indices)
    assert sources.dtype == np.int32
    np.testing.assert_array_equal(spec.indices_of(sources), indices)


def test_last_source_varies_fastest_and_values_follow_classes():
    spec = get_spec("shapes3d")
    np.testing.assert_array_equal(
        spec.sources_at([0, 1, 15, 479_999]),
        [[0] * 6, [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0], [9, 9, 9, 7, 3, 14]],
    )
    np.testing.assert_allclose(spec.values_at([9, 9, 9, 7, 3, 14]), [0.9, 0.9, 0.9, 1.25, 3, 30])


def test_bad_input_is_one_clear_line():
    with pytest.raises(UserError, match=r"did you mean 'shapes3d'\?") as caught:
        get_spec("shape3d")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="out of range"):
        get_spec("cars3d").sources_at([17_568])
    with pytest.raises(UserError, match="3 sources"):
        get_spec("cars3d").indices_of([[0, 0]])
    with pytest.raises(UserError, match="cardinalities"):
        get_spec("cars3d").indices_of([[0, 24, 0]])


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_dataset_says_where_it_is_published(name):
    publication = get_spec(name).publication
    assert (publication is None) == get_spec(name).rendered
    for file in publication.files if publication else ():
        assert publication.homepage.startswith("http")
        assert "http" in publication.by_hand
        assert "\n" not in publication.by_hand
        assert all(link.startswith("http") and file.name in link for link in file.links)
        algorithm, _, digest = (file.checksum or "md5:" + "0" * 32).partition(":")
        assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]

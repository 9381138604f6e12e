"""The table of slices against published accelerator types, sizes and workers."""

import pytest

from qlae.common.errors import UserError
from tpu_scripts.topologies import TOPOLOGIES, get_topology


@pytest.mark.parametrize(
    ("name", "accelerator_type", "chips", "hosts"),
    [
        ("v5e:1x1", "v5litepod-1", 1, 1),
        ("v5e:2x4", "v5litepod-8", 8, 1),
        ("v5e:4x4", "v5litepod-16", 16, 4),
        ("v5e:16x16", "v5litepod-256", 256, 64),
        ("v4:2x2x1", "v4-8", 4, 1),
        ("v4:2x2x4", "v4-32", 16, 4),
        ("v5p:4x4x4", "v5p-128", 64, 16),
        ("v5p:16x16x24", "v5p-12288", 6144, 1536),
        ("v6e:2x4", "v6e-8", 8, 1),
        ("v6e:16x16", "v6e-256", 256, 64),
    ],
)
def test_published_sizes(name, accelerator_type, chips, hosts):
    topology = get_topology(name)
    assert topology.accelerator_type == accelerator_type
    assert topology.chips == chips
    assert topology.hosts == hosts
    assert get_topology(accelerator_type) is topology


def test_names_are_unambiguous_and_forgiving():
    types = [topology.accelerator_type for topology in TOPOLOGIES.values()]
    assert len(set(types)) == len(types)
    assert get_topology(" V5E:16X16 ").name == "v5e:16x16"
    assert get_topology("v5e-256").name == "v5e:16x16"


def test_unknown_topology_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown topology 'v5e:16x15': did you mean 'v5e:16x16'"):
        get_topology("v5e:16x15")
    with pytest.raises(UserError, match=r"unknown topology 'h100'"):
        get_topology("h100")


def test_xpk_has_no_single_host_v5e():
    assert get_topology("v5e:16x16").xpk_type == "v5litepod-256"
    with pytest.raises(UserError, match="v5e:2x4"):
        _ = get_topology("v5e:1x1").xpk_type

"""The table of slices against published accelerator types, sizes and workers."""

import pytest

from qlae.common.errors import UserError
from tpu_scripts.topologies import TOPOLOGIES, get_topology


@pytest.mark.parametrize(
    ("name", "accelerator_type", "chips", "hosts", "machine_type"),
    [
        ("v5e:1x1", "v5litepod-1", 1, 1, "ct5lp-hightpu-1t"),
        ("v5e:2x4", "v5litepod-8", 8, 1, "ct5lp-hightpu-4t"),
        ("v5e:4x4", "v5litepod-16", 16, 4, "ct5lp-hightpu-4t"),
        ("v5e:16x16", "v5litepod-256", 256, 64, "ct5lp-hightpu-4t"),
        ("v4:2x2x1", "v4-8", 4, 1, "ct4p-hightpu-4t"),
        ("v4:2x2x4", "v4-32", 16, 4, "ct4p-hightpu-4t"),
        ("v5p:4x4x4", "v5p-128", 64, 16, "ct5p-hightpu-4t"),
        ("v5p:16x16x24", "v5p-12288", 6144, 1536, "ct5p-hightpu-4t"),
        ("v6e:2x4", "v6e-8", 8, 1, "ct6e-standard-4t"),
        ("v6e:16x16", "v6e-256", 256, 64, "ct6e-standard-4t"),
    ],
)
def test_published_sizes(name, accelerator_type, chips, hosts, machine_type):
    topology = get_topology(name)
    assert topology.accelerator_type == accelerator_type
    assert topology.chips == chips
    assert topology.hosts == hosts
    assert topology.chips_per_host * hosts == chips
    assert topology.gke_machine_type == machine_type
    assert get_topology(accelerator_type) is topology


def test_names_are_unambiguous_and_forgiving():
    types = [topology.accelerator_type for topology in TOPOLOGIES.values()]
    assert len(set(types)) == len(types)
    assert get_topology(" V5E:16X16 ").name == "v5e:16x16"
    assert get_topology("v5e-256").name == "v5e:16x16"


def test_selector_and_specs():
    topology = get_topology("v6e:4x8")
    assert topology.gke_node_selector == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
        "cloud.google.com/gke-tpu-topology": "4x8",
    }
    assert topology.gke_nodes == 8
    assert topology.hbm_gib_total == 32 * 32


def test_unknown_topology_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown topology 'v5e:16x15': did you mean 'v5e:16x16'"):
        get_topology("v5e:16x15")
    with pytest.raises(UserError, match=r"unknown topology 'h100'"):
        get_topology("h100")


def test_xpk_has_no_single_host_v5e():
    assert get_topology("v5e:16x16").xpk_type == "v5litepod-256"
    with pytest.raises(UserError, match="v5e:2x4"):
        _ = get_topology("v5e:1x1").xpk_type

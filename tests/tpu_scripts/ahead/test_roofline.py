"""The roofline against numbers worked out by hand from the published rates."""

import pytest

from tpu_scripts.ahead.collectives import Collective
from tpu_scripts.ahead.roofline import DCN_HOP_SECONDS, ICI_HOP_SECONDS, estimate, ring_seconds
from tpu_scripts.topologies import get_topology


def _make_all_reduce(num_bytes: int, network: str = "ici", group_size: int = 0) -> Collective:
    return Collective(
        kind="all-reduce",
        network=network,
        bytes_by_dtype={"f32": num_bytes},
        num_scalars=0,
        num_arrays=1,
        num_elements=num_bytes // 4,
        group_size=group_size,
        conditional=False,
    )


def test_one_chip_is_bound_by_the_slower_of_compute_and_memory():
    chip = get_topology("v5e:1x1")
    roofline = estimate(
        flops=197e12, bytes_accessed=819e9 / 2, collectives=(), topology=chip, slices=1
    )
    assert roofline.compute == pytest.approx(1.0)
    assert roofline.memory == pytest.approx(0.5)
    assert roofline.step == pytest.approx(1.0)
    assert roofline.bound == "compute"
    assert roofline.efficiency == 1.0


def test_a_ring_all_reduce_over_a_slice():
    # 16 chips: 2 x 15/16 x 100 MB at 2 x 50 GB/s, and 2 x (3 + 3) hops.
    roofline = estimate(
        flops=0,
        bytes_accessed=819e9 * 1e-3,
        collectives=(_make_all_reduce(100_000_000, group_size=16),),
        topology=get_topology("v5e:4x4"),
        slices=1,
    )
    seconds = 2 * 15 / 16 * 1e8 / 100e9 + 12 * ICI_HOP_SECONDS
    assert roofline.ici == pytest.approx(seconds)
    assert roofline.dcn == 0
    assert roofline.efficiency == pytest.approx(1e-3 / (1e-3 + seconds))
    assert roofline.bound == "interconnect"


def test_slices_reduce_over_the_data_centre_network():
    reduce = _make_all_reduce(3_125_000, network="dcn")
    roofline = estimate(
        flops=0,
        bytes_accessed=0,
        collectives=(reduce,),
        topology=get_topology("v5e:4x4"),
        slices=2,
    )
    # Half of 2 x 3.125 MB at 3.125 GB/s is a millisecond; there and back is two hops.
    assert roofline.dcn == pytest.approx(1e-3 + 2 * DCN_HOP_SECONDS)
    assert roofline.bound == "data-centre network"


def test_one_device_has_nothing_to_exchange():
    ring = {"bytes_per_second": 1e9, "hops": 0, "hop_seconds": 1.0}
    assert ring_seconds("all-reduce", 1e9, devices=1, **ring) == 0
    assert ring_seconds("all-gather", 1e9, devices=2, **ring) == pytest.approx(0.5)

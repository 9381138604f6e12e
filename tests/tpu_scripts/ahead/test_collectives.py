"""What is read from the text of compiled programs, on small pieces of such text."""

import pytest

from tpu_scripts.ahead.collectives import count_loops, describe_gradients, parse_collectives

_ONE = """\
HloModule jit_train_step, is_scheduled=true

%add.clone (x: f32[], y: f32[]) -> f32[] {
  ROOT %sum = f32[]{:T(128)} add(%x, %y)
}

ENTRY %main_spmd (param.0: f32[4,4], param.1: s32[2]) -> (f32[4,4]) {
  %fusion.1 = f32[4,4]{1,0:T(4,128)} fusion(%param.0), kind=kLoop, calls=%fused_computation
  %all-reduce.23 = (f32[4,4,4,4]{2,3,1,0:T(4,128)S(1)}, f32[8]{0:T(128)}, /*index=2*/f32[]{:T(128)}\
) all-reduce(%rev.0, %fusion.1, /*index=2*/%loss), channel_id=1, replica_groups=mesh['axis_0'=8] \
{'axis_0'}, use_global_device_ids=true, to_apply=%add.clone, metadata={op_name="jit(train_step)"}
  %get-tuple-element.1 = f32[8]{0:T(128)} get-tuple-element(%all-reduce.23), index=1
}
"""
_BRANCHES = """\
%inner (p: f32[64]) -> f32[64] {
  %all-reduce.2 = bf16[64]{0} all-reduce(%p), channel_id=2, replica_groups=[2,4]<=[8], to_apply=%a
}

%branch_1 (p: f32[64]) -> f32[64] {
  ROOT %call = f32[64]{0} call(%p), to_apply=%inner
}

%branch_0 (p: f32[64]) -> f32[64] {
  ROOT %p = f32[64]{0} parameter(0)
}

ENTRY %main (p: f32[64]) -> f32[64] {
  %all-reduce.1 = f32[64]{0} all-reduce(%p), channel_id=1, replica_groups={{0,1,2,3},{4,5,6,7}}
  %while.1 = (s32[], f32[64]{0}) while(%init), condition=%condition, body=%body
  ROOT %conditional = f32[64]{0} conditional(%i, %p, %p), branch_computations={%branch_0, %branch_1}
}
"""
_TWO_SLICES = """\
  %send.3 = (f32[2,8,128]{2,1,0:T(8,128)}, u32[], token[]) send(%bitcast.6, %after-all.3), \
channel_id=8, is_host_transfer=true, frontend_attributes={_xla_host_transfer_handler_name=\
"xla_megascale_runtime",_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv.3 = (f32[2,8,128]{2,1,0:T(8,128)}, u32[], token[]) recv(%after-all.3), channel_id=7, \
frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}
  %send-done.3 = token[] send-done(%send.3), channel_id=8
"""


def test_one_fused_all_reduce():
    (found,) = parse_collectives(_ONE, 8)
    assert (found.kind, found.network, found.group_size) == ("all-reduce", "ici", 8)
    assert found.bytes_by_dtype == {"f32": 4 * (256 + 8 + 1)}
    assert (found.num_arrays, found.num_elements, found.num_scalars) == (2, 264, 1)
    assert not found.conditional
    assert describe_gradients([found], parameters=264, num_devices=8) == (
        "1 all-reduce of 1,060 bytes"
    )


def test_branches_groups_and_narrow_dtypes():
    inner, outer = parse_collectives(_BRANCHES, 8)
    assert inner.conditional
    assert not outer.conditional
    assert inner.group_size == outer.group_size == 4
    assert inner.bytes_by_dtype == {"bf16": 128}
    assert count_loops(_BRANCHES) == 1
    line = describe_gradients([inner, outer], parameters=128, num_devices=8)
    assert line.startswith("2 all-reduces of 384 bytes, 128 of them bf16")
    assert line.endswith("WARNING: not all in f32")


def test_a_transfer_between_slices_counts_once():
    (found,) = parse_collectives(_TWO_SLICES, 16)
    assert (found.kind, found.network) == ("all-reduce", "dcn")
    assert found.bytes_by_dtype == {"f32": 4 * 2 * 8 * 128}


@pytest.mark.parametrize(
    ("line", "kind", "num_bytes", "group_size"),
    [
        ("%x = f32[8,2]{1,0} all-gather(%y), replica_groups={{0,1}}", "all-gather", 64, 2),
        (
            "%x = (f32[4,2]{1,0}, f32[8,2]{1,0}) all-gather-start(%y), replica_groups={{0,1}}",
            *("all-gather", 64, 2),
        ),
        ("%x = f32[8,2]{1,0} all-reduce-start(%y), replica_groups={}", "all-reduce", 64, 8),
        ("%x = f32[4]{0} reduce-scatter(%y), replica_groups=[1,8]<=[8]", "reduce-scatter", 128, 8),
        (
            "%x = (s8[4]{0}, s8[4]{0}, u32[], u32[]) collective-permute-start(%y), "
            "source_target_pairs={{0,1},{1,0}}",
            *("collective-permute", 4, 0),
        ),
        (
            "%x = f32[2]{0} all-reduce(%y), replica_groups=mesh['p'=2,'d'=4] {'d'}",
            *("all-reduce", 8, 4),
        ),
        (
            "%x = f32[2]{0} all-reduce(%y), replica_groups=mesh['d'=8] {'d':(2)4}",
            *("all-reduce", 8, 4),
        ),
        ("%x = (f32[2]{0}, token[]) infeed(%token)", "infeed", 8, 0),
    ],
)
def test_every_way_to_write_a_collective(line, kind, num_bytes, group_size):
    (found,) = parse_collectives(f"  {line}", 8)
    assert (found.kind, found.num_bytes, found.group_size) == (kind, num_bytes, group_size)


def test_a_done_and_other_mentions_are_no_collectives():
    text = """\
  %d = f32[8]{0} all-reduce-done(%all-reduce-start.1)
  %e = f32[8]{0} fusion(%all-reduce.1), kind=kLoop, calls=%f
"""
    assert parse_collectives(text, 8) == ()


def test_gradients_that_nobody_reduces():
    (found,) = parse_collectives(_ONE, 8)
    line = describe_gradients([found], parameters=1_000, num_devices=8)
    assert "WARNING: gradients of 736 of 1,000 parameters are not reduced" in line
    assert "not reduced" in describe_gradients([], parameters=10, num_devices=8)


def test_a_member_has_its_devices_to_itself():
    (found,) = parse_collectives(_ONE, 8)
    assert "crosses the 4 chips" in describe_gradients([found], parameters=264, num_devices=4)
    assert "nothing to reduce" in describe_gradients([], parameters=264, num_devices=1)
    line = describe_gradients([found], parameters=264, num_devices=1)
    assert line == "WARNING: 1 collectives where none is needed"

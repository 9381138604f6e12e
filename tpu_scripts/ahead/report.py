"""A compiled step in words: what a device does in it, and how long it should take."""

import dataclasses
from collections import Counter
from typing import Any

from tpu_scripts.ahead.collectives import Collective, describe_gradients
from tpu_scripts.ahead.compiled import CompiledStep
from tpu_scripts.ahead.roofline import ASSUMPTIONS, Roofline, estimate
from tpu_scripts.topologies import get_topology

_GIB, _MIB = 2**30, 2**20


def make_roofline(step: CompiledStep) -> Roofline:
    """Returns the times of the mean step, of all members that a device holds."""
    return estimate(
        flops=step.passes * step.mean_flops,
        bytes_accessed=step.passes * step.mean_bytes,
        collectives=step.passes * step.collectives,
        every=step.every,
        topology=get_topology(step.topology),
        slices=step.slices,
    )


def count_chips(step: CompiledStep) -> int:
    """Returns the chips of all slices."""
    return get_topology(step.topology).chips * step.slices


def describe_step_gradients(step: CompiledStep) -> str:
    """Returns one line on how the gradients of a member travel."""
    return describe_gradients(
        step.collectives,
        parameters=step.parameters,
        num_devices=count_chips(step) // step.num_population,
    )


def format_step(step: CompiledStep) -> str:
    """Returns the report that a person reads."""
    chips, memory = count_chips(step), step.memory
    hbm = get_topology(step.topology).generation.hbm_gib
    where = f"{step.slices} x {step.topology}" if step.slices > 1 else step.topology
    parts = ("arguments", "outputs", "temporaries", "code")
    split = ", ".join(f"{name} {getattr(memory, name) / _MIB:,.1f}" for name in parts)
    runs = f", {step.members} members" if step.members > 1 else ""
    lines = [
        f"{step.arm} on {step.dataset}, {step.compute_dtype}, global batch {step.batch_size}{runs}"
        f": one train step on {where} ({chips} chips), compiled in {step.seconds:.0f} s",
        "",
        "per device",
        f"  parameters      {step.parameters:,}",
        f"  peak HBM        {memory.peak / _GIB:.3f} of {hbm} GiB (MiB: {split})",
        f"  FLOPs           {step.flops / 1e9:,.4g} G",
        f"  bytes accessed  {step.bytes_accessed / 1e9:,.4g} GB",
        "",
        "collectives",
        *(f"  {line}" for line in format_collectives(step.collectives)),
        f"  gradients: {describe_step_gradients(step)}",
        "",
        "roofline",
        *(
            f"  {line}"
            for line in _format_roofline(make_roofline(step), step.batch_size * step.members)
        ),
        "",
        "assumed",
        *(f"  - {assumption}" for assumption in ASSUMPTIONS),
    ]
    if step.effort:
        lines.append(
            f"  - compiled with effort {step.effort:g}; a run's program, with 0, is better"
        )
    if step.every > 1:
        lines.append(
            "  - FLOPs and bytes are those of a step that takes every branch, "
            f"{step.branch_flops:.4g} and {step.branch_bytes:.4g} of them one step in {step.every}"
        )
    if step.loops:
        lines.append(
            f"  - FLOPs, bytes and collectives are those of one pass of {step.loops} loops; the "
            f"roofline is of {step.passes} passes, one for each member that a chip holds"
        )
    return "\n".join(lines)


def format_collectives(collectives: tuple[Collective, ...]) -> list[str]:
    """Returns one line for each kind of collective: how many, over what, dtypes and bytes."""
    groups: dict[tuple, list[Collective]] = {}
    for collective in collectives:
        key = (collective.kind, collective.network, collective.group_size, collective.conditional)
        groups.setdefault(key, []).append(collective)
    lines = []
    for (kind, network, group_size, conditional), members in groups.items():
        sizes: Counter[str] = Counter()
        for collective in members:
            sizes.update(collective.bytes_by_dtype)
        over = f" over {group_size} chips" if group_size else ""
        what = ", ".join(f"{size:,} bytes of {dtype}" for dtype, size in sorted(sizes.items()))
        arrays = sum(collective.num_arrays for collective in members)
        scalars = sum(collective.num_scalars for collective in members)
        lines.append(
            f"{len(members)} x {kind} ({network}){over}: {what} in {arrays} arrays and {scalars} "
            f"scalars{', in a branch' if conditional else ''}"
        )
    return lines or ["none"]


def make_document(step: CompiledStep) -> dict[str, Any]:
    """Returns the report that a program reads, which `load_step` turns into the step again."""
    roofline = make_roofline(step)
    seconds = {
        name: getattr(roofline, name) for name in ("compute", "memory", "ici", "dcn", "step")
    }
    return {
        "step": dataclasses.asdict(step),
        "peak_hbm_bytes": step.memory.peak,
        "gradients": describe_step_gradients(step),
        "roofline_seconds": seconds,
        "scaling_efficiency": roofline.efficiency,
        "bound": roofline.bound,
        "assumptions": list(ASSUMPTIONS),
    }


def _format_roofline(roofline: Roofline, num_images: int) -> list[str]:
    times = (
        ("compute", roofline.compute),
        ("memory", roofline.memory),
        ("in the slice", roofline.ici),
        ("between slices", roofline.dcn),
        ("step", roofline.step),
    )
    return [
        *(f"{name:<15} {seconds * 1e3:.4g} ms" for name, seconds in times),
        f"bound by {roofline.bound}; {num_images / roofline.step:,.0f} images/s",
        f"scaling efficiency {roofline.efficiency:.1%} of a chip alone on its share of the batch",
    ]

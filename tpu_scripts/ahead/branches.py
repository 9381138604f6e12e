"""What the branches of a compiled program cost, which not every step takes.

XLA's own cost analysis counts the costliest branch of a conditional; here it is asked again, about
that branch as a program of its own.
"""

import re

import jax
from jaxlib import _hlo, _jax  # type: ignore[attr-defined]

_CONDITIONAL = re.compile(
    r"branch_computations=\{([^}]*)\}|true_computation=(%?[\w.-]+), false_computation=(%?[\w.-]+)"
)


def measure_branches(hlo: str) -> tuple[float, float]:
    """Returns the shares of FLOPs and of bytes accessed that are in the costliest branches.

    Shares, because bytes are counted here without the padding of a TPU's tiles, in the branch as in
    the whole.

    Args:
      hlo: text of an optimised module (`compiled.as_text()`), without a conditional in a branch of
        another.
    """
    conditionals = [" ".join(groups) for groups in _CONDITIONAL.findall(hlo)]
    if not conditionals:
        return 0.0, 0.0
    whole = _measure(hlo)
    flops = bytes_accessed = 0.0
    for names in conditionals:
        branches = [_measure(_enter(hlo, name)) for name in re.findall(r"[\w.-]+", names)]
        flops += max(branch[0] for branch in branches)
        bytes_accessed += max(branch[1] for branch in branches)
    return flops / whole[0], bytes_accessed / whole[1]


def _enter(hlo: str, computation: str) -> str:
    """Returns a module that runs a computation of another, and nothing else of it."""
    _, body = hlo.split("\n", 1)
    body = re.sub(r"^ENTRY ", "", body, flags=re.MULTILINE)
    body = re.sub(rf"^(%?{re.escape(computation)} )", r"ENTRY \1", body, flags=re.MULTILINE)
    return f"HloModule branch\n{body}"


def _measure(hlo: str) -> tuple[float, float]:
    """Returns FLOPs and bytes accessed; what does nothing has neither."""
    client = jax.devices("cpu")[0].client
    cost = _jax.hlo_module_cost_analysis(client, _hlo.hlo_module_from_text(hlo))
    return cost.get("flops", 0.0), cost.get("bytes accessed", 0.0)

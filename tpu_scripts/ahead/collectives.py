"""Which collectives a compiled program holds, read from its HLO text."""

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator

_KINDS = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast", "send", "infeed", "outfeed"),
)
_INSTRUCTION = re.compile(rf"= (?P<type>.+?) (?P<kind>{'|'.join(_KINDS)})(?P<start>-start)?\(")
_ARRAY = re.compile(r"\b(?P<dtype>pred|[suf]\d+|bf16|f8\w+|c64|c128)\[(?P<shape>[\d,]*)\]")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?(?P<name>[\w.-]+) \(.*\) -> .*\{$")
_CALLS = re.compile(r"\b(?:calls|to_apply|body|condition)=%?([\w.-]+)")
_BRANCHES = re.compile(
    r"branch_computations=\{([^}]*)\}|true_computation=%?([\w.-]+), false_computation=%?([\w.-]+)"
)
_MEGASCALE = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_ALL = 0.95  # A parameter may have no gradient, and a padded array has more elements than it had.
_BITS = {"pred": 8, "bf16": 16, "c64": 64, "c128": 128}


@dataclasses.dataclass(frozen=True)
class Collective:
    """One instruction by which devices exchange arrays.

    Attributes:
      kind: `all-reduce` and so on; `send`, `infeed` and `outfeed` exchange with the host.
      network: `ici` inside a slice, `dcn` between slices, `host`.
      bytes_by_dtype: of the whole arrays, as one device holds them before or after.
      num_scalars: arrays of rank 0 among them.
      num_arrays: arrays of rank 1 or more.
      num_elements: of those arrays.
      group_size: devices that exchange with each other; 0 where the text does not say.
      conditional: whether it is in a branch that not every step takes.
    """

    kind: str
    network: str
    bytes_by_dtype: dict[str, int]
    num_scalars: int
    num_arrays: int
    num_elements: int
    group_size: int
    conditional: bool

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(self.bytes_by_dtype.values())


def parse_collectives(hlo: str, num_devices: int) -> tuple[Collective, ...]:
    """Returns the collectives of a program in the order of its text; loops count once.

    Args:
      hlo: text of an optimised module (`compiled.as_text()`).
      num_devices: all devices of the program, the group of a collective that names none.
    """
    conditional = _find_conditional(hlo)
    found = []
    for computation, line in _lines(hlo):
        match = _INSTRUCTION.search(line)
        if match is None:
            continue
        kind, network = _classify(match["kind"], line)
        group_size = _parse_group_size(line, num_devices) if network == "ici" else 0
        arrays = _payload(kind, match["type"], started=match["start"] is not None)
        scale = group_size if kind == "reduce-scatter" else 1  # The whole, not its share.
        bytes_by_dtype: dict[str, int] = {}
        for dtype, shape in arrays:
            size = scale * _count_bytes(dtype, shape)
            bytes_by_dtype[dtype] = bytes_by_dtype.get(dtype, 0) + size
        found.append(
            Collective(
                kind=kind,
                network=network,
                bytes_by_dtype=bytes_by_dtype,
                num_scalars=sum(not shape for _, shape in arrays),
                num_arrays=sum(bool(shape) for _, shape in arrays),
                num_elements=scale * sum(math.prod(shape) for _, shape in arrays if shape),
                group_size=group_size,
                conditional=computation in conditional,
            )
        )
    return tuple(found)


def count_loops(hlo: str) -> int:
    """Returns the number of `while` loops, whose bodies XLA's cost analysis counts once."""
    return len(re.findall(r"= .* while\(", hlo))


def find_gradients(collectives: Iterable[Collective]) -> list[Collective]:
    """Returns the all-reduces inside a slice that carry arrays: a metric is a scalar."""
    return [
        collective
        for collective in collectives
        if collective.kind in ("all-reduce", "reduce-scatter")
        and collective.network == "ici"
        and collective.num_arrays
    ]


def describe_gradients(
    collectives: Iterable[Collective], *, parameters: int, num_devices: int
) -> str:
    """Returns one line: whether the gradients travel as one float32 all-reduce, or how else.

    Args:
      collectives: of the whole program.
      parameters: numbers in the model whose gradients are reduced.
      num_devices: that share one batch; others have gradients of their own.
    """
    collectives = tuple(collectives)
    if num_devices == 1:
        odd = f"WARNING: {len(collectives)} collectives where none is needed"
        return odd if collectives else "one device holds the whole batch: nothing to reduce"
    gradients = find_gradients(collectives)
    narrow: dict[str, int] = {}
    for collective in gradients:
        for dtype, size in collective.bytes_by_dtype.items():
            if dtype != "f32":
                narrow[dtype] = narrow.get(dtype, 0) + size
    reduced = sum(collective.num_elements for collective in gradients)
    total = sum(collective.num_bytes for collective in gradients)
    plural = "" if len(gradients) == 1 else "s"
    line = f"{len(gradients)} all-reduce{plural} of {total:,} bytes"
    line += "".join(f", {size:,} of them {dtype}" for dtype, size in narrow.items())
    if reduced < _ALL * parameters:
        line += (
            f"; WARNING: gradients of {parameters - reduced:,} of {parameters:,} parameters are "
            "not reduced: each device computes them from the whole batch"
        )
    if narrow:
        line += "; WARNING: not all in f32"
    if any(collective.group_size > num_devices for collective in collectives):
        line += f"; WARNING: a collective crosses the {num_devices} chips that share a batch"
    return line


def _lines(hlo: str) -> Iterator[tuple[str, str]]:
    """Yields each line with the name of the computation that it is in."""
    name = ""
    for line in hlo.splitlines():
        if match := _COMPUTATION.match(line):
            name = match["name"]
        yield name, line


def _find_conditional(hlo: str) -> set[str]:
    """Returns the computations that run only in a branch of a conditional."""
    calls: dict[str, set[str]] = {}
    reached: set[str] = set()
    for name, line in _lines(hlo):
        calls.setdefault(name, set()).update(_CALLS.findall(line))
        for group in _BRANCHES.findall(line):
            reached.update(re.findall(r"[\w.-]+", " ".join(group)))
    waiting = list(reached)
    while waiting:
        new = calls.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached


def _classify(kind: str, line: str) -> tuple[str, str]:
    if kind not in ("send", "infeed", "outfeed"):
        return kind, "ici"
    # Between slices, a collective is a transfer by way of the hosts that XLA's runtime carries out.
    if match := _MEGASCALE.search(line):
        return match[1].lower().replace("_", "-"), "dcn"
    return kind, "host"


def _payload(kind: str, type_: str, *, started: bool) -> list[tuple[str, tuple[int, ...]]]:
    arrays = [
        (match["dtype"], tuple(int(size) for size in match["shape"].split(",") if size))
        for match in _ARRAY.finditer(type_)
    ]
    if type_.endswith("u32[], token[])"):  # A send: its array, a context, a token.
        arrays = arrays[:-1]
    if started and kind != "all-reduce":  # Operands, results, and then contexts.
        arrays = [array for array in arrays if array != ("u32", ())]
        arrays = arrays[len(arrays) // 2 :]
    return arrays


def _count_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    bits = _BITS.get(dtype) or int(re.sub(r"^[a-z]+(\d+).*", r"\1", dtype))
    return math.ceil(math.prod(shape) * bits / 8)


def _parse_group_size(line: str, num_devices: int) -> int:
    """Reads `{{0,1},{2,3}}`, `[2,4]<=[8]`, `mesh['x'=2,'y'=4] {'y'}` or the empty `{}`."""
    if match := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return match[1].count(",") + 1
    if match := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(match[1])
    if match := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", line):
        sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", match[1])}
        named = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", match[2])
        return math.prod(int(part) if part else sizes[name] for name, part in named)
    if "source_target_pairs=" in line:
        return 0
    return num_devices

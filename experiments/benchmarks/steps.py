"""What training costs here: step, critic cycle, forward, encode, compile and start.

    python -m experiments.benchmarks.steps [--dry_run] [--repeats=N]

Each is given beside the FLOPs and bytes that XLA counts in the compiled step, and beside the
machine's own ceilings: a large matmul and a large copy.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from data_pipelines.from_config import make_prepare
from experiments.benchmarks.report import (
    format_changes,
    median_seconds,
    sample_seconds_in_turn,
    write_report,
)
from experiments.config_file import load_config
from experiments.members import make_members
from experiments.trainer import make_trainer
from qlae.common.command_line import Parser, run_command
from qlae.run_directory import RunDirectory


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    config: str
    batch_size: int
    members: int = 1


_QUICK = "experiments/configs/quickstart.py"
_QUICK_GAN = "experiments/configs/quickstart.py:qlinfo_wgan_gp"
_QLAE = "experiments/configs/qlae.py:shapes3d_rendered"
_GAN = "experiments/configs/qlinfo_wgan_gp.py:shapes3d_rendered"

_ON_CPU = (
    *(Case(_QUICK, 64, members) for members in (1, 2, 4)),
    Case(_QUICK_GAN, 64),
    Case(_QLAE, 8),
    Case(_GAN, 8),
)
_ON_ACCELERATORS = (
    *(Case(_QUICK, 64, members) for members in (1, 8, 32)),
    Case(_QUICK_GAN, 64),
    Case(_QLAE, 128),
    Case(_GAN, 64),
)


class Bench:
    """A case, compiled and ready to run.

    Attributes:
        cycle_steps: steps in which every player moves: 1, or 5 of a GAN's critic and 1 of its
            generator.
        compile_seconds: of initialisation and step together.
        flops: that XLA counts in a step; a player that sits steps out is counted each time.
        bytes: that XLA counts likewise.
        memory: bytes that the step's arguments and temporaries take together.
        num_parameters: of one member.
    """

    def __init__(self, case: Case):
        config = load_config(case.config)
        config.batch_size = case.batch_size
        config.population.seeds = case.members
        members = make_members(config, RunDirectory("unused"))
        trainer = make_trainer(config, case.members)
        slots = trainer.layout.assign_slots(range(case.members))
        configs = [members[slot].config for slot in slots]
        seeds = trainer.put_seeds(configs)
        hyperparameters = trainer.put_hyperparameters(configs)
        batches = map(trainer.feed.put, trainer.make_batches())
        self._batch = next(batches)
        began = time.perf_counter()
        init = trainer.init.lower(seeds).compile()  # type: ignore[attr-defined]
        self._state = init(seeds)
        lowered = trainer.step.lower(self._state, hyperparameters, self._batch)
        step = lowered.compile()
        self.compile_seconds = time.perf_counter() - began
        costs = step.cost_analysis()
        self.flops, self.bytes = costs["flops"], costs["bytes accessed"]
        sizes = step.memory_analysis()
        self.memory = sizes.argument_size_in_bytes + sizes.temp_size_in_bytes
        abstract = jax.tree.leaves(trainer.program.abstract_params)
        self.num_parameters = sum(leaf.size for leaf in abstract)
        self.cycle_steps = max(player.every for player in trainer.program.players)
        self._step: Callable[..., Any] = lambda state: step(state, hyperparameters, next(batches))
        # The step donates its state, so that inference needs parameters of its own.
        params = trainer.layout.take_member(self._state, 0).params
        prepare = make_prepare(trainer.data.dataset)

        def encode(params: Any, batch: Any) -> jax.Array:
            return trainer.program.merge(params).encode(prepare(batch)).latents

        def forward(params: Any, batch: Any) -> jax.Array:
            model = trainer.program.merge(params)
            return model.decode(model.encode(prepare(batch)).z_hat)

        self.encode = _wait_for(jax.jit(encode), params, self._batch)
        self.forward = _wait_for(jax.jit(forward), params, self._batch)

    def cycle(self) -> None:
        """Takes `cycle_steps` steps of every member, and waits for the last."""
        for _ in range(self.cycle_steps):
            self._state, _ = self._step(self._state)
        jax.block_until_ready(self._state)


def _wait_for(function: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
    def call() -> None:
        jax.block_until_ready(function(*arguments))

    return call


def measure(case: Case, repeats: int, ceilings: tuple[float, float], start: bool) -> dict[str, Any]:
    """Returns the row of a case.

    Args:
        case: what is measured.
        repeats: calls of each kind, in turn.
        ceilings: FLOP/s and bytes/s, as `measure_ceilings` returns them.
        start: whether a run of one step is started, too, in a process of its own.
    """
    bench = Bench(case)
    calls: list[Callable[[], Any]] = [bench.cycle, bench.forward, bench.encode]
    cycle, forward, encode = sample_seconds_in_turn(calls, repeats)
    low, _, high = statistics.quantiles(cycle, n=4)
    step = statistics.median(cycle) / bench.cycle_steps
    row = {
        "config": case.config.removeprefix("experiments/configs/"),
        "batch": case.batch_size,
        "members": case.members,
        "step, ms": step * 1e3,
        "middle half, ms": (high - low) / bench.cycle_steps * 1e3,
        "cycle, steps": bench.cycle_steps,
        "forward, ms": statistics.median(forward) * 1e3,
        "encode 10,000, s": statistics.median(encode) * 10_000 / case.batch_size,
        "compile, s": bench.compile_seconds,
        "GFLOP": bench.flops / 1e9,
        "GB": bench.bytes / 1e9,
        "of matmul, %": 100 * bench.flops / step / ceilings[0],
        "of copy, %": 100 * bench.bytes / step / ceilings[1],
    }
    return row | {"start to end of one step, s": measure_start(case)} if start else row


def measure_ceilings(size: int, repeats: int) -> tuple[float, float]:
    """Returns the FLOP/s of a float32 matmul and the bytes/s of a copy, of size x size each."""
    matrix = jnp.ones((size, size))
    matmul = median_seconds(_wait_for(jax.jit(jnp.matmul), matrix, matrix), repeats)
    copy = median_seconds(_wait_for(jax.jit(lambda x: x + 1), matrix), repeats)
    return 2 * size**3 / matmul, 2 * matrix.nbytes / copy


def measure_start(case: Case) -> float:
    """Returns the wall time of a whole run of one step, its checkpoint included."""
    with tempfile.TemporaryDirectory() as workdir:
        command = [sys.executable, "-m", "experiments.train", f"--config={case.config}"]
        command += [f"--workdir={workdir}/run", f"--config.batch_size={case.batch_size}"]
        command += ["--config.num_steps=1", "--config.checkpoint_every=1", "--config.log_every=1"]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began


def main(given: Sequence[str]) -> None:
    """Measures, prints the changes, and writes `results/steps_KIND.{json,md}`."""
    parser = Parser("experiments.benchmarks.steps", __doc__)
    parser.add_argument("--repeats", type=int, default=7, help="calls of each kind, at least 2")
    parser.add_argument("--dry_run", action="store_true", help="measure, but write no report")
    options = parser.parse_args(given)
    devices = jax.devices()
    on_cpu = devices[0].platform == "cpu"
    ceilings = measure_ceilings(2048 if on_cpu else 8192, options.repeats)
    rows = []
    for case in _ON_CPU if on_cpu else _ON_ACCELERATORS:
        rows.append(measure(case, options.repeats, ceilings, start=case.members == 1))
        print(rows[-1], file=sys.stderr, flush=True)
    kind = re.sub(r"\W+", "_", f"{len(devices)} {devices[0].device_kind}".lower())
    name = f"steps_{kind}"
    measured = ("step, ms", "forward, ms", "compile, s", "start to end of one step, s", "GB")
    print("\n".join(format_changes(name, rows, ("config", "batch", "members"), measured)))
    if options.dry_run:
        return
    notes = f"""
On {len(devices)} {devices[0].device_kind} device(s): medians of {options.repeats} calls, in turn.
The ceilings are {ceilings[0] / 1e9:.0f} GFLOP/s (a float32 matmul) and {ceilings[1] / 1e9:.1f} GB/s
(a copy). A step of a GAN is a mean over a cycle, in which its generator moves once; its FLOPs and
bytes count the generator in every step. "encode 10,000" is scaled up from one batch.

Again: `make bench`.
"""
    write_report(name, "What training costs", rows, notes)


if __name__ == "__main__":
    sys.exit(run_command(main))

"""A copy of a run that is small enough to keep beside code: one checkpoint, parameters only.

    python -m experiments.ship RUN --out=experiments/colab/quickstart

Parameters are rounded to the precision of float16, which halves what they take once compressed;
they are still float32, and the copy is scored anew: `python -m eval.worker --workdir=OUT --once`.
"""

import sys
from collections.abc import Sequence

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import to_path
from qlae.restore import open_run
from qlae.run_directory import get_checkpoint_path


def main(arguments: Sequence[str]) -> None:
    """Writes the copy."""
    parser = Parser("experiments.ship", __doc__)
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--step", type=int, help="of a checkpoint; default: the newest")
    parser.add_argument("--out", required=True, help="a directory that is not there yet")
    options = parser.parse_args(arguments)
    run, out = open_run(options.run), to_path(options.out)
    if out.exists():
        raise UserError(f"{out} is there already: remove it, or choose another --out")
    step = run.find_step(options.step)
    rounded = jax.tree.map(
        lambda leaf: np.asarray(leaf).astype(np.float16).astype(np.float32), run.load(step)
    )
    out.mkdir(parents=True)
    checkpoint = get_checkpoint_path(out, step)
    ocp.save_checkpointables(checkpoint, {"params": rounded})
    # Orbax names this machine's directory there; that the file exists is all that is read of it.
    (checkpoint / "commit_success.txt").write_text("saved\n")
    (out / "config.json").write_text((run.directory.path / "config.json").read_text())
    print(out)


if __name__ == "__main__":
    sys.exit(run_command(main))

"""A trained model as one file for programs without JAX.

    python -m eval.export RUN --out model.npz

The file holds the arrays, and under `model` a JSON text: the layers that use them
(`eval.layer_list` explains them), the run's config, its step and the names of its sources.
`eval/readers/with_numpy.py` and `with_torch.py` run it; copy one into your project.
"""

import io
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.layer_list import list_decoder, list_encoder
from qlae.common.command_line import Parser, run_command
from qlae.common.files import write_output
from qlae.restore import restore
from qlae.restored_model import RestoredModel
from qlae.run_directory import to_plain


def main(arguments: Sequence[str]) -> None:
    """Writes the file."""
    parser = Parser("eval.export", __doc__)
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--step", type=int, help="of a checkpoint; default: the newest")
    parser.add_argument("--out", default="model.npz", help="default: %(default)s")
    options = parser.parse_args(arguments)
    run = restore(options.run, options.step)
    content = export(run)
    write_output(options.out, content)
    print(f"{options.out}: {run.config.arm}, step {run.step:,}, {len(content):,} bytes")


def export(run: RestoredModel) -> bytes:
    """Returns the content of an .npz file: float32 arrays, and `model`, a JSON text."""
    parts = {"encoder": list_encoder(run.model), "decoder": list_decoder(run.model)}
    arrays: dict[str, Any] = {}
    model = {
        "image_shape": run.image_shape,
        "source_names": run.source_names,
        "step": run.step,
        "config": to_plain(run.config),
    }
    for part, made in parts.items():
        arrays |= {f"{part}.{name}": array for name, array in made.arrays.items()}
        model[part] = [
            [name, *(f"{part}.{each}" if isinstance(each, str) else each for each in arguments)]
            for name, *arguments in made.layers
        ]
    buffer = io.BytesIO()
    np.savez(buffer, model=np.array(json.dumps(model)), **arrays)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(run_command(main))

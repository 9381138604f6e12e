"""What many runs found, small enough to commit: `python -m eval.publish ROOT --out=DIR`.

Of each run its config, its records without their samples of latents, and the pictures of its last
step, in 256 colors, are copied; not its checkpoints, nor its logs. The commands that read records
read such a folder as they read the runs: `python -m eval.results DIR` gives the same tables.
"""

import dataclasses
import io
import sys
from collections.abc import Sequence

from etils import epath
from PIL import Image

from eval.records import Record, load_records, write_record
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import to_path, write_whole, writing
from qlae.run_directory import find_runs


def main(arguments: Sequence[str]) -> None:
    """Copies what all runs at or below a directory found."""
    parser = Parser("eval.publish", __doc__)
    parser.add_argument("root", metavar="ROOT", help="a run, or a folder of runs")
    parser.add_argument("--out", required=True, help="a directory; what it has of them is replaced")
    options = parser.parse_args(arguments)
    root, out = to_path(options.root), to_path(options.out)
    runs = {run: records for run in find_runs(root) if (records := load_records(run))}
    if not runs:
        raise UserError(f"no evaluated run at {root} or below it: let eval.worker score them first")
    if out == root or root in out.parents:
        raise UserError(f"--out={out} lies in {root}: choose a directory outside")
    with writing(out):
        for run, records in runs.items():
            publish(run, records, out / run.relative_to(root))
    print(f"{out}: {len(runs)} run{'s' if len(runs) > 1 else ''}")


def publish(run: epath.Path, records: Sequence[Record], folder: epath.Path) -> None:
    """Copies what one run found into a folder, which then reads as a run without checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        write_record(folder, dataclasses.replace(record, latent_sample=None))
    last = max(record.step for record in records)
    for picture in run.glob(f"eval/*/step_{last:09d}/*.png"):
        copy = folder / picture.relative_to(run)
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_whole(copy, reduce_colors(picture.read_bytes()))
    for name in ("config.json", "FAILED"):
        if (run / name).exists():
            write_whole(folder / name, (run / name).read_bytes())


def reduce_colors(png: bytes) -> bytes:
    """Returns a picture in 256 colors: a third of the size, and hardly to be told from it."""
    reduced = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").quantize(256).save(reduced, "PNG", optimize=True)
    return reduced.getvalue()


if __name__ == "__main__":
    sys.exit(run_command(main))

"""What a user of a checkpoint waits for: `python -m experiments.benchmarks.restoring --paper=RUN`.

RUN has a checkpoint at paper scale (one step of training is enough). Python is started anew for
each figure. The page's decoder is measured in Chromium, without a window, where it is installed.
"""

import html
import importlib.metadata
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from eval.layer_list import list_decoder
from eval.report.explorer import pack
from experiments.benchmarks.report import write_report
from qlae.common.command_line import Parser, run_command
from qlae.common.errors import UserError
from qlae.common.files import to_path
from qlae.restore import restore

ROOT = pathlib.Path(__file__).parents[2]
SHIPPED = ROOT / "experiments" / "colab" / "quickstart"
# Wall and processor seconds of the imports, of the restoring, of the first picture.
RESTORE = """
import json, sys, time
marks = []
def mark(): marks.append((time.perf_counter(), time.process_time()))
mark()
from qlae.restore import restore
mark()
run = restore(sys.argv[1])
mark()
run.decode([[0] * run.num_latents])
mark()
print(json.dumps([[b - a for a, b in zip(*pair)] for pair in zip(marks, marks[1:])]))
"""
# Milliseconds of each of 100 pictures, after 20 that the compiler learns from.
DECODE = """
const decode = makeDecoder(packed), milliseconds = [];
for (let i = 0; i < 120; i++) {
  const latents = Array.from({ length: count }, (_, latent) => (i + latent) % 10);
  const start = performance.now();
  decode(latents);
  milliseconds.push(performance.now() - start);
}
document.body.textContent = JSON.stringify(milliseconds.slice(20));
"""


def main(given: Sequence[str]) -> None:
    """Measures and writes the table."""
    parser = Parser("experiments.benchmarks.restoring", __doc__)
    parser.add_argument("--paper", required=True, help="run directory at paper scale")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(given)
    if not (to_path(options.paper) / "config.json").exists():
        raise UserError(f"--paper={options.paper}: expected the directory of a run (see --help)")
    parts = zip(*(measure_restore(options.paper) for _ in range(options.repeats)), strict=True)
    names = ("import qlae.restore", "restore, paper scale", "first picture (compiles)")
    goals = (3, 5, None)
    rows = [
        make_row(name, goal, *zip(*figures, strict=True))
        for name, goal, figures in zip(names, goals, parts, strict=True)
    ]
    if shutil.which("chromium"):
        seconds = [each / 1000 for each in measure_page()]
        rows.append(make_row("a picture in the page's decoder", 0.05, seconds))
    orbax = importlib.metadata.version("orbax-checkpoint")
    notes = f"""Seconds. The model is the config's at 64x64, read by orbax-checkpoint {orbax}; the
page's is the quickstart that is shipped, of 32x32, a hundred pictures in headless {name_browser()}.
Processor time is of all threads; other work on the machine burdens wall time.

Again: `python -m experiments.train --config=experiments/configs/qlae.py:shapes3d_rendered
--workdir=RUN --config.num_steps=1`, and `python -m experiments.benchmarks.restoring --paper=RUN`.
"""
    write_report("restoring", "What a user of a checkpoint waits for", rows, notes)


def name_browser() -> str:
    """Returns Chromium's name and version."""
    if not shutil.which("chromium"):
        return "Chromium, which is not here"
    words = subprocess.check_output(["chromium", "--version"], text=True, stderr=subprocess.DEVNULL)
    return " ".join(words.split()[:2])


def make_row(name: str, goal: float | None, wall, processor=()) -> dict:
    """Returns a line of the table: the median, the extremes and the processor's median."""
    return {
        "what": name,
        "goal": "" if goal is None else f"< {goal:g}",
        "median": statistics.median(wall),
        "lowest": min(wall),
        "highest": max(wall),
        "processor": statistics.median(processor) if processor else "",
    }


def measure_restore(run: str) -> list[list[float]]:
    """Returns [wall, processor] of each part, in a process of its own."""
    return json.loads(subprocess.check_output([sys.executable, "-c", RESTORE, run], cwd=ROOT))


def measure_page() -> list[float]:
    """Returns the milliseconds of each picture."""
    run = restore(SHIPPED)
    decoder = (ROOT / "eval" / "report" / "decoder.js").read_text()
    script = f"const packed = {json.dumps(pack(list_decoder(run.model)))};"
    script += f"const count = {run.num_latents};"
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "page.html"
        page.write_text(f"<body><script>{decoder}\n{script}\n{DECODE}</script></body>")
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        command += [f"--user-data-dir={folder}/profile", "--dump-dom", page.as_uri()]
        dom = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL, timeout=120)
    (milliseconds,) = re.findall(r"<body>(\[.*\])</body>", dom)
    return json.loads(html.unescape(milliseconds))


if __name__ == "__main__":
    sys.exit(run_command(main))

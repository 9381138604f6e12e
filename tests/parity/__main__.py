"""Prints the worst error of each kind for golden files: `python -m tests.parity FILE.npz ...`."""

import argparse
import sys
import zipfile

import numpy as np

from tests.parity.check import check
from tests.parity.compare import Kind
from tests.parity.dialects import check_dialects, check_guard


def _check(path: str, dtype: str) -> list[Kind]:
    """Errors of a golden file of a model, or of InfoMEC cases by dialect."""
    with np.load(path, allow_pickle=False) as arrays:
        if any(key.endswith("/sources") for key in arrays.files):
            return [*check_dialects(dict(arrays)), *check_guard(dict(arrays))]
    return list(check(path, dtype).kinds.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE.npz")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    args = parser.parse_args()
    failed = 0
    for path in args.files:
        try:
            kinds = _check(path, args.dtype)
        except (OSError, KeyError, ValueError, AssertionError, zipfile.BadZipFile) as error:
            print(f"error: {path} is not a golden file: {error}", file=sys.stderr)
            return 2
        print(f"{path} ({args.dtype})")
        for kind in kinds:
            name, error = kind.worst
            verdict = "ok" if kind.passed else "FAILED"
            print(f"  {kind.name:22} {error:9.2e} {kind.unit:18} at {name}: {verdict}")
            failed += not kind.passed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

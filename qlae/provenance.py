"""What a run's numbers come from: its config, the commit, versions of packages, devices."""

import functools
import json
import subprocess
from pathlib import Path

import jax
from ml_collections import ConfigDict

from qlae.run_directory import get_versions, to_plain

_ROOT = Path(__file__).parents[1]


def describe_origin(config: ConfigDict, done: str) -> dict[str, str]:
    """Returns texts in Markdown by name, as a log takes them.

    Args:
        config: of the run.
        done: what this process does with it: "trained" or "evaluated".
    """
    kinds = sorted({device.device_kind for device in jax.devices()})
    facts = {"commit": get_commit() or "unknown"} | get_versions()
    facts["devices"] = f"{jax.device_count()} of {', '.join(kinds)}"
    facts["processes"] = str(jax.process_count())
    return {
        "origin/config": f"```json\n{json.dumps(to_plain(config), indent=2)}\n```",
        f"origin/{done}_with": "\n".join(f"- {name} {fact}" for name, fact in facts.items()),
    }


@functools.cache
def get_commit() -> str | None:
    """Returns the commit of this code, with `-dirty` if it was changed since; None if unknown."""
    if not (_ROOT / ".git").exists():  # installed; another project's repository may lie above
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.check_output(
            command, cwd=_ROOT, text=True, stderr=subprocess.DEVNULL, timeout=10
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return None

"""Weights & Biases, for those who ask for it: `QLAE_WANDB=PROJECT`.

Its own variables do the rest: WANDB_API_KEY, WANDB_ENTITY, WANDB_MODE=offline.
"""

import collections
import html
import importlib.metadata
import os
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from qlae.common.errors import UserError
from qlae.common.files import is_remote, write_whole

_VARIABLE = "QLAE_WANDB"


def find_project() -> str | None:
    """Returns the project that reports go to, or None.

    Raises:
        UserError: there is one, and the package is not installed.
    """
    project = os.environ.get(_VARIABLE)
    if project:
        try:
            importlib.metadata.version("wandb")
        except importlib.metadata.PackageNotFoundError as error:
            raise UserError(
                f"{_VARIABLE}={project} asks for Weights & Biases, which is not installed: "
                f"pip install wandb, or unset {_VARIABLE}"
            ) from error
    return project or None


class WandbLog:
    """Takes what `EventLog` takes; a directory's later logs go on in the same W&B run.

    Args:
        directory: of a run's logs; it keeps the id of the W&B run.
        project: of W&B.
    """

    def __init__(self, directory: epath.Path, project: str):
        import wandb  # a second, which only those wait for who asked

        directory.mkdir(parents=True, exist_ok=True)
        run = directory.parent.parent
        self._wandb: Any = wandb
        self._rows: dict[int, dict[str, Any]] = collections.defaultdict(dict)
        self._run = wandb.init(
            project=project,
            group=run.name,
            job_type=directory.name,
            name=f"{run.name} {directory.name}",
            id=_claim_id(directory / "wandb_run_id"),
            resume="allow",
            reinit="create_new",
            dir=None if is_remote(directory) else str(directory.parent),
            settings=wandb.Settings(silent=True, console="off"),
        )
        # Its own count of rows never goes back, which a run that resumes does.
        self._run.define_metric("*", step_metric="step")

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Adds one number."""
        self._rows[step][name] = value

    def add_image(self, name: str, image_HxWxC: Any, step: int) -> None:
        """Adds one picture, uint8."""
        self._rows[step][name] = self._wandb.Image(image_HxWxC)

    def add_histogram(self, name: str, values: Any, step: int) -> None:
        """Adds the distribution of numbers."""
        self._rows[step][name] = self._wandb.Histogram(np_histogram=np.histogram(values, 50))

    def add_text(self, name: str, text: str, step: int) -> None:
        """Adds a text."""
        self._rows[step][name] = self._wandb.Html(f"<pre>{html.escape(text)}</pre>")

    def add_hyperparameters(self, values: Mapping[str, Any]) -> None:
        """Adds a row of the table of runs."""
        self._run.config.update(dict(values), allow_val_change=True)

    def flush(self) -> None:
        """Hands over what was added, a row a step."""
        for step, row in sorted(self._rows.items()):
            self._run.log({"step": step, **row})
        self._rows.clear()

    def close(self) -> None:
        """Returns when W&B has everything."""
        self.flush()
        self._run.finish()


def _claim_id(path: epath.Path) -> str:
    """Returns the id that the file holds, after writing one if there is none."""
    if not path.exists():
        write_whole(path, f"{uuid.uuid4().hex[:12]}\n")
    return path.read_text().strip()

"""How checkpoints are evaluated: on which images, on which devices, by which compiled functions."""

import functools
import json
from collections.abc import Callable

import jax
from etils import epath
from flax import nnx
from ml_collections import ConfigDict

from data_pipelines.from_config import Data, make_data
from eval.encode import Encoding, make_encoder
from eval.pictures import Pictures, make_illustrator
from qlae.models.base import Model
from qlae.program import Program
from qlae.restore import StoredRun
from qlae.run_directory import to_plain
from qlae.training.layout import Layout
from qlae.training.mesh import make_mesh
from qlae.training.state import Params


class Evaluation:
    """What runs share that differ in seed and traced scalars alone; compiled once for all of them.

    Args:
        config: of one of them.
        program: of one of them.
        data_dir: where this machine keeps datasets, if not where the trainer did.

    Raises:
        UserError: the dataset is not here.
    """

    def __init__(self, config: ConfigDict, program: Program, data_dir: str | None = None):
        config = ConfigDict(config.to_dict())
        if data_dir is not None:
            config.data.data_dir = data_dir
        self.program = program
        # By split, what a perfect code scores there; computed when first asked for.
        self.ceilings: dict[str, dict[str, float]] = {}
        self.data: Data = make_data(config.data)
        self.layout = Layout(make_mesh())
        # The evaluator's devices are not the trainer's: round its batch up to them.
        devices = jax.device_count()
        self.batch_size = -(-config.eval.batch_size // devices) * devices

    @functools.cached_property
    def abstract_model(self) -> Model:
        """The model without arrays: its sizes and kinds."""
        return nnx.eval_shape(self.program.make_model)

    @functools.cached_property
    def encode(self) -> Callable[..., Encoding]:
        """Function from parameters and the name of a split to what they make of its images."""
        return make_encoder(self.program, self.data, self.layout, self.batch_size)

    @functools.cached_property
    def illustrate(self) -> Callable[[Params, Encoding], Pictures]:
        """Function from parameters and their encoding to pictures."""
        return make_illustrator(self.program, self.abstract_model, self.data, self.layout)


class Evaluations:
    """Finds the evaluation of a run among those that exist, or makes it.

    Args:
        data_dir: where this machine keeps datasets, if not where the trainers did.
    """

    def __init__(self, data_dir: epath.PathLike | None = None):
        self._data_dir = None if data_dir is None else str(data_dir)
        self._known: dict[str, Evaluation] = {}

    def find(self, run: StoredRun) -> Evaluation:
        """Returns the run's evaluation; raises `UserError` where its dataset is not here."""
        plain = to_plain(run.config)
        parts = [plain[name] for name in ("model", "data", "eval", "compute_dtype")]
        key = json.dumps(parts, sort_keys=True)
        if key not in self._known:
            self._known[key] = Evaluation(run.config, run.program, self._data_dir)
        return self._known[key]

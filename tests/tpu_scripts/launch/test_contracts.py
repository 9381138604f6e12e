"""What the launcher takes for granted about this repository's configs and entry points."""

import pathlib
import shlex

import pytest

from eval import worker
from experiments.train import make_parser
from qlae.common.errors import UserError
from tpu_scripts import experiment
from tpu_scripts.launch import checks
from tpu_scripts.launch.job import make_evaluate_job, make_train_job
from tpu_scripts.launch.patience import Patience
from tpu_scripts.topologies import get_topology

ROOT = pathlib.Path(__file__).parents[3]
QLAE = "experiments/configs/qlae.py:shapes3d_rendered"


def test_real_configs_pass_the_checks():
    config = experiment.load_config(ROOT, QLAE, ("--config.seed=3",))
    assert config.seed == 3
    checks.check_data(config)
    experiment.check_batch(config, get_topology("v5e:4x4"), slices=2)
    with pytest.raises(UserError, match=r"v5e:16x16: config.batch_size=128 does not divide by 256"):
        experiment.check_batch(config, get_topology("v5e:16x16"), slices=1)
    with pytest.raises(UserError, match=r"pass --config.data.data_dir=gs://"):
        checks.check_data(experiment.load_config(ROOT, QLAE.removesuffix("_rendered"), ()))
    with pytest.raises(UserError, match="unknown dataset 'shapes4d'"):
        experiment.load_config(ROOT, "experiments/configs/qlae.py:shapes4d", ())


def test_entry_points_know_the_flags_they_are_given():
    train = make_train_job(QLAE, "gs://b/r", (), Patience())
    assert train.arguments[:2] == ("-m", "experiments.train")
    options = make_parser().parse_args(train.arguments[2:])
    assert (options.config, options.workdir) == (QLAE, "gs://b/r")
    evaluate = make_evaluate_job(("gs://b/r", "gs://b/s"), "cpu", Patience())
    assert evaluate.arguments[:2] == ("-m", "eval.worker")
    options = worker.parse_arguments(evaluate.arguments[2:])
    assert options.workdir == ["gs://b/r", "gs://b/s"]


def test_command_line_survives_the_shell():
    job = make_train_job(QLAE, "gs://b/r", ("--config.data.name=it's $HOME",), Patience())
    line = shlex.split(job.command_line("python"))
    assert line[:3] == ["env", "JAX_PLATFORMS=tpu,cpu", "python"]
    assert line[-1] == "--config.data.name=it's $HOME"

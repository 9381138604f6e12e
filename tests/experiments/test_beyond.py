"""What came after the paper: trained, resumed, on devices, scored by the worker."""

import shutil

import jax
import numpy as np
import pytest

from experiments.config_check import check_config
from experiments.config_file import load_config
from qlae.common.errors import UserError
from qlae.restore import open_run
from qlae.run_directory import list_steps
from tests import runs
from tests.qlae.training.test_steps import train

pytestmark = pytest.mark.slow

SHORT = ("--config.num_steps=4", "--config.checkpoint_every=2", "--config.log_every=2")
# One of each kind of latents, of players and of terms.
KINDS = ("fsq", "qlae_normalized_hessian", "factor_vae", "factor_qvae", "dvae")


def read(workdir):
    return jax.device_get(open_run(workdir).load())


@pytest.mark.parametrize("arm", KINDS)
def test_a_resumed_population_equals_one_run_through(arm, tmp_path):
    options = (*SHORT, "--config.population.seeds=2")
    members = [tmp_path / "run" / seed for seed in ("seed_0", "seed_1")]
    ends = []
    for _ in range(2):
        code, _, errors = runs.train(
            tmp_path / "run", *options, config=f"tests/configs/tiny.py:{arm}"
        )
        assert code == 0, errors
        ends.append([read(member) for member in members])
        for member in members:  # as if it had been killed before its last checkpoint
            assert list_steps(member) == [2, 4]
            shutil.rmtree(member / "checkpoints" / "4")
            (member / "progress.json").unlink(missing_ok=True)
    jax.tree.map(np.testing.assert_array_equal, *ends)


@pytest.mark.parametrize("arm", ["factor_qvae", "qlae_normalized_hessian"])
def test_one_and_four_devices_agree(arm):
    (_, one), (_, four) = train(arm, 1, 2), train(arm, 4, 2)
    for a, b in zip(one, four, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-3, atol=1e-5, err_msg=name)


def test_the_worker_scores_grids_with_levels_of_their_own(tmp_path):
    levels = "--config.model.latents.levels=(2,3,4,5,6,7,8,9,2,3,4,5)"
    code, _, errors = runs.train(
        tmp_path / "run", *SHORT, levels, config="tests/configs/tiny.py:fsq"
    )
    assert code == 0, errors
    code, _, errors = runs.run("eval.worker", f"--workdir={tmp_path / 'run'}", "--once")
    assert code == 0, errors
    assert list((tmp_path / "run/eval").rglob("traversals.png"))


def test_an_odd_batch_for_two_players_is_one_line():
    config = load_config("experiments/configs/factor_vae.py:shapes3d")
    config.batch_size = 127
    with pytest.raises(UserError, match="batch_size=127: expected an even number"):
        check_config(config)

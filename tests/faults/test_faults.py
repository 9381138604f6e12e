"""A short selection of `make faults`, in this process; and that its checks see what is wrong."""

import shutil

import jax.numpy as jnp
import pytest

from eval.evaluation import Evaluations
from eval.evaluator import Evaluator
from qlae.common.event_log import EventLog
from qlae.restore import open_run
from qlae.run_directory import list_steps
from qlae.training.checkpoints import Checkpoints
from tests import runs
from tests.faults.checks import count_twice, count_wrong, find_last_step
from tests.faults.fuzz import fuzz_directories
from tests.faults.hostile import find
from tests.faults.outcome import Outcome, make_table, merge_rows
from tests.faults.workers import PHASES, check_records, list_records

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    steps = ("--config.num_steps=2", "--config.checkpoint_every=1", "--config.log_every=1")
    sizes = ("--config.data.num_test=100", "--config.data.num_validation=100")
    code, _, errors = runs.train(workdir, *steps, *sizes)
    assert code == 0, errors
    return workdir


class Killed(BaseException):
    """What no handler of the project takes for an error."""


def test_a_worker_that_ends_between_any_two_phases_scores_all_once(trained, tmp_path, monkeypatch):
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    evaluations = Evaluations()

    def evaluate(workdir):
        run = open_run(workdir)
        evaluator = Evaluator(run, evaluations.find(run))
        try:
            for step in evaluator.list_pending():
                evaluator.score(step)
        finally:
            evaluator.close()

    for workdir in (killed, undisturbed):
        shutil.copytree(trained, workdir)
    shutil.rmtree(killed / "checkpoints/1")
    shutil.rmtree(undisturbed / "checkpoints/1")
    evaluate(undisturbed)
    assert len(list_records(undisturbed)) == 1
    for phase, after in [*((phase, False) for phase in PHASES), (PHASES[-1], True)]:
        evaluations.find(open_run(killed)).ceilings.clear()
        owner, name = find(phase)
        function = getattr(owner, name)

        def die(*args, after=after, function=function, **kwargs):
            if after:
                function(*args, **kwargs)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, die)
            with pytest.raises(Killed):
                evaluate(killed)
        assert bool(list_records(killed)) == after
    evaluate(killed)
    assert check_records(killed, undisturbed, "") == Outcome("")


def test_an_odd_directory_is_read_or_a_line(trained, tmp_path):
    outcome = fuzz_directories(tmp_path, trained, 4, seed=1)
    assert outcome.tried == 4
    assert outcome.is_clean


def test_the_checks_see_what_is_wrong(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    assert count_wrong(copy, trained) == 0
    run = open_run(copy)
    state, position = run.load_state(1)
    state = state.replace(rng=state.rng + jnp.uint32(1))
    shutil.rmtree(copy / "checkpoints/1")
    assert count_wrong(copy, trained) == 1
    checkpoints = Checkpoints({0: copy}, lambda state, slot: state)
    checkpoints.save(1, state, [0], position)
    checkpoints.close()
    assert list_steps(copy) == [1, 2]
    assert count_wrong(copy, trained) == 1


def test_a_point_that_is_there_twice_is_seen(trained, tmp_path):
    assert count_twice(trained) == 0
    assert find_last_step(trained) == 2
    for first_step, twice in ((3, 0), (2, 0), (None, 2)):
        log = EventLog(tmp_path / "logs/train", first_step)
        for step in (2, 3) if first_step is None else range(first_step, 4):
            log.add_scalar("train/loss", 1.0, step)
        log.close()
        assert count_twice(tmp_path) == twice // 2


def test_rows_are_written_anew_by_themselves():
    page = make_table([Outcome("a", 1), Outcome("b", 1)])
    rows = merge_rows(f"# A title\n\n{page}\n", make_table([Outcome("b", 2), Outcome("c", 3)]))
    assert rows == make_table([Outcome("a", 1), Outcome("b", 2), Outcome("c", 3)])


def test_the_table():
    first = Outcome("a fault", 2, 10, 0, 0, [1.0, 3.0])
    total = first + Outcome("a fault", 1, 25, 0, 0, [2.0])
    assert make_table([total, Outcome("another", 1, 0, 1, 0)]).splitlines()[2:] == [
        "| a fault | 3 | 25 | 0 | 0 | 2.0, at most 3.0 |",
        "| another | 1 | 0 | 1 | 0 | - |",
    ]
    assert total.is_clean
    assert not Outcome("never tried").is_clean
    assert not Outcome("wrong", 1, 0, 1).is_clean

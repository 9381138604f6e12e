"""Several real processes on one machine: the same run, whatever their number."""

import re
import shutil
import signal
import socket
import time

import jax
import numpy as np
import pytest

from qlae.restore import open_run
from qlae.run_directory import list_steps
from tests import runs
from tests.experiments.test_train import assert_one_line

pytestmark = pytest.mark.process

SHORT = ("--config.num_steps=6", "--config.checkpoint_every=2")


def find_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_together(workdir, num_processes, *overrides, differing=(), roots=(), timeout=60):
    """Starts the tiny config in `num_processes` processes, the last with `differing` flags."""
    port = find_port()
    return [
        runs.start(
            "experiments.train",
            f"--config={runs.TINY}",
            f"--workdir={workdir}",
            f"--coordinator_address=127.0.0.1:{port}",
            f"--num_processes={num_processes}",
            f"--process_id={index}",
            f"--initialization_timeout={timeout}",
            *overrides,
            *(differing if index == num_processes - 1 else ()),
            root=roots[index] if roots else runs.ROOT,
        )
        for index in range(num_processes)
    ]


def train_together(workdir, num_processes, *overrides, **options):
    """Trains the tiny config in `num_processes` processes; returns their exits and errors."""
    started = start_together(workdir, num_processes, *overrides, **options)
    return [runs.finish(process) for process in started]


def params_at(workdir, step):
    return jax.tree.leaves(jax.device_get(open_run(workdir).load(step)))


def forget_after(workdir, step):
    """Takes away the checkpoints after a step, as if the run had been stopped there."""
    for later in list_steps(workdir):
        if later > step:
            shutil.rmtree(workdir / "checkpoints" / str(later))


def test_saved_by_four_processes_resumed_by_two_and_by_one(tmp_path):
    """The data order is bit-identical, so losses and parameters differ by summation order alone."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert runs.train(alone, *SHORT)[0] == 0
    for num_processes, stop in ((4, 2), (2, 4), (1, 6)):
        if num_processes > 1:
            results = train_together(together, num_processes, *SHORT)
            assert [code for code, *_ in results] == [0] * num_processes, results[0][2]
            forget_after(together, stop)
        else:
            assert runs.train(together, *SHORT)[0] == 0
    assert list_steps(together) == list_steps(alone) == [2, 4, 6]
    for step in (2, 6):
        for a, b in zip(params_at(alone, step), params_at(together, step), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)
    # Every process count wrote steps from its start on; all agree with the lone run.
    expected = runs.load_scalars(alone, "train/loss/total")
    losses = runs.load_scalars(together, "train/loss/total")
    assert {step for step, _ in losses} == {step for step, _ in expected} == {2, 4, 6}
    for step, loss in losses:
        np.testing.assert_allclose(loss, dict(expected)[step], rtol=0, atol=1e-6, err_msg=str(step))


def test_a_population_over_processes_has_the_members_of_lone_runs(tmp_path):
    """Two processes and two members: neither process can read the other's arrays."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    population = (*SHORT, "--config.population.seeds=2")
    results = train_together(together, 2, *population)
    assert [code for code, *_ in results] == [0] * 2, results[0][2]
    member = together / "seed_1"
    assert runs.train(alone, *SHORT, "--config.seed=1")[0] == 0
    for a, b in zip(params_at(alone, 6), params_at(member, 6), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert len(runs.load_scalars(member, "train/loss/total")) == len(
        runs.load_scalars(alone, "train/loss/total")
    )
    # One process goes on where several were stopped.
    before = params_at(member, 6)
    forget_after(member, 4)
    code, _, errors = runs.train(together, *population)
    assert code == 0, errors
    for a, b in zip(before, params_at(member, 6), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_asked_to_stop_one_process_stops_all_at_one_step(tmp_path):
    workdir = tmp_path / "run"
    endless = ("--config.num_steps=1_000_000", "--config.checkpoint_every=20")
    processes = start_together(workdir, 2, *endless)
    while not list_steps(workdir) and processes[0].poll() is None:
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    results = [runs.finish(process) for process in processes]
    assert [code for code, *_ in results] == [143, 143], results
    stops = {re.search(r"stopped at step ([\d,]+)", output)[1] for _, output, _ in results}
    assert len(stops) == 1
    assert list_steps(workdir)[-1] == int(stops.pop().replace(",", ""))


def test_processes_that_disagree_on_config_fail_fast_together(tmp_path):
    workdir = tmp_path / "run"
    results = train_together(workdir, 2, differing=["--config.optimizer.weight_decay=0.9"])
    for code, _, errors in results:
        assert code == 2, errors
        assert "processes disagree on their config: process 1 differ" in errors
    assert not workdir.exists()


def test_processes_that_disagree_on_code_fail_fast_together(tmp_path):
    other = tmp_path / "other"
    for room in ("qlae", "data_pipelines", "eval", "experiments", "tests"):
        shutil.copytree(runs.ROOT / room, other / room, ignore=shutil.ignore_patterns("golden"))
    with (other / "qlae/dataset_facts.py").open("a") as file:
        file.write("# another commit\n")
    for code, _, errors in train_together(tmp_path / "run", 2, roots=(runs.ROOT, other)):
        assert code == 2, errors
        assert "processes disagree on their code: process 1 differ" in errors


def test_a_mistake_that_one_process_meets_ends_all(tmp_path):
    """The second sees, in place of the run directory, a file."""
    (tmp_path / "file").write_text("")
    script = (
        "import sys, jax\n"
        "from experiments import processes\n"
        "from qlae.common.command_line import Parser, run_command\n"
        "from qlae.common.errors import UserError\n"
        "def main(arguments):\n"
        "    parser = Parser('tried', None)\n"
        "    processes.add_flags(parser)\n"
        "    processes.join(parser.parse_args(arguments))\n"
        "    with processes.together():\n"
        "        if jax.process_index() == 1:\n"
        "            raise UserError('no dataset here')\n"
        "sys.exit(run_command(main))\n"
    )
    module = tmp_path / "tried.py"
    module.write_text(script)
    port = find_port()
    prefix = ("env", f"PYTHONPATH={runs.ROOT}:{tmp_path}")
    processes = [
        runs.start(
            "tried",
            f"--coordinator_address=127.0.0.1:{port}",
            "--num_processes=2",
            f"--process_id={index}",
            prefix=prefix,
        )
        for index in range(2)
    ]
    (code, _, errors), (other_code, _, other_errors) = map(runs.finish, processes)
    assert (code, other_code) == (2, 2)
    assert errors == "error: process 1: no dataset here\n"
    assert other_errors == "error: no dataset here\n"


def test_processes_that_never_come_up_are_named_in_those_that_did(tmp_path):
    processes = start_together(tmp_path / "run", 4, timeout=12)
    for absent in (1, 3):
        processes[absent].kill()
        processes[absent].communicate()
    for present in (0, 2):
        code, _, errors = runs.finish(processes[present])
        assert code == 75
        assert "processes 1, 3 of 4 did not come up at 127.0.0.1" in errors
        assert_one_line(errors)


def test_without_the_first_process_the_others_say_so(tmp_path):
    processes = start_together(tmp_path / "run", 2, timeout=2)
    processes[0].kill()
    processes[0].communicate()
    code, _, errors = runs.finish(processes[1])
    assert code == 75
    assert "process 0 of 2 did not come up" in errors
    assert_one_line(errors)


def test_flags_that_do_not_go_together_are_one_line(tmp_path):
    for arguments, message in (
        (["--num_processes=2"], "go together"),
        (
            ["--coordinator_address=localhost:1", "--num_processes=2", "--process_id=2"],
            "is not one of 2",
        ),
        (
            ["--coordinator_address=localhost", "--num_processes=2", "--process_id=0"],
            "lacks a port",
        ),
    ):
        code, _, errors = runs.train(tmp_path / "run", *arguments)
        assert code == 2
        assert message in errors

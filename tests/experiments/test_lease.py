"""One trainer a run directory, and nothing that a killed one leaves behind for long."""

import json
import os
import subprocess
import sys
import threading

import pytest
from etils import epath

from experiments import lease
from experiments.config_file import load_config
from experiments.lease import DirectoryBusy, Lease, await_free
from experiments.members import make_members
from experiments.population import Population
from qlae.common.command_line import Exit, run_command
from qlae.common.files import write_whole
from qlae.dataset_facts import DatasetFacts
from qlae.run_directory import RunDirectory, get_lease_path
from tests import runs
from tests.store.conftest import store  # noqa: F401

FACTS = DatasetFacts((8, 8, 3), ("a", "b"), 100)


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Seconds become hundredths."""
    for name in ("RENEWAL", "_LOOK", "_SETTLING"):
        monkeypatch.setattr(lease, name, 0.02)
    monkeypatch.setattr(lease, "STALE", 0.3)


@pytest.fixture(params=["local", "gs"])
def run(request, tmp_path):
    """A run directory on a disk, or on a store."""
    if request.param == "local":
        return epath.Path(tmp_path / "run")
    request.getfixturevalue("store")
    return epath.Path("gs://bucket/run")


def take(*paths):
    return Lease(await_free([epath.Path(path) for path in paths]))


def write_elsewhere(path, changes=()):
    """Leaves the lease of a process on another machine, or another process."""
    path.mkdir(parents=True, exist_ok=True)
    holder = {"host": "pod-7", "boot": "b", "pid": 1, "start": "1", "path": str(path)}
    holder |= {"token": "t", "renewals": 0} | dict(changes)
    write_whole(get_lease_path(path), json.dumps(holder))


def test_a_second_trainer_is_told_who_trains(run):
    first = take(run)
    with pytest.raises(DirectoryBusy, match=rf"process {os.getpid()} on .*, in {run}; wait for it"):
        take(run)
    first.close()
    assert not get_lease_path(run).exists()
    take(run).close()


def test_one_of_many_that_begin_at_once_takes_it(run):
    judged = await_free([run])
    held, busy = [], []

    def begin():
        try:
            held.append(Lease(judged))
        except DirectoryBusy as error:
            busy.append(str(error))

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(busy)) == (1, 5)
    held[0].check()
    held[0].close()


@pytest.mark.process
def test_a_killed_process_of_this_machine_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "STALE", 60.0)
    program = (
        "import sys, time; from experiments.lease import *; from etils import epath\n"
        "Lease(await_free([epath.Path(sys.argv[1])])); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=runs.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(DirectoryBusy, match=f"process {process.pid}"):
        take(tmp_path)
    process.kill()
    while (tmp_path / "lease.json").exists() and lease._find_start(process.pid):
        pass  # a killed process that nobody has waited for is gone, too
    take(tmp_path).close()
    process.communicate()


def test_a_number_that_another_process_has_by_now_holds_nothing(tmp_path):
    write_elsewhere(tmp_path, lease._identify(tmp_path) | {"start": "1"})
    take(tmp_path).close()


def test_a_machine_that_is_gone_is_waited_for_no_longer_than_said(run, capsys):
    write_elsewhere(run)
    take(run).close()
    assert capsys.readouterr().err == (
        f"process 1 on pod-7 trained in {run}; is it still there? looking for 0.3 s\n"
    )


def test_a_lease_that_is_renewed_elsewhere_is_held(run):
    write_elsewhere(run)
    judged, ended = await_free([run.parent / "other"]), threading.Event()

    def renew():
        count = 0
        while not ended.wait(0.01):
            write_elsewhere(run, {"renewals": (count := count + 1)})

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(DirectoryBusy, match="process 1 on pod-7"):
            await_free([run])
    finally:
        ended.set()
        thread.join()
    assert judged == {run.parent / "other": ""}


def test_who_lost_it_learns_so_and_leaves_the_new_one_alone(run):
    mine = take(run)
    write_elsewhere(run)
    mine._thread.join(5)
    with pytest.raises(DirectoryBusy, match="process 1 on pod-7 has taken over"):
        mine.check()
    mine.close()
    assert "pod-7" in get_lease_path(run).read_text()


def test_a_copy_of_a_run_that_trains_is_free(tmp_path):
    write_elsewhere(tmp_path / "b", lease._identify(tmp_path / "a"))
    take(tmp_path / "b").close()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"pid": "x"}', '{"token": []}'])
def test_a_damaged_lease_is_nobodys(tmp_path, text):
    (tmp_path / "lease.json").write_text(text)
    take(tmp_path).close()


def make_population(path, seeds=1, seed=0):
    config = load_config(runs.TINY)
    config.seed = seed
    config.population.seeds = seeds
    return Population(make_members(config, RunDirectory(path)))


@pytest.mark.process
def test_the_trainer_says_it_in_one_line_and_touches_nothing(tmp_path):
    held = take(tmp_path)
    code, _, errors = runs.train(tmp_path)
    held.close()
    assert code == Exit.TRY_AGAIN
    assert errors.startswith(f"error: another process trains here: process {os.getpid()} on")
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_member_is_held_by_its_population(tmp_path):
    population = make_population(tmp_path, seeds=2)
    population.claim(FACTS)
    with pytest.raises(DirectoryBusy, match=rf"in {tmp_path}/seed_1;"):
        make_population(tmp_path / "seed_1", seed=1).claim(FACTS)
    population.close()
    held = take(tmp_path / "seed_1")
    with pytest.raises(DirectoryBusy, match=rf"in {tmp_path}/seed_1;"):
        make_population(tmp_path, seeds=2).claim(FACTS)
    held.close()
    assert not get_lease_path(tmp_path / "seed_0").exists()


def test_a_directory_that_cannot_be_written_is_a_mistake(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert run_command(lambda _: take(tmp_path / "file"), []) == Exit.MISTAKE

"""The plan of a table: chips go where they shorten it, waves where they are too few."""

import dataclasses
import pathlib

import jax
import pytest

from qlae.common.errors import UserError
from qlae.training.layout import Layout
from tests.tpu_scripts.ahead.test_table import make_step
from tpu_scripts.ahead import plan
from tpu_scripts.ahead.report import make_roofline
from tpu_scripts.ahead.schedule import HOST_BYTES_PER_SECOND, SCORE_SECONDS, Cell, schedule
from tpu_scripts.topologies import get_topology

ROOT = pathlib.Path(__file__).parents[3]
TABLE = "experiments/configs/paper_table.py"


def make_population(arm: str, milliseconds: float, members: int = 7, gib: float = 1.0):
    step = make_step("v5e:1x1")
    memory = dataclasses.replace(step.memory, arguments=int(gib * 2**30), temporaries=0)
    rate = get_topology("v5e:1x1").generation.hbm_gb_per_s * 1e9
    step = dataclasses.replace(
        step,
        **{"arm": arm, "flops": 0.0, "memory": memory, "seconds": 0.0},
        bytes_accessed=milliseconds / 1e3 * rate,
    )
    seeds = tuple(range(members))
    return Cell(arm, "shapes3d", seeds, 3_600_000, num_checkpoints=0, scored_images=(), step=step)


def test_hours_and_memory_of_a_population():
    """3.6 million steps of 1 ms are an hour; a chip holds every member that it trains."""
    one = make_population("qlae", milliseconds=1.0)
    assert [one.hours(chips) for chips in (1, 2, 4, 8)] == pytest.approx([7, 4, 2, 1])
    assert [one.peak_bytes(chips) / 2**30 for chips in (1, 2, 4, 8)] == [7, 4, 2, 1]


def test_compilation_checkpoints_and_the_last_scores_take_their_time():
    """Four members on two chips: two states of 2 GiB at each checkpoint, four scores at the end."""
    one = make_population("qlae", milliseconds=1.0, members=4, gib=2.0)
    one = dataclasses.replace(
        one,
        num_checkpoints=10,
        scored_images=(1280, 640),
        step=dataclasses.replace(one.step, seconds=60.0),
    )
    parts = one.time_parts(chips=2)
    assert parts == pytest.approx(
        {
            "compilation": 60.0,
            "steps": 7200.0,
            "checkpoints": 10 * 2 * 2 * 2**30 / HOST_BYTES_PER_SECOND,
            "evaluation": 4 * (15 * 1e-3 / 3 + 2 * SCORE_SECONDS),
        }
    )
    assert one.hours(2) == pytest.approx(sum(parts.values()) / 3600)


def test_a_branch_counts_as_often_as_it_is_taken():
    """Half of 4 ms is the generator's, which moves one step in five."""
    step = make_population("gan", milliseconds=4.0).step
    step = dataclasses.replace(step, branch_bytes=step.bytes_accessed / 2, every=5)
    assert make_roofline(step).step == pytest.approx(2.4e-3)


@pytest.mark.parametrize("chips", [1, 2, 4, 8])
def test_seeds_share_a_chip_as_training_lays_them_out(chips):
    one = make_population("qlae", milliseconds=1.0)
    mesh = jax.sharding.AbstractMesh((chips, 1), ("population", "data"))
    slots = Layout(mesh, num_members=7).num_slots // chips
    expected = [tuple(range(7))[row * slots : (row + 1) * slots] for row in range(chips)]
    assert one.share_out(chips) == [seeds for seeds in expected if seeds]


def test_spare_chips_go_to_whoever_ends_last():
    slow, quick = make_population("gan", milliseconds=4.0), make_population("ae", milliseconds=1.0)
    (wave,) = schedule([slow, quick], get_topology("v5e:2x4"))
    assert [(share.population.arm, share.chips) for share in wave] == [("gan", 4), ("ae", 1)]
    (wave,) = schedule([slow, quick], get_topology("v5e:4x4"))
    assert [(share.population.arm, share.chips) for share in wave] == [("gan", 8), ("ae", 2)]


def test_what_does_not_fit_beside_others_comes_after_them():
    waves = schedule([make_population("ae", 1.0) for _ in range(10)], get_topology("v5e:2x2"))
    assert [len(wave) for wave in waves] == [4, 4, 2]
    assert [share.chips for share in waves[-1]] == [2, 2]


def test_members_that_do_not_fit_one_chip_get_more():
    (wave,) = schedule([make_population("qlae", 1.0, gib=6.0)], get_topology("v5e:2x2"))
    assert wave[0].chips == 4
    with pytest.raises(UserError, match=r"a member of qlae needs .* take another generation"):
        schedule([make_population("qlae", 1.0, gib=17.0)], get_topology("v5e:2x2"))


def run(monkeypatch, capsys, *arguments):
    monkeypatch.chdir(ROOT)
    return plan.main(arguments), capsys.readouterr()


def test_the_papers_tables_on_the_committed_programs(monkeypatch, capsys):
    """Every arm has a row, and none of the 48 populations is forgotten."""
    status, printed = run(monkeypatch, capsys, TABLE, "--topology=v5e:16x16")
    assert status == 0, printed.err
    assert "336 runs in 48 populations on v5e:16x16" in printed.out
    rows = [line.split() for line in printed.out.split("\n\n")[0].splitlines()[1:]]
    assert sum(int(row[1]) for row in rows) == 48
    assert {row[0]: row[-1] for row in rows}["info_wgan_gp"] == "qlinfo_wgan_gp"
    assert sum(int(row[1]) * int(row[2]) for row in rows) <= 256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TABLE, "--topology=v5e:16x15"), "did you mean 'v5e:16x16'"),
        ((TABLE, "--topology=v4:2x2x1"), "no program like ae's has been compiled for v4:1x1"),
        (("experiments/configs/qlae.py", "--topology=v5e:2x2"), "no table of runs: it lacks"),
        (("nowhere.py", "--topology=v5e:2x2"), "no config file 'nowhere.py'"),
        (("--topology=v5e:2x2",), "the following arguments are required: table"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, arguments, message):
    status, printed = run(monkeypatch, capsys, *arguments)
    assert status == 2
    (line,) = printed.err.splitlines()
    assert message in line

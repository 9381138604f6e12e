"""The committed table: broken off, resumed, and true to its own cells."""

import dataclasses

import pytest
from ml_collections import ConfigDict

from tpu_scripts.ahead import table
from tpu_scripts.ahead.collectives import Collective
from tpu_scripts.ahead.compiled import CompiledStep, Memory, get_versions
from tpu_scripts.ahead.table import ROWS, Row, format_table, load_steps, make_table

_GRADIENTS = Collective(
    kind="all-reduce",
    network="ici",
    bytes_by_dtype={"f32": 2**20},
    num_scalars=2,
    num_arrays=3,
    num_elements=2**18,
    group_size=16,
    conditional=False,
)


def make_step(topology: str, batch_size: int = 128) -> CompiledStep:
    return CompiledStep(
        topology=topology,
        slices=1,
        batch_size=batch_size,
        arm="qlae",
        dataset="shapes3d_rendered",
        compute_dtype="float32",
        members=1,
        num_population=1,
        parameters=2**18,
        memory=Memory(arguments=2**30, outputs=0, temporaries=2**29, code=0),
        flops=197e9,
        bytes_accessed=819e6,
        collectives=() if topology == "v5e:1x1" else (_GRADIENTS,),
        loops=0,
        seconds=1.0,
        versions=get_versions(),
        revision="abc1234",
    )


@pytest.fixture
def compiled_cells():
    return []


@pytest.fixture
def run(tmp_path, compiled_cells):
    def load(config, overrides):
        values = dict(flag.removeprefix("--config.").split("=") for flag in overrides)
        return ConfigDict({"batch_size": int(values.get("batch_size", 128))})

    def compile_cell(config, topology):
        if len(compiled_cells) == 2:
            compiled_cells.append(None)
            raise KeyboardInterrupt
        compiled_cells.append((topology, config.batch_size))
        return make_step(topology, config.batch_size)

    rows = [Row("qlae", "float32", f"v5e:{shape}") for shape in ("1x1", "4x4", "16x16")]
    return lambda: make_table(
        load, compile_cell, rows=rows, directory=tmp_path, say=lambda text: None
    )


def test_a_table_broken_off_goes_on_where_it_was(run, tmp_path, compiled_cells):
    with pytest.raises(KeyboardInterrupt):
        run()
    assert compiled_cells == [("v5e:1x1", 128), ("v5e:4x4", 128), None]
    assert len(load_steps(tmp_path / "aot.json")) == 2
    run()
    assert compiled_cells[3:] == [("v5e:16x16", 256)]
    run()
    assert len(compiled_cells) == 4
    steps = load_steps(tmp_path / "aot.json")
    assert steps["qlae/float32/v5e:4x4"] == make_step("v5e:4x4")
    assert "3 of the 20 rows" in (tmp_path / "aot.md").read_text()


def test_other_versions_are_compiled_again(run, tmp_path, compiled_cells):
    old = dataclasses.replace(make_step("v5e:1x1"), versions={"jax": "0.1"})
    table.write_table({"qlae/float32/v5e:1x1": old}, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert compiled_cells[0] == ("v5e:1x1", 128)


def test_a_gan_that_does_not_say_what_its_branch_costs_is_compiled_again(
    run, tmp_path, compiled_cells
):
    old = dataclasses.replace(make_step("v5e:1x1"), arm="qlinfo_wgan_gp")
    assert old.lacks_branch
    table.write_table({"qlae/float32/v5e:1x1": old}, tmp_path)
    assert "of abc1234, a conditional counts in every step" in (tmp_path / "aot.md").read_text()
    with pytest.raises(KeyboardInterrupt):
        run()
    assert compiled_cells[0] == ("v5e:1x1", 128)


def test_efficiency_is_that_of_a_chip_against_one_alone():
    text = format_table([make_step("v5e:4x4", batch_size=2048), make_step("v5e:1x1")])
    alone, slice_ = [line for line in text.splitlines() if line.startswith("| qlae")]
    # The same work on each chip in 1 ms; the all-reduce of 1 MiB takes 20 us and 12 us of hops.
    assert alone.endswith("| 1 | 128,000 | 100% | abc1234 |")
    assert slice_.endswith("| 97% | abc1234 |")
    assert "1.00 MiB f32" in slice_


def test_every_cell_is_a_row_that_can_be_compiled():
    assert len({cell.name for cell in ROWS}) == len(ROWS) == 20
    first = [cell.name for cell in ROWS[:3]]
    assert first == [f"qlae/float32/v5e:{shape}" for shape in ("1x1", "4x4", "16x16")]
    assert ROWS[2].overrides(128)[1] == "--config.batch_size=256"


def test_the_committed_page_is_made_from_the_committed_cells():
    steps = load_steps(table.RESULTS / "aot.json")
    assert steps.keys() <= {cell.name for cell in ROWS}
    page = (table.RESULTS / "aot.md").read_text()
    assert page == format_table(list(steps.values()))

"""The stream: a pure function of (seed, position), restored on any number of processes."""

import dataclasses

import numpy as np
import pytest

from data_pipelines.datasets import make_dataset
from data_pipelines.pipeline import make_eval_batches, make_train_iterator
from data_pipelines.splits import make_split
from qlae.common.errors import UserError

DATASET = make_dataset("shapes3d_rendered", image_size=16)
SPLIT = make_split(DATASET.spec)
TINY = dataclasses.replace(SPLIT, train_indices=SPLIT.train_indices[:100])


def draw(count, split=TINY, **kwargs):
    kwargs = {"batch_size": 24, "seed": 5, "emit": "index"} | kwargs
    iterator = make_train_iterator(DATASET, split, **kwargs)
    return [next(iterator)["index"] for _ in range(count)]


def test_images_are_those_of_the_drawn_indices():
    iterator = make_train_iterator(DATASET, SPLIT, batch_size=32, seed=0)
    index_iterator = make_train_iterator(DATASET, SPLIT, batch_size=32, seed=0, emit="index")
    for _ in range(3):
        batch, index = next(iterator), next(index_iterator)
        assert set(batch) == {"image"}
        assert batch["image"].dtype == np.uint8
        assert index["index"].dtype == np.int32
        np.testing.assert_array_equal(batch["image"], DATASET.images(index["index"]))
        assert not np.isin(index["index"], SPLIT.test_indices).any()


def test_each_epoch_shows_every_image_once_in_a_new_order():
    stream = np.concatenate(draw(25))
    epochs = stream.reshape(6, 100)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), TINY.train_indices)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_one_full_epoch_of_the_real_grid_draws_all_but_the_heldout():
    drawn = np.concatenate(draw(46, SPLIT, batch_size=10_000))
    np.testing.assert_array_equal(np.sort(drawn), SPLIT.train_indices)


def test_order_depends_on_the_seed_alone():
    np.testing.assert_array_equal(draw(5), draw(5, num_threads=1, prefetch=1))
    assert not np.array_equal(draw(5), draw(5, seed=6))
    assert draw(1, SPLIT)[0][:4].tolist() == [4228, 351903, 176898, 346946]


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_processes_share_each_global_batch_without_changing_it(processes):
    shares = [draw(6, process_index=p, process_count=processes) for p in range(processes)]
    for step, whole in enumerate(draw(6)):
        np.testing.assert_array_equal(np.concatenate([s[step] for s in shares]), whole)


def test_position_is_the_number_of_batches_and_restores_on_other_process_counts():
    iterator = make_train_iterator(DATASET, TINY, batch_size=24, seed=5, emit="index")
    whole = [next(iterator)["index"] for _ in range(4)]
    assert iterator.get_state() == {"next_index": 4}
    state = iterator.get_state()
    after = [next(iterator)["index"] for _ in range(4)]
    iterator.set_state(state)
    np.testing.assert_array_equal(next(iterator)["index"], after[0])
    np.testing.assert_array_equal(draw(4, start_step=4), after)
    halves = []
    for p in range(2):
        part = make_train_iterator(
            DATASET, TINY, batch_size=24, seed=5, emit="index", process_index=p, process_count=2
        )
        part.set_state(state)
        halves.append(next(part)["index"])
    np.testing.assert_array_equal(np.concatenate(halves), after[0])
    assert not np.array_equal(whole[0], after[0])


def test_batches_that_are_kept_are_never_overwritten():
    iterator = make_train_iterator(DATASET, SPLIT, batch_size=8, seed=0, prefetch=2)
    indices = make_train_iterator(DATASET, SPLIT, batch_size=8, seed=0, emit="index")
    kept = [next(iterator)["image"] for _ in range(60)]
    slices = [next(iterator)["image"][1:3] for _ in range(60)]
    for batch in kept:
        np.testing.assert_array_equal(batch, DATASET.images(next(indices)["index"]))
    for part in slices:
        np.testing.assert_array_equal(part, DATASET.images(next(indices)["index"])[1:3])


def test_memory_stays_bounded_over_many_batches():
    iterator = make_train_iterator(DATASET, SPLIT, batch_size=256, seed=0)
    places = {next(iterator)["image"].ctypes.data for _ in range(400)}
    assert len(places) <= 8 + 2 + 4 + 1  # read ahead, being read, in use


def test_position_may_be_far():
    far = draw(2, SPLIT, start_step=10**9)
    assert len(set(far[0])) == 24


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_evaluation_covers_each_image_once_with_equal_shapes(processes):
    indices = SPLIT.test_indices[:45]
    batches = [
        list(
            make_eval_batches(
                DATASET, indices, batch_size=8, process_index=p, process_count=processes
            )
        )
        for p in range(processes)
    ]
    assert {len(own) for own in batches} == {6}
    seen = []
    for step in range(6):
        for own in batches:
            batch = own[step]
            assert batch["image"].shape == (8 // processes, 16, 16, 3)
            np.testing.assert_array_equal(batch["image"], DATASET.images(batch["index"]))
            seen.extend(batch["index"][batch["mask"]])
    np.testing.assert_array_equal(seen, indices)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"batch_size": 10, "process_count": 4}, "multiple of 4"),
        ({"process_index": 2, "process_count": 2}, "not one of 2"),
        ({"batch_size": 101}, "larger than the training set"),
        ({"start_step": -1}, "negative"),
        ({"emit": "images"}, "'image' or 'index'"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, line):
    with pytest.raises(UserError, match=line) as caught:
        make_train_iterator(DATASET, TINY, **({"batch_size": 24, "seed": 0} | arguments))
    assert "\n" not in str(caught.value)


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(UserError, match="no images"):
        make_eval_batches(DATASET, np.array([], np.int64), batch_size=8)

"""Each process hears of the others, through a store that is a dict here."""

import pytest

from experiments import heartbeat
from experiments.heartbeat import SILENCE, Heartbeat
from qlae.common.errors import StorageError


class Dict:
    """Stands in for the store of JAX's coordinator."""

    def __init__(self):
        self.texts = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.texts
        self.texts[key] = value

    def key_value_dir_get(self, key):
        return [(name, text) for name, text in self.texts.items() if name.startswith(f"{key}/")]


class Clock:
    """Stands in for the module `time`; nothing passes but what is told."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Ended(BaseException):
    """What ends a process here."""


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(heartbeat, "time", clock)
    return clock


@pytest.fixture
def ended(monkeypatch):
    def end(code):
        raise Ended(code)

    monkeypatch.setattr(heartbeat.os, "_exit", end)


def make_all(count):
    store = Dict()
    return store, [Heartbeat(store, count, index) for index in range(count)]


def beat_for(seconds, clock, *beating):
    for _ in range(round(seconds)):
        clock.now += 1
        for each in beating:
            each.beat()


def test_who_beats_is_there(clock):
    _, everyone = make_all(3)
    beat_for(3 * SILENCE, clock, *everyone)
    assert [each.find_lost() for each in everyone] == [None] * 3


def test_who_is_silent_is_named(clock):
    _, (first, second, third) = make_all(3)
    beat_for(5, clock, first, second, third)
    beat_for(SILENCE - 1, clock, first, third)
    assert first.find_lost() is third.find_lost() is None
    beat_for(3, clock, first, third)
    for each in (first, third):
        code, line = each.find_lost()
        assert code == 75
        assert line.startswith("process 1 of 3 died or hangs")


def test_without_the_first_nobody_is_heard_and_it_is_named_alone(clock):
    store, (_, second, third) = make_all(3)

    def fail(*args, **kwargs):
        raise RuntimeError("UNAVAILABLE")

    store.key_value_set = fail
    with pytest.raises(RuntimeError):
        second.beat()
    clock.now += SILENCE + 1
    assert all("process 0 of 3 died" in each.find_lost()[1] for each in (second, third))


def test_the_reason_of_one_is_the_others_too(clock, ended, capsys):
    _, (first, second) = make_all(2)
    with pytest.raises(Ended) as code:
        second.end(StorageError("no space left"))
    assert code.value.args == (75,)
    first.beat()
    assert first.find_lost() == (75, "process 1: no space left")
    # What the first meets is that the second has gone; what it says is why.
    with pytest.raises(Ended) as code:
        first.end(ValueError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer"))
    assert code.value.args == (75,)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["error: no space left", "error: process 1: no space left"]


def test_one_that_vanished_is_a_line_and_a_defect_is_a_traceback(clock, ended, capsys):
    _, (first, second) = make_all(2)
    with pytest.raises(Ended) as code:
        first.end(ValueError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer"))
    assert code.value.args == (75,)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: another process of this run has gone (UNKNOWN: Gloo")
    with pytest.raises(Ended) as code:
        second.end(ZeroDivisionError("a defect"))
    assert code.value.args == (1,)
    assert "Traceback" in capsys.readouterr().err
    assert first.find_lost() is None
    first.beat()
    assert first.find_lost() == (1, "process 1: a defect")

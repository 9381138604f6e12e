"""The progress line."""

import io

from data_pipelines import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def draw(stream, monkeypatch, moments, first=0):
    clock = iter([0.0, *(seconds for seconds, _ in moments)])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    line = progress.Progress("set", 1000, "images", stream)
    line.start_at(first)
    for _, done in moments:
        line.update(done)
    return stream.getvalue()


def test_on_a_terminal_the_line_is_rewritten_and_says_when_it_ends(monkeypatch):
    shown = draw(Terminal(), monkeypatch, [(1.0, 100), (1.1, 110), (2.0, 200), (10.0, 1000)])
    lines = shown.split("\r\x1b[K")[1:]
    assert lines == [
        "set: 100 of 1,000 images (10%), 100/s, ETA 0:09",
        "set: 200 of 1,000 images (20%), 100/s, ETA 0:08",
        "set: 1,000 of 1,000 images (100%), 100/s, ETA 0:00\n",
    ]


def test_elsewhere_it_is_a_line_every_tenth(monkeypatch):
    moments = [(float(i), 20 * i) for i in range(1, 51)]
    assert draw(io.StringIO(), monkeypatch, moments).count("\n") == 11


def test_the_rate_counts_only_what_is_done_now(monkeypatch):
    shown = draw(io.StringIO(), monkeypatch, [(2.0, 700)], first=500)
    assert shown == "set: 700 of 1,000 images (70%), 100/s, ETA 0:03\n"


def test_an_unknown_total_is_not_made_up(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", iter([0.0, 2.0]).__next__)
    stream = io.StringIO()
    progress.Progress("file", 0, "bytes", stream).update(5000)
    assert stream.getvalue() == "file: 5,000 bytes, 2,500/s\n"

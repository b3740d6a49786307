"""What a sweep says while it runs, in a terminal and in a log file."""

import io
import types

import pytest

from funcnet import status
from funcnet.sweeps import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def trial(stopped="epochs", **metrics):
    return types.SimpleNamespace(stopped=stopped, metrics=metrics)


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns."""
    now = [100.0]
    monkeypatch.setattr(status.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_sees_one_line(clock):
    screen = Terminal()
    shown = progress.SweepProgress(40, 400, "validation_loss", screen)
    clock[0] += 10
    shown.update([trial(validation_loss=0.5), trial(validation_loss=0.25)], 20)
    clock[0] += 0.01
    shown.update([], 1)  # too soon to write again
    clock[0] += 9.99
    shown.update([trial("diverged", validation_loss=0.1)], 79)
    shown.show(last=True)
    lines = screen.getvalue().split("\r\x1b[2K")
    assert lines[1] == "2/40 trials, 20/400 epochs, 0.2 trials/s, 3 min 10 s left, best validation_loss 0.25"
    rest = "0.1 trials/s, 1 min 00 s left, best validation_loss 0.25, 1 diverged"
    assert lines[2] == f"3/40 trials, 100/400 epochs, {rest}"
    assert len(lines) == 4
    assert screen.getvalue().endswith("\n")


def test_a_log_gets_a_line_now_and_then(clock):
    log = io.StringIO()
    shown = progress.SweepProgress(100, 1000, "validation_accuracy", log)
    shown.skip(10)
    for _ in range(90):
        clock[0] += 1
        shown.update([trial(validation_accuracy=0.9)], 10)
    shown.show(last=True)
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue()
    assert len(lines) == 4
    assert lines[-1] == "100/100 trials, 10 from the store, 1.0 trials/s, 1 min 30 s, best validation_accuracy 0.9"


def test_silence_when_told(clock):
    stream = Terminal()
    shown = progress.SweepProgress(2, 2, "train_loss", stream, enabled=False)
    clock[0] += 60
    shown.update([trial(train_loss=1.0)], 2)
    shown.say("a hint")
    shown.show(last=True)
    assert stream.getvalue() == ""


def test_a_notebook_updates_its_cell(monkeypatch, clock):
    """In a notebook the line goes to one output of the cell, which is rewritten."""
    written = []

    class Handle:
        def update(self, data, raw):
            written.append(data["text/plain"])

    monkeypatch.setattr(status, "_notebook_display", Handle)
    shown = progress.SweepProgress(2, 2, "train_loss")
    clock[0] += 1
    shown.update([trial(train_loss=1.0)], 1)
    shown.show(last=True)
    assert len(written) == 2
    assert written[0].startswith("1/2 trials, 1/2 epochs, 1.0 trials/s")

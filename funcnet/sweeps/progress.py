r"""What a sweep says while it runs: one line in a terminal or a notebook, a line now and then in a log file."""

import importlib
import sys
import time
from typing import Any, TextIO

import numpy as np

from funcnet.metrics import lower_is_better

LOG_SECONDS = 30.0


class Progress:
    """Counts trials and epochs, and shows rate, time left and the best so far.

    In a terminal the line is rewritten in place, in a notebook the cell's output is; elsewhere a line is added every
    half minute, and one at the end.
    """

    def __init__(
        self, total: int, epochs: int, metric: str, stream: TextIO | None = None, enabled: bool = True
    ) -> None:
        self.total, self.epochs, self.metric, self.enabled = total, max(epochs, 1), metric, enabled
        self.stream = sys.stderr if stream is None else stream
        self.done, self.walked, self.skipped, self.failed, self.best = 0, 0, 0, 0, float("nan")
        self.started = time.monotonic()
        self._shown = 0.0
        self._notebook = _notebook_display() if enabled and stream is None else None
        self._rewrites = self._notebook is not None or getattr(self.stream, "isatty", lambda: False)()

    def skip(self, rows: int) -> None:
        """Count rows that the store had already."""
        self.skipped = rows
        self.done = rows

    def update(self, finished: list[Any], epochs: int) -> None:
        """Count trials that have ended, and epochs that were walked."""
        self.walked += epochs
        for trial in finished:
            self.done += 1
            self.failed += trial.stopped == "diverged"
            value = trial.metrics.get(self.metric, float("nan"))
            better = np.fmin if lower_is_better(self.metric) else np.fmax
            self.best = float(better(self.best, value)) if trial.stopped != "diverged" else self.best
        self.show()

    def line(self) -> str:
        """Return the line."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        share = min(self.walked / self.epochs, 1.0)
        rate = (self.done - self.skipped) / seconds
        parts = [f"{self.done}/{self.total} trials"]
        if self.done < self.total:
            parts.append(f"{self.walked}/{self.epochs} epochs")
        if self.skipped:
            parts.append(f"{self.skipped} from the store")
        parts.append(f"{rate:.1f} trials/s")
        if 0 < share < 1 and self.done < self.total:
            parts.append(f"{_duration(seconds * (1 - share) / share)} left")
        else:
            parts.append(_duration(seconds))
        if not np.isnan(self.best):
            parts.append(f"best {self.metric} {self.best:.4g}")
        if self.failed:
            parts.append(f"{self.failed} diverged")
        return ", ".join(parts)

    def show(self, last: bool = False) -> None:
        """Write the line, if it is time."""
        now = time.monotonic()
        pause = 0.2 if self._rewrites else LOG_SECONDS
        if not self.enabled or (not last and now - max(self._shown, self.started) < pause):
            return
        self._shown = now
        if self._notebook is not None:
            self._notebook.update({"text/plain": self.line()}, raw=True)
        elif self._rewrites:
            self.stream.write("\r\x1b[2K" + self.line() + ("\n" if last else ""))
        else:
            self.stream.write(self.line() + "\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """Write a line of its own."""
        if self.enabled and text:
            self.stream.write(("\r\x1b[2K" if self._rewrites and self._notebook is None else "") + text + "\n")
            self.stream.flush()


def _duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )


def _notebook_display() -> Any:
    """Return a handle on the output of the running notebook cell, or None outside of a notebook."""
    if "IPython" not in sys.modules:
        return None
    shell = importlib.import_module("IPython").get_ipython()
    if shell is None or type(shell).__name__ != "ZMQInteractiveShell":
        return None
    display: Any = importlib.import_module("IPython.display").display
    return display({"text/plain": ""}, raw=True, display_id=True)

r"""One line that says how far something is: rewritten in a terminal or a notebook, added now and then to a log file."""

import importlib
import sys
import time
from typing import Any, TextIO

LOG_SECONDS = 30.0  # between two lines of a log
REWRITE_SECONDS = 0.2


class StatusLine:
    """A line on standard error, or on another stream, that is written when it is time.

    In a terminal it is rewritten in place, in a notebook the cell's output is; elsewhere a line is added every half
    minute, and one at the end. Nothing is shown before `quiet` seconds have passed.
    """

    def __init__(self, stream: TextIO | None = None, enabled: bool = True, quiet: float = 0.0) -> None:
        self.stream, self.enabled, self.quiet = sys.stderr if stream is None else stream, enabled, quiet
        self.started = time.monotonic()
        self._shown = 0.0
        self._notebook = _notebook_display() if enabled and stream is None else None
        self._rewrites = self._notebook is not None or _is_terminal(self.stream)

    def line(self) -> str:
        """Return what to show."""
        raise NotImplementedError

    @property
    def seconds(self) -> float:
        """Return the seconds since the start, above 0."""
        return max(time.monotonic() - self.started, 1e-9)

    def show(self, last: bool = False) -> None:
        """Write the line, if it is time; the last one always, if anything is shown at all."""
        now = time.monotonic()
        pause = REWRITE_SECONDS if self._rewrites else LOG_SECONDS
        early = now - self.started < self.quiet
        if not self.enabled or early or (not last and now - max(self._shown, self.started) < pause):
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


def duration(seconds: float) -> str:
    """Write seconds as people do.

    >>> duration(3.21), duration(75), duration(7320)
    ('3.2 s', '1 min 15 s', '2 h 02 min')
    """
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _notebook_display() -> Any:
    """Return a handle on the output of the running notebook cell, or None outside of a notebook."""
    if "IPython" not in sys.modules:
        return None
    shell = importlib.import_module("IPython").get_ipython()
    if shell is None or type(shell).__name__ != "ZMQInteractiveShell":
        return None
    display: Any = importlib.import_module("IPython.display").display
    return display({"text/plain": ""}, raw=True, display_id=True)

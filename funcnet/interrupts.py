r"""Ctrl-C and SIGTERM as a wish that long work grants when it can stop without loss."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C or SIGTERM has come; the second one acts as if nothing watched.

    Signals reach the main thread alone: elsewhere the function says False.
    """
    asked = threading.Event()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        # What the process ignores, as under nohup, it goes on to ignore; None is a handler that Python cannot put back.
        before = {number: old for number, old in handlers.items() if old not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, old in before.items():
            signal.signal(number, old)

    def ask(number: int, frame: Any) -> None:
        asked.set()
        restore()

    try:
        for number in before:
            signal.signal(number, ask)
        yield asked.is_set
    finally:
        restore()

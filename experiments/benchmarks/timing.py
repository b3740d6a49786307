"""Races: contestants take turns, and each is compared with the reference turn by turn."""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# Thread pools of other libraries spin for some 20 ms after their last work, and would take a core from who comes next.
REST = 0.05
# A turn counts if the probe before and after it takes at most this many times the least that it ever took here.
STEADY = 1.15
LONGEST = 3  # times as many turns as are asked for, at most
WAIT = 2.0  # seconds after a turn that does not count


class Aim(NamedTuple):
    """A number that was measured, and what it should be at least or at most."""

    what: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Tell whether the number, as the page shows it with three digits, is on the right side."""
        shown = float(f"{self.measured:.3g}")
        return shown >= self.at_least if self.at_most is None else shown <= self.at_most

    @property
    def bound(self) -> str:
        """Write the bound."""
        return f"≥ {self.at_least:g}" if self.at_most is None else f"≤ {self.at_most:g}"


def timed(
    run: Callable[[], Any], before: Callable[[], Any] | None = None, rest: float | None = None
) -> Callable[[], float]:
    """Return a contestant: a function that runs once and returns its seconds; `before` and rest are not counted."""

    def once() -> float:
        if before is not None:
            before()
        time.sleep(REST if rest is None else rest)
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return once


class Probe:
    """Work of always the same size, which no contestant does, and the least time that it ever took."""

    def __init__(self, work: Callable[[], float], repeats: int = 3) -> None:
        self.work, self.repeats, self.least = work, repeats, float("inf")

    def __call__(self) -> float:
        """Return its seconds, the least of some repeats."""
        took = min(self.work() for _ in range(self.repeats))
        self.least = min(self.least, took)
        return took


def race(
    contestants: dict[str, Callable[[], float]],
    turns: int,
    reference: str | None = None,
    warm: int = 1,
    probe: "Probe | None" = None,
) -> dict[str, Any]:
    """Let contestants run in turns, after one run of each that does not count, unless they are warm already.

    Each turn opens with a run of the first contestant that does not count: after the last one, whose threads may belong
    to another library, it alone would be slower, by up to a third.

    A machine may have phases in which all of it is slower. With a probe, turns in such phases are run again; if there
    are too few others, the steadiest count.

    Returns, by contestant, the median and quartiles of the seconds, and the median of the ratios to the reference
    within a turn (above 1: slower than the reference).
    """
    opening = next(iter(contestants.values()))
    rows: list[dict[str, float]] = []
    probes: list[float] = []
    for turn in range(-warm, turns if probe is None else LONGEST * turns):
        before = probe() if probe else 0.0
        if warm and turn >= 0:
            time.sleep(REST)
            opening()
        row = {name: run() for name, run in contestants.items()}
        if turn >= 0:
            rows.append(row)
            probes.append(max(before, probe()) if probe else 0.0)
            steady = [took <= STEADY * probe.least for took in probes] if probe else [True] * len(rows)
            if sum(steady) == turns:
                break
            time.sleep(0 if steady[-1] else WAIT)
    counted = sorted(np.argsort(probes, kind="stable")[:turns])
    seconds = {name: [rows[turn][name] for turn in counted] for name in contestants}
    again = {} if probe is None else {"again": len(rows) - turns}
    return {name: summary(found, seconds.get(reference or "")) | again for name, found in seconds.items()}


def summary(seconds: list[float], reference: list[float] | None = None) -> dict[str, Any]:
    """Return median and quartiles of the turns, and the median of their ratios to those of a reference."""
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    found = {"seconds": float(middle), "low": float(low), "high": float(high), "turns": len(seconds)}
    if reference:
        found["ratio"] = float(np.median(np.divide(seconds, reference)))
    return found


def say(*words: Any) -> None:
    """Tell how far it is."""
    print(*words, file=sys.stderr, flush=True)

r"""What a sweep says while it runs: one line in a terminal or a notebook, a line now and then in a log file."""

from typing import Any, TextIO

import numpy as np

from funcnet.metrics import lower_is_better
from funcnet.status import StatusLine, duration


class SweepProgress(StatusLine):
    """Counts trials and epochs, and shows rate, time left and the best so far."""

    def __init__(
        self, total: int, epochs: int, metric: str, stream: TextIO | None = None, enabled: bool = True
    ) -> None:
        super().__init__(stream, enabled)
        self.total, self.epochs, self.metric = total, max(epochs, 1), metric
        self.done, self.walked, self.skipped, self.failed, self.best = 0, 0, 0, 0, float("nan")
        self._better = np.fmin if lower_is_better(metric) else np.fmax

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
            self.best = float(self._better(self.best, value)) if trial.stopped != "diverged" else self.best
        self.show()

    def line(self) -> str:
        """Return the line."""
        seconds = self.seconds
        share = min(self.walked / self.epochs, 1.0)
        rate = (self.done - self.skipped) / seconds
        parts = [f"{self.done}/{self.total} trials"]
        if self.done < self.total:
            parts.append(f"{self.walked}/{self.epochs} epochs")
        if self.skipped:
            parts.append(f"{self.skipped} from the store")
        parts.append(f"{rate:.1f} trials/s")
        if 0 < share < 1 and self.done < self.total:
            parts.append(f"{duration(seconds * (1 - share) / share)} left")
        else:
            parts.append(duration(seconds))
        if not np.isnan(self.best):
            parts.append(f"best {self.metric} {self.best:.4g}")
        if self.failed:
            parts.append(f"{self.failed} diverged")
        return ", ".join(parts)

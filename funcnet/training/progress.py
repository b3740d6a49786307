r"""What one run says while it trains: epochs, time left, and the last epoch's metrics."""

from typing import TextIO

from funcnet.status import StatusLine, duration

QUIET_SECONDS = 2.0  # a shorter run says nothing


class TrainProgress(StatusLine):
    """Counts updates and epochs of one run."""

    def __init__(self, epochs: int, count: int, stream: TextIO | None = None, enabled: bool = True) -> None:
        super().__init__(stream, enabled, QUIET_SECONDS)
        self.epochs, self.count = epochs, count
        self.walked, self.total, self.epoch, self.metrics = 0, max(epochs * count, 1), 0, dict[str, float]()
        self.began, self._since = 0, 0.0

    def update(self, epoch: int, batch: int, metrics: dict[str, float]) -> None:
        """Take down where the run stands."""
        self.epoch, self.walked = epoch, epoch * self.count + batch
        if not self._since:  # what came before was mostly compiling
            self.began, self._since = self.walked, self.seconds
        self.metrics = metrics or self.metrics
        self.show()

    def line(self) -> str:
        """Return the line."""
        done, due = self.walked - self.began, self.total - self.walked
        parts = [f"epoch {self.epoch}/{self.epochs}"]
        if done > 0 and due > 0:
            parts.append(f"{duration((self.seconds - self._since) * due / done)} left")
        else:
            parts.append(duration(self.seconds))
        return ", ".join([*parts, *(f"{name} {value:.4g}" for name, value in self.metrics.items())])

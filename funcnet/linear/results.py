r"""What a linear model hands back: solutions along a path of penalties, or one of them."""

import dataclasses
from typing import Any

import numpy as np

from funcnet.linear.checks import entries, is_sparse


def product(x: Any, w: np.ndarray) -> np.ndarray:
    """Return x wᵀ with its axes turned, (…, samples), for w (…, features); x may be sparse."""
    if not is_sparse(x):
        return w @ np.asarray(x).T
    at = entries(x)
    rows = [np.bincount(at.rows, at.values * row[at.columns], at.shape[0]) for row in w.reshape(-1, w.shape[-1])]
    return np.reshape(rows, (*w.shape[:-1], at.shape[0])).astype(w.dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class Path:
    """Solutions along a path of penalties; all arrays are NumPy's, in the dtype of x but for the gaps.

    Attributes:
        penalties: (penalties,), falling, float64.
        coefficients: (penalties, features); of several classes (penalties, classes, features).
        intercepts: (penalties,); of several classes (penalties, classes); 0 without an intercept.
        gaps: (penalties,), float64: how far the objective is above its minimum at most, in the units of the objective
            (0 or infinite where those leave the range of float64), before coefficients are rounded to the dtype of x.
        converged: (penalties,): whether the gap met the tolerance (or 1e-12).
        sweeps: (penalties,): how often all coordinates (of the working set) were visited.

    >>> import numpy as np, funcnet as fn
    >>> x, y = np.asarray([[1.0], [-1.0]]), np.asarray([3.0, -1.0])  # y = 1 + 2x
    >>> path = fn.linear.elastic_net_path(x, y, penalties=[2.0, 0.5])
    >>> print(path.predict(x).round(6).tolist(), path.converged)  # a row for each penalty
    [[1.0, 1.0], [2.5, -0.5]] [ True  True]

    """

    penalties: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    gaps: np.ndarray
    converged: np.ndarray
    sweeps: np.ndarray

    def predict(self, x: Any) -> np.ndarray:
        """Return w₀ + xᵀw: (penalties, samples), of several classes (penalties, classes, samples)."""
        return product(x, self.coefficients) + self.intercepts[..., None]

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.coefficients.shape[1:]))
        met = int(self.converged.sum())
        return (
            f"Path({len(self.penalties)} penalties from {self.penalties[0]:.3g} to {self.penalties[-1]:.3g}, "
            f"{shape} coefficients, {met} converged)"
        )


@dataclasses.dataclass(frozen=True, repr=False)
class Fit:
    """One solution: a row of a `Path`.

    Attributes:
        coefficients: (features,); of several classes (classes, features).
        intercept: (); of several classes (classes,).
        gap: how far the objective is above its minimum at most.
        converged: whether the gap met the tolerance.
        sweeps: how often all coordinates (of the working set) were visited, on the way to this penalty included.

    >>> import numpy as np, funcnet as fn
    >>> x, y = np.asarray([[1.0], [-1.0]]), np.asarray([3.0, -1.0])  # y = 1 + 2x
    >>> fit = fn.linear.elastic_net(x, y, 0.5)
    >>> print(fit.coefficients.round(6), fit.intercept.round(6), fit.predict(np.asarray([[2.0]])).round(6))
    [1.5] 1.0 [4.]

    """

    coefficients: np.ndarray
    intercept: np.ndarray
    gap: float
    converged: bool
    sweeps: int

    def predict(self, x: Any) -> np.ndarray:
        """Return w₀ + xᵀw: (samples,), of several classes (classes, samples)."""
        return product(x, self.coefficients) + self.intercept[..., None]

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.coefficients.shape))
        used = int(np.count_nonzero(self.coefficients))
        state = "converged" if self.converged else "not converged"
        return f"Fit({shape} coefficients, {used} not 0, gap {self.gap:.1e}, {state})"


def row(path: Path, i: int) -> Fit:
    """Return the solution at penalty i of a path, with the sweeps of the way to it."""
    return Fit(
        path.coefficients[i],
        path.intercepts[i],
        float(path.gaps[i]),
        bool(path.converged[i]),
        int(path.sweeps[: i + 1].sum()),
    )

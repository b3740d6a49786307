r"""K12: sigmoid's limits, softmax's sum.

> if x=0, then sigmoid(x) = 0.5; if x=-infinity, then sigmoid(x) = 0; if x=+infinity, then sigmoid(x) = 1 (B3.1)
>
> converts it into a probability distribution that sums up to 1 across the classes (B3.3)

Both are statements of mathematics; what can go wrong is arithmetic. The study asks where, in 32-bit floating point, the
sigmoid first equals its limits and whether it is right on the way, and how far from 1 the sum of a softmax is for
logits of any size. The reference is mpmath with 50 digits; the points are drawn with a fixed seed.
"""

import mpmath
import numpy as np

import funcnet as fn
from experiments.study import Table

SCALES = (1.0, 10.0, 100.0, 1e4)
CLASSES = 10


def measure(small):
    """Return the sigmoid at chosen points with its error, and the errors of sums of softmax by scale of the logits."""
    points = np.asarray([-np.inf, -88.0, -87.0, -20.0, -1.0, 0.0, 1.0, 16.0, 18.0, np.inf], np.float32)
    found = np.asarray(fn.sigmoid(points))
    with mpmath.workdps(50):
        exact = [1 / (1 + mpmath.exp(-mpmath.mpf(float(z)))) for z in points]
        errors = [float(abs(mpmath.mpf(float(y)) - e) / e) if e else 0.0 for y, e in zip(found, exact, strict=True)]
    rng = np.random.default_rng(0)
    sums = []
    for scale in SCALES:
        logits = (scale * rng.standard_normal((1_000 if small else 100_000, CLASSES))).astype(np.float32)
        sums.append(np.abs(np.asarray(fn.softmax(logits), np.float64).sum(axis=1) - 1).max())
    return {"points": points, "sigmoid": found, "errors": errors, "sums": sums}


def tables(numbers):
    """Show the sigmoid by point, and the sums by scale."""
    rows = list(zip(map(str, numbers["points"]), numbers["sigmoid"], numbers["errors"], strict=True))
    return [
        Table("The sigmoid in float32.", ("z", "sigmoid(z)", "relative error"), rows),
        Table(
            f"Softmax of {CLASSES} normal logits, float32: the largest distance of a sum from 1.",
            ("standard deviation of the logits", "largest distance"),
            list(zip(SCALES, numbers["sums"], strict=True)),
        ),
    ]


def draw(numbers):
    """Draw nothing: the tables say it."""


def verdict(numbers):
    """Say what follows."""
    assert [numbers["sigmoid"][i] for i in (0, 5, -1)] == [0, 0.5, 1]
    worst, furthest = max(numbers["errors"][2:-1]), max(numbers["sums"])
    assert worst < 2e-7
    assert furthest < 5e-7
    assert numbers["sigmoid"][1] == 0 < numbers["sigmoid"][2]
    assert numbers["sigmoid"][7] < 1 == numbers["sigmoid"][8]
    return (
        f"**Holds.** The three values are exact, and the relative error between them is at most {worst:.1g} from z = "
        "−87 up. In arithmetic the limits are reached early: float32 gives exactly 1 somewhere between z = 16 and 18, "
        "where 1 − sigmoid falls below half a unit in the last place, and 0 below z = −87, where the value is under "
        f"the smallest normal number. Sums of softmax are within {furthest:.1g} of 1, whatever the size of the logits."
    )

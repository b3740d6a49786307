r"""The gradient checker: independent witnesses for gradients that were written by hand.

>>> import jax.numpy as jnp, funcnet as fn
>>> print(str(fn.check(fn.relu, jnp.asarray([-1.0, 0.0, 2.0]))).splitlines()[0])
PASS  activation ReLU()

This is the one folder of the package that differentiates automatically.
"""

from funcnet.checking.registry import Example, cases
from funcnet.checking.report import CheckFailed, Report
from funcnet.checking.run import check

__all__ = ["CheckFailed", "Example", "Report", "cases", "check"]

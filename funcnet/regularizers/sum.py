r"""A sum of regularizers, for networks that need more than one.

Forward    r = r₁ + r₂ + …
Backward   dw = (r₁′(w) + r₂′(w) + …) dvalue
Proximal   that of the one term with `proximal=True`; the others enter by their gradients

The proximal point of a sum is not that of its terms one after the other, so a second proximal term is refused.

Shapes     any tree of arrays.
Source     Parikh & Boyd 2014, section 4.2: a smooth part by its gradient, the other by its proximal operator.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error
from funcnet.records import part, record
from funcnet.regularizers.base import Regularizer, as_regularizer
from funcnet.regularizers.l1 import L1
from funcnet.regularizers.l2 import L2


@record
class Sum(Regularizer):
    r"""The sum of regularizers.

    Args:
        *terms: the regularizers that are added; at most one of them proximal.

    >>> import jax.numpy as jnp
    >>> import funcnet as fn
    >>> both = fn.Sum(fn.L2(0.5), fn.MaxNorm(1.0))
    >>> params = {"kernel": jnp.asarray([[3.0], [4.0]])}
    >>> print(both(params), both.added(params)["kernel"].T, both.prox(params, 1.0)["kernel"].T)
    6.25 [[1.5 2. ]] [[0.6 0.8]]

    """

    terms: tuple[Any, ...] = part()

    def __init__(self, *terms: Any) -> None:
        object.__setattr__(self, "terms", terms)
        self.__post_init__()

    def __post_init__(self) -> None:
        terms = tuple(as_regularizer(term, f"Sum.terms[{index}]") for index, term in enumerate(self.terms))
        object.__setattr__(self, "terms", terms)
        found = [type(term).__name__ for term in terms if term.proximal]
        if not terms:
            raise_error("a sum must have at least one term", "got none", "Sum(fn.L2(1e-4), fn.MaxNorm(3.0))")
        if len(found) > 1:
            raise_error(
                "a sum has at most one proximal term", f"got {' and '.join(found)}", "proximal=False for others"
            )

    @property
    def proximal(self) -> bool:  # type: ignore[override]
        """Tell whether a term enters by its proximal operator."""
        return any(term.proximal for term in self.terms)

    def forward(self, params: Any) -> tuple[jax.Array, Any]:
        """Return r₁ + r₂ + …, and the parameters themselves."""
        return functools.reduce(jnp.add, [term(params) for term in self.terms]), params

    def backward(self, saved: Any, dvalue: Any = 1.0) -> Any:
        """Return the sum of the terms' dparams."""
        return _total([term.backward(saved, dvalue) for term in self.terms])

    def added(self, params: Any) -> Any:
        """Return the sum of the gradients of all terms but the proximal one; None if there are no others."""
        found = [term.gradient(params) for term in self.terms if not term.proximal]
        return _total(found) if found else None

    def prox(self, params: Any, step: Any) -> Any:
        """Return the proximal point of the proximal term."""
        for term in self.terms:
            if term.proximal:
                return term.prox(params, step)
        raise_error("a sum has a proximal point if a term has proximal=True", "none has", "L1(0.1, proximal=True)")

    @property
    def orientation_free(self) -> bool:
        """Tell whether all terms are."""
        return all(term.orientation_free for term in self.terms)


def _total(gradients: list[Any]) -> Any:
    return functools.reduce(lambda a, b: jax.tree.map(jnp.add, a, b), gradients)


_PARAMS = {"kernel": [[0.5, -1.5], [2.0, 0.25]], "bias": [3.0, -4.0]}
CASES = (
    Case("ordinary", Sum(L1(0.1), L2(0.2)), ({"kernel": [[0.7, -0.2]], "bias": [1.0]},)),
    Case("batch", Sum(L2(0.3), L1(0.1, proximal=True)), ((_PARAMS, {"kernel": [[1.0, -0.1]], "bias": [0.2, 0.3]}),)),
    Case("kink", Sum(L1(0.5), L2(2.0)), ([0.0, -0.0],), 0.0, [0.0, 0.0], "stated"),
    Case("extreme", Sum(L1(1.0), L2(1.0)), ([1e15, -1e15],), 1e30, [1e15, -1e15], "the square dominates"),
    Case("known", Sum(L1(1.0), L2(0.5)), ([1.0, -2.0],), 4.25, [1.5, -2.0], "3 + ¼ · 5: the elastic net"),
)

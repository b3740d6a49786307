r"""What a traced program computes: its operations, counted from shapes, and what each of its results depends on.

A matrix product of (m, k) and (k, n) is 2 m k n operations: k multiplications and k additions for each result, the
first addition counted too, as compilers do; and m n where k = 1, for that is a multiplication and no more. Every other
operation on numbers counts 1 for each element of its result (of its operand, where it reduces), a logarithm as much as
an addition. Moving, copying and converting numbers counts nothing, and so does what no wanted result needs: the
compiler removes it.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from funcnet.errors import raise_error

# Primitives that move numbers or name them anew.
_MOVES = {
    *("broadcast_in_dim", "reshape", "transpose", "squeeze", "rev", "pad", "slice", "dynamic_slice", "split"),
    *("dynamic_update_slice", "concatenate", "gather", "scatter", "iota", "copy", "stop_gradient"),
    *("convert_element_type", "bitcast_convert_type", "optimization_barrier"),
    *("random_seed", "random_wrap", "random_unwrap"),
}
_REDUCES = ("reduce_", "arg", "cum")


@dataclasses.dataclass(frozen=True)
class Operations:
    """Operations of matrix products, and all others.

    >>> Operations(6, 1) + Operations(2, 3)
    Operations(products=8, elementwise=4)
    """

    products: int = 0
    elementwise: int = 0

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(self.products + other.products, self.elementwise + other.elementwise)

    def __mul__(self, times: int) -> "Operations":
        return Operations(self.products * times, self.elementwise * times)

    @property
    def total(self) -> int:
        """Return all operations."""
        return self.products + self.elementwise


def is_literal(atom: Any) -> bool:
    """Tell a constant among the operands from a variable."""
    from jax.extend.core import Literal  # at a first use: it takes as long to import as a third of this package

    return isinstance(atom, Literal)


def _programs(values: Iterable[Any]) -> list[Any]:
    """Return the programs among the parameters of an operation, opened."""
    from jax.extend.core import ClosedJaxpr, Jaxpr

    opened = (value.jaxpr if isinstance(value, ClosedJaxpr) else value for value in values)
    return [value for value in opened if isinstance(value, Jaxpr)]


def operations(program: Any, wanted: Sequence[bool] | None = None) -> Operations:
    """Count the operations on which the wanted results of a program depend; all results, unless told.

    Raises:
        ValueError: for a loop whose number of rounds depends on data.

    >>> import jax, jax.numpy as jnp
    >>> program = jax.make_jaxpr(lambda a, b: (jnp.tanh(a @ b), a + 1.0))(jnp.ones((2, 3)), jnp.ones((3, 5)))
    >>> print(operations(program), operations(program, [True, False]).elementwise)
    Operations(products=60, elementwise=16) 10

    """
    (jaxpr,) = _programs([program])
    wanted = [True] * len(jaxpr.outvars) if wanted is None else wanted
    live = {v for v, want in zip(jaxpr.outvars, wanted, strict=True) if want and not is_literal(v)}
    total = Operations()
    for equation in reversed(jaxpr.eqns):
        needed = [v in live for v in equation.outvars]
        if any(needed):
            live |= {v for v in equation.invars if not is_literal(v)}
            total += _of_one(equation, needed)
    return total


def _of_one(equation: Any, needed: Sequence[bool]) -> Operations:
    name, parameters = equation.primitive.name, equation.params
    result = equation.outvars[0].aval
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        terms = math.prod(equation.invars[0].aval.shape[i] for i in contracted)
        return Operations(result.size * (2 * terms if terms > 1 else terms))
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        return Operations(2 * result.size * kernel.size // kernel.shape[parameters["dimension_numbers"].rhs_spec[0]])
    if name == "scatter-add":
        return Operations(0, equation.invars[2].aval.size)
    if name.startswith("reduce_window"):
        return Operations(0, result.size * math.prod(parameters["window_dimensions"]))
    if name == "scan":
        return operations(parameters["jaxpr"]) * parameters["length"]
    if name == "while":
        raise_error(
            "a loop must run a fixed number of times for its cost to be counted",
            "got a while loop whose end depends on data",
            "jax.lax.scan, or fori_loop with bounds that are Python numbers",
        )
    if name == "cond":
        return max((operations(branch, needed) for branch in parameters["branches"]), key=lambda found: found.total)
    inner = _programs(parameters.values())
    if inner:
        same = len(inner[0].outvars) == len(needed)
        return operations(inner[0], needed if same else None)
    if name in _MOVES:
        return Operations()
    return Operations(0, equation.invars[0].aval.size if name.startswith(_REDUCES) else result.size)


def dependencies(program: Any) -> list[frozenset[int]]:
    """Return, for each result of a program, the positions of the arguments that it depends on.

    >>> import jax
    >>> dependencies(jax.make_jaxpr(lambda a, b, c: (a + c, b))(1.0, 2.0, 3.0))
    [frozenset({0, 2}), frozenset({1})]
    """
    (jaxpr,) = _programs([program])
    known: dict[Any, frozenset[int]] = {v: frozenset([i]) for i, v in enumerate(jaxpr.invars)}

    def of(atom: Any) -> frozenset[int]:
        return frozenset() if is_literal(atom) else known.get(atom, frozenset())

    for equation in jaxpr.eqns:
        every = frozenset[int]().union(*map(of, equation.invars))
        inner = equation.params.get("jaxpr")
        single = equation.primitive.name in ("jit", "pjit") and inner is not None
        through = dependencies(inner) if single else [None] * len(equation.outvars)
        for v, positions in zip(equation.outvars, through, strict=True):
            known[v] = (
                every if positions is None else frozenset[int]().union(*(of(equation.invars[i]) for i in positions))
            )
    return [of(atom) for atom in jaxpr.outvars]

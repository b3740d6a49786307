r"""The compiled programs of a check: few, each compiled once, each called as often as needed.

    values    y at many points                         jit of vmap of forward
    complex   y at many complex points                 jit of vmap of the complexified forward
    reference wᵀ J for all cotangents, and J v         jit of jax.vjp and jax.jvp of forward
    hand      the rule's backward for all cotangents   jit of forward and backward
    lanes     the same at many points                  jit of vmap
    curvature d/dt of the hand-written gradient at x + t v      jit of jax.jvp of backward

Constants (targets, keys) are arguments, not part of the programs. A rule that cannot be traced is run eagerly, point by
point, and the witnesses that need a trace say so.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.checking.form import Subject, first_line
from funcnet.checking.layout import Layout, cast_tree, layout_of, wide
from funcnet.checking.primitives import (
    NotApplicable,
    complexified,
    narrowest,
    primitives_of,
    quickly,
    randomly_rounded,
    without_custom_vjp,
)

COTANGENTS = 3  # random ones
MASKED = 3  # made of the first, for the diagnosis: the first sample alone, all but the last, ones
_BUDGET = 1 << 22  # numbers in flight in one batch of points


class Programs:
    """The programs of one subject at one structure of arguments."""

    def __init__(self, subject: Subject, dtype: Any = np.float64, quick: bool = False) -> None:
        # Compiled programs share this trace of the rule's own Python.
        self._pull = jax.jit(self.pull)
        # Who judges many mutants wants the rule compiled as quickly as the witnesses, not as a user would have it.
        self._hand = quickly(self._pull) if quick else self._pull
        self.subject, self.dtype = subject, np.dtype(dtype)
        self.layout = layout_of(subject.point)
        self.x = self.layout.flatten(cast_tree(subject.point, dtype))
        leaves, self._constants_tree = jax.tree.flatten(cast_tree(subject.constants, dtype))
        # What is no array (an axis, a mode) is part of the program; arrays are its arguments.
        self._static = [None if hasattr(leaf, "dtype") else leaf for leaf in leaves]
        self.constants = [leaf for leaf in leaves if hasattr(leaf, "dtype")]
        self._ahead: dict[str, Future[Any]] = {}
        self.untraceable: str | None = None
        self._traced: Any = None
        y = self._trace()
        self.y_layout: Layout = layout_of(y)
        self.y_dtypes = [np.dtype(leaf.dtype) for leaf in jax.tree.leaves(y)]
        self.y_size = self.y_layout.size

    def _trace(self) -> Any:
        """Trace the forward once, for all programs; run it where it cannot be traced. Return y, or its shapes."""
        shapes: list[Any] = []

        def run(vector: Any, constants: Any) -> Any:
            y = jax.tree.map(jnp.asarray, self.forward(self.layout.unflatten(vector), constants)[0])
            shapes.append(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), y))
            return jnp.zeros(0) if not jax.tree.leaves(y) else layout_of(y).flatten_traced(y)

        with wide():
            try:
                self._traced = jax.make_jaxpr(run)(self.x, self.constants)
            except Exception as error:  # whatever a stranger's function raises on tracers
                self.untraceable = first_line(error)
                y = self.forward(self.arrays(cast_tree(self.subject.point, self.dtype)), self.constants)[0]
                return jax.tree.map(np.asarray, y)
        return shapes[0]

    def compile_ahead(self, pool: Executor) -> None:
        """Compile the witnesses in the background, by calling them once, while the rule is being run eagerly.

        They run the traced forward, so that no Python of the rule runs in two threads.
        """
        if self.untraceable:
            return
        x, none = self.x, np.zeros((self.directions, self.x.size))
        w = np.ones((COTANGENTS + MASKED, self.y_size))
        self._ahead = {
            "values": pool.submit(lambda: self._batched(self._values, x[None])),
            "reference": pool.submit(self._differentiate, x, w, none, self.constants),
            "complex": pool.submit(lambda: self._batched(self._complex, x[None] + 0j)),
        }

    def _await(self, name: str) -> None:
        """Wait for a program that is being compiled; what went wrong there will go wrong again, where it is handled."""
        if name in self._ahead:
            self._ahead.pop(name).exception()

    @property
    def directions(self) -> int:
        """Return how many directions are taken: one through all inputs, one through each of the first eight."""
        return min(len(self.layout.shapes), 8) + 1

    def forward(self, point: Any, constants: Any) -> Any:
        """Run the subject's forward with the arrays among its constants given."""
        given = iter(constants)
        leaves = [next(given) if leaf is None else leaf for leaf in self._static]
        return self.subject.forward(point, jax.tree.unflatten(self._constants_tree, leaves))

    def value(self, vector: Any, constants: Any) -> Any:
        """Return y, as a vector, of a point, as a vector, by the traced program."""
        return jax.core.eval_jaxpr(self._traced.jaxpr, self._traced.consts, vector, *jax.tree.leaves(constants))[0]

    def cotangent(self, w: Any) -> Any:
        """Return a cotangent, given as a vector, in the tree and dtypes of y."""
        leaves = jax.tree.leaves(self.y_layout.unflatten(w))
        leaves = [leaf.astype(dtype) for leaf, dtype in zip(leaves, self.y_dtypes, strict=True)]
        return jax.tree.unflatten(self.y_layout.treedef, leaves)

    def pull(self, vector: Any, saving: Any, constants: Any, w: Any) -> Any:
        """Return the hand-written gradient at `vector`, with what forward saved at `saving`."""
        point = self.layout.unflatten(vector)
        _, saved = self.forward(self.layout.unflatten(saving), constants)
        return self.layout.flatten_traced(self.subject.moving(self.subject.backward(point, saved, self.cotangent(w))))

    @cached_property
    def inner_dtype(self) -> Any:
        """Return the least precise dtype through which the values pass, by reading the traced program."""
        if self.untraceable:
            return min((self.dtype, *self.y_dtypes), key=lambda d: jnp.finfo(d).bits)
        jaxpr = self._traced.jaxpr
        try:
            found = narrowest(jaxpr, [i == 0 for i, _ in enumerate(jaxpr.invars)])
        except NotApplicable:
            found = None
        return self.dtype if found is None else max((found, self.dtype), key=lambda d: float(jnp.finfo(d).eps))

    @property
    def epsilon(self) -> float:
        """Return the unit roundoff with which the rule computes."""
        return float(jnp.finfo(self.inner_dtype).eps)

    def values(self, points: np.ndarray) -> np.ndarray:
        """Return y at each row of `points`."""
        if self.untraceable:
            return np.stack([self._eager_value(point) for point in points])
        self._await("values")
        return self._batched(self._values, points)

    def complex_values(self, points: np.ndarray) -> np.ndarray:
        """Return y at each row of complex `points`, or raise NotApplicable."""
        if self.untraceable:
            raise NotApplicable("forward cannot be traced")
        self._await("complex")
        return self._batched(self._complex, points)

    def reference(
        self, vector: np.ndarray, w: np.ndarray, directions: np.ndarray, constants: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return wᵀ J for each cotangent and J v for each direction by automatic differentiation, or raise."""
        self._await("reference")
        return self._differentiate(vector, w, directions, self.constants if constants is None else constants)

    def _differentiate(self, vector: Any, w: Any, directions: Any, constants: Any) -> tuple[np.ndarray, np.ndarray]:
        with wide():
            rows, columns = self._reference(vector, constants, w, directions)
            return np.asarray(rows, np.float64), np.asarray(columns, np.float64)

    def noise(self, w: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return how far y, and the gradients for cotangents w, hand-written and automatic, move with the rounding."""

        def automatic(vector: Any, constants: Any, one: Any) -> Any:
            _, back = jax.vjp(lambda v: self._differentiable(v, constants), vector)
            return back(one.astype(self.dtype))[0]

        def by_hand(vector: Any, constants: Any, one: Any) -> Any:
            return self._pull(vector, vector, constants, one)

        def moves(closed: Any, arguments: list[Any]) -> np.ndarray:
            return np.nan_to_num(np.ptp(randomly_rounded(closed, arguments, rng, 6), axis=0), posinf=0.0)

        found = np.zeros((len(w), self.x.size))
        with wide():
            for gradient in (automatic, by_hand):
                with contextlib.suppress(Exception):  # what cannot be traced has no noise that could be known
                    closed = jax.make_jaxpr(gradient)(self.x, self.constants, w[0])
                    found = np.maximum(found, moves(closed, [(self.x, self.constants, one) for one in w]))
            return moves(self._traced, [(self.x, self.constants)])[0], found

    def hand(self, vector: np.ndarray, w: np.ndarray, saving: np.ndarray | None = None) -> np.ndarray:
        """Return the hand-written gradient for each cotangent, compiled."""
        with wide():
            found = [self._hand(vector, vector if saving is None else saving, self.constants, one) for one in w]
            return np.stack([np.asarray(one, np.float64) for one in found])

    def pulled(self, vector: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the hand-written gradient for each cotangent, run eagerly."""
        with wide():
            point = self.arrays(self.layout.unflatten(vector))
            _, saved = self.forward(point, self.constants)
            pulled = [self.subject.backward(point, saved, self.arrays(self.cotangent(row))) for row in w]
            return np.stack([self.layout.flatten(self.subject.moving(one)) for one in pulled]).astype(np.float64)

    def hand_lanes(self, points: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the hand-written gradient at each row of `points` for one cotangent, compiled and vmapped."""
        with wide():
            return np.asarray(self._lanes(points, self.constants, w), np.float64)

    def curvature(self, vector: np.ndarray, w: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the derivative of the hand-written gradient along each direction, by forward mode, compiled."""
        with wide():
            return np.asarray(self._curvature(vector, self.constants, w, directions), np.float64)

    def arrays(self, tree: Any) -> Any:
        """Give JAX's functions JAX's arrays, and NumPy's functions copies of NumPy's that cannot be written to."""
        return jax.tree.map(_guarded if self.untraceable else jnp.asarray, tree)

    def _eager_value(self, vector: np.ndarray) -> np.ndarray:
        with wide():
            y, _ = self.forward(self.arrays(self.layout.unflatten(vector)), self.constants)
            return self.y_layout.flatten(y).astype(np.float64)

    @property
    def lanes(self) -> int:
        """Return how many points are taken at once."""
        return int(np.clip(_BUDGET // max(self.layout.size, self.y_size), 4, 256))

    def _batched(self, program: Any, points: np.ndarray) -> np.ndarray:
        lanes, found = self.lanes, []
        with wide():
            for start in range(0, len(points), lanes):
                chunk = points[start : start + lanes]
                # The last chunk is filled up, so that one compiled program serves all of them.
                full = np.concatenate([chunk, np.repeat(chunk[-1:], lanes - len(chunk), axis=0)])
                found.append(np.asarray(program(full, self.constants))[: len(chunk)])
        return np.concatenate(found)

    @cached_property
    def _values(self) -> Callable[..., Any]:
        return self._vmapped(lambda v, c: self.value(v, c).astype(jnp.float64))

    @cached_property
    def _complex(self) -> Callable[..., Any]:
        with wide():
            return self._vmapped(complexified(self._traced), np.complex128)

    def _vmapped(self, function: Callable[..., Any], dtype: Any = None) -> Callable[..., Any]:
        """Return jit(vmap(function)), or jit(map(function)) where a primitive has no batching rule, or a slow one."""
        slow = quickly(lambda points, constants: jax.lax.map(lambda v: function(v, constants), points))
        # Convolutions with kernels of their own become one of as many groups, which is slow on a CPU.
        if "conv_general_dilated" in primitives_of(self._traced.jaxpr):
            return slow
        fast = quickly(jax.vmap(function, in_axes=(0, None)))
        try:
            with wide():
                fast.trace(jax.ShapeDtypeStruct((self.lanes, self.layout.size), dtype or self.dtype), self.constants)
        except Exception:  # a stranger's primitive may fail in any way
            return slow
        return fast

    @cached_property
    def _differentiable(self) -> Callable[..., Any]:
        return without_custom_vjp(self._traced) if self.subject.opaque else self.value

    @cached_property
    def _reference(self) -> Callable[..., Any]:
        def run(vector: Any, constants: Any, w: Any, directions: Any) -> Any:
            def function(v: Any) -> Any:
                return self._differentiable(v, constants)

            y, forth = jax.linearize(function, vector)
            back = jax.linear_transpose(forth, vector)
            return jax.vmap(lambda one: back(one.astype(y.dtype))[0])(w), jax.vmap(forth)(directions)

        return quickly(run)

    @cached_property
    def _lanes(self) -> Callable[..., Any]:
        return quickly(jax.vmap(lambda v, c, w: self._pull(v, v, c, w), in_axes=(0, None, None)))

    @cached_property
    def _curvature(self) -> Callable[..., Any]:
        def run(vector: Any, constants: Any, w: Any, directions: Any) -> Any:
            def gradient(x: Any) -> Any:
                return self._pull(x, x, constants, w)

            if self.subject.opaque:  # a custom derivative has reverse mode alone; the Hessian is symmetric
                return jax.vmap(lambda v: jax.vjp(gradient, vector)[1](v)[0])(directions)
            return jax.vmap(lambda v: jax.jvp(gradient, (vector,), (v,))[1])(directions)

        return quickly(run)


def _guarded(leaf: Any) -> np.ndarray:
    copy = np.array(leaf)
    copy.flags.writeable = False
    return copy

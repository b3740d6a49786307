r"""Coordinate descent: one coordinate, or one block of them, at a time.

Recurrence    j = the block whose turn it is
              θⱼ ← θⱼ − ηⱼ gⱼ                        without a proximal regularizer
              θⱼ ← prox(θⱼ − ηⱼ gⱼ, ηⱼ)               with one
              all other coordinates stay as they are, bit for bit

Order         "cyclic": one block after the other
              "random": drawn evenly, with replacement, from `seed` and the number of updates
              "greedy": the block that a step with the rate η would move farthest. Without a proximal regularizer that
              is the one with the largest |gⱼ|, the rule of Gauss and Southwell. With one, |gⱼ| itself would be wrong:
              at a solution an active coordinate keeps |gⱼ| = λ, and would be chosen for ever.

Block         a number of consecutive coordinates, counted through the leaves in the order of the tree, or "leaf": each
              array of the tree is one block

Step          "fixed": ηⱼ = η
              "secant": ηⱼ = min(1/Lⱼ, largest · η), Lⱼ being the curvature along coordinate j. Between two updates only
              one coordinate j moves, so Lⱼ = Δgⱼ/Δθⱼ without any further evaluation. On a quadratic objective over the
              whole set this is the second derivative itself: from its second visit on each coordinate is minimised
              exactly, and with L1 by the exact soft threshold. Until a coordinate has been visited, and where the
              curvature is not positive, ηⱼ = η. Differences lost to rounding are not used. On mini-batches Δg is mostly
              noise: use "fixed".

An update costs a gradient of the whole network: the method is precise, and slow; see `funcnet.linear` for the models in
which a coordinate's step costs O(samples).

State         step and turn int32 (); with step="secant" the curvature, last parameters and last gradient, like the
              parameters
Source        Article A3.3; Tseng 2001 (separable penalties); Nesterov 2012 (random); Nutini et al. 2015 (the rule GS-r
              for greedy proximal steps); Wright 2015.
"""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnet.cases import Case
from funcnet.errors import raise_error, whole_number
from funcnet.keys import from_seed
from funcnet.optimizers.base import (
    Optimizer,
    checked,
    later,
    narrow,
    no_steps,
    ratio,
    rounded,
    squarable,
    zeros,
)
from funcnet.records import Number, choice, integer, number, record
from funcnet.schedules.base import as_schedule
from funcnet.trees import widen


class CoordinateDescentState(NamedTuple):
    """The number of updates made, and with step="secant" what the curvature is estimated from."""

    step: jax.Array  # int32 ()
    turn: jax.Array  # int32 (), the same, but it goes on where the step stops, through the negative numbers
    curvature: Any  # like the parameters, at least float32; 0 where unknown. None if fixed
    last_params: Any  # the same
    last_gradient: Any  # the same


@record
class CoordinateDescent(Optimizer):
    r"""Move one coordinate, or one block, an update.

    Args:
        learning_rate: how far a step goes, a number or a schedule; at most 1/curvature of a coordinate.
        order: which block comes next: "cyclic", "random" or "greedy".
        block: how many coordinates move at once, or "leaf" for an array at a time.
        step: "fixed" for the rate itself, "secant" for 1/curvature as measured; the latter needs blocks of 1.
        seed: of the random order.
        largest: how many times the rate a measured step may be at most.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> optimizer = fn.CoordinateDescent(0.1, order="greedy")
    >>> params = jnp.asarray([0.0, 0.0, 0.0])
    >>> print(optimizer.update(jnp.asarray([1.0, -3.0, 2.0]), optimizer.init(params), params)[0])
    [0.  0.3 0. ]

    """

    learning_rate: Any = number(at_least=0, schedule=as_schedule)
    order: str = choice(default="cyclic", options=("cyclic", "random", "greedy"))
    block: int | str = choice(default=1)
    step: str = choice(default="fixed", options=("fixed", "secant"))
    seed: Any = integer(default=0)
    largest: Number = number(default=100.0, above=0)

    def __post_init__(self) -> None:
        if self.block != "leaf":
            whole_number(self.block, 'CoordinateDescent.block (unless "leaf")', 1)
        if self.step == "secant" and self.block != 1:
            raise_error(
                'step="secant" measures one coordinate at a time',
                f"got block={self.block!r}",
                'block=1, or step="fixed"',
            )

    @property
    def orientation_free(self) -> bool:
        """Return False: coordinates are numbered through the leaves as they lie."""
        return False

    def init(self, params: Any) -> CoordinateDescentState:
        """Return step 0 and no curvature known."""
        if self.step == "fixed":
            return CoordinateDescentState(no_steps(), no_steps(), None, None, None)
        return CoordinateDescentState(no_steps(), no_steps(), zeros(params), widen(params), zeros(params))

    def direction(
        self, gradient: Any, rate: jax.Array, state: CoordinateDescentState, params: Any
    ) -> tuple[Any, CoordinateDescentState]:
        """Return −ηⱼ gⱼ on one block and 0 elsewhere."""
        state = self._observe(gradient, state, params)
        mask = self._mask(gradient, state)
        step = self._step(mask, gradient, rate, state)
        updates = jax.tree.map(lambda on, g: jnp.where(on, -step.astype(g.dtype) * g, 0), mask, gradient)
        return updates, state._replace(turn=state.turn + 1)

    def proximal_update(
        self, regularizer: Any, gradient: Any, state: CoordinateDescentState, params: Any
    ) -> tuple[Any, CoordinateDescentState]:
        """Return the parameters with one block moved to its proximal point."""
        gradient = squarable(checked(gradient, params))
        rate = rounded(self.rate(state), gradient)
        state = self._observe(gradient, state, params)

        def moved(step: jax.Array) -> Any:
            ahead = jax.tree.map(lambda w, g: w - step.astype(g.dtype) * g, widen(params), gradient)
            return regularizer.prox(ahead, step)

        reach = gradient
        if self.order == "greedy":
            reach = jax.tree.map(jnp.subtract, moved(rate), widen(params))
        mask = self._mask(reach, state)
        new = narrow(moved(self._step(mask, gradient, rate, state)), params)
        after = state._replace(step=later(state.step), turn=state.turn + 1)
        return jax.tree.map(jnp.where, mask, new, params), after

    def _observe(self, gradient: Any, state: CoordinateDescentState, params: Any) -> CoordinateDescentState:
        """Return the state with the curvature that the last step showed."""
        if self.step == "fixed":
            return state
        if params is None:
            raise_error('step="secant" needs the parameters', "got None", "update(gradient, state, params)")

        def one(old: jax.Array, w: jax.Array, last_w: jax.Array, g: jax.Array, last_g: jax.Array) -> jax.Array:
            digits = math.sqrt(jnp.finfo(w.dtype).eps)
            seen = (jnp.abs(w - last_w) > digits * jnp.abs(w)) & (jnp.abs(g - last_g) > digits * jnp.abs(last_g))
            return jnp.where(seen, jnp.maximum(ratio(g - last_g, w - last_w), 0), old)

        wide = widen(params)
        curvature = jax.tree.map(one, state.curvature, wide, state.last_params, gradient, state.last_gradient)
        return state._replace(curvature=curvature, last_params=wide, last_gradient=gradient)

    def _step(self, mask: Any, gradient: Any, rate: jax.Array, state: CoordinateDescentState) -> jax.Array:
        """Return the step of the chosen block."""
        if self.step == "fixed":
            return rate
        known = [
            jnp.sum(jnp.where(on, c, 0)).astype(rate.dtype)
            for on, c in zip(*map(jax.tree.leaves, (mask, state.curvature)), strict=True)
        ]
        curvature = sum(known[1:], known[0]) if known else jnp.zeros_like(rate)
        exact = jnp.minimum(ratio(jnp.ones_like(curvature), curvature), rounded(self.largest, gradient) * rate)
        return jnp.where(curvature > 0, exact, rate)

    def _mask(self, reach: Any, state: CoordinateDescentState) -> Any:
        """Return a tree of truth values: which coordinates belong to the block whose turn it is."""
        leaves, tree = jax.tree.leaves(reach), jax.tree.structure(reach)
        sizes = [leaf.size for leaf in leaves]
        count = len(leaves) if self.block == "leaf" else -(-sum(sizes) // int(self.block))
        if count == 0:
            return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool), reach)
        if self.order == "cyclic":
            chosen = jax.lax.rem(state.turn.astype(jnp.uint32), jnp.uint32(count)).astype(jnp.int32)
        elif self.order == "random":
            key = jax.random.fold_in(from_seed(jnp.asarray(self.seed, jnp.int32)), state.turn)
            chosen = jax.random.randint(key, (), 0, count, jnp.int32)
        else:
            chosen = jnp.argmax(self._reach_of_blocks(leaves)).astype(jnp.int32)
        if self.block == "leaf":
            return jax.tree.unflatten(
                tree, [jnp.full(leaf.shape, chosen == index) for index, leaf in enumerate(leaves)]
            )
        starts = itertools.accumulate(sizes[:-1], initial=0)
        numbers = [
            (start + jnp.arange(leaf.size, dtype=jnp.int32)) // int(self.block)
            for start, leaf in zip(starts, leaves, strict=True)
        ]
        return jax.tree.unflatten(tree, [(n == chosen).reshape(a.shape) for n, a in zip(numbers, leaves, strict=True)])

    def _reach_of_blocks(self, leaves: list[jax.Array]) -> jax.Array:
        """Return the squared length of each block, or the absolute value of each coordinate."""
        if self.block == "leaf":
            return jnp.stack([jnp.sum(jnp.square(leaf)).astype(leaves[0].dtype) for leaf in leaves])
        flat = jnp.concatenate([jnp.ravel(leaf).astype(leaves[0].dtype) for leaf in leaves])
        if self.block == 1:
            return jnp.abs(flat)
        flat = jnp.pad(flat, (0, -flat.size % int(self.block)))
        return jnp.sum(jnp.square(flat.reshape(-1, int(self.block))), axis=1)


_W, _G = [1.0, 2.0, 3.0], [1.0, -4.0, 2.0]
CASES = (
    Case("ordinary", CoordinateDescent(0.5), (_W, (_G, _G)), [0.5, 4.0, 3.0], source="the first, then the second"),
    Case("known", CoordinateDescent(0.5), (_W, (_G, _G, _G, _G)), [0.0, 4.0, 2.0], source="and round again"),
    Case(
        "known",
        CoordinateDescent(0.5, "greedy"),
        (_W, (_G, _G)),
        [1.0, 6.0, 3.0],
        source="the second has the largest slope",
    ),
    Case(
        "known", CoordinateDescent(0.5, block=2), (_W, (_G, _G)), [0.5, 4.0, 2.0], source="the first two, then the last"
    ),
    Case(
        "known",
        CoordinateDescent(0.5, "greedy", "leaf"),
        ({"a": _W, "b": [5.0]}, ({"a": [1.0, 1.0, 1.0], "b": [1.5]},)),
        {"a": [0.5, 1.5, 2.5], "b": [5.0]},
        source="√3 > 1.5",
    ),
    Case(
        "known",
        CoordinateDescent(0.5, step="secant"),
        ([4.0], ([8.0], [0.0])),
        [0.0],
        source="ΔG/Δθ = 8/4: at the minimum of θ²",
    ),
    Case(
        "known",
        CoordinateDescent(0.125, step="secant"),
        ([4.0], ([8.0], [6.0])),
        [0.0],
        source="3 − 6/2, curvature (6 − 8)/(3 − 4)",
    ),
    Case(
        "ordinary",
        CoordinateDescent(0.5, "random", 2, seed=3),
        (_W, (_G, _G)),
        [0.5, 4.0, 2.0],
        source="this seed draws the first two, then the last",
    ),
    Case(
        "extreme",
        CoordinateDescent(0.1, "greedy", 2),
        ([1.0, 2.0], ([0.0, 0.0],)),
        [1.0, 2.0],
        source="no gradient, no step",
    ),
)

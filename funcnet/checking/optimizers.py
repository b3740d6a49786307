r"""What checking an optimizer means.

It has no gradient, and that its update is the recurrence of its paper cannot be seen from outside: known parameters
after given gradients, or recorded trajectories, say it. What holds for all optimizers is checked on the protocol alone:

    tree         updates have the tree, shapes and dtypes of the parameters; the state keeps its own from step to step
    purity       gradient, state and parameters are as they were; two calls with equal arguments give equal bits
    finite       zero, tiny (1e-30) and huge (1e15) gradients give finite updates; none is NaN
    descent      the first updates from the first state do not go up the gradient, nor ignore it
    jit          the compiled update is the eager one to rounding, over several steps
    retrace      other gradients and states do not trace again
    known        parameters after given gradients, worked by hand, where they are given

Without known parameters a lost factor 2 goes unseen, and the report says so.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.checking.comparison import Testimony
from funcnet.checking.contract import Breach
from funcnet.checking.form import first_line
from funcnet.checking.layout import cast_tree, wide

SCOPE = "protocol only: the recurrence is judged by known=, the parameters after given gradients, or by trajectories"


def example_parameters(dtype: Any = np.float32) -> dict[str, Any]:
    """Return parameters to try an optimizer on: a kernel, a bias and a scalar."""
    return {
        "kernel": np.linspace(-1.0, 1.2, 6).reshape(2, 3).astype(dtype),
        "bias": np.asarray([0.1, -0.2, 0.3], dtype),
        "scale": np.asarray(0.7, dtype),
    }


def check_optimizer(
    rule: Any, params: Any, gradients: Any = None, known: Any = None, seed: int = 0, brief: bool = False
) -> tuple[tuple[Breach, ...], tuple[Testimony, ...]]:
    """Check known parameters and the protocol; `brief` stops at the first broken promise."""
    params = jax.tree.map(jnp.asarray, params)
    rng = np.random.default_rng([seed, 41])
    drawn = [_draw(rng, params) for _ in range(4)]
    breaches: list[Breach] = []
    testimonies: list[Testimony] = []
    steps: list[tuple[str, Callable[..., str | None], str]] = [
        ("tree", _tree, "updates and states keep their structure, shapes and dtypes"),
        ("descent", _descent, "the first updates go down the gradient"),
        ("finite", _finite, "at gradients of size 0, 1e-30 and 1e15"),
        ("purity", _purity, "equal arguments give equal bits, and stay as they are"),
        ("jit and retrace", _compiled, "one trace for four updates"),
    ]
    if known is not None:
        steps.insert(
            0,
            (
                "known parameters",
                lambda rule, params, _: _known(rule, params, gradients, known),
                f"after {len(gradients)} gradients",
            ),
        )
    for name, step, words in steps:
        try:
            problem = step(rule, params, drawn)
        except Exception as error:  # whatever a stranger's optimizer raises
            problem = f"init or update raised {first_line(error)}"
        if problem is None:
            testimonies.append(Testimony(name, "abstains", "the updates are 0 whatever the gradient"))
            continue
        if problem:
            breaches.append(Breach(name, problem))
        testimonies.append(Testimony(name, "objects" if problem else "agrees", problem or words))
        if problem and brief:
            break
    return tuple(breaches), tuple(testimonies)


def _known(rule: Any, params: Any, gradients: Any, known: Any) -> str:
    with wide():
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), cast_tree(params, np.float64))
        state = rule.init(params)
        for gradient in gradients:
            updates, state = rule.update(jax.tree.map(jnp.asarray, cast_tree(gradient, np.float64)), state, params)
            params = jax.tree.map(jnp.add, params, updates)
        for (path, found), wanted in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(known), strict=True
        ):
            if not np.allclose(np.asarray(found), np.asarray(wanted), rtol=1e-7, atol=1e-9):
                where = f"after {len(gradients)} gradients parameters{jax.tree_util.keystr(path)}"
                return f"{where} are {np.asarray(found)} where {np.asarray(wanted)} is known"
    return ""


def _draw(rng: np.random.Generator, params: Any) -> Any:
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), params)


def _signature(tree: Any) -> Any:
    return jax.tree.structure(tree), [(np.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)]


def _tree(rule: Any, params: Any, gradients: list[Any]) -> str:
    state = rule.init(params)
    for gradient in gradients:
        updates, new = rule.update(gradient, state, params)
        if _signature(updates) != _signature(params):
            return _difference("updates", "parameters", updates, params)
        if _signature(new) != _signature(state):
            return _difference("the new state", "the old one", new, state)
        state = new
    return ""


def _difference(first: str, second: str, a: Any, b: Any) -> str:
    here = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(a)}
    there = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(b)}
    for path in [*there, *here]:
        if path not in here:
            return f"{first} forget {path}" if first == "updates" else f"{first} forgets {path}"
        if path not in there:
            return f"{first} has {path}, which {second} have not"
        if np.shape(here[path]) != np.shape(there[path]) or jnp.result_type(here[path]) != jnp.result_type(there[path]):
            mine, theirs = here[path], there[path]
            return f"{path} is {_form(mine)} in {first} and {_form(theirs)} in {second}"
    return f"{first} and {second} differ in structure"


def _form(leaf: Any) -> str:
    return f"{jnp.result_type(leaf)}{list(np.shape(leaf))}"


def _numbers(tree: Any) -> list[np.ndarray]:
    return [np.array(leaf) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]


def _equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b, strict=True)
    )


def _purity(rule: Any, params: Any, gradients: list[Any]) -> str:
    # NumPy arrays can be changed in place, so a rule that does is caught in the act.
    params, gradient = jax.tree.map(np.array, params), jax.tree.map(np.array, gradients[0])
    state = jax.tree.map(lambda leaf: np.array(leaf) if hasattr(leaf, "dtype") else leaf, rule.init(params))
    before = _numbers((gradient, state, params))
    first = _numbers(rule.update(gradient, state, params))
    if not _equal(before, _numbers((gradient, state, params))):
        return "update changes its arguments in place"
    # Another call comes between, so that what is remembered outside the state shows.
    rule.update(jax.tree.map(np.array, gradients[1]), state, params)
    if not _equal(first, _numbers(rule.update(gradient, state, params))):
        return "two calls of update with equal arguments differ: something outside the state is remembered or drawn"
    return ""


def _finite(rule: Any, params: Any, gradients: list[Any]) -> str:
    for size in (0.0, 1e-30, 1e15):
        state = rule.init(params)
        for gradient in gradients:
            scaled = jax.tree.map(lambda g, size=size: (g * size).astype(g.dtype), gradient)
            updates, state = rule.update(scaled, state, params)
            for path, leaf in jax.tree_util.tree_leaves_with_path(updates):
                if not np.all(np.isfinite(np.asarray(leaf, np.float64))):
                    return f"gradients of size {size:g} give a non-finite update at {jax.tree_util.keystr(path)}"
    return ""


def _descent(rule: Any, params: Any, gradients: list[Any]) -> str | None:
    # Weight decay moves parameters without any gradient; what the gradient itself adds must go down. Wrappers may
    # hold back a few gradients before they move, so four steps with the same one are taken.
    moves = []
    for gradient in (gradients[0], jax.tree.map(jnp.zeros_like, params)):
        state, total = rule.init(params), jax.tree.map(lambda p: np.zeros(np.shape(p)), params)
        for _ in gradients:
            updates, state = rule.update(gradient, state, params)
            total = jax.tree.map(lambda t, u: t + np.asarray(u, np.float64), total, updates)
        moves.append(total)
    slope = sum(
        float(np.vdot(np.asarray(g, np.float64), moved - still))
        for g, moved, still in zip(*map(jax.tree.leaves, (gradients[0], *moves)), strict=True)
    )
    if slope > 0:
        return f"the first updates go up the gradient: ⟨gradient, updates⟩ = {slope:.3g}"
    return None if slope == 0 else ""


def _compiled(rule: Any, params: Any, gradients: list[Any]) -> str:
    traces = 0

    def update(rule: Any, gradient: Any, state: Any, params: Any) -> Any:
        nonlocal traces
        traces += 1
        return rule.update(gradient, state, params)

    leaves, structure = jax.tree.flatten(rule)
    is_pytree = not (len(leaves) == 1 and leaves[0] is rule)
    numbers = [jnp.asarray(leaf, jnp.result_type(float)) for leaf in leaves] if is_pytree else []

    @jax.jit
    def run(numbers: Any, gradient: Any, state: Any, params: Any) -> Any:
        own = jax.tree.unflatten(structure, numbers) if is_pytree else rule
        return update(own, gradient, state, params)

    state = other = rule.init(params)
    for gradient in gradients:
        expected, state = rule.update(gradient, state, params)
        found, other = run(numbers, gradient, other, params)
        for path, leaf in jax.tree_util.tree_leaves_with_path(found):
            wanted = np.asarray(dict(_by_path(expected))[jax.tree_util.keystr(path)], np.float64)
            if not np.allclose(np.asarray(leaf, np.float64), wanted, rtol=2e-5, atol=1e-12):
                return f"the compiled update differs from the eager one at {jax.tree_util.keystr(path)}"
    if traces != 1:
        return f"{len(gradients)} updates traced {traces} times: the form of the state changes from step to step"
    return ""


def _by_path(tree: Any) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]

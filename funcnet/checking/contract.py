r"""The contract of a rule, before any number is judged: trees, shapes, dtypes, finiteness, purity, determinism.

Everything here is run eagerly and named in words, so that nobody has to read a stack trace from inside JAX to learn
that a backward forgot the bias.
"""

import contextlib
import copy
from concurrent.futures import Executor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnet.checking.form import Subject, first_line, follows_data, leaves_by_path
from funcnet.checking.layout import Layout, cast_tree, layout_of, leaf_path, wide
from funcnet.checking.programs import Programs
from funcnet.protocols import Layer


class Breach(NamedTuple):
    """One broken promise, in words."""

    promise: str
    words: str


def check_forward(subject: Subject, pool: Executor) -> tuple[Programs | None, list[Breach]]:
    """Run the forward; return its programs, which are compiled in the pool meanwhile, or why there are none.

    A rule that refuses 64-bit arrays is checked in the dtype of its example arguments.
    """
    own = max((np.asarray(leaf).dtype for leaf in jax.tree.leaves(subject.point)), key=lambda d: jnp.finfo(d).bits)
    failures = []
    for dtype in (np.dtype(np.float64), np.dtype(own)):
        try:
            programs = Programs(subject, dtype)
            programs.compile_ahead(pool)
            return programs, _check_value(programs)
        except Exception as error:  # whatever a stranger's forward raises
            failures.append(first_line(error))
    if "read-only" in failures[0]:
        return None, [Breach("forward is pure", f"forward changes its arguments in place ({failures[0]})")]
    return None, [Breach("forward runs", f"forward raised {failures[0]}")]


def _check_value(programs: Programs) -> list[Breach]:
    subject = programs.subject
    breaches: list[Breach] = []
    if not programs.y_size:
        return [Breach("forward gives numbers", "forward returned no numbers")]
    with wide():
        # Twice, without compiling, as a user would call it: checks at the door see numbers only here.
        once, again = (
            programs.y_layout.flatten(
                programs.forward(programs.arrays(cast_tree(subject.point, programs.dtype)), programs.constants)[0]
            ).astype(np.float64)
            for _ in range(2)
        )
    for path, dtype in zip(programs.y_layout.paths, programs.y_dtypes, strict=True):
        if not jnp.issubdtype(dtype, jnp.floating):
            breaches.append(
                Breach("forward gives real numbers", f"forward returned {dtype} at {path}, which has no derivative")
            )
    if np.any(np.isnan(once)):
        at = int(np.flatnonzero(np.isnan(once))[0])
        breaches.append(Breach("forward is not NaN", f"forward returned NaN at {programs.y_layout.name(at)}"))
    if not np.array_equal(once, again, equal_nan=True):
        gap = np.nanmax(np.abs(once - again))
        breaches.append(
            Breach(
                "forward is deterministic",
                f"two calls of forward with equal arguments differ by {gap:.3g}: randomness must come from a key "
                "among the arguments",
            )
        )
    return breaches + _shape_breaches(programs)


def _shape_breaches(programs: Programs) -> list[Breach]:
    """Hold what a layer says of its shape to what comes out, whether or not the example has an axis of samples."""
    layer, x, y = programs.subject.rule, programs.subject.point.get("x"), programs.y_layout
    if not isinstance(layer, Layer) or not isinstance(x, (np.ndarray, jax.Array)) or len(y.shapes) != 1:
        return []
    said = []
    for lead in (1, 0):
        with contextlib.suppress(Exception):  # a shape that the layer does not take, or a stranger's own idea of one
            said.append((lead, tuple(layer.out_shape(x.shape[lead:]))))
    if not said or any(x.shape[:lead] + shape == y.shapes[0] for lead, shape in said):
        return []
    lead, shape = said[0]
    words = f"out_shape({x.shape[lead:]}) says {shape}, but forward gives {y.shapes[0][lead:]} for such a sample"
    return [Breach("out_shape is the shape of forward", words)]


def check_backward(programs: Programs, w: np.ndarray) -> tuple[np.ndarray | None, list[Breach]]:
    """Run forward and backward eagerly; return the gradient for each cotangent, or the reason why there is none."""
    subject, layout = programs.subject, programs.layout
    rows: list[np.ndarray] = []
    breaches: list[Breach] = []
    with wide():
        point = programs.arrays(layout.unflatten(programs.x))
        # A forward at another point goes before, so that a backward that reads what an earlier call left behind is
        # seen.
        with contextlib.suppress(Exception):  # it may lie outside the domain; then nothing is left behind either
            programs.forward(programs.arrays(layout.unflatten(elsewhere(programs))), programs.constants)
        _, saved = programs.forward(point, programs.constants)
        before, inputs = _snapshot(saved), _snapshot(point)
        for row in w:
            dy = programs.arrays(programs.cotangent(row))
            given = _snapshot(dy)
            try:
                whole = subject.backward(point, saved, dy)
            except Exception as error:  # whatever a stranger's backward raises
                return None, [*breaches, Breach("backward runs", f"backward raised {first_line(error)}")]
            gradient = subject.moving(whole)
            wrong = _tree_breaches(layout, point, gradient) or _held_breaches(subject, whole)
            if wrong:
                return None, [*breaches, *wrong]
            rows.append(layout.flatten(gradient).astype(np.float64))
            for what, old, new in (
                ("its saved values", before, saved),
                ("its inputs", inputs, point),
                ("dy", given, dy),
            ):
                if not _same(old, new):
                    return np.stack(rows) if len(rows) == len(w) else None, [
                        *breaches,
                        Breach(
                            "backward is pure",
                            f"backward changed {what} in place: a second call would see other numbers",
                        ),
                    ]
        twice = subject.moving(subject.backward(point, saved, programs.arrays(programs.cotangent(w[0]))))
        again = layout.flatten(twice).astype(np.float64)
    hand = np.stack(rows)
    if not np.array_equal(again, hand[0], equal_nan=True):
        breaches.append(
            Breach(
                "backward is deterministic", f"two calls of backward differ by {np.nanmax(np.abs(again - hand[0])):.3g}"
            )
        )
    bad = np.argwhere(~np.isfinite(hand))
    if bad.size:
        k, i = bad[0]
        name = layout.name(int(i))
        breaches.append(
            Breach(
                "the gradient is finite",
                f"backward returned {hand[k, i]} at {name} (input {programs.x[i]:.6g}), "
                f"{len({*bad[:, 1].tolist()})} numbers in all",
            )
        )
    return hand, breaches


def elsewhere(programs: Programs) -> np.ndarray:
    """Return another point of the same domain: each leaf moved on by one element, and shrunk."""
    x = programs.x.copy()
    for part in map(programs.layout.part, range(len(programs.layout.shapes))):
        x[part] = np.roll(x[part], 1)
    shrunk = x * np.where(np.arange(x.size) % 2 == 0, 0.75, 0.875)
    return np.where(np.isfinite(shrunk), shrunk, programs.x)


def _tree_breaches(layout: Layout, point: Any, gradient: Any) -> list[Breach]:
    """Compare the gradient's tree, shapes and dtypes with the point's; name the first difference."""
    found = layout_of(gradient)
    if bool(found.treedef != layout.treedef):
        missing = [path for path in layout.paths if path not in found.paths]
        extra = [path for path in found.paths if path not in layout.paths]
        parts = [f"forgets {', '.join(missing)}"] if missing else []
        parts += [f"has {', '.join(extra)}, which is no input"] if extra else []
        words = " and ".join(parts) or f"has the structure {found.treedef} instead of {layout.treedef}"
        return [Breach("the gradient has the tree of the inputs", f"the gradient {words}")]
    for path, mine, theirs in zip(layout.paths, layout.shapes, found.shapes, strict=True):
        if mine != theirs:
            return [
                Breach(
                    "the gradient has the shapes of the inputs",
                    f"the gradient of {path} has shape {theirs}, and {path} has {mine}",
                )
            ]
    for path, leaf in zip(layout.paths, jax.tree.leaves(gradient), strict=True):
        if not jnp.issubdtype(np.asarray(leaf).dtype, jnp.floating):
            return [
                Breach("the gradient is of a floating dtype", f"the gradient of {path} is {np.asarray(leaf).dtype}")
            ]
    return []


def _held_breaches(subject: Subject, gradient: Any) -> list[Breach]:
    """Require zeros for what follows the data, and nothing for whole numbers."""
    found = leaves_by_path(gradient)
    for path, leaf in subject.held:
        name, own = leaf_path(path), found.get(path)
        if follows_data(subject.kind, path) and (own is None or np.shape(own) != np.shape(leaf) or np.any(own)):
            words = f"{name} follows the data: its gradient must be zeros of its shape"
            return [Breach("what is not trained has gradient 0", f"{words}, so that no optimizer moves it")]
        if own is not None and np.any(own):
            return [Breach("whole numbers have no gradient", f"{name} holds whole numbers: its gradient must be None")]
    return []


def _snapshot(tree: Any) -> Any:
    """Copy what can be changed in place: containers and NumPy arrays."""

    def one(leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, jax.Array)):
            return leaf if _is_key(leaf) else np.array(leaf)
        return leaf

    try:
        return copy.deepcopy(jax.tree.map(one, tree))
    except TypeError:
        return tree


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _same(old: Any, new: Any) -> bool:
    first: Any = jax.tree.flatten(old)
    second: Any = jax.tree.flatten(new)
    if first[1] != second[1]:
        return False
    for a, b in zip(first[0], second[0], strict=True):
        if not (isinstance(a, np.ndarray) and hasattr(b, "dtype")):
            continue
        floats = bool(jnp.issubdtype(a.dtype, jnp.floating))
        if a.shape != np.shape(b) or not np.array_equal(a, np.asarray(b), equal_nan=floats):
            return False
    return True

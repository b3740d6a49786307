r"""The check itself: contract, evidence, judgement, diagnosis, report, in that order."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from funcnet.checking.contract import Breach, check_backward, check_forward, elsewhere
from funcnet.checking.diagnosis import Pattern, diagnose
from funcnet.checking.evidence import Evidence
from funcnet.checking.form import rule_name
from funcnet.checking.judge import Judgement, judge
from funcnet.checking.known import compare_known
from funcnet.checking.layout import as_arrays, leaf_path
from funcnet.checking.optimizers import SCOPE, check_optimizer, example_parameters
from funcnet.checking.precision import rounding
from funcnet.checking.report import Leaf, Report
from funcnet.checking.subject import is_optimizer, subject_of
from funcnet.checking.symbolic import symbolic
from funcnet.checking.transforms import second_order, under_jit, under_vmap


def check(
    rule: Any,
    *arguments: Any,
    gradient: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    known: Any = None,
    seed: int = 0,
    dtypes: Sequence[str] = ("float32", "bfloat16"),
    transforms: bool = True,
    second: bool = True,
    formula: bool = True,
    tolerance: float = 1e-12,
    max_elements: int = 64,
) -> Report:
    r"""Check a gradient by independent witnesses and return a report, true when it passes.

    Args:
        rule: an activation, layer, chain, loss, regularizer or optimizer; anything with their methods; a pair
            `(forward, backward)` with `forward(*arguments) -> (y, saved)` and `backward(saved, dy) -> gradients`;
            a function with a claimed `gradient`; or a function whose own derivative in JAX is checked, such as a
            `jax.custom_vjp`.
        *arguments: example arguments of forward. A layer takes `params, x` and, for training, a key or a seed; a loss
            `prediction, target` and perhaps weights; an optimizer nothing, or parameters and, with `known`, a tuple of
            gradients.
        gradient: for a function that returns one number: what is claimed to be its gradient, called with the same
            arguments. For a function of each element alone: its derivative.
        argnums: which arguments a pair or a function is differentiated by; all with floating-point numbers by default.
            Whole numbers in them are held fixed, as are a layer's tokens and its running means.
        known: the gradient for a dy of ones, where it is known from elsewhere, or stated at a kink; of an optimizer the
            parameters after the given gradients.
        seed: decides cotangents and directions.
        dtypes: narrower dtypes in which to measure rounding.
        transforms: whether to repeat the gradient under `jit` and `vmap`.
        second: whether to compare Hessian-vector products.
        formula: whether SymPy differentiates `FORMULA` where a rule states one.
        tolerance: how far, relative to what was summed up, automatic differentiation may be away in 64 bits.
        max_elements: how many elements are differentiated numerically, spread over the leaves; in larger examples all
            others are judged by automatic differentiation and by directional derivatives.

    Returns:
        A `Report`.

    Raises:
        TypeError, ValueError: where there is nothing to check: integer inputs, empty arrays, a class for an instance.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> bool(fn.check(fn.relu, jnp.asarray([-1.0, 0.0, 2.0])))
    True
    >>> wrong = fn.check(jnp.sum, jnp.asarray([1.0, 2.0]), gradient=lambda x: x)
    >>> bool(wrong)
    False

    """
    started = time.perf_counter()
    if is_optimizer(rule):
        given = [as_arrays(argument) for argument in arguments]
        breaches, testimonies = check_optimizer(
            rule,
            given[0] if given else example_parameters(),
            given[1] if len(given) > 1 else None,
            as_arrays(known),
            seed,
        )
        return Report(
            rule_name(rule),
            "optimizer",
            breaches=breaches,
            testimonies=testimonies,
            notes=(SCOPE,) if known is None else (),
            seed=seed,
            seconds=time.perf_counter() - started,
            working="the parameters' own",
        )
    subject = subject_of(rule, arguments, gradient, argnums)
    pool = ThreadPoolExecutor(max(os.cpu_count() or 1, 2))
    programs, found = check_forward(subject, pool, second)
    # What was begun goes on; each program is waited for where it is used.
    pool.shutdown(wait=False)
    breaches_: list[Breach] = list(found)
    call = f"fn.check(rule, *arguments, seed={seed}" + (f", argnums={argnums!r})" if argnums is not None else ")")

    def report(**parts: Any) -> Report:
        return Report(
            subject.name,
            subject.kind,
            breaches=tuple(breaches_),
            call=call,
            seed=seed,
            seconds=time.perf_counter() - started,
            notes=tuple(notes),
            **parts,
        )

    notes: list[str] = [f"{', '.join(leaf_path(path) for path, _ in subject.held)} held fixed"] if subject.held else []
    if programs is None or breaches_:
        return report()
    evidence = Evidence(subject, seed, max_elements=max_elements, programs=programs)
    hand, found = check_backward(programs, np.concatenate([evidence.w, np.ones((1, evidence.y_size))]))
    breaches_ += found
    if hand is None or not np.all(np.isfinite(hand)):
        return report(working=str(programs.dtype))
    hand, for_ones = hand[:-1], hand[-1]
    verdict = judge(evidence, hand, tolerance)
    testimonies_ = list(verdict.testimonies)
    testimonies_ += [] if known is None else [compare_known(evidence, for_ones, known)]
    if transforms:
        testimonies_ += [under_jit(evidence, hand), under_vmap(evidence)]
    if second:
        testimonies_.append(second_order(evidence))
    if formula:
        testimony = symbolic(rule, seed)
        testimonies_ += [testimony] if testimony else []
    # Where 64 bits already object, rounding in fewer is no news.
    clean = verdict.passed and not evidence.programs.untraceable
    roundings = (
        tuple(rounding(evidence, dtype, verdict.overruled) for dtype in dtypes)
        if clean and programs.dtype == np.float64
        else ()
    )
    notes += _notes(evidence, verdict)
    return report(
        testimonies=tuple(testimonies_),
        leaves=_leaves(evidence, verdict),
        patterns=() if verdict.passed else patterns_of(evidence, hand, verdict),
        kinks=tuple((evidence.layout.name(kink.element), kink) for kink in verdict.kinks),
        roundings=roundings,
        working=str(programs.dtype),
    )


def patterns_of(evidence: Evidence, hand: np.ndarray, verdict: Judgement) -> tuple[Pattern, ...]:
    """Diagnose each leaf at which a witness objects, or that is furthest off where only directions object."""
    layout = evidence.layout
    leaves = {layout.leaf_of(i) for one in verdict.testimonies if one.verdict == "objects" for i in one.elements}
    if not leaves:
        away = [(worst.relative, worst.leaf) for worst in verdict.worst if worst.source != "kink"]
        leaves = {leaf for relative, leaf in away if relative > 1e-6}
    stale = None
    if evidence.rows is not None:
        other = elsewhere(evidence.programs)
        w = np.concatenate([evidence.w, evidence.masked])
        rows, _ = evidence.programs.reference(other, w, np.zeros_like(evidence.directions))
        stale = rows[: len(evidence.w)]
    return tuple(diagnose(evidence, hand, verdict.reference, sorted(leaves), stale))


def _leaves(evidence: Evidence, verdict: Judgement) -> tuple[Leaf, ...]:
    layout = evidence.layout
    return tuple(
        Leaf(
            layout.paths[worst.leaf],
            layout.shapes[worst.leaf],
            str(list(layout.index_of(worst.element))),
            float(evidence.x[worst.element]),
            worst.hand,
            worst.reference,
            worst.relative,
            worst.ulps,
            worst.source,
        )
        for worst in verdict.worst
    )


def _notes(evidence: Evidence, verdict: Judgement) -> list[str]:
    notes = []
    if verdict.overruled:
        names = ", ".join(evidence.layout.name(i) for i in verdict.overruled[:3])
        notes.append(f"automatic differentiation is wrong at {names}: differences of y side with the rule")
    if evidence.tested.size < int(np.sum(evidence.movable)):
        notes.append(
            f"{evidence.tested.size} of {evidence.x.size} numbers differentiated one by one, the rest along random "
            "directions"
        )
    if not np.all(evidence.movable):
        notes.append(f"{int(np.sum(~evidence.movable))} infinite inputs were held fixed")
    inner = evidence.programs.inner_dtype
    if inner != evidence.programs.dtype:
        notes.append(f"the rule computes partly in {inner}, so it is held to that precision")
    return notes

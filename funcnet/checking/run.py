r"""The check itself: contract, evidence, judgement, further witnesses, report, in that order."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from funcnet.checking.comparison import Testimony
from funcnet.checking.contract import check_backward, check_forward, elsewhere
from funcnet.checking.diagnosis import Pattern, diagnose
from funcnet.checking.evidence import Evidence
from funcnet.checking.form import Subject, rule_name, symmetrised
from funcnet.checking.judge import Judgement, judge
from funcnet.checking.known import compare_known
from funcnet.checking.layout import as_arrays, leaf_path
from funcnet.checking.optimizers import SCOPE, check_optimizer, example_parameters
from funcnet.checking.precision import Rounding, lost_digits, rounding
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
    max_elements: int | None = None,
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
        max_elements: how many elements are differentiated numerically, spread over the leaves. By default all, up to
            4096; 64 where automatic differentiation judges all others. The report says how many were tried.

    A matrix that is symmetric, if its gradient is not right entry by entry, is taken for a symmetric argument: entries
    (i, j) and (j, i) move together and each bears half of the slope. The report says so.

    Returns:
        A `Report`.

    Raises:
        TypeError, ValueError: where there is nothing to check: whole numbers, empty arrays, a class for an instance.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> bool(fn.check(fn.relu, jnp.asarray([-1.0, 0.0, 2.0])))
    True
    >>> wrong = fn.check(jnp.sum, jnp.asarray([1.0, 2.0]), gradient=lambda x: x)
    >>> bool(wrong)
    False

    """
    started = time.perf_counter()
    if is_optimizer(rule):
        report = _check_optimizer(rule, [as_arrays(argument) for argument in arguments], known, seed)
    else:
        subject = subject_of(rule, arguments, gradient, argnums)
        request = Request(known, seed, dtypes, transforms, second, formula, tolerance, max_elements)
        report = examine(subject, request)
        symmetric = None if report else symmetrised(subject)
        if symmetric is not None:
            again = examine(symmetric, request)
            report = again if again else report
    chosen = "" if argnums is None else f", argnums={argnums!r}"
    call = f"fn.check(rule, *arguments, seed={seed}{chosen})"
    return replace(report, call=call, seconds=time.perf_counter() - started)


class Request(NamedTuple):
    """What `check` was asked for."""

    known: Any
    seed: int
    dtypes: Sequence[str]
    transforms: bool
    second: bool
    formula: bool
    tolerance: float
    max_elements: int | None


def examine(subject: Subject, request: Request) -> Report:
    """Gather evidence on one subject, hear all witnesses, and report."""
    held = ", ".join(leaf_path(path) for path, _ in subject.held)
    report = Report(subject.name, subject.kind, notes=(*subject.notes, *([f"{held} held fixed"] if held else [])))
    pool = ThreadPoolExecutor(max(os.cpu_count() or 1, 2))
    programs, breaches = check_forward(subject, pool)
    # What was begun goes on; each program is waited for where it is used.
    pool.shutdown(wait=False)
    if programs is None or breaches:
        return replace(report, breaches=tuple(breaches))
    evidence = Evidence(subject, request.seed, max_elements=request.max_elements, programs=programs)
    hand, breaches = check_backward(programs, np.concatenate([evidence.w, np.ones((1, evidence.y_size))]))
    report = replace(report, breaches=tuple(breaches), working=str(programs.dtype))
    if hand is None or not np.all(np.isfinite(hand)):
        return report
    hand, for_ones = hand[:-1], hand[-1]
    verdict = judge(evidence, hand, request.tolerance)
    return replace(
        report,
        testimonies=verdict.testimonies + tuple(_further(evidence, hand, for_ones, request)),
        leaves=_leaves(evidence, verdict),
        patterns=() if verdict.passed else patterns_of(evidence, hand, verdict),
        kinks=tuple((evidence.layout.name(kink.element), kink) for kink in verdict.kinks),
        roundings=_roundings(evidence, hand, verdict, request.dtypes),
        notes=(*report.notes, *_notes(evidence, verdict)),
        tried=(int(np.sum(verdict.tried)), evidence.x.size),
    )


def _further(e: Evidence, hand: np.ndarray, for_ones: np.ndarray, request: Request) -> list[Testimony]:
    """Hear the witnesses that compile programs of their own, or know something from elsewhere."""
    found = [] if request.known is None else [compare_known(e, for_ones, request.known)]
    if request.transforms:
        found += [under_jit(e, hand), under_vmap(e)]
    if request.second:
        found.append(second_order(e))
    stated = symbolic(e.subject.rule, request.seed) if request.formula else None
    return [*found, stated] if stated else found


def _roundings(e: Evidence, hand: np.ndarray, verdict: Judgement, dtypes: Sequence[str]) -> tuple[Rounding, ...]:
    """Measure rounding in narrower dtypes; where 64 bits already object, rounding in fewer is no news."""
    if not verdict.passed or e.programs.untraceable or e.programs.dtype != np.float64:
        return ()
    lost = [lost_digits(e, hand, verdict.reference)] if verdict.rounded else []
    return (*lost, *(rounding(e, dtype, verdict.overruled) for dtype in dtypes))


def _check_optimizer(rule: Any, given: list[Any], known: Any, seed: int) -> Report:
    breaches, testimonies = check_optimizer(
        rule,
        given[0] if given else example_parameters(),
        given[1] if len(given) > 1 else None,
        as_arrays(known),
        seed,
    )
    notes = (SCOPE,) if known is None else ()
    own = "the parameters' own"
    return Report(rule_name(rule), "optimizer", breaches, testimonies, notes=notes, working=own)


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
        notes.append(f"{evidence.tested.size} of {evidence.x.size} numbers differentiated numerically, one by one")
    if not np.all(evidence.movable):
        notes.append(f"{int(np.sum(~evidence.movable))} infinite inputs were held fixed")
    inner = evidence.programs.inner_dtype
    if inner != evidence.programs.dtype:
        notes.append(f"the rule computes partly in {inner}, so it is held to that precision")
    return notes

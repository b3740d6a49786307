r"""Planted bugs: what a check is worth is what it catches.

Each mutation turns the true backward of a rule into a wrong one in a way that hands have erred before. The checker must
reject every mutant on every example on which its numbers differ from the true ones, and accept the rule itself.

    sign            −1 times the gradient
    factor 2        2 times the gradient
    lost 1/N        N times the gradient, N the batch size
    extra 1/N       divided by N once more
    transpose       the last two axes of each array swapped, then read in the old shape
    dropped leaf    the gradient of the bias, or of the last array, is 0
    zero            all of it is 0
    mask            0 where dy should pass, dy where 0 is due
    short sum       the last sample's part is missing
    off by one      shifted by one along the first axis
    stale           saved values of an earlier forward, at another point
    dy of ones      dy is ignored
    three per cent  one element is 3 % too large
    leftover        a constant is added: a term that should have cancelled
    one leftover    the same in one element
    passed through  dy is added, as if the rule were an identity beside itself
    input added     the input is added, as if half its square were part of the value
    random          random numbers of the right size
    not a number    one element is NaN
    kink            another slope between the two at a kink than the one that the rule states

A mutant whose gradient equals the true one in every example (the sign of a gradient that is 0, say) is no bug. It is
recognised by its numbers, not by name, and listed. On an example that is all kinks a mutant may be another
admissible choice; then it has to be rejected elsewhere.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from funcnet.checking.comparison import magnitudes
from funcnet.checking.contract import elsewhere
from funcnet.checking.evidence import Evidence
from funcnet.checking.judge import judge
from funcnet.checking.known import compare_known
from funcnet.checking.programs import Programs
from funcnet.checking.registry import Example
from funcnet.checking.subject import subject_of


class Trial(NamedTuple):
    """One mutant, or the rule itself, judged on one example with one seed."""

    rule: str
    example: str
    mutation: str  # "" for the rule itself
    seed: int
    # accepted or rejected; for a mutant also equal, when its numbers are the true ones, and admissible, when it
    # differs at kinks alone and stays between their slopes, none of them being stated or known
    outcome: str
    objections: tuple[str, ...]


def trials(example: Example, seeds: Iterable[int] = (0,), mutate: bool = True) -> Iterator[Trial]:
    """Judge a rule, and its mutants, on one example; programs are compiled once for all seeds and mutants."""
    subject = subject_of(example.rule, example.arguments)
    programs = Programs(subject, quick=True)
    rule = f"{example.group}.{type(example.rule).__name__}"
    for seed in seeds:
        evidence = Evidence(subject, seed, programs=programs)
        # The last cotangent is of ones, for what is known of the gradient from elsewhere.
        w = np.concatenate([evidence.w, np.ones((1, evidence.y_size))])
        true = programs.hand(evidence.x, w)
        yield _trial(rule, example, "", seed, evidence, true, None)
        for name, hand in mutants(evidence, w, true, example.known is not None) if mutate else ():
            yield _trial(rule, example, name, seed, evidence, hand, true)


def _trial(
    rule: str, example: Example, name: str, seed: int, e: Evidence, hand: np.ndarray, true: np.ndarray | None
) -> Trial:
    if true is not None and _equal(e, hand, true):
        return Trial(rule, str(example), name, seed, "equal", ())
    if not np.all(np.isfinite(hand)):
        return Trial(rule, str(example), name, seed, "rejected", ("the gradient is finite",))
    testimonies = list(judge(e, hand[:-1]).testimonies)
    if example.known is not None:
        testimonies.append(compare_known(e, hand[-1], example.known))
    objections = tuple(one.witness for one in testimonies if one.verdict == "objects")
    outcome = "rejected" if objections else "accepted"
    if true is not None and not objections and _only_at_kinks(e, hand, true):
        outcome = "admissible"
    return Trial(rule, str(example), name, seed, outcome, objections)


def _only_at_kinks(e: Evidence, hand: np.ndarray, true: np.ndarray) -> bool:
    """Tell whether two gradients differ at kinks alone, where either may be the one that a rule takes."""
    differing = np.flatnonzero(np.any(hand[:-1] != true[:-1], axis=0))
    return bool(np.all(np.isin(differing, e.tested[~e.smooth])))


def _equal(e: Evidence, hand: np.ndarray, true: np.ndarray) -> bool:
    """Tell whether two gradients differ by rounding alone."""
    scale, floor, _ = magnitudes(e, true[:-1])
    allowed = np.concatenate([1e-14 * scale + floor, 1e-14 * np.abs(true[-1:])])
    return bool(np.all(np.abs(hand - true) <= allowed))


def mutants(e: Evidence, w: np.ndarray, true: np.ndarray, known: bool = False) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, gradient) for each mutation that is meaningful for the evidence's rule."""
    programs, layout = e.programs, e.layout
    yield "sign", -true
    yield "factor 2", 2 * true
    yield "zero", 0 * true
    batch = _batch(e)
    if batch > 1:
        yield "lost 1/N", true * batch
        yield "extra 1/N", true / batch
        short = w.copy()
        for leaf, shape in enumerate(programs.y_layout.shapes):
            if shape and shape[0] == batch:
                part = programs.y_layout.part(leaf)
                short[:, part.stop - int(np.prod(shape[1:], dtype=int)) : part.stop] = 0
        if not np.array_equal(short, w):
            yield "short sum", programs.hand(e.x, short)
    turned, rolled = true.copy(), true.copy()
    for leaf, shape in enumerate(layout.shapes):
        part = layout.part(leaf)
        block = true[:, part].reshape(-1, *shape)
        if len(shape) >= 2 and min(shape[-2:]) > 1:
            turned[:, part] = np.swapaxes(block, -1, -2).reshape(len(true), -1)
        if shape and shape[0] > 1:
            rolled[:, part] = np.roll(block, 1, axis=1).reshape(len(true), -1)
    if any(len(shape) >= 2 and min(shape[-2:]) > 1 for shape in layout.shapes):
        yield "transpose", turned
    if any(shape and shape[0] > 1 for shape in layout.shapes):
        yield "off by one", rolled
    if len(layout.shapes) > 1:
        biases = [i for i, path in enumerate(layout.paths) if "bias" in path]
        dropped = true.copy()
        dropped[:, layout.part(biases[-1] if biases else len(layout.shapes) - 1)] = 0
        yield "dropped leaf", dropped
    if layout.size == e.y_size:
        yield "mask", np.where(true == 0, w, 0.0)
    yield "stale", programs.hand(e.x, w, elsewhere(programs))
    yield "dy of ones", programs.hand(e.x, np.ones_like(w))
    yield "three per cent", _one_element(e, true)
    rng = np.random.default_rng([e.seed, 59])
    ones = np.sum(w, axis=1, keepdims=True)
    yield "passed through", true + (w if layout.size == e.y_size else ones)
    yield "input added", true + 0.5 * ones * np.where(e.movable, e.x, 0.0)
    yield "random", rng.normal(size=true.shape) * max(float(np.max(np.abs(true))), 1.0)
    lone, spoiled = true.copy(), true.copy()
    element = int(rng.integers(layout.size))
    lone[:, element] += ones[:, 0]
    spoiled[:, element] = np.nan
    yield "one leftover", lone
    yield "not a number", spoiled
    yield "leftover", true + 0.01 * np.sum(np.abs(w), axis=1, keepdims=True)
    kinked = e.tested[~e.smooth]
    if kinked.size and (e.subject.stated or known) and e.channel_w.shape[1] == e.y_size:
        yield "kink", _other_slope(e, w, true)


def _batch(e: Evidence) -> int:
    """Return the number of samples: the first axis that inputs or outputs of rank 1 or more have."""
    for layout in (e.programs.y_layout, e.layout):
        for shape in reversed(layout.shapes):
            if shape and shape[0] > 1:
                return shape[0]
    return 1


def _one_element(e: Evidence, true: np.ndarray) -> np.ndarray:
    alive = np.flatnonzero(np.any(true != 0, axis=0))
    found = true.copy()
    if alive.size:
        rng = np.random.default_rng([e.seed, 53])
        found[:, alive[rng.integers(alive.size)]] *= 1.03
    return found


def _other_slope(e: Evidence, w: np.ndarray, true: np.ndarray) -> np.ndarray:
    found = true.copy()
    for row in np.flatnonzero(~e.smooth):
        ends = np.stack([e.bounds.low[row], e.bounds.high[row]])
        with np.errstate(all="ignore"):
            slope = w @ np.where(np.isfinite(ends), ends, 1.0).T  # (K, ends)
        element = e.tested[row]
        further = np.argmax(np.abs(slope - true[:, element, None]), axis=1)
        found[:, element] = slope[np.arange(len(true)), further]
    return found


class Score(NamedTuple):
    """The outcome for one rule over its examples and seeds."""

    rule: str
    examples: int
    accepted: int  # judgements of the rule itself that passed
    judged: int
    planted: int  # mutations that differ from the rule on some example
    rejected: int  # of these, how many were rejected wherever they differ
    equal: tuple[str, ...]  # mutations whose numbers are the true ones everywhere
    missed: tuple[str, ...]  # (mutation on example) that passed though it differs


def score(found: Iterable[Trial]) -> list[Score]:
    """Sum up trials by rule."""
    by_rule: dict[str, list[Trial]] = {}
    for trial in found:
        by_rule.setdefault(trial.rule, []).append(trial)
    rows = []
    for rule, own in by_rule.items():
        true = [trial for trial in own if not trial.mutation]
        names = list(dict.fromkeys(trial.mutation for trial in own if trial.mutation))
        outcomes = {name: [trial for trial in own if trial.mutation == name] for name in names}
        equal = tuple(name for name, group in outcomes.items() if all(trial.outcome == "equal" for trial in group))
        nowhere = {n for n in names if n not in equal and all(t.outcome != "rejected" for t in outcomes[n])}
        passed = [
            t
            for t in own
            if t.mutation and (t.outcome == "accepted" or (t.mutation in nowhere and t.outcome == "admissible"))
        ]
        missed = tuple(f"{t.mutation} on {t.example} (seed {t.seed})" for t in passed)
        bad = {t.mutation for t in passed}
        planted = [name for name in names if name not in equal]
        rows.append(
            Score(
                rule,
                len({trial.example for trial in own}),
                sum(t.outcome == "accepted" for t in true),
                len(true),
                len(planted),
                len([name for name in planted if name not in bad]),
                equal,
                missed,
            )
        )
    return rows


def render(rows: list[Score], seeds: int) -> str:
    """Write scores as a table in Markdown, the total first."""
    accepted, judged = sum(r.accepted for r in rows), sum(r.judged for r in rows)
    rejected, planted = sum(r.rejected for r in rows), sum(r.planted for r in rows)
    lines = [
        f"Rejected {rejected} of {planted} planted bugs in {len(rows)} rules; accepted {accepted} of {judged} "
        f"judgements of the true rules ({seeds} seeds).",
        "",
        "| rule | examples | true rule accepted | planted bugs rejected | mutants equal to the rule |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.rule} | {r.examples} | {r.accepted}/{r.judged} | {r.rejected}/{r.planted} | "
        f"{', '.join(r.equal) or '–'} |"
        for r in rows
    ]
    missed = [line for row in rows for line in row.missed]
    return "\n".join(lines + (["", "Missed:", "", *(f"- {line}" for line in missed)] if missed else [])) + "\n"

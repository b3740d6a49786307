"""Every planted bug is rejected, every true rule accepted; and the suite itself can fail."""

import pathlib
import re

import jax
import numpy as np
import pytest
from mutations.planted import Trial, mutants, render, score, trials
from mutations.protocol import MUTATIONS, Mutant, protocol_trials

import funcnet as fn
from funcnet.checking import cases, check
from funcnet.checking.evidence import Evidence
from funcnet.checking.programs import Programs
from funcnet.checking.subject import subject_of
from tests.helpers import one_in, sampled

_SEED = 11
_EXAMPLES = cases("activations", "losses", "regularizers", "layers")
_GROUPS = sorted({example.group for example in _EXAMPLES})
# Some in each run, all in CI; the command, which wrote the page, judges at every example.
_ALWAYS = ("elu", "huber", "l1")


def _form(example):
    """Return a rule's settings but for the reduction, and the kinds of what it is given: what compiles differently."""
    kinds = [{np.asarray(leaf).dtype.kind for leaf in jax.tree.leaves(given)} for given in example.arguments]
    return re.sub(r"reduction='\w+'", "", repr(example.rule)), str(kinds)


@pytest.mark.parametrize("group", sampled(_GROUPS, lambda group: group in _ALWAYS))
def test_all_planted_bugs_are_rejected_and_the_rules_accepted(group):
    """The rule in each of its settings; each mutant on every example on which its numbers differ, not just on one.

    The command judges rules and mutants at every example with three seeds; here mutants are judged at the examples with
    the most to go wrong, and the rule at these and at one more for whatever settings or kinds of input they lack.
    """
    examples = [example for example in _EXAMPLES if example.group == group]
    many = [e for e in examples if e.kind in ("batch", "kink", "extreme") and not e.name.endswith("-sum")]
    chosen = {(type(e.rule), e.name.split("-", 2)[2], i % 2): e.name for i, e in enumerate(many)}
    mutated = set(chosen.values()) if len(many) >= 2 else {example.name for example in examples}
    first = {}
    for example in sorted(examples, key=lambda e: (e.name not in mutated, e.kind != "batch")):
        first.setdefault(_form(example), example.name)
    judged = mutated | set(first.values())
    found = [trial for e in examples if e.name in judged for trial in trials(e, (_SEED,), e.name in mutated)]
    for row in score(found):
        assert row.accepted == row.judged == row.examples, [
            t for t in found if not t.mutation and t.outcome != "accepted"
        ]
        assert not row.missed
        assert row.planted >= 6, row


# One example of each optimizer, the second where there is one: the first is checked with all others in test_check.py.
_OPTIMIZERS = {type(e.rule): e for e in cases("optimizers") if e.name.split("-")[1] in "01"}


@pytest.mark.parametrize("example", one_in(3, _OPTIMIZERS.values()), ids=str)
def test_all_bugs_planted_in_optimizers_are_rejected(example):
    found = list(protocol_trials(example, (_SEED,)))
    (row,) = score(found)
    assert row.accepted == 1, [t for t in found if not t.mutation]
    assert not row.missed
    assert row.planted >= 6


@pytest.mark.every
def test_mutants_are_rejected_by_the_public_check_too():
    """The suite judges mutants by shared evidence; the same bugs, written as rules, fail `fn.check`."""

    class Wrong:
        def __init__(self, backward):
            self.backward = backward

        def forward(self, params, x, key=None):
            return fn.Dense(3).forward(params, x)

    example = next(e for e in cases("layers") if e.name == "dense-1-Dense-batch")
    true = fn.Dense(3).backward
    bugs = {
        "sign": lambda p, s, dy: jax.tree.map(lambda g: -g, true(p, s, dy)),
        "factor 2": lambda p, s, dy: jax.tree.map(lambda g: 2 * g, true(p, s, dy)),
        "mean for a sum": lambda p, s, dy: (jax.tree.map(lambda g: g / len(dy), true(p, s, dy)[0]), true(p, s, dy)[1]),
        "dropped bias": lambda p, s, dy: ({**true(p, s, dy)[0], "bias": 0 * p["bias"]}, true(p, s, dy)[1]),
        "short sum": lambda p, s, dy: (true(p, s[:-1], dy[:-1])[0], true(p, s, dy)[1]),
        "one element": lambda p, s, dy: (
            {**true(p, s, dy)[0], "bias": true(p, s, dy)[0]["bias"].at[1].multiply(1.03)},
            true(p, s, dy)[1],
        ),
    }
    words = {
        "sign": "the sign is wrong",
        "factor 2": "2 times",
        "mean for a sum": "one 1/N too many",
        "dropped bias": "the bias gradient is dropped",
        "short sum": "stops one short",
        "one element": "by 3 %",
    }
    options = {"dtypes": (), "transforms": False, "second": False}
    assert check(Wrong(true), *example.arguments, **options)
    for name, bug in bugs.items():
        report = check(Wrong(bug), *example.arguments, **options)
        assert not report, name
        assert words[name] in str(report), (name, str(report))


def _evidence(rule, *arguments):
    subject = subject_of(rule, arguments)
    return Evidence(subject, _SEED, programs=Programs(subject))


def test_the_diagnosis_names_what_was_planted():
    from funcnet.checking.diagnosis import diagnose
    from funcnet.checking.judge import judge

    network = fn.Chain(fn.Dense(3), fn.tanh, fn.Dense(3))
    params = network.init(jax.random.key(0), (3,))
    e = _evidence(network, params, np.random.default_rng(0).normal(size=(5, 3)))
    w = np.concatenate([e.w, np.ones((1, e.y_size))])
    true = e.programs.hand(e.x, w)
    kernel = e.layout.paths.index("params[0]['kernel']")
    expected = {
        "sign": "sign",
        "factor 2": "factor",
        "zero": "zero",
        "lost 1/N": "factor",
        "extra 1/N": "factor",
        "short sum": "short",
        "transpose": "transposed",
        "off by one": "shifted",
        "dy of ones": "cotangent",
        "leftover": "offset",
    }
    seen = dict(mutants(e, w, true))
    assert set(expected) <= set(seen)
    for name, pattern in expected.items():
        hand = seen[name][:-1]
        verdict = judge(e, hand)
        assert not verdict.passed
        (found,) = diagnose(e, hand, verdict.reference, [kernel])
        if name == "leftover":
            assert found.name in ("offset", "none"), found
        else:
            assert found.name == pattern, (name, found)


def test_a_checker_that_accepts_everything_would_be_seen():
    """The score counts what passes though it differs, and what is rejected though it is true."""
    found = [
        Trial("a.A", "a-0", "", 0, "accepted", ()),
        Trial("a.A", "a-0", "sign", 0, "accepted", ()),
        Trial("a.A", "a-0", "factor 2", 0, "rejected", ("complex step",)),
        Trial("a.A", "a-0", "stale", 0, "equal", ()),
        Trial("b.B", "b-0", "", 0, "rejected", ("complex step",)),
    ]
    first, second = score(found)
    assert (first.planted, first.rejected, first.equal, first.missed) == (2, 1, ("stale",), ("sign on a-0 (seed 0)",))
    assert (second.accepted, second.judged) == (0, 1)
    assert "Rejected 1 of 2 planted bugs" in render([first, second], 1)
    assert "- sign on a-0 (seed 0)" in render([first, second], 1)


def test_an_equal_mutant_is_recognised_by_its_numbers():
    """Sign and size of a gradient that is 0 everywhere; a stale residual where nothing is saved."""
    example = next(e for e in cases("regularizers") if e.name.startswith("max_norm-0"))
    outcomes = {trial.mutation: trial.outcome for trial in trials(example, (_SEED,))}
    assert outcomes["sign"] == outcomes["factor 2"] == outcomes["stale"] == "equal"
    assert outcomes["leftover"] == "rejected"


def test_every_protocol_mutation_breaks_something():
    rule = fn.SGD(0.1, momentum=0.5)
    params, gradients = {"a": np.asarray([1.0, -2.0], np.float32)}, ({"a": np.asarray([0.5, 4.0], np.float32)},) * 3
    params_after = {"a": np.asarray([1 - 0.05 * (1 + 1.5 + 1.75), -2 - 0.4 * (1 + 1.5 + 1.75)])}
    assert check(rule, params, gradients, known=params_after)
    for name, change in MUTATIONS.items():
        assert not check(Mutant(rule, change), params, gradients, known=params_after), name


def test_the_number_of_compilations_of_a_check_is_bounded():
    """One program for each witness, whatever the number of mutants, seeds, steps and elements."""
    counts: list[str] = []

    def listen(name, duration, **_):
        if name.endswith("backend_compile_duration"):
            counts.append(name)

    example = next(e for e in cases("layers") if e.name == "dense-1-Dense-batch")
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        list(trials(example, (0, 1)))
        shared = len(counts)
        # values, complex values, reference, hand; all seeds and some forty mutants run through these four.
        assert 3 <= shared <= 8, shared
        example.check()  # compiles JAX's single operations on the way, which another check of these shapes has again
        counts.clear()
        example.check()
        # values, complex, reference, hand, lanes, curvature, and one hand for each narrow dtype
        assert 8 <= len(counts) <= 12, len(counts)
    finally:
        jax.monitoring.clear_event_listeners()


def test_the_score_in_the_documentation_is_that_of_rules_there_are():
    """A rule that joins a registry joins the page when its command is run, and is judged by the tests above before."""
    page = (pathlib.Path(__file__).parent.parent / "docs" / "mutation-score.md").read_text(encoding="utf-8")
    rules = {f"{example.group}.{type(example.rule).__name__}" for example in cases()}
    assert {line.split(" | ")[0].strip("| ") for line in page.splitlines() if line.count("/") == 2} <= rules
    assert "Missed" not in page
    rejected, planted = (int(word) for word in page.split("Rejected ")[1].split(" planted")[0].split(" of "))
    assert rejected == planted > 300

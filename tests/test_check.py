"""The checker accepts every true rule, judges by witnesses that can object alone, and renders what it found."""

import importlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnet as fn
from funcnet.checking import CheckFailed, Report, cases, check
from funcnet.checking.__main__ import main
from funcnet.checking.registry import Example
from tests.helpers import one_in, sampled

_BATCHES = [
    example
    for example in cases("activations", "losses", "regularizers", "layers")
    if example.kind == "batch" and example.name.split("-")[-1] != "sum"
]


def _first_of_each_rule(examples):
    chosen: dict[tuple[str, str], Example] = {}
    for example in examples:
        chosen.setdefault((type(example.rule).__name__, example.kind), example)
    return list(chosen.values())


# Composites, recurrences and attention take seconds each.
_SLOW = ("attention", "bidirectional", "chain", "gru", "lstm", "moving", "repeat", "rnn", "tied")
_FIRST = _first_of_each_rule(_BATCHES)
_ALWAYS = {example.name for example in _FIRST[::4] if example.group not in _SLOW}


@pytest.mark.parametrize("example", sampled(_FIRST, lambda example: example.name in _ALWAYS), ids=str)
def test_every_rule_passes_with_every_witness(example):
    """The whole check: transforms, second order, formulas, rounding in float32 and bfloat16."""
    report = example.check()
    assert report
    assert len(str(report).splitlines()) <= 30
    verdicts = {one.witness: one.verdict for one in report.testimonies}
    assert verdicts["automatic differentiation"] == "agrees"
    # Loops have no complex form, nor have sums in two parts; the report says so.
    assert verdicts["complex step"] == "agrees" or "has no complex form here" in str(report)
    assert verdicts["jit"] == verdicts["vmap"] == "agrees"
    assert report.tried[0] == report.tried[1]
    assert [one.dtype for one in report.roundings] == ["float32", "bfloat16"]
    assert all(np.isfinite(one.leaf_ulps) for one in report.roundings), "no rule of the package refuses a dtype"


@pytest.mark.parametrize("example", one_in(2, [e for e in cases("optimizers") if "-0-" in str(e)]), ids=str)
def test_every_optimizer_keeps_the_protocol(example):
    assert example.check()


@pytest.mark.every
def test_the_default_setting_of_jax_is_enough_and_stays():
    """float32 examples with 64-bit mode off: the check is done in 64 bits all the same, and leaves the mode alone.

    And `fn.check` is the function, whatever is imported later.
    """
    program = (
        "import funcnet as fn\n"
        "first = fn.check\n"
        "import funcnet.checking\n"
        "import funcnet.checking.registry, funcnet.checking.report\n"
        "from funcnet.checking import Report, cases, check\n"
        "assert fn.check is first and callable(fn.check), fn.check\n"
        "import sys\n"
        "assert 'sympy' not in sys.modules and 'mpmath' not in sys.modules\n"
        "import jax, jax.numpy as jnp\n"
        "from funcnet.activations import Sigmoid\n"
        "r = check(Sigmoid(), jnp.asarray([0.3, -2.0]))\n"
        "assert r.passed and r.working == 'float64', r\n"
        "assert jnp.zeros(1).dtype == jnp.float32\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


class Cubed:
    """A stranger's rule, y = z³, with a backward to be given."""

    def __init__(self, backward):
        self.backward = backward

    def forward(self, z):
        return z * z * z, z


_Z = np.asarray([0.5, -1.2, 2.0, 0.9])


def _verdicts(report):
    return {one.witness: one.verdict for one in report.testimonies}


def test_a_right_backward_passes_and_a_wrong_one_fails():
    assert check(Cubed(lambda z, dy: 3 * z * z * dy), _Z)
    report = check(Cubed(lambda z, dy: 2 * z * z * dy), _Z)
    assert not report
    assert {name for name, verdict in _verdicts(report).items() if verdict == "objects"} >= {
        "automatic differentiation",
        "complex step",
        "central differences",
        "Taylor remainder",
        "dot product",
        "second order",
    }


@pytest.mark.parametrize("share", [0.03, 1e-3, 1e-5])
def test_the_order_of_the_taylor_remainder_falls_to_one(share):
    """Two when right; towards one when a gradient is a little off, down to a hundred-thousandth."""
    right = check(Cubed(lambda z, dy: 3 * z * z * dy), _Z, formula=False)
    wrong = check(Cubed(lambda z, dy: (1 + share) * 3 * z * z * dy), _Z, formula=False)
    assert _verdicts(right)["Taylor remainder"] == "agrees"
    assert _verdicts(wrong)["Taylor remainder"] == "objects"
    (words,) = [one.words for one in right.testimonies if one.witness == "Taylor remainder"]
    assert abs(float(words.split()[1]) - 2) < 0.05
    (words,) = [one.words for one in wrong.testimonies if one.witness == "Taylor remainder"]
    assert float(words.split()[1]) < 1.5


def test_the_second_order_sees_a_gradient_that_is_right_at_one_point_alone():
    """A backward that returns the right number for this z, and does not follow z."""
    slope = 3 * _Z * _Z
    report = check(Cubed(lambda z, dy: jnp.asarray(slope) * dy), _Z)
    objecting = {one.witness for one in report.objections}
    assert objecting == {"vmap", "second order"} or objecting == {"second order"}


@pytest.mark.every
def test_a_stranger_s_pair_claimed_gradient_and_custom_vjp():
    x, w = np.asarray([[0.3, -1.0], [2.0, 0.7], [0.1, 0.4]]), np.asarray([[1.0, 2.0, 0.5], [-0.3, 0.8, 1.1]])

    def forward(x, w):
        return x @ w, (x, w)

    assert check((forward, lambda saved, dy: (dy @ saved[1].T, saved[0].T @ dy)), x, w)
    assert not check((forward, lambda saved, dy: (dy @ saved[1].T, 0 * saved[1])), x, w)

    assert check(lambda x: jnp.mean(x**2), x, gradient=lambda x: 2 * x / x.size)
    lost = check(lambda x: jnp.mean(x**2), x, gradient=lambda x: 2 * x)
    assert "1/N is missing" in str(lost)
    assert check(lambda x, n: jnp.sum(x**n), x, 3, gradient=lambda x, n: n * x ** (n - 1))
    assert check(jnp.tanh, x, gradient=lambda x: 1 - jnp.tanh(x) ** 2)

    @jax.custom_vjp
    def safe_sqrt(x):
        return jnp.sqrt(x)

    safe_sqrt.defvjp(lambda x: (jnp.sqrt(x), x), lambda x, dy: (0.5 * dy / jnp.sqrt(x),))
    assert check(safe_sqrt, np.asarray([0.5, 2.0]))
    wrong = jax.custom_vjp(jnp.sqrt)
    wrong.defvjp(lambda x: (jnp.sqrt(x), x), lambda x, dy: (dy / jnp.sqrt(x),))
    report = check(jax.jit(wrong), np.asarray([0.5, 2.0]))
    assert "automatic differentiation" in {one.witness for one in report.objections}, "it looks beneath the custom rule"
    assert "2 times the reference" in str(report) or "2 times too large" in str(report)


def test_a_pair_written_in_numpy_is_judged_by_numbers_alone():
    relu = (lambda x: (np.maximum(x, 0), x), lambda x, dy: dy * (x > 0))
    report = check(relu, np.asarray([[0.5, -1.0], [0.2, 3.0]]))
    assert report
    assert _verdicts(report)["automatic differentiation"] == _verdicts(report)["jit"] == "absent"
    assert not check((relu[0], lambda x, dy: dy * (x < 0)), np.asarray([[0.5, -1.0], [0.2, 3.0]]))


def test_a_wrong_direction_of_luck_does_not_help():
    """Off in one of 400 elements only: the elements not differentiated one by one are judged as well."""
    x = np.linspace(-1, 1, 400).reshape(20, 20)

    def backward(x, dy):
        return (2 * x * dy).at[7, 11].multiply(1.03)

    report = check((lambda x: (x * x, x), backward), x)
    assert not report
    assert "x[7, 11]" in str(report)
    assert check((lambda x: (x * x, x), lambda x, dy: 2 * x * dy), x)


@pytest.mark.every
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_narrow_noise_is_rounding_and_not_a_bug(dtype):
    """A rule that computes in few bits inside is held to these bits; a factor is still seen."""

    def forward(x):
        return jnp.tanh(x.astype(dtype)).astype(x.dtype), x

    def backward(x, dy):
        y = jnp.tanh(x.astype(dtype))
        return ((1 - y * y) * dy.astype(dtype)).astype(dy.dtype)

    x = np.asarray([0.3, -0.8, 0.5, 1.1])
    report = check((forward, backward), x)
    assert report
    assert f"partly in {dtype}" in str(report)
    assert not check((forward, lambda x, dy: 2 * backward(x, dy)), x)


def test_rounding_is_reported_in_ulp_and_a_dtype_bug_is_found():
    exact = check(fn.Sigmoid(), np.asarray([0.3, -2.0, 5.0]))
    assert all(0 <= one.leaf_ulps < 8 for one in exact.roundings)

    def backward(z, dy):
        # 1/cosh² overflows to NaN in float32 where float64 is fine.
        e = jnp.exp(2 * z)
        return 4 * e / ((1 + e) * (1 + e)) * dy

    report = check((lambda z: (jnp.tanh(z), z), backward), np.asarray([0.3, 60.0]))
    assert not report
    assert "in float32 the gradient at z[1] is nan" in str(report)


def test_automatic_differentiation_is_overruled_where_numbers_contradict_it():
    """∂/∂x of x² written with a where whose other branch is NaN: JAX gives NaN, the rule is right."""

    def forward(x):
        return jnp.where(x > 10, jnp.sqrt(jnp.where(x > 10, x, jnp.nan)), x * x), x

    report = check((forward, lambda x, dy: 2 * x * dy), np.asarray([0.5, 1.5]))
    verdicts = _verdicts(report)
    assert verdicts["central differences"] == "agrees"
    assert report
    # max and abs at a tie: the pieces' subgradients do not add up to the smooth whole.
    smooth = check((lambda x: (jnp.maximum(x, 0) - jnp.abs(x) / 2, x), lambda x, dy: 0.5 * dy), np.asarray([0.0, 1.0]))
    assert smooth
    assert "automatic differentiation is wrong at x[0]" in str(smooth)


def test_the_report_is_true_or_raises_and_prints_in_an_assertion():
    good, bad = check(fn.relu, np.asarray([1.0, -2.0])), check(Cubed(lambda z, dy: -3 * z * z * dy), _Z)
    assert isinstance(good, Report)
    assert good.raise_if_failed() is good
    with pytest.raises(CheckFailed, match="the sign is wrong"):
        bad.raise_if_failed()
    with pytest.raises(AssertionError, match="the sign is wrong"):
        assert bad, repr(bad)
    assert repr(bad).startswith("FAIL")
    assert "seed=0" in str(bad)


@pytest.mark.every
def test_pytest_shows_the_report_of_a_bare_assertion(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import numpy as np\nfrom funcnet.checking import check\n"
        "def test_it():\n    assert check((lambda x: (x * x, x), lambda x, dy: x * dy), np.asarray([1.0, 2.0]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 1
    assert "factor 2 is missing" in found.stdout


def test_the_same_seed_gives_the_same_report():
    first, second = (str(check(Cubed(lambda z, dy: 2.9 * z * z * dy), _Z, seed=5)) for _ in range(2))
    assert first.splitlines()[:-1] == second.splitlines()[:-1]
    other = str(check(Cubed(lambda z, dy: 2.9 * z * z * dy), _Z, seed=6))
    assert other.splitlines()[:-1] != first.splitlines()[:-1]


@pytest.mark.every
def test_the_command_line_tells_by_its_exit_status(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\n"
        "class Square:\n"
        "    def forward(self, x): return x * x, x\n"
        "    def backward(self, saved, dy): return 2 * saved * dy\n"
        "class Wrong(Square):\n"
        "    def backward(self, saved, dy): return saved * dy\n"
        "right, wrong = Square(), Wrong()\n"
    )

    command = [sys.executable, "-m", "funcnet.checking", "mine:right", "mine:wrong"]
    bad = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert bad.returncode == 1, bad.stderr
    assert "PASS" in bad.stdout
    assert "FAIL" in bad.stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["mine:right", "--shape", "5"]) == 0
    assert "PASS" in capsys.readouterr().out


def test_a_registry_of_one_s_own_is_looped_over():
    relu, sigmoid = (importlib.import_module(f"funcnet.activations.{name}") for name in ("relu", "sigmoid"))
    names = [str(example) for example in cases(relu, sigmoid)]
    assert names[0] == "relu-0-ReLU-ordinary"
    assert len(names) == len(relu.CASES) + len(sigmoid.CASES)


def test_a_layer_takes_a_seed_or_a_key_of_either_kind():
    """A typed key is no number and cannot be read as one; it goes to the layer as it is."""
    params, x = (), jnp.ones((3, 4))
    typed, raw = jax.random.key(5), jax.random.PRNGKey(5)
    reports = [fn.check(fn.Dropout(0.5), params, x, key) for key in (5, np.int32(5), typed, raw)]
    assert all(reports)
    assert len({report.leaves[0].hand for report in reports}) == 1

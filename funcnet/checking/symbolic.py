r"""The symbolic witness: SymPy differentiates the formula that a rule states.

Elementwise activations and output losses carry `FORMULA` and `DERIVATIVE` as text, over `z`, or `p` and `t`, and the
names of their fields. d FORMULA − DERIVATIVE must simplify to 0, piece by piece; where SymPy cannot see it, the
difference is evaluated to 30 digits at random points, which it is in any case.

A field that is None reads as 1, the neutral factor. SymPy is imported only here, and only when it is needed.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np

from funcnet.checking.comparison import Testimony
from funcnet.records import children

_NAME = "symbolic"


def symbolic(rule: Any, seed: int = 0) -> Testimony | None:
    """Compare FORMULA with DERIVATIVE; None where a rule states neither."""
    formula, derivative = getattr(rule, "FORMULA", None), getattr(rule, "DERIVATIVE", None)
    if formula is None or derivative is None:
        return None
    if find_spec("sympy") is None:
        return Testimony(_NAME, "absent", "SymPy is not installed: pip install sympy")
    import sympy  # type: ignore[import-untyped]

    variable = "z" if not _mentions(formula, "p") else "p"
    names = {name: sympy.Symbol(name, real=True) for name in (variable, "t")}
    fields = {
        name: value for name, value in children(rule).items() if _mentions(formula, name) or _mentions(derivative, name)
    }
    for name, value in fields.items():
        names[name] = sympy.Symbol(name, positive=True) if not isinstance(value, (bool, str)) else sympy.sympify(value)
    try:
        f, g = (sympy.sympify(text, locals=names) for text in (formula, derivative))
        x = names[variable]
        simple = _vanishes(sympy, sympy.diff(f, x) - g)
        worst = _numerically(sympy, sympy.diff(f, x) - g, names, fields, variable, seed)
    except Exception as error:  # SymPy may meet what it cannot parse
        return Testimony(_NAME, "absent", f"SymPy cannot read the formula: {type(error).__name__}: {error}")
    if worst > 1e-20:
        return Testimony(
            _NAME, "objects", f"the derivative of {formula} is not {derivative}: they differ by {worst:.1e}"
        )
    if simple:
        return Testimony(_NAME, "agrees", "d FORMULA − DERIVATIVE simplifies to 0")
    return Testimony(
        _NAME, "agrees", f"d FORMULA − DERIVATIVE is {worst:.0e} at random points to 30 digits (not simplified to 0)"
    )


def _mentions(text: str, name: str) -> bool:
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    return name in words


def _vanishes(sympy: Any, difference: Any) -> bool:
    """Tell whether a difference is 0 by algebra: in exponentials, over one denominator, multiplied out, piece by piece.

    SymPy's `simplify` searches; on the derivative of Mish it searches for a minute. This does not search.
    """
    whole = sympy.piecewise_fold(difference.rewrite(sympy.exp))
    pieces = [piece for piece, _ in whole.args] if whole.func is sympy.Piecewise else [whole]
    for piece in pieces:
        numerator = sympy.fraction(sympy.together(piece))[0]
        if sympy.expand(sympy.powsimp(sympy.expand(numerator))) != 0:
            return False
    return True


def _numerically(
    sympy: Any, difference: Any, names: dict[str, Any], fields: dict[str, Any], variable: str, seed: int
) -> float:
    """Evaluate the difference at random points, the fields as they are; kinks are met with probability 0."""
    rng = np.random.default_rng(seed)
    given = {}
    for name, value in fields.items():
        if isinstance(names[name], sympy.Symbol):
            number = 1.0 if value is None else float(np.ravel(np.asarray(value, np.float64))[0])
            given[names[name]] = sympy.Float(number, 40)
    worst = 0.0
    # Probabilities lie in (0, 1); every other rule is defined there too, so half of the points are drawn from it.
    for draw in range(12):
        x = rng.uniform(0.05, 0.95) if draw % 2 else rng.normal() * 3
        t = rng.uniform(0.05, 0.95)
        value = difference.subs(
            {**given, names[variable]: sympy.Float(float(x), 40), names.get("t", sympy.Symbol("t")): sympy.Float(t, 40)}
        )
        number = sympy.N(value.doit(), 30)
        if number.is_real and number.is_finite:
            worst = max(worst, abs(float(number)))
    return worst

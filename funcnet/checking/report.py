r"""The report: what was checked, who objects, where it is worst, what the error looks like, how to see it again.

It is true when the rule passes; its representation is one line, which a bare `assert fn.check(rule, x)` shows, and as
text it is a table.
"""

import html
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from funcnet.checking.comparison import Testimony
from funcnet.checking.contract import Breach
from funcnet.checking.diagnosis import Pattern
from funcnet.checking.kinks import Kink
from funcnet.checking.precision import Rounding

_LINES = 4  # how many kinks, or leaves beyond the worst, are spelled out


class Leaf(NamedTuple):
    """The worst element of one input."""

    path: str
    shape: tuple[int, ...]
    element: str
    value: float
    hand: float
    reference: float
    relative: float
    ulps: float
    source: str


class CheckFailed(AssertionError):
    """A rule did not pass its check; the message is the report.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> @fn.record
    ... class Square(fn.activations.Activation):
    ...     def forward(self, z):
    ...         return z * z, z
    ...     def backward(self, saved, dy):
    ...         return saved * dy  # the 2 is forgotten
    >>> try:
    ...     fn.check(Square(), jnp.float32([-1.0, 0.5, 3.0])).raise_if_failed()
    ... except fn.checking.CheckFailed as error:
    ...     print(str(error).splitlines()[2].strip())
    pattern    z: it is 0.5 times the reference: a factor 2 is missing
    """


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """The outcome of a check; true when the rule passes.

    Attributes:
        working: the dtype in which the rule was judged.
        name, kind: what was checked.
        passed: the verdict, which is also the report's truth.
        breaches: broken promises (tree, shape, NaN, purity, determinism), in words.
        testimonies: what each witness says: `witness`, `verdict` (agrees, objects, abstains, absent), `words`.
        leaves: the worst element of each input.
        patterns: what the error looks like, by input.
        kinks: elements without a derivative.
        roundings: the rounding error in each narrower dtype.
        notes: what else the reader should know.
        tried: how many numbers of the inputs were judged one by one, and how many there are.
        call, seconds: how to reproduce it, and how long it took.

    >>> import jax.numpy as jnp, funcnet as fn
    >>> report = fn.check(fn.tanh, jnp.float32([0.5, -2.0]))
    >>> bool(report), len(report.objections), report
    (True, 0, PASS  activation Tanh())

    """

    name: str
    kind: str
    breaches: tuple[Breach, ...] = ()
    testimonies: tuple[Testimony, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    kinks: tuple[tuple[str, Kink], ...] = ()
    roundings: tuple[Rounding, ...] = ()
    notes: tuple[str, ...] = ()
    tried: tuple[int, int] = (0, 0)
    call: str = ""
    seconds: float = 0.0
    working: str = "float64"

    @property
    def passed(self) -> bool:
        """Tell whether no promise is broken, no witness objects and no dtype fails."""
        return not self.breaches and not self.objections and not any(one.problem for one in self.roundings)

    @property
    def objections(self) -> tuple[Testimony, ...]:
        """Return the testimonies that object."""
        return tuple(one for one in self.testimonies if one.verdict == "objects")

    def __bool__(self) -> bool:
        return self.passed

    def raise_if_failed(self) -> "Report":
        """Return the report itself, or raise `CheckFailed` with it."""
        if not self.passed:
            raise CheckFailed("\n" + str(self))
        return self

    def __repr__(self) -> str:
        found = [one.words for one in self.breaches]
        found += [f"{one.path}: {one.words}" for one in self.patterns]
        found += [f"{one.witness} objects, {one.words}" for one in self.objections]
        found += [one.problem for one in self.roundings if one.problem]
        line = "; ".join([f"{'PASS' if self.passed else 'FAIL'}  {self.kind} {self.name}", *found])
        # A test runner shows so much of a line, and escapes line ends; `print` shows all of them.
        return line if len(line) <= 200 else f"{line[:199]}… (print the report)"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __str__(self) -> str:
        few = f" ({self.tried[0]} of {self.tried[1]} numbers tried)" if self.tried[0] < self.tried[1] else ""
        lines = [f"{'PASS' if self.passed else 'FAIL'}  {self.kind} {self.name}{few}"]
        lines += [f"  broken     {breach.words}" for breach in self.breaches]
        lines += [f"  pattern    {pattern.path}: {pattern.words}" for pattern in self.patterns]
        lines += self._table()
        for one in self.testimonies:
            mark = {"agrees": "+", "objects": "✗", "abstains": "?", "absent": "-"}[one.verdict]
            lines.append(f"  {mark} {one.witness:<26} {one.verdict:<9} {one.words}".rstrip())
        lines += self._kink_lines()
        lines += [f"  rounding   {each.dtype:<9} " + (each.problem or self._ulp_words(each)) for each in self.roundings]
        lines += [f"  note       {note}" for note in self.notes]
        lines.append(f"  {self.working} arithmetic, {self.seconds:.1f} s; reproduce with {self.call}")
        return "\n".join(lines)

    def _table(self) -> list[str]:
        if not self.leaves:
            return []
        rows = [("input", "worst at", "value", "hand-written", "reference", "relative", "ulp")]
        ranked = sorted(self.leaves, key=lambda leaf: -(leaf.relative if np.isfinite(leaf.relative) else 1e300))
        for leaf in ranked[: 2 * _LINES]:
            if leaf.source == "kink":
                rows.append((leaf.path, leaf.element, f"{leaf.value:.6g}", f"{leaf.hand:.8g}", "kinks only", "", ""))
            else:
                rows.append(
                    (
                        leaf.path,
                        leaf.element,
                        f"{leaf.value:.6g}",
                        f"{leaf.hand:.8g}",
                        f"{leaf.reference:.8g}",
                        f"{leaf.relative:.1e}",
                        _ulps(leaf.ulps),
                    )
                )
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        hidden = len(self.leaves) - 2 * _LINES
        return lines + ([f"  and {hidden} more inputs, none of them worse"] if hidden > 0 else [])

    def _kink_lines(self) -> list[str]:
        lines = []
        ranked = sorted(self.kinks, key=lambda pair: not pair[1].problem)
        for name, kink in ranked[:_LINES]:
            stated = "" if kink.stated is None else f", stated slope {kink.stated:g}"
            lines.append(
                f"  kink       {name} = {kink.value:.6g}: slopes from {_rounded(kink.low)} to "
                f"{_rounded(kink.high)}, hand-written {_rounded(kink.hand)}{stated}"
            )
        if len(self.kinks) > _LINES:
            lines.append(f"  kink       and at {len(self.kinks) - _LINES} more inputs")
        return lines

    def _ulp_words(self, one: Rounding) -> str:
        if np.isnan(one.ulps):
            return one.where
        own = f"{_ulps(one.ulps)} ulp of its own size at {one.where or 'every input'}"
        return f"{own}, {_ulps(one.leaf_ulps)} ulp of the largest in its leaf"


def _ulps(value: float) -> str:
    return "∞" if not np.isfinite(value) else f"{value:.1f}" if value < 1000 else f"{value:.0e}"


def _rounded(value: float) -> str:
    return "0" if abs(value) < 1e-290 else f"{value:.6g}"

r"""The report: what was checked, who objects, where it is worst, what the error looks like, how to see it again.

It is true when the rule passes, and its representation is the text, so that a bare `assert fn.check(rule, x)` prints
it.
"""

from typing import Any, NamedTuple, NoReturn

import numpy as np

from funcnet.checking.contract import Breach
from funcnet.checking.diagnosis import Pattern
from funcnet.checking.judge import Testimony
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
    """A rule did not pass its check; the message is the report."""


class _Shown(str):
    """A representation that pytest shows in full when an `assert` finds the report false.

    pytest cuts a representation to 240 characters and writes its line ends as two characters, so that a table could
    not be read. This text says that it is short, and has its lines marked in the way in which pytest marks lines of
    its own.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return 1

    def replace(self, old: str, new: str, count: Any = -1) -> str:
        """Replace as any text does, except that line ends about to be escaped are kept."""
        if (old, new) == ("\n", "\\n"):
            return str.replace(self, "\n", "\n~")
        return str.replace(self, old, new, count)


class Report:
    """The outcome of a check; true when the rule passes.

    Attributes:
        name, kind: what was checked.
        passed: the verdict, which is also the report's truth.
        breaches: broken promises (tree, shape, NaN, purity, determinism), in words.
        testimonies: what each witness says: `witness`, `verdict` (agrees, objects, abstains, absent), `words`.
        leaves: the worst element of each input.
        patterns: what the error looks like, by input.
        kinks: elements without a derivative.
        roundings: the rounding error in each narrower dtype.
        notes: what else the reader should know.
        seed, seconds: how to reproduce it, and how long it took.

    """

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        breaches: tuple[Breach, ...] = (),
        testimonies: tuple[Testimony, ...] = (),
        leaves: tuple[Leaf, ...] = (),
        patterns: tuple[Pattern, ...] = (),
        kinks: tuple[tuple[str, Kink], ...] = (),
        roundings: tuple[Rounding, ...] = (),
        notes: tuple[str, ...] = (),
        call: str = "",
        seed: int = 0,
        seconds: float = 0.0,
        working: str = "float64",
    ) -> None:
        self.name, self.kind, self.breaches, self.testimonies = name, kind, breaches, testimonies
        self.leaves, self.patterns, self.kinks, self.roundings = leaves, patterns, kinks, roundings
        self.notes, self.call, self.seed, self.seconds, self.working = notes, call, seed, seconds, working

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
            self._raise()
        return self

    def _raise(self) -> NoReturn:
        raise CheckFailed("\n" + str(self))

    def __repr__(self) -> str:
        return _Shown(self)

    def __str__(self) -> str:
        lines = [f"{'PASS' if self.passed else 'FAIL'}  {self.kind} {self.name}"]
        lines += [f"  broken     {breach.words}" for breach in self.breaches]
        lines += [f"  pattern    {self._path(pattern)}: {pattern.words}" for pattern in self.patterns]
        lines += self._table()
        for one in self.testimonies:
            mark = {"agrees": "+", "objects": "✗", "abstains": "?", "absent": "-"}[one.verdict]
            lines.append(f"  {mark} {one.witness:<26} {one.verdict:<9} {one.words}".rstrip())
        lines += self._kink_lines()
        lines += [f"  rounding   {each.dtype:<9} " + (each.problem or self._ulp_words(each)) for each in self.roundings]
        lines += [f"  note       {note}" for note in self.notes]
        lines.append(
            f"  {self.working} arithmetic, {self.seconds:.1f} s; reproduce with "
            f"{self.call or f'fn.check(rule, seed={self.seed})'}"
        )
        return "\n".join(lines)

    def _path(self, pattern: Pattern) -> str:
        return self.leaves[pattern.leaf].path if pattern.leaf < len(self.leaves) else str(pattern.leaf)

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
            return "no reference to measure it by"
        own = f"{_ulps(one.ulps)} ulp of its own size at {one.where or 'every input'}"
        return f"{own}, {_ulps(one.leaf_ulps)} ulp of the largest in its leaf"


def _ulps(value: float) -> str:
    return "∞" if not np.isfinite(value) else f"{value:.1f}" if value < 1000 else f"{value:.0e}"


def _rounded(value: float) -> str:
    return "0" if abs(value) < 1e-290 else f"{value:.6g}"

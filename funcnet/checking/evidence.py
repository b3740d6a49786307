r"""The evidence: everything that can be known about a gradient without looking at the rule's backward.

It is gathered once for a rule and its arguments. Judging a backward against it costs no compilation, so that many
backwards, mutants among them, can be judged by the same evidence.
"""

from functools import cached_property
from typing import Any

import numpy as np

from funcnet.checking.differences import RUNGS, Slopes, ladders, noise_of, quantum, slopes, typical_sizes
from funcnet.checking.form import Subject, first_line
from funcnet.checking.kinks import Intervals, intervals
from funcnet.checking.primitives import NotApplicable
from funcnet.checking.programs import COTANGENTS, Programs

_CHANNELS = 512  # outputs that are kept apart; more are contracted with the cotangents
_BUDGET = 1 << 21  # numbers in flight while differences are taken
SAMPLE = 64  # elements that are differentiated numerically where automatic differentiation speaks for the others
ALL = 4096  # and where it does not


class Evidence:
    """Witnesses' statements about one subject at one point.

    w           cotangents (K, outputs): random, no two entries alike
    rows        wᵀ J by automatic differentiation, (K, inputs), or None with `rows_absent` saying why
    probes      which rows, in turn: some of the first sample alone, all but the last, uniform: for the diagnosis
    tested      elements whose derivative was taken numerically, all of them in small examples
    jacobian    those derivatives (tested, channels) by central differences, with `jacobian_error`
    bounds      one-sided intervals, for kinks
    complex     the same by complex steps, or None with `complex_absent`
    """

    def __init__(
        self,
        subject: Subject,
        seed: int = 0,
        cotangents: int = COTANGENTS,
        max_elements: int | None = None,
        programs: Programs | None = None,
    ) -> None:
        self.subject, self.seed = subject, seed
        self.programs = Programs(subject) if programs is None else programs
        self.layout, self.x, self.y_size = self.programs.layout, self.programs.x, self.programs.y_size
        self.rng = np.random.default_rng([seed, 17])
        self.w = self._draw(cotangents)
        self.masked = self._masked_cotangents()
        wide_output = self.y_size > _CHANNELS
        self.channel_w = np.eye(cotangents) if wide_output else self.w
        self._contract = (lambda values: values @ self.w.T) if wide_output else (lambda values: values)
        self.sizes = np.concatenate(
            [typical_sizes(self.x[self.layout.part(i)]) for i in range(len(self.layout.shapes))]
        )
        self.movable = np.isfinite(self.x)
        # In a joint move each input moves in proportion to itself, small ones among large ones too.
        self.own = np.where(self.x == 0, self.sizes, np.minimum(self.sizes, np.abs(self.x)))
        self.base = self._values(self.x[None])[0]
        self.noise = self._noise()
        self._gather_rows()
        self.tested = self._choose((ALL if self.rows is None else SAMPLE) if max_elements is None else max_elements)
        self._gather_slopes()
        self._gather_directions()
        self._gather_complex()

    # -- drawing -----------------------------------------------------------------------------------

    def _draw(self, count: int) -> np.ndarray:
        normal = self.rng.normal(size=(count, self.y_size))
        # Away from 0, so that no output is left out of the judgement.
        return np.sign(normal) * (0.3 + np.abs(normal))

    def _masked_cotangents(self) -> np.ndarray:
        """Return the first cotangent on the first sample alone, on all but the last, and one of ones."""
        first, but_last = np.zeros(self.y_size), self.w[0].copy()
        for leaf, shape in enumerate(self.programs.y_layout.shapes):
            part = self.programs.y_layout.part(leaf)
            if shape and shape[0] > 1:
                row = int(np.prod(shape[1:], dtype=int))
                first[part][:row] = self.w[0][part][:row]
                but_last[part][-row:] = 0
            else:
                first[part] = self.w[0][part]
        return np.stack([first, but_last, np.ones(self.y_size)])

    def _choose(self, count: int) -> np.ndarray:
        """Return the elements to differentiate numerically: all, or as many from each leaf."""
        eligible = [
            np.arange(part.start, part.stop)[self.movable[part]]
            for part in map(self.layout.part, range(len(self.layout.shapes)))
        ]
        if sum(map(len, eligible)) <= count:
            return np.concatenate(eligible)
        each = max(count // max(len(eligible), 1), 2)
        return np.concatenate([np.sort(self.rng.permutation(ids)[:each]) for ids in eligible])

    # -- gathering ---------------------------------------------------------------------------------

    def _values(self, points: np.ndarray) -> np.ndarray:
        return self._contract(self.programs.values(points))

    def _noise(self) -> np.ndarray:
        """Return the rounding noise of each channel: what nine close points show, and at least a unit of y."""
        direction = self.rng.uniform(0.5, 1.0, self.x.size) * np.where(self.movable, self.own, 0.0)
        samples = self._values(self.x + np.arange(9)[:, None] * 2.0**-26 * direction)
        largest = np.abs(np.where(np.isfinite(self.base), self.base, 0.0))
        measured = np.minimum(4 * noise_of(samples), 1e-4 * largest)
        ladder = self._values(self.x + np.exp2(-3.0 - 2 * np.arange(RUNGS))[:, None] * direction)
        measured = np.maximum(measured, quantum((ladder - self.base)[None])[0])
        return np.maximum(measured, 2 * self.programs.epsilon * largest) + 1e-300

    def _gather_rows(self) -> None:
        self.rows: np.ndarray | None = None
        self.masked_rows: np.ndarray | None = None
        self.rows_absent = ""
        # J by automatic differentiation, output by output, where there are few: it tells which outputs an input
        # reaches.
        self.derivative: np.ndarray | None = None
        if self.programs.untraceable:
            self.rows_absent = "forward cannot be traced"
            return
        w = np.concatenate([self.w, self.masked])
        try:
            rows, _ = self.programs.reference(self.x, w, self._no_directions())
        except Exception as error:  # a stranger's function may not be differentiable by JAX at all
            self.rows_absent = first_line(error)
            return
        self.rows, self.masked_rows = rows[: len(self.w)], rows[len(self.w) :]
        channels, lanes = self.channel_w.shape[1], len(w)
        if channels == self.y_size and channels <= 12 * lanes:
            units = np.eye(-(-channels // lanes) * lanes)[:, :channels]
            calls = [
                self.programs.reference(self.x, units[i : i + lanes], self._no_directions())[0]
                for i in range(0, len(units), lanes)
            ]
            self.derivative = np.concatenate(calls)[:channels]

    def _no_directions(self) -> np.ndarray:
        return np.zeros((self.programs.directions, self.x.size))

    def _ladder(self, directions: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values at x ± h v, each (directions, rungs, channels)."""
        moves = (steps[:, :, None] * directions[:, None, :]).reshape(-1, self.x.size)
        with np.errstate(invalid="ignore"):
            values = self._values(np.concatenate([self.x + moves, self.x - moves]))
        shape = (*steps.shape, values.shape[1])
        return values[: len(moves)].reshape(shape), values[len(moves) :].reshape(shape)

    def _gather_slopes(self) -> None:
        found = []
        count = max(_BUDGET // (2 * (RUNGS + 2) * max(self.x.size, self.y_size)), 1)
        for start in range(0, max(len(self.tested), 1), count):
            elements = self.tested[start : start + count]
            units = np.zeros((len(elements), self.x.size))
            units[np.arange(len(elements)), elements] = 1
            steps = ladders(self.x[elements], self.sizes[elements])
            # A rule that computes in fewer bits has nothing to show further down.
            deep = steps[:, -2:] if self.programs.epsilon > 1e-15 else steps[:, -1:] * np.exp2([-13.0, -19.0])
            deeper = np.concatenate([steps, deep], axis=1)
            plus, minus = self._ladder(units, deeper)
            with np.errstate(all="ignore"):
                own = slopes(self.base, plus[:, :RUNGS], minus[:, :RUNGS], steps, self.noise)
                found.append((own, intervals(own, self.base, plus, minus, deeper, self.noise)))
        self.slopes = Slopes(*(np.concatenate(parts) for parts in zip(*(one for one, _ in found), strict=True)))
        self.bounds = Intervals(*(np.concatenate(parts) for parts in zip(*(one for _, one in found), strict=True)))
        self.jacobian, self.jacobian_error = self.slopes.central, self.slopes.central_error
        # An element is smooth if it is so for each output that it reaches.
        self.smooth = ~np.any(self.bounds.kinked, axis=1)

    def _gather_directions(self) -> None:
        """Go along a random direction through all leaves, and one through each of the first eight, off the kinks."""
        directions = self._no_directions()
        draw = self.rng.normal(size=directions.shape)
        directions[:] = np.sign(draw) * (0.3 + np.abs(draw)) * np.where(self.free, self.own, 0.0)
        for row in range(1, len(directions)):
            keep = self.layout.part(row - 1)
            directions[row, : keep.start] = 0
            directions[row, keep.stop :] = 0
        self.directions = directions
        self.direction_steps = np.exp2(-3.0 - 2 * np.arange(RUNGS))[None].repeat(len(directions), axis=0)
        self.along_plus, along_minus = self._ladder(directions, self.direction_steps)
        with np.errstate(all="ignore"):
            self.along: Slopes = slopes(self.base, self.along_plus, along_minus, self.direction_steps, self.noise)
        self.columns: np.ndarray | None = None
        if self.rows is not None:
            _, columns = self.programs.reference(self.x, np.concatenate([self.w, self.masked]), directions)
            self.columns = self._contract(columns)

    @property
    def free(self) -> np.ndarray:
        """Tell which elements can be moved without standing on a kink or at the edge of a domain."""
        free = self.movable.copy()
        free[self.tested[~self.smooth | np.any(self.bounds.unknown, axis=1)]] = False
        return free

    def _gather_complex(self) -> None:
        self.complex: np.ndarray | None = None
        self.complex_along: np.ndarray | None = None
        self.complex_absent = ""
        units = np.zeros((len(self.tested), self.x.size))
        units[np.arange(len(self.tested)), self.tested] = self.sizes[self.tested]
        moves = 2.0**-100 * np.concatenate([units, self.directions])
        try:
            values = self.programs.complex_values(self.x + 1j * moves)
        except NotApplicable as reason:
            self.complex_absent = str(reason)
            return
        except Exception as error:  # a primitive without a complex kernel on this platform
            self.complex_absent = first_line(error)
            return
        found = self._contract(np.imag(values)) / 2.0**-100
        self.complex = found[: len(self.tested)] / self.sizes[self.tested][:, None]
        # A step below the smallest number is none.
        self.complex[self.sizes[self.tested] < 1e-270] = np.nan
        self.complex_along = found[len(self.tested) :]

    def extend(self, elements: np.ndarray) -> None:
        """Differentiate further elements numerically, because automatic differentiation objects there."""
        fresh = np.setdiff1d(elements[self.movable[elements]], self.tested)
        if fresh.size:
            self.tested = np.concatenate([self.tested, fresh])
            self._gather_slopes()
            self._gather_directions()
            self._gather_complex()

    def contracted(self, columns: Any) -> np.ndarray:
        """Return w J for each cotangent from columns (elements, channels): (K, elements)."""
        with np.errstate(all="ignore"):
            return self.channel_w @ columns.T

    # -- rounding ----------------------------------------------------------------------------------

    @cached_property
    def gradient_noise(self) -> np.ndarray:
        """Return the rounding noise of the gradient, hand-written and automatic, (K, inputs); measured when asked for.

        That of y is measured beside it, and the differences judged anew by it.
        """
        if self.programs.untraceable:
            return np.zeros((len(self.w), self.x.size))
        y, gradient = self.programs.noise(self.w, self.rng)
        wide_output = self.channel_w.shape[1] != self.y_size
        self.noise = np.maximum(self.noise, np.abs(self.w) @ y if wide_output else y)
        self._gather_slopes()
        self._gather_directions()
        return gradient

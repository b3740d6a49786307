r"""Side-by-side benchmarks: `python -m experiments.benchmarks` measures all of them and writes docs/benchmarks.md.

A group is a module with `measure(toy) -> numbers`, a dict that JSON can hold; `show(numbers) -> Markdown`; and
`aims(numbers) -> [Aim]`. Contestants take turns (A B A B …), after each has run once; a ratio is the median over the
turns of the quotient within a turn, since what else the machine does changes slowly. Where two contestants should
compute the same thing, that is checked before either is timed.
"""

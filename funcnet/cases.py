r"""Cases: the example arguments and known values that every concept file brings along.

A case names a rule, arguments for it, and, where a number is known from elsewhere (worked by hand, or printed in
a paper), the value and the gradient that must come out. The test suite and the gradient checker loop over them.
"""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """One set of example arguments for one rule.

    kind        ordinary, batch, kink, extreme or known
    rule        the record under test
    arguments   what `forward` takes, as nested lists or arrays of floats
    value       the forward value, where it is known independently of the code
    gradient    the input gradient for a cotangent of ones, where it is known; at a kink, the stated subgradient
    source      where the known numbers come from
    """

    kind: str
    rule: Any
    arguments: tuple[Any, ...]
    value: Any = None
    gradient: Any = None
    source: str = ""

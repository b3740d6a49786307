r"""The registries as lists of checks, for a suite of one's own.

In pytest:

    @pytest.mark.parametrize("example", cases(), ids=str)
    def test_gradient(example):
        assert example.check()

A folder of one's own joins in as anything with a `REGISTRY` of modules that have `CASES`.
"""

import importlib
from typing import Any, NamedTuple

from funcnet.checking.report import Report
from funcnet.checking.run import check
from funcnet.records import replace

_KINDS = ("activations", "losses", "regularizers", "layers", "optimizers")


class Example(NamedTuple):
    """One rule with arguments, out of a registry.

    Attributes:
        name: what a test calls it.
        group: the module that it comes from.
        kind: "ordinary", "batch", "kink", "extreme" or "known".
        rule: the layer, loss, activation, metric or the like.
        arguments: what it is checked at.
        known: the gradient for a dy of ones, or an optimizer's parameters, where they are known or stated; else
            None.

    >>> import funcnet as fn
    >>> example = next(one for one in fn.checking.cases("activations") if one.kind == "kink")
    >>> print(example.name, example.rule, example.arguments, example.known)
    elu-2-ELU-kink ELU(alpha=0.25) ([0.0, -0.0],) [0.25, 0.25]

    """

    name: str
    group: str  # the module that it comes from
    kind: str  # ordinary, batch, kink, extreme or known
    rule: Any
    arguments: tuple[Any, ...]
    known: Any = None  # the gradient for a dy of ones, or an optimizer's parameters, where they are known or stated

    def __str__(self) -> str:
        return self.name

    def check(self, **options: Any) -> Report:
        """Check the rule at these arguments; see `funcnet.check`."""
        return check(self.rule, *self.arguments, **{"known": self.known, **options})


def cases(*registries: Any, reductions: bool = True) -> list[Example]:
    """Return the cases of registries, by name ("losses"), module or package; of all five kinds by default.

    A loss is also listed with its other reductions, on its batches: a backward that assumes one number as dy is
    right for a mean and wrong for each sample's own loss.

    Args:
        *registries: names of registries, modules or packages, one argument each; all when none is given.
        reductions: whether each loss stands there with every reduction.

    >>> import funcnet as fn
    >>> examples = fn.checking.cases("activations")
    >>> examples[0].check(dtypes=(), transforms=False).passed
    True

    """
    found = []
    for registry in registries or _KINDS:
        package = importlib.import_module(f"funcnet.{registry}") if isinstance(registry, str) else registry
        modules = package.REGISTRY if hasattr(package, "REGISTRY") else (package,)
        for module in modules:
            found += _of_module(module, reductions)
    return found


def _of_module(module: Any, reductions: bool) -> list[Example]:
    group = module.__name__.split(".")[-1]
    found: list[Example] = []
    for number, case in enumerate(getattr(module, "CASES", ())):
        kind = type(case.rule).__name__
        known = case.gradient if hasattr(case.rule, "backward") else case.value
        found.append(
            Example(f"{group}-{number}-{kind}-{case.kind}", group, case.kind, case.rule, case.arguments, known)
        )
        if reductions and case.kind == "batch" and getattr(case.rule, "reduction", None) == "mean":
            found += [
                Example(
                    f"{group}-{number}-{kind}-{other}",
                    group,
                    case.kind,
                    replace(case.rule, {"reduction": other}),
                    case.arguments,
                )
                for other in ("sum", "none")
            ]
    return found

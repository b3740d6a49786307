r"""The checker on the command line; the exit status is not zero when a rule fails.

python -m funcnet.checking package.module:rule                 a rule, at the module's CASES or at random arguments
python -m funcnet.checking package.module:f --shape 4,3        a function or a pair, at random arguments of these shapes
python -m funcnet.checking package.module:f --gradient package.module:df --shape 5
python -m funcnet.checking --registry [losses …]               every case of the registries
"""

import argparse
import importlib
import sys
from typing import Any

import jax
import numpy as np

from funcnet.checking import check
from funcnet.checking.registry import cases
from funcnet.checking.report import Report
from funcnet.checking.subject import is_layer, is_optimizer
from funcnet.errors import raise_error


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m funcnet.checking", description="Check gradients that were written by hand."
    )
    parser.add_argument("rule", nargs="*", help="package.module:rule, or with --registry the names of registries")
    parser.add_argument("--gradient", help="package.module:function, the claimed gradient")
    parser.add_argument(
        "--shape", action="append", default=[], help="shape of an example argument, such as 4,3; once for each argument"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--registry", action="store_true", help="check every case of the registries")
    given = parser.parse_args(arguments)
    if given.registry:
        reports = [(str(example), example.check(seed=given.seed)) for example in cases(*given.rule)]
        for name, report in reports:
            print(f"{'PASS' if report else 'FAIL'}  {name}" + ("" if report else f"\n{report}"))
        return int(not all(report for _, report in reports))
    if not given.rule:
        parser.error("a rule is due, as package.module:rule, or --registry")
    found = [report for name in given.rule for report in _reports(name, given)]
    print("\n\n".join(map(str, found)))
    return int(not all(found))


def _load(name: str) -> tuple[Any, Any]:
    """Return the module and the object that `package.module:object` names."""
    module_name, _, path = name.partition(":")
    if not path:
        raise_error("a rule must be named package.module:rule", f"got {name!r}", "funcnet.activations.relu:ReLU")
    sys.path.insert(0, "")
    module = importlib.import_module(module_name)
    found: Any = module
    for step in path.split("."):
        found = getattr(found, step)
    return module, found


def _reports(name: str, given: argparse.Namespace) -> list[Report]:
    module, rule = _load(name)
    gradient = _load(given.gradient)[1] if given.gradient else None
    kind = rule if isinstance(rule, type) else type(rule)
    own = [example for example in cases(module) if type(example.rule) is kind] if hasattr(module, "CASES") else []
    if isinstance(rule, type):
        own_rule = own[0].rule if own else rule()
    else:
        own, own_rule = [example for example in own if example.rule == rule] or own, rule
    if own and not given.shape:
        return [example.check(seed=given.seed) for example in own]
    rng = np.random.default_rng(given.seed)
    shapes = [tuple(int(n) for n in shape.split(",") if n) for shape in given.shape]
    return [check(own_rule, *_arguments(own_rule, shapes, rng), gradient=gradient, seed=given.seed)]


def _arguments(rule: Any, shapes: list[tuple[int, ...]], rng: np.random.Generator) -> list[Any]:
    """Draw example arguments of the shapes, or of a small default for the kind of rule."""
    if is_optimizer(rule):
        return []
    if is_layer(rule):
        x = rng.normal(size=shapes[0] if shapes else (4, 3))
        return [rule.init(jax.random.key(int(rng.integers(1000))), x.shape[1:]), x]
    return [rng.normal(size=shape) for shape in shapes or [(4, 3)]]


if __name__ == "__main__":
    sys.exit(main())

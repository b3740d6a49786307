r"""The registry of a folder of concepts, read off the names that the folder gives out.

The `__init__` of such a folder has one line a concept, in a form that type checkers know for public,

    from funcnet.losses.huber import Huber as Huber

and below those lines `REGISTRY = registry(__name__)`. Nothing else names the concept: what loops over concepts, in
the package, the tests and the reference, loops over the registries.
"""

import sys
from types import ModuleType


def registry(package: str) -> tuple[ModuleType, ...]:
    """Return the modules with `CASES` that a package's classes come from, in alphabetical order.

    >>> import funcnet.activations, funcnet as fn
    >>> [module.__name__ for module in fn.layers.registry("funcnet.activations")][:2]
    ['funcnet.activations.elu', 'funcnet.activations.gelu']
    """
    homes = {value.__module__ for value in vars(sys.modules[package]).values() if isinstance(value, type)}
    modules = [sys.modules[name] for name in sorted(homes) if name.startswith(f"{package}.")]
    return tuple(module for module in modules if "CASES" in vars(module))


def concepts(package: str) -> dict[str, type]:
    """Return the classes of a package's registry by name: the concepts themselves, without their bases.

    >>> import funcnet.regularizers
    >>> list(concepts("funcnet.regularizers"))
    ['ElasticNet', 'L1', 'L2', 'MaxNorm', 'Sum']
    """
    homes = {module.__name__ for module in sys.modules[package].REGISTRY}
    given = vars(sys.modules[package]).items()
    return {name: value for name, value in sorted(given) if isinstance(value, type) and value.__module__ in homes}


def public_names(package: str, *more: str) -> list[str]:
    """Return the names of the classes that a package gives out of its own modules, and some more.

    >>> import funcnet.activations, funcnet as fn
    >>> fn.layers.public_names("funcnet.activations")[:3]
    ['Activation', 'ELU', 'Elementwise']
    """
    given = ((name, value) for name, value in vars(sys.modules[package]).items() if isinstance(value, type))
    own = (name for name, value in given if value.__module__.startswith(f"{package}.") and name[0] != "_")
    return sorted([*own, *more])

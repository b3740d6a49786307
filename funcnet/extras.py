"""The import of what funcnet does not depend on."""

import importlib
from typing import Any

from funcnet.errors import raise_error

_PACKAGES = {"sklearn": "scikit-learn"}  # what pip installs, where it is not called as the module


def import_extra(module: str, extra: str = "experiments") -> Any:
    """Import a module that funcnet does not depend on, of the extra that brings it along."""
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.split(".")[0]
        attempt = f'pip install {_PACKAGES.get(name, name)}, or funcnet with its extra "{extra}"'
        raise_error(f"{name} must be installed for this", "importing it failed", attempt, ImportError)

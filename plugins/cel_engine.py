"""The CEL extension module, without the command line that its package imports beside it."""

import importlib.machinery
import importlib.util
import sys
from types import ModuleType


def _extension() -> ModuleType:
    """`cel/__init__` imports a prompt toolkit: 300 ms in every process, 15 ms without it."""
    loaded = sys.modules.get("cel.cel")
    if loaded is not None:
        return loaded
    package = importlib.util.find_spec("cel")
    assert package is not None, "common-expression-language is not installed"
    spec = importlib.machinery.PathFinder.find_spec("cel.cel", package.submodule_search_locations)
    assert spec is not None, "common-expression-language has no extension module"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["cel.cel"] = module  # a native module may be initialised once per process
    return module


ENGINE = _extension()

"""annbench: measure approximate nearest-neighbour search, and the embeddings that it searches.

The verbs of the command line are functions: `choose`, `compare`, `load_results`, `prepare`, `report`,
`run` and `study`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.core.version import __version__

if TYPE_CHECKING:
    from harness.api import choose, compare, load_results, prepare, report, run, study

__all__ = ["__version__", "choose", "compare", "load_results", "prepare", "report", "run", "study"]

_VERBS = ("choose", "compare", "load_results", "prepare", "report", "run", "study")


def __getattr__(name: str) -> Any:
    """Import the verbs when they are first used: `import harness` itself stays light."""
    if name in _VERBS:
        from harness import api

        return getattr(api, name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


class _Verb(ModuleType):
    """A package that has the name of a verb: `harness.report.write` is a module of it, `harness.report()` the verb."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from harness import api

        return getattr(api, self.__name__.rpartition(".")[2])(*arguments, **options)


class _Package(ModuleType):
    """This package. Importing a subpackage sets an attribute, which would hide the verb of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _VERBS and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

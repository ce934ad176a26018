"""annbench: measure approximate nearest-neighbour search, and the embeddings that it searches.

`run`, `prepare`, `report`, `study` and `load_results` are the verbs of the command line as functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import load_results, prepare, report, run, study

__version__ = "0.1.0"
__all__ = ["__version__", "load_results", "prepare", "report", "run", "study"]


def __getattr__(name: str) -> Any:
    """Import the verbs when they are first used: `import harness` itself stays light."""
    if name in ("load_results", "prepare", "report", "run", "study"):
        from harness import api

        return getattr(api, name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")

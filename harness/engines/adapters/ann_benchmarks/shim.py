"""What the plug-ins of ann-benchmarks import from it: its base class, and the few functions beside.

Written from the interface alone, so that their plug-ins run where ann-benchmarks is not installed. `provide` puts it
under the names that they import.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import psutil

from harness.core.errors import PluginError

PACKAGE = "ann_benchmarks"
ALGORITHMS = f"{PACKAGE}.algorithms"

_TRUE = {"y", "yes", "1", "true", "t", "on"}


class BaseANN:
    """The base class of their plug-ins: `fit`, then `set_query_arguments` and `query` in turns."""

    threads = 1
    """How many threads the default `batch_query` may use: set by the adapter."""

    name: str
    res: Any

    def done(self) -> None:
        """Release what outlives the object, such as a server."""

    def get_memory_usage(self) -> float | None:
        """Return the resident memory of this process in kB; a plug-in that knows better says its own figure."""
        return float(psutil.Process().memory_info().rss) / 1024

    def fit(self, X: Any) -> None:
        """Build the index over `X`: (n, dim) float32, (n, dim) bool, or a list of n arrays of integers."""

    def query(self, q: Any, n: int) -> Any:  # noqa: ARG002 - to be overridden
        """Return the ids of the `n` nearest neighbours of one vector."""
        return []

    def batch_query(self, X: Any, n: int) -> None:
        """Answer all queries, on as many threads as are allowed; `get_batch_results` gives the answers."""
        if self.threads == 1:
            self.res = [self.query(q, n) for q in X]
            return
        with ThreadPoolExecutor(self.threads) as pool:
            self.res = list(pool.map(lambda q: self.query(q, n), X))

    def get_batch_results(self) -> Any:
        """Return the ids for each query of the last batch."""
        return self.res

    def get_additional(self) -> dict[str, Any]:
        """Return counts, such as `dist_comps`, the distance computations so far."""
        return {}

    def __str__(self) -> str:
        """Name the plug-in with the parameters in force."""
        return self.name


def norm(a: Any) -> Any:
    """Return the euclidean norm of a vector."""
    return np.sum(a**2) ** 0.5


def euclidean(a: Any, b: Any) -> Any:
    """Return the euclidean distance of two vectors."""
    return norm(a - b)


def jaccard(a: Any, b: Any) -> float:
    """Return the Jaccard similarity of two sets without repeats; 0 where either is empty."""
    if len(a) == 0 or len(b) == 0:
        return 0.0
    shared = len(set(a) & set(b))
    return shared / float(len(a) + len(b) - shared)


class Distance(NamedTuple):
    """A distance, and whether a value of it is one that a neighbour may have."""

    distance: Callable[[Any, Any], Any]
    distance_valid: Callable[[Any], bool]


def _valid(distance: Any) -> bool:  # noqa: ARG001 - the interface is theirs
    return True


metrics = {
    "hamming": Distance(lambda a, b: np.mean(np.asarray(a, np.bool_) ^ np.asarray(b, np.bool_)), _valid),
    # Sets without a common member are no neighbours.
    "jaccard": Distance(lambda a, b: 1 - jaccard(a, b), lambda distance: bool(distance < 1 - 1e-5)),
    "euclidean": Distance(euclidean, _valid),
    "angular": Distance(lambda a, b: 1 - np.dot(a, b) / (norm(a) * norm(b)), _valid),
}


def compute_distance(metric: str, a: Any, b: Any) -> Any:
    """Return the distance of two points under a metric by name."""
    return metrics[metric].distance(a, b)


def is_distance_valid(metric: str, distance: Any) -> bool:
    """Say whether a neighbour may have this distance."""
    return metrics[metric].distance_valid(distance)


def float_parse_entry(line: str) -> list[float]:
    """Read a vector from a line of numbers."""
    return [float(word) for word in line.split()]


def float_unparse_entry(entry: Iterable[Any]) -> str:
    """Write a vector as a line of numbers."""
    return " ".join(map(str, entry))


def int_parse_entry(line: str) -> frozenset[int]:
    """Read a set from a line of integers."""
    return frozenset(int(word) for word in line.split())


def int_unparse_entry(entry: Iterable[Any]) -> str:
    """Write a set as a line of integers."""
    return " ".join(str(int(member)) for member in entry)


def bit_parse_entry(line: str) -> list[bool]:
    """Read bits from a line of zeros and ones, blanks left out."""
    return [bool(int(digit)) for digit in "".join(line.split())]


def bit_unparse_entry(entry: Iterable[Any]) -> str:
    """Write bits as a line of zeros and ones."""
    return "".join("1" if bit else "0" for bit in entry)


def get_bool_env_var(env_var_name: str, default_value: bool) -> bool:
    """Read an environment variable as a flag; the default where it is unset or empty."""
    text = os.environ.get(env_var_name, "").strip().lower()
    return text in _TRUE if text else default_value


_DISTANCE = (norm, euclidean, jaccard, compute_distance, is_distance_valid)
_DATA = (
    *(float_parse_entry, float_unparse_entry, int_parse_entry),
    *(int_unparse_entry, bit_parse_entry, bit_unparse_entry),
)


def provide(root: Path) -> None:
    """Put what their plug-ins import under the names of theirs, with the plug-ins of `root` in `ALGORITHMS`.

    Raises PluginError where the process has imported an ann_benchmarks from elsewhere.
    """
    known = sys.modules.get(PACKAGE)
    if known is None:
        _install()
    elif not hasattr(known, "__annbench__"):
        origin = getattr(known, "__file__", None) or "elsewhere"
        raise PluginError(f"{PACKAGE} was imported from {origin} before; its plug-ins need a process without it")
    folders: Any = sys.modules[ALGORITHMS].__path__
    if str(root) not in folders:
        folders.append(str(root))


def _install() -> None:
    data = {function.__name__: function for function in _DATA}
    # Files that a plug-in writes must not be found by the next run, which would skip its build.
    constants = {"INDEX_DIR": str(Path(tempfile.gettempdir()) / "indices")}
    parts: dict[str, dict[str, Any]] = {
        PACKAGE: {"__path__": [], "__annbench__": True},
        ALGORITHMS: {"__path__": []},
        # Up to 2023 the class was in `algorithms.base` itself.
        f"{ALGORITHMS}.base": {"__path__": [], "BaseANN": BaseANN},
        f"{ALGORITHMS}.base.module": {"BaseANN": BaseANN},
        f"{ALGORITHMS}.data": data,  # one of theirs looks for it there
        f"{PACKAGE}.data": data,
        f"{PACKAGE}.distance": {"metrics": metrics, **{function.__name__: function for function in _DISTANCE}},
        f"{PACKAGE}.constants": constants,
        f"{PACKAGE}.util": {"get_bool_env_var": get_bool_env_var},
    }
    for name, content in parts.items():
        module = ModuleType(name, "Stands in for ann-benchmarks.")
        vars(module).update(content)
        sys.modules[name] = module
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], own, module)

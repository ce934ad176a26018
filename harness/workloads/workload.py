"""What a workload is: all that planning, measuring, storing and analysing need to know of it.

A workload is a folder of this package and a line in `catalogue.py`. Nothing outside names one: whoever needs it looks
it up by the name in a suite, a spec or a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from harness.data.exact_distances import ExactDistances
from harness.store.envelope import NO_COMPANION, Companion
from harness.store.result import Result

if TYPE_CHECKING:
    from harness.data.dataset import Dataset, Header
    from harness.engines.contract import Algorithm
    from harness.workloads.measure import Measure

Arrays = dict[str, NDArray[Any]]
"""Arrays by name, a row a query unless a workload says otherwise."""


class Driver(ABC):
    """Drives one built engine through a workload: binds settings, makes timed calls, reads the answers.

    Made once a build. `count` is always the length of a prefix of the test set.
    """

    @abstractmethod
    def bind(self, params: Mapping[str, Any]) -> Any:
        """Return the engine's search with these parameters; untimed. Only the one bound last is valid."""

    @abstractmethod
    def calls(self, count: int) -> int:
        """Return how many timed calls `count` queries take."""

    @abstractmethod
    def ask(self, search: Any, start: int, stop: int, latencies: NDArray[np.int64], answers: list[Any]) -> None:
        """Answer the queries from `start` up to `stop` once.

        Writes the time of each call in ns to `latencies` (calls,), and what it returned to `answers`, a list as long.
        """

    @abstractmethod
    def answers(self, given: Sequence[Any], count: int) -> Arrays:
        """Turn what the calls returned for `count` queries into arrays; runs after the clock has stopped.

        Raises PluginError where an answer breaks the contract.
        """

    @abstractmethod
    def recorded(self, answers: Arrays, distances: ExactDistances) -> Arrays:
        """Return the arrays of a result: the answers, and what is needed of the truth to judge them."""


class Workload(ABC):
    """A workload by name. It holds no state: one instance serves all."""

    name: ClassVar[str]
    about: ClassVar[str]
    """A line for people."""
    terms: ClassVar[type[BaseModel]]
    """Its own fields of a suite and of a spec, such as k; frozen, with defaults."""
    measures: ClassVar[tuple[Measure, ...]]
    """What it measures beside recall, time, build and memory."""
    ability: ClassVar[type | None] = None
    """The mixin that an engine must have, beside `Algorithm`; `harness.engines.conformance` has its rule."""

    @abstractmethod
    def folder(self, dataset: str, algorithm: str, terms: Any) -> str:
        """Return where results are kept, relative to the store."""

    @abstractmethod
    def words(self, terms: Any) -> str:
        """Write its own fields for people: `k = 10`."""

    def variables(self, terms: Any) -> dict[str, int]:  # noqa: ARG002 - what an overriding method needs
        """Return the names that parameters may be computed from, beside n and dim."""
        return {}

    @abstractmethod
    def check(self, terms: Any, dataset: Header) -> None:
        """Raise ConfigError where a dataset can't serve these terms; say what to do."""

    def prepare(self, terms: Any, load: Callable[[], Dataset], count: int) -> None:  # noqa: B027 - optional
        """Make what truth is missing of the first `count` queries of a dataset, kept beside it; show progress."""

    @abstractmethod
    def driver(self, algorithm: Algorithm, dataset: Dataset, terms: Any, *, threads: int) -> Driver:
        """Return what drives a built engine. Raises PluginError where the engine lacks the ability."""

    @abstractmethod
    def query_recall(self, result: Result) -> NDArray[np.float64]:
        """Return the recall of each query, (q,) float64; nan where the truth isn't known."""

    def companion(self, result: Result) -> Companion:  # noqa: ARG002 - what an overriding method needs
        """Return what other tools read of a result of this workload."""
        return NO_COMPANION

"""Abilities of an index beyond building and searching: mixin classes, so that what a plug-in lacks is known beforehand.

A class that has an ability derives from its mixin: `class MyIndex(Algorithm, Saves, Grows)`. A workload that needs an
ability leaves out the plug-ins that lack it, and `annbench check` has a rule for each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from harness.data.attributes import Attributes
from harness.data.predicates import Predicate

Search = Callable[[Any, int], Any]
"""(queries (m, dim), k) -> ids: an (m, k) integer array, or lists of ints, as the library gives them."""

FilteredSearch = Callable[[Any, int, Sequence[Predicate]], Any]
"""(queries (m, dim), k, m predicates) -> ids, as a `Search` gives them: of rows that match a query's predicate."""


RangeSearch = Callable[[Any, float], Any]
"""(queries (m, dim), radius) -> (indptr (m + 1,), ids (total,)), integers: see `Ranges`."""


class Saves(ABC):
    """The ability to write an index to disk and read it back."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the index to `path`, a file or folder that doesn't exist yet."""

    @abstractmethod
    def load(self, path: Path) -> None:
        """Read what `save` wrote, in place of `fit`."""


class Grows(ABC):
    """The ability to add vectors after `fit`."""

    @abstractmethod
    def add(self, vectors: Any, *, threads: int = 1) -> None:
        """Add (m, dim) vectors; their ids go on from the highest so far, also where that one was deleted."""


class Ranges(ABC):
    """The ability to find all vectors within a radius."""

    @abstractmethod
    def range_searcher(self, *, threads: int = 1, **search_params: Any) -> RangeSearch:
        """Bind search parameters, those of `searcher`; untimed. Only the searcher bound last, of either kind, is valid.

        What it returns is called with queries (m, dim) and a radius, a distance of the metric as the harness states it
        (euclidean not squared, angular 1 - cos, ip -dot, hamming a share of the bits). It gives `indptr` (m + 1,) and
        `ids` (total,), both of integers: query i found ids[indptr[i]:indptr[i + 1]], in any order, each once.
        """


class Deletes(ABC):
    """The ability to delete vectors after `fit`."""

    @abstractmethod
    def delete(self, ids: Any) -> None:
        """Delete vectors by their ids, (m,) int64 without repeats, as `fit` and `add` gave them.

        A searcher that is bound afterwards never returns a deleted id, and all others stay as they are; one that was
        bound before is no longer valid. Raises ParameterError for an id that was never given or is deleted already, and
        deletes nothing then.
        """


class Filters(ABC):
    """The ability to search among the rows that match a predicate over attributes."""

    @abstractmethod
    def attach(self, attributes: Attributes) -> None:
        """Take the attributes of the vectors that `fit` is given next; called before `fit`, and timed with it.

        Row i belongs to vector i. The columns must stay as they are.
        """

    @abstractmethod
    def filtered_searcher(self, *, threads: int = 1, **search_params: Any) -> FilteredSearch:
        """Bind search parameters, as `searcher` does; only what was bound last is valid.

        The predicates are translated within the search, so that their cost is timed. A query for which fewer than k
        rows match gets those. Raises ParameterError, here or in the search, for a predicate that the engine can't
        express: the message names its column.
        """


class Flushes(ABC):
    """The ability to say when all that was written can be found, where an engine indexes in the background."""

    @abstractmethod
    def flush(self) -> None:
        """Return once all that was written can be found by its index: optimise, refresh, vacuum, or wait.

        Harmless where nothing is left to be done. A searcher must be bound again afterwards.
        """


class Concurrent(ABC):
    """The ability to serve several clients at once."""

    clients: Literal["threads", "processes"] = "threads"
    """How clients may run at once. As threads, they share this object. As processes, each gets a copy of it by pickle,
    which must lead to the same index, and calls `client` there."""

    @abstractmethod
    def client(self) -> Search:
        """Return a search of its own for one client, under the search parameters bound last by `searcher`.

        Untimed. It may be called at the same time as those of other clients, but not by two of them.
        """


class Closes(ABC):
    """The ability to give back what an index holds outside of its object: connections, files, servers."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back. No other method is called afterwards but `close` itself, which then does nothing."""


class Evidence(TypedDict):
    """What an engine says about how it searches."""

    indexed_rows: int
    """How many vectors a search finds through the index, rather than by comparing with each."""
    index: str
    """The kind of index, in the engine's words; empty where there is none."""
    plan: str
    """How a search of the searcher bound last is carried out, in the engine's words, such as an SQL plan."""


class Explains(ABC):
    """The ability to prove that an index was built and is used, and not a scan over all vectors."""

    @abstractmethod
    def evidence(self) -> Evidence:
        """Return what the engine itself says of its index and of the searches of the searcher bound last; untimed."""

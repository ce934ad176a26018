"""A plug-in of ann-benchmarks as an algorithm of ours.

The child process imports its module, unmodified, and this drives its hooks. What differs between the two contracts, and
how it is bridged:

- Their `query` gets one vector, ours a matrix of one row: that costs about 0.15 us a query inside the clock.
- Their vectors may be written to; ours may not. `fit` gets a copy, made inside the clock at the speed of memory; a
  query is copied, in some 0.3 us, only for plug-ins that turn out to write to it.
- Bits are bool arrays there, packed here; sets are arrays of integers, one of `Sets` here. The vectors to index are
  converted in `fit`, queries as they come: a set costs tens of ns, bits about a us.
- An answer may be a list, a lazy iterator, floats that are whole numbers, or too short: each is understood.
- Preparing a query, and fetching the results of a prepared or a batch one, is outside their clock and inside ours, as
  an answer costs what it takes to get it.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.core.errors import ParameterError, PluginError
from harness.data.metric import Metric
from harness.engines.adapters.ann_benchmarks.arguments import Place, assembled, source_of
from harness.engines.adapters.ann_benchmarks.shim import ALGORITHMS, BaseANN, provide
from harness.engines.contract import Algorithm, Search, Sets

# Their names for counts of ours.
_COUNTERS = {"dist_comps": "distance_computations"}


def adapted(name: str, folder: Path, definitions: Mapping[str, Mapping[str, Any]]) -> type[Algorithm]:
    """Make an algorithm of ours of the plug-in whose config is in `folder`.

    `definitions` has for each metric: `module` and `constructor`, `build` and `search`, which map the names of
    parameters to their places among the arguments, `fixed`, values of some, and `metric`, places that hold its name.
    Raises PluginError in one line where the plug-in can't be imported.
    """
    root = folder.parent
    provide(root)
    classes = {}
    for metric, definition in definitions.items():
        classes[metric] = _imported(name, root, definition["module"], definition["constructor"])
    return type(name, (Adapted,), {"_name": name, "_definitions": definitions, "_classes": classes})


def _imported(name: str, root: Path, folder: str, constructor: str) -> Callable[..., Any]:
    source = source_of(root, folder)
    module_name = f"{ALGORITHMS}.{folder}" if source.parent == root else f"{ALGORITHMS}.{folder}.module"
    try:
        module = importlib.import_module(module_name)
    except Exception as problem:
        raise PluginError(f"{name}: importing {source} failed: {problem!r}") from problem
    if Path(str(module.__file__)).resolve() != source.resolve():
        raise PluginError(f"{name}: {folder!r} was imported from {module.__file__} in this process already")
    found = getattr(module, constructor, None)
    if not callable(found):
        raise PluginError(f"{name}: there is no {constructor!r} in {module.__file__}")
    return found  # type: ignore[no-any-return]


def _finish(theirs: Any, folder: str) -> None:
    with contextlib.suppress(Exception):  # all is measured: what can't be ended, or is gone already, costs no figure
        theirs.done()
    shutil.rmtree(folder, ignore_errors=True)


class Adapted(Algorithm):
    """Drives one object of theirs. `adapted` makes a subclass for each plug-in."""

    _name: ClassVar[str]
    _definitions: ClassVar[Mapping[str, Mapping[str, Any]]]
    _classes: ClassVar[Mapping[str, Callable[..., Any]]]

    def __init__(self, metric: Metric, /, **parameters: Any) -> None:  # theirs may be called "metric", too
        self._metric = Metric(metric)
        if self._metric not in self._definitions:
            raise ParameterError(f"{self._name} knows {', '.join(self._definitions)}, not {metric}")
        definition = self._definitions[self._metric]
        places: dict[str, Place] = {key: tuple(place) for key, place in definition["build"].items()}
        values = {**definition["fixed"], **parameters}
        for number, place in enumerate(definition["metric"]):
            places[f"@metric {number}"], values[f"@metric {number}"] = tuple(place), str(self._metric)
        arguments = assembled(values, places, self._name)
        # What it writes to the working folder must not be found by the next run, which would skip its build.
        self._folder = tempfile.mkdtemp(prefix="annbench-theirs-")
        try:
            with contextlib.chdir(self._folder):
                self._theirs = self._classes[self._metric](*arguments)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        # When it is no longer used, at the latest when the process ends.
        weakref.finalize(self, _finish, self._theirs, self._folder)
        self._held: float | None = None
        self._ways: dict[str, _Way] = {}

    def fit(self, train: Any, *, threads: int = 1) -> None:
        """Build on a copy of `train` in the form that theirs wants.

        Their `fit` knows nothing of `threads`: the environment of the process tells the libraries.
        """
        theirs = self._theirs
        if isinstance(theirs, BaseANN):
            theirs.threads = threads
        if hasattr(theirs, "supports_prepared_queries"):
            theirs.supports_prepared_queries()
        with contextlib.chdir(self._folder):
            self._held = self._memory()
            theirs.fit(self._converted(train))
        with contextlib.suppress(Exception):  # many a name holds the search parameters, which aren't set yet
            self.effective = {"name": str(theirs)}

    def _converted(self, rows: Any) -> Any:
        if isinstance(rows, Sets):
            return [np.array(row) for row in rows]
        if self._metric is Metric.HAMMING:
            return np.unpackbits(rows, axis=1).view(np.bool_)
        return np.array(rows)

    def _memory(self) -> float | None:
        """Return what theirs says it holds, in kB; None where it only says what the whole process does."""
        ask = getattr(type(self._theirs), "get_memory_usage", BaseANN.get_memory_usage)
        if ask is BaseANN.get_memory_usage:
            return None
        return float(self._theirs.get_memory_usage() or 0.0)

    def searcher(self, /, *, threads: int = 1, **parameters: Any) -> Search:
        """Set their query arguments, and ask in the way that the first answer showed to be right."""
        theirs = self._theirs
        if parameters:
            places = {key: tuple(place) for key, place in self._definitions[self._metric]["search"].items()}
            arguments = assembled(parameters, places, self._name)
            if not hasattr(theirs, "set_query_arguments"):
                raise ParameterError(f"{self._name}: has no set_query_arguments for {', '.join(parameters)}")
            theirs.set_query_arguments(*arguments)
        if isinstance(theirs, BaseANN):
            theirs.threads = threads
        # Each setting is looked at once, as it may choose another path through the plug-in.
        return self._ways.setdefault(repr(sorted(parameters.items())), _Way(theirs, self._metric)).search()

    def index_bytes(self) -> int | None:
        """Return by how much the figure of their `get_memory_usage` grew; None where that is the process's memory."""
        held = self._memory()
        return None if held is None or self._held is None else max(0, round((held - self._held) * 1024))

    def counters(self) -> Mapping[str, int]:
        """Return what numbers `get_additional` gives; `dist_comps` are distance computations."""
        ask = getattr(self._theirs, "get_additional", dict)
        numbers = {key: value for key, value in ask().items() if isinstance(value, int | float | np.number)}
        return {_COUNTERS.get(key, key): int(value) for key, value in numbers.items() if np.isfinite(value)}


class _Way:
    """How one setting of theirs is asked: found out from its first answer, outside the clock."""

    def __init__(self, theirs: Any, metric: Metric) -> None:
        self._theirs, self._metric = theirs, metric
        self._prepared = hasattr(theirs, "prepare_query")
        self._seen = self._writes = self._lazy = self._floats = False

    def search(self) -> Search:
        """Return the function that answers one query or many, with no call between it and theirs where none is due."""
        ask, batch = self._ask(), self._batches()
        if not self._seen or self._lazy or self._floats or self._writes or not self._metric.is_dense:
            return lambda queries, k: ask(queries, k) if len(queries) == 1 else batch(queries, k)
        answer = self._answer()
        return lambda queries, k: answer(queries[0], k) if len(queries) == 1 else batch(queries, k)

    def _ask(self) -> Search:
        take, answer = self._row(), self._answer()
        if not self._seen:
            return self._first
        if self._lazy:  # what an iterator does, it does when it is read
            return lambda queries, k: _Whole(list(answer(take(queries), k)))
        if self._floats:
            return lambda queries, k: _Whole(answer(take(queries), k))
        return lambda queries, k: answer(take(queries), k)

    def _first(self, queries: Any, k: int) -> Any:
        answer = self._tried(lambda: self._answer()(self._row()(queries), k))
        if not hasattr(answer, "__len__"):
            self._lazy = True
            answer = list(answer)
        self._floats |= len(answer) > 0 and np.asarray(answer).dtype.kind == "f"
        self._seen = True
        return _Whole(answer) if self._floats else answer

    def _tried(self, call: Callable[[], Any]) -> Any:
        """Call, and once more with a copy of the queries where that fails: it may write to them, or want to be able to.

        NumPy raises ValueError then, bindings TypeError, as if the argument were of another type.
        """
        if self._writes or not self._metric.is_dense:
            return call()
        try:
            return call()
        except Exception:
            self._writes = True
            try:
                return call()
            except Exception:  # noqa: BLE001 - it isn't that: the first complaint is the one that counts
                self._writes = False
            raise

    def _row(self) -> Callable[[Any], Any]:
        if self._metric is Metric.JACCARD:
            return lambda queries: queries.indices  # of the one set
        if self._metric is Metric.HAMMING:
            return lambda queries: np.unpackbits(queries[0]).view(np.bool_)
        if self._writes:
            return lambda queries: queries[0].copy()
        return lambda queries: queries[0]

    def _answer(self) -> Callable[[Any, int], Any]:
        theirs = self._theirs
        if not self._prepared:
            return theirs.query  # type: ignore[no-any-return]

        def answer(query: Any, k: int) -> Any:
            theirs.prepare_query(query, k)
            theirs.run_prepared_query()
            return theirs.get_prepared_query_results()

        return answer

    def _batches(self) -> Search:
        """Return the function that answers many queries: by their batch methods, else one by one."""
        theirs = self._theirs
        if hasattr(theirs, "prepare_batch_query"):
            return self._prepared_batch
        own = getattr(type(theirs), "batch_query", BaseANN.batch_query) is not BaseANN.batch_query
        if own or (not self._prepared and hasattr(theirs, "batch_query")):
            return self._batch
        ask = self._ask() if self._seen else self._one
        return lambda queries, k: [ask(queries[i : i + 1], k) for i in range(len(queries))]

    def _one(self, queries: Any, k: int) -> Any:
        return self._ask()(queries, k)

    def _prepared_batch(self, queries: Any, k: int) -> Any:
        self._tried(lambda: self._theirs.prepare_batch_query(self._many(queries), k))
        self._theirs.run_batch_query()
        return _rows(self._theirs.get_batch_results())

    def _batch(self, queries: Any, k: int) -> Any:
        self._tried(lambda: self._theirs.batch_query(self._many(queries), k))
        return _rows(self._theirs.get_batch_results())

    def _many(self, queries: Any) -> Any:
        if isinstance(queries, Sets):
            return list(queries)
        if self._metric is Metric.HAMMING:
            return np.unpackbits(queries, axis=1).view(np.bool_)
        return queries.copy() if self._writes else queries


class _Whole:
    """An answer in floats, turned into integers after the clock has stopped; a fraction stays, and is refused."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __len__(self) -> int:
        return len(self._answer)

    def __iter__(self) -> Any:
        return iter(_whole(self._answer))


def _whole(answer: Any) -> Any:
    ids = np.asarray(answer)
    if ids.dtype.kind == "f" and (ids == np.rint(ids)).all():
        return ids.astype(np.int64)
    return ids


def _rows(answers: Any) -> Any:
    """Return the answers of a batch as a matrix of integers, or as lists of them."""
    if isinstance(answers, np.ndarray):
        return _whole(answers)
    rows = [row if hasattr(row, "__len__") else list(row) for row in answers]
    return [_whole(row) if len(row) and isinstance(row[0], float | np.floating) else row for row in rows]

"""Plug-ins that break one rule of the contract each, the rule by which their class is called."""

from __future__ import annotations

import ctypes
import time

import numpy as np

from harness.core.errors import ParameterError
from harness.engines.contract import Algorithm, ExactNeighbors, Grows, Saves


class Exact(Algorithm, ExactNeighbors, Grows, Saves):
    """Exact search in NumPy that keeps every rule; the others differ from it in one thing."""

    def __init__(self, metric, *, copies=1):
        if metric != "euclidean":
            raise ParameterError(f"metric {metric} is not supported; use euclidean")
        self.rows = np.empty((0, 0), np.float32)

    def fit(self, train, *, threads=1):
        self.rows = train

    def add(self, vectors, *, threads=1):
        self.rows = np.concatenate([self.rows, vectors])

    def searcher(self, *, threads=1, setting=1):
        self.count = 0
        return self.search

    def search(self, queries, k):
        self.count += len(queries) * len(self.rows)
        return self.nearest(queries, k)[0][:, : len(self.rows)]

    def nearest(self, queries, k, *, threads=1):
        gaps = queries[:, None, :].astype(np.float64) - self.rows[None]
        distances = np.sqrt((gaps**2).sum(axis=2))
        ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(distances, ids, axis=1)
        missing = ((0, 0), (0, k - ids.shape[1]))
        return np.pad(ids, missing, constant_values=-1), np.pad(found, missing, constant_values=np.inf)

    def index_bytes(self):
        return self.rows.nbytes

    def counters(self):
        return {"distance_computations": self.count}

    def save(self, path):
        with path.open("xb") as file:
            np.save(file, self.rows)

    def load(self, path):
        self.rows = np.load(path)


class Builds(Exact):
    """Raises when it is built."""

    def fit(self, train, *, threads=1):
        raise RuntimeError("no luck today")


class ValidIds(Exact):
    """Names a vector that doesn't exist."""

    def search(self, queries, k):
        ids = super().search(queries, k)
        return np.where(ids == 7, 10_000_000, ids)


class InputsUnchanged(Exact):
    """Writes to the queries."""

    def search(self, queries, k):
        ids = super().search(queries, k)
        ctypes.memset(queries.ctypes.data + 4 * queries.shape[1] - 4, 1, 4)
        return ids


class FindsNeighbours(Exact):
    """Finds the farthest, in the right order."""

    def search(self, queries, k):
        distances = ((queries[:, None, :] - self.rows[None]) ** 2).sum(axis=2)
        return np.argsort(-distances, axis=1, kind="stable")[:, :k][:, ::-1]


class KIds(Exact):
    """Gives nine ids for ten."""

    def search(self, queries, k):
        ids = super().search(queries, k)
        return ids[:, :-1] if ids.shape[1] > 8 else ids


class NearestFirst(Exact):
    """Gives the farthest of the nearest first."""

    def search(self, queries, k):
        return super().search(queries, k)[:, ::-1]


class SameAnswerTwice(Exact):
    """Leaves out the nearest in every second call."""

    def search(self, queries, k):
        self.calls = getattr(self, "calls", 0) + 1
        late = self.calls % 2 if len(self.rows) > k else 0
        return super().search(queries, k + late)[:, late:]


class SettingsApart(Exact):
    """Stays at the least setting that was ever bound."""

    def searcher(self, *, threads=1, setting=1):
        self.least = min(getattr(self, "least", setting), setting)
        return super().searcher()

    def search(self, queries, k):
        return super().search(queries, k if self.least == 2 else k // 2 + 1)


class EarlierAnswersStay(Exact):
    """Answers into one buffer, again and again."""

    def search(self, queries, k):
        if not hasattr(self, "kept") or self.kept.shape[1] < k:
            self.kept = np.empty((1000, k), np.int64)
        ids = super().search(queries, k)
        out = self.kept[: len(ids), : ids.shape[1]]
        out[:] = ids
        return out


class IndexBytes(Exact):
    """Counts kilobytes, in fractions."""

    def index_bytes(self):
        return self.rows.nbytes / 1024


class Counters(Exact):
    """Counts backwards."""

    def counters(self):
        return {"distance_computations": -self.count}


class CountersFromBefore(Exact):
    """Counts on when it is bound again."""

    def searcher(self, *, threads=1, setting=1):
        self.count = getattr(self, "count", 0)
        return self.search


class MoreThanThereAre(Exact):
    """Wants k <= n."""

    def search(self, queries, k):
        if k > len(self.rows):
            raise ValueError(f"k = {k} is too much")
        return super().search(queries, k)


class OneVector(Exact):
    """Wants two vectors."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if len(train) < 2:
            raise ValueError("too little to build on")


class EveryVectorTwice(Exact):
    """Finds nothing among copies."""

    def search(self, queries, k):
        ids = super().search(queries, k)
        known = {tuple(row) for row in self.rows.tolist()}
        return np.full_like(ids, -1) if 1 < len(known) < len(self.rows) else ids


class ConstantData(Exact):
    """Divides by the spread of the data."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if len(train) > 1 and np.ptp(train, axis=0).max() == 0:
            raise ZeroDivisionError("no spread")


class AnotherK(Exact):
    """Never answers more than the least k so far."""

    def search(self, queries, k):
        self.most = min(getattr(self, "most", k), k)
        return super().search(queries, k)[:, : self.most]


class ReadOnlyViews(Exact):
    """Wants to own its vectors."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if train.base is not None:
            raise ValueError("these rows are not mine")


class SeveralThreads(Exact):
    """Wants to be alone."""

    def fit(self, train, *, threads=1):
        if threads > 1:
            raise ValueError("one thread is enough")
        super().fit(train)


class Grids(Exact):
    """Has a value in its grid that it refuses."""

    def __init__(self, metric, *, copies=1):
        super().__init__(metric)
        if copies == 3:
            raise ParameterError("copies = 3; use 1 or 2")


class UnknownBuildParameter(Exact):
    """Takes any build parameter."""

    def __init__(self, metric, **params):
        super().__init__(metric)


class UnknownSearchParameter(Exact):
    """Takes any search parameter."""

    def searcher(self, *, threads=1, **params):
        return super().searcher()


class UnclaimedMetrics(Exact):
    """Takes any metric, and answers under one."""

    def __init__(self, metric, *, copies=1):
        super().__init__("euclidean")


class ExactNeighbours(Exact):
    """Gives squared distances."""

    def nearest(self, queries, k, *, threads=1):
        ids, distances = super().nearest(queries, k)
        return ids, distances**2


class GrowsNot(Exact):
    """Adds vectors where nobody finds them."""

    def add(self, vectors, *, threads=1):
        self.rows = np.concatenate([self.rows, np.full_like(vectors, 1e6)])


class SavesNot(Exact):
    """Loads its rows in reverse."""

    def load(self, path):
        self.rows = np.load(path)[::-1]


class SavesElsewhere(Exact):
    """Saves under another name than it was given."""

    def save(self, path):
        np.save(path, self.rows)  # which adds .npy to the name


class CrashesAtTheEdge(Exact):
    """Crashes where there is one vector, and gives an invalid answer where all are the same."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        if len(train) == 1:
            ctypes.string_at(0)
        if len(train) == 300 and (train == train[0]).all():
            raise ZeroDivisionError("no spread")


class HangsAtTheEdge(Exact):
    """Waits for ever where there is one vector."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        while len(train) == 1:
            time.sleep(1)


class CrashesAtOnce(Exact):
    """Crashes whenever it is built."""

    def fit(self, train, *, threads=1):
        ctypes.string_at(0)

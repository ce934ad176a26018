"""Plug-ins that don't keep what one of their abilities promises, in the way by which their class is called."""

from __future__ import annotations

import atexit
import subprocess
import time

import numpy as np
from breaking import Exact

from harness.core.errors import ParameterError
from harness.data.predicates import And
from harness.engines.contract import Closes, Concurrent, Deletes, Explains, Filters, Flushes, Ranges


class Able(Exact, Closes, Concurrent, Deletes, Explains, Filters, Flushes, Ranges):
    """Has every ability, and keeps what each promises."""

    def fit(self, train, *, threads=1):
        super().fit(train)
        self.here = np.ones(len(train), bool)

    def add(self, vectors, *, threads=1):
        super().add(vectors)
        self.here = np.append(self.here, np.ones(len(vectors), bool))

    def load(self, path):
        super().load(path)
        self.here = np.ones(len(self.rows), bool)

    def search(self, queries, k):
        self.count += len(queries) * len(self.rows)
        return self.among(queries, k, self.here)

    def among(self, queries, k, mask):
        ids, _ = self.nearest(queries, len(self.rows))
        return [[i for i in row if mask[i]][:k] for row in ids]

    def delete(self, ids):
        for i in ids:
            if not (0 <= i < len(self.here) and self.here[i]):
                raise ParameterError(f"able: there is no id {i} to delete")
        self.here[np.asarray(ids)] = False

    def attach(self, attributes):
        self.attributes = attributes

    def filtered_searcher(self, *, threads=1, setting=1):
        def search(queries, k, predicates):
            masks = [self.here & predicate.mask(self.attributes) for predicate in predicates]
            return [self.among(queries[i : i + 1], k, mask)[0] for i, mask in enumerate(masks)]

        return search

    def range_searcher(self, *, threads=1, setting=1):
        def search(queries, radius):
            every = range(len(self.rows))
            found = [self.within(query, every, radius) for query in queries]
            return np.concatenate([[0], np.cumsum([len(row) for row in found])]), np.concatenate(found)

        return search

    def within(self, query, every, radius):
        away = np.sqrt(((self.rows - query) ** 2).sum(axis=1))
        return np.array([i for i in every if self.here[i] and away[i] <= radius], np.int64)

    def flush(self):
        pass

    def client(self):
        return lambda queries, k: self.among(queries, k, self.here)

    def evidence(self):
        return {"indexed_rows": len(self.rows), "index": "rows", "plan": "compare with all"}

    def close(self):
        pass


class DeletesNot(Able):
    """Goes on returning what was deleted."""

    def search(self, queries, k):
        return super().among(queries, k, np.ones(len(self.rows), bool))


class DeletesTwice(Able):
    """Lets an id be deleted that isn't there."""

    def delete(self, ids):
        self.here[[i for i in ids if i < len(self.here)]] = False


class FiltersNot(Able):
    """Takes no notice of one kind of predicate."""

    def filtered_searcher(self, *, threads=1, setting=1):
        inner = super().filtered_searcher()
        return lambda queries, k, predicates: inner(
            queries, k, [And() if "in" in predicate.document() else predicate for predicate in predicates]
        )


class FiltersLate(Able):
    """Filters what it found, and finds too little."""

    def filtered_searcher(self, *, threads=1, setting=1):
        inner = super().filtered_searcher()
        return lambda queries, k, predicates: [row[:2] for row in inner(queries, k, predicates)]


class RefusesInSilence(Able):
    """Doesn't say which column it can't ask about."""

    def filtered_searcher(self, *, threads=1, setting=1):
        inner = super().filtered_searcher()

        def search(queries, k, predicates):
            if any("tags" in predicate.columns() for predicate in predicates):
                raise ParameterError("that predicate can't be expressed")
            return inner(queries, k, predicates)

        return search


class RangesNot(Able):
    """Returns twice as wide a circle."""

    def within(self, query, every, radius):
        return super().within(query, every, 2 * radius)


class FlushesNot(Able):
    """Loses what isn't indexed yet when it is flushed."""

    def flush(self):
        self.here[::2] = False
        self.here[: len(self.here) * 9 // 10] = False


class ClientsShareState(Able):
    """Keeps the queries of all clients in one place."""

    def client(self):
        def search(queries, k):
            self.asked = queries
            time.sleep(0.001)
            return self.among(self.asked, k, self.here)

        return search


class ClientsCopied(Able):
    """Leaves vectors behind when it is copied to another process."""

    clients = "processes"

    def __getstate__(self):
        """Return what pickle writes."""
        return {**self.__dict__, "here": self.here & (np.arange(len(self.here)) % 2 == 0)}


class Boasts(Able):
    """Claims to have indexed more than there is."""

    def evidence(self):
        return {**super().evidence(), "indexed_rows": 10**9}


class ClosesNot(Able):
    """Leaves a process behind."""

    def close(self):
        self.left = subprocess.Popen(["sleep", "600"])
        # Whoever checks it ends with the check.
        atexit.register(self.left.kill)

"""Engines to choose among: the first wins however busy the machine is, and the others lose each in another way."""

from __future__ import annotations

import time

import numpy as np

from harness.engines.contract import Algorithm


class Scan(Algorithm):
    """Exact search; `share` is the share of the rows that it looks at."""

    def __init__(self, metric):
        self.metric = metric

    def fit(self, train, *, threads=1):
        self.train = train

    def searcher(self, *, threads=1, share=1.0):
        rows = self.train[: max(10, int(share * len(self.train)))]

        def search(queries, k):
            return np.argsort(((queries[:, None] - rows) ** 2).sum(axis=2), axis=1, kind="stable")[:, :k]

        return search


class Slow(Scan):
    """The same, 50 ms later."""

    def searcher(self, *, threads=1, share=1.0):
        inner = super().searcher(share=share)

        def search(queries, k):
            time.sleep(0.05)
            return inner(queries, k)

        return search


class Broken(Scan):
    """Can't be built."""

    def fit(self, train, *, threads=1):
        raise ValueError("no room for the rows")

"""An inverted file in the form of an ann-benchmarks plug-in, with parameters of every kind."""

import numpy as np

from ..base.module import BaseANN  # noqa: TID252 - what is tested
from ..exact.module import Exact  # noqa: TID252 - the same


class Cells(Exact):
    """Cells around random rows, of which the nearest are scanned; ids come as floats, as some libraries give them."""

    def __init__(self, metric, method, dimension, cells):
        super().__init__(metric)
        del self.name  # as of those that know their name only with their query arguments
        assert method == "k-means"
        self.dimension, self.count, self.rounds = dimension, cells["count"], cells["rounds"]
        self.computed = 0

    def fit(self, X):
        assert X.shape[1] == self.dimension
        super().fit(X)
        self.centres = self.X[:: max(1, len(X) // self.count)][: self.count].copy()
        for turn in range(self.rounds + 1):
            self.cell = ((self.X[:, None] - self.centres) ** 2).sum(axis=2).argmin(axis=1)
            for i in np.unique(self.cell) if turn < self.rounds else ():
                self.centres[i] = self.X[self.cell == i].mean(axis=0)

    def get_memory_usage(self):
        return self.X.nbytes / 1024 if hasattr(self, "X") else 0.0

    def set_query_arguments(self, visit):
        self.visit, self.step = visit
        self.computed = 0
        self.name = f"Cells({self.count}, {self.visit})"

    def query(self, v, n):
        near = ((self.centres - v) ** 2).sum(axis=1).argsort()[: self.visit : self.step]
        rows = np.flatnonzero(np.isin(self.cell, near))
        self.computed += len(rows)
        order = ((self.X[rows] - v) ** 2).sum(axis=1).argsort(kind="stable")[:n]
        return rows[order].astype(np.float64)

    def get_additional(self):
        return {"dist_comps": self.computed, "method": "k-means"}


class Broken(BaseANN):
    """Answers with the same id over and over."""

    def __init__(self, metric, number):
        self.name = f"Broken({metric}, {number})"

    def query(self, v, n):
        return [0] * n

"""Brute force in the form of an ann-benchmarks plug-in, with liberties that its contract allows and ours doesn't."""

import numpy as np

from ...distance import compute_distance  # noqa: TID252 - what is tested
from ..base.module import BaseANN  # noqa: TID252 - the same


class Exact(BaseANN):
    """Scans everything; normalises what it is given in place, and answers lazily."""

    def __init__(self, metric):
        self.metric = metric
        self.name = f"Exact({metric})"

    def fit(self, X):
        if self.metric == "angular":
            X /= np.linalg.norm(X, axis=1)[:, None]
        self.X = X

    def query(self, v, n):
        if self.metric == "angular":
            v /= np.linalg.norm(v)
        if self.metric == "jaccard":
            distances = np.array([compute_distance(self.metric, v, x) for x in self.X])
        elif self.metric == "hamming":
            assert v.dtype == self.X.dtype == np.bool_
            distances = (self.X ^ v).mean(axis=1)
        else:
            distances = ((self.X - v) ** 2).sum(axis=1)
        return map(int, np.argsort(distances, kind="stable")[:n])

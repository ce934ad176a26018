"""A plug-in whose queries are prepared, and which notes what is called."""

import os
from pathlib import Path

import numpy as np

from ...constants import INDEX_DIR  # noqa: TID252 - what is tested
from ..base.module import BaseANN  # noqa: TID252 - what is tested


class Prepared(BaseANN):
    """Brute force by prepared queries only, one or many."""

    ended = 0

    def __init__(self, metric, k, params):
        self.calls = [("init", metric, k, params)]
        self.folder = INDEX_DIR

    def supports_prepared_queries(self):
        self.calls.append("supports_prepared_queries")

    def fit(self, X):
        self.calls.append("fit")
        with open("left-behind", "w") as file:  # noqa: PTH123 - as theirs do
            file.write("an index")
        self.X = X

    def set_query_arguments(self, params, fast):
        self.calls.append(("set_query_arguments", params, fast))

    def _nearest(self, queries, n):
        return ((queries[:, None] - self.X) ** 2).sum(axis=2).argsort(axis=1, kind="stable")[:, :n]

    def prepare_query(self, v, n):
        self.calls.append("prepare_query")
        self.v, self.n = v, n

    def run_prepared_query(self):
        self.calls.append("run_prepared_query")
        self.found = self._nearest(self.v[None], self.n)[0]

    def get_prepared_query_results(self):
        self.calls.append("get_prepared_query_results")
        return self.found

    def prepare_batch_query(self, X, n):
        self.calls.append("prepare_batch_query")
        self.Q, self.n = np.array(X), n

    def run_batch_query(self):
        self.calls.append("run_batch_query")
        self.many = self._nearest(self.Q, self.n)

    def get_batch_results(self):
        self.calls.append("get_batch_results")
        return [list(row) for row in self.many]

    def done(self):
        type(self).ended += 1
        if place := os.environ.get("ANNBENCH_TEST_ENDED"):
            Path(place).touch()
        raise RuntimeError("a server that is gone already")

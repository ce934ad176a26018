"""Stand-ins for indexes that the studies ask for: small, slow, and right."""

from __future__ import annotations

import heapq

import numpy as np

from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm


class Tree(Algorithm):
    """Exact search that prunes by one coordinate alone: of 100 cells, those farther than the k-th so far."""

    def __init__(self, metric):
        self.metric = Metric(metric)

    def fit(self, train, *, threads=1):
        rows = normalise(train) if self.metric is Metric.ANGULAR else train
        self.order = np.argsort(rows[:, 0], kind="stable")
        self.rows = rows[self.order]

    def searcher(self, *, threads=1):
        self.count = 0
        return self.search

    def search(self, queries, k):
        query = normalise(queries)[0] if self.metric is Metric.ANGULAR else queries[0]
        cells = np.array_split(np.arange(len(self.rows)), 100)
        first = self.rows[:, 0]
        near = [(max(first[c[0]] - query[0], query[0] - first[c[-1]], 0.0), i) for i, c in enumerate(cells) if len(c)]
        ids, distances = np.empty(0, np.int64), np.empty(0)
        for gap, i in sorted(near):
            if len(distances) == k and gap > distances[-1]:
                break
            self.count += len(cells[i])
            ids = np.concatenate([ids, cells[i]])
            distances = np.concatenate([distances, np.linalg.norm(self.rows[cells[i]] - query, axis=1)])
            best = np.argsort(distances, kind="stable")[:k]
            ids, distances = ids[best], distances[best]
        return self.order[ids][None]

    def counters(self):
        return {"distance_computations": self.count, "nodes_visited": 100}


class LSH(Algorithm):
    """Keys of `n_bits` functions in each table; with more probes than tables, one function of a key may differ."""

    def __init__(self, metric, *, n_tables=1, n_bits=8, bucket_width=1.0):
        self.metric, self.shape, self.width = Metric(metric), (n_tables, n_bits), bucket_width

    def fit(self, train, *, threads=1):
        rng = np.random.default_rng(1)
        self.directions = rng.standard_normal((train.shape[1], *self.shape))
        self.offsets = rng.random(self.shape)
        self.centre = normalise(train).mean(axis=0)
        self.rows, self.keys = train, self.hash(train)

    def hash(self, rows):
        if self.metric is Metric.ANGULAR:
            return (np.einsum("nd,dtb->ntb", normalise(rows) - self.centre, self.directions) >= 0).astype(np.int64)
        products = np.einsum("nd,dtb->ntb", rows, self.directions)
        return np.floor(products / self.width + self.offsets).astype(np.int64)

    def searcher(self, *, threads=1, n_probes=1):
        self.scored = self.candidates = self.probes = 0

        def search(queries, k):
            differing = (self.keys != self.hash(queries)).sum(axis=2)  # (n, tables)
            hits = differing == 0 if n_probes <= self.shape[0] else differing <= 1
            self.probes += n_probes
            self.candidates += int(hits.sum())
            ids = np.flatnonzero(hits.any(axis=1))
            self.scored += len(ids)
            rows, query = self.rows[ids], queries[0]
            if self.metric is Metric.ANGULAR:
                rows, query = normalise(rows), normalise(queries)[0]
            order = np.argsort(np.linalg.norm(rows - query, axis=1), kind="stable")
            return [ids[order[:k]].tolist()]

        return search

    def counters(self):
        return {"distance_computations": self.scored, "candidates": self.candidates, "probes": self.probes}


class Graph(Algorithm):
    """Best-first search over a graph of exact neighbours and a ring, from node 0 or from the best of sqrt(n) nodes."""

    def __init__(self, metric, *, M=4, ef_construction=10, seed=0):
        self.M = M

    def fit(self, train, *, threads=1):
        self.rows = train
        squares = ((train[:, None] - train[None]) ** 2).sum(axis=2)
        near = np.argsort(squares, axis=1, kind="stable")[:, 1 : self.M + 1]
        ring = (np.arange(len(train)) + 1) % len(train)
        self.links = [np.union1d(row, [nxt]) for row, nxt in zip(near, ring, strict=True)]

    def graph(self):
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in self.links])])
        return indptr, np.concatenate(self.links).astype(np.int32)

    def searcher(self, *, threads=1, ef=10, upper_layers=True):
        self.hops = self.distances = 0

        def search(queries, k):
            starts = np.arange(0, len(self.rows), max(1, int(len(self.rows) ** 0.5))) if upper_layers else np.array([0])
            away = np.linalg.norm(self.rows[starts] - queries[0], axis=1)
            self.distances += len(starts)
            start = (float(away.min()), int(starts[away.argmin()]))
            todo, best, seen = [start], [start], {start[1]}
            while todo:
                distance, node = heapq.heappop(todo)
                if len(best) >= ef and distance > best[ef - 1][0]:
                    break
                self.hops += 1
                for other in self.links[node]:
                    if other not in seen:
                        seen.add(int(other))
                        self.distances += 1
                        found = (float(np.linalg.norm(self.rows[other] - queries[0])), int(other))
                        heapq.heappush(todo, found)
                        best = sorted([*best, found])[: max(ef, k)]
            return np.array([[i for _, i in best[:k]]])

        return search

    def counters(self):
        return {"distance_computations": self.distances, "hops": self.hops}

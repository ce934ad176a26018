"""Data that are far from random: copies, constant columns, lines, tight clusters, rows of very unlike lengths."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from algorithms.hnsw import HNSW
from harness.data.metric import Metric, neighbour_distances
from harness.engines.registry import load_registry

# Hashes wrap around, which only the interpreter remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

REGISTRY = load_registry()
K = 10
N = 100 if numba.config.DISABLE_JIT else 500
DIM = 12

CLAIMS = [
    (name, metric)
    for name, entry in REGISTRY.items()
    if entry.config.origin == "from-scratch" and entry.config.purpose == "index"
    for metric in entry.config.metrics
    if metric.is_dense
]
"""Every index from scratch under every metric of vectors that it claims."""


def _copies(rows, share, rng):
    """Make a share of the rows copies of the first."""
    rows[rng.permutation(len(rows))[: int(share * len(rows))]] = rows[0]
    return rows


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


KINDS = {
    "30% copies": lambda x, rng: _copies(x, 0.3, rng),
    "all copies": lambda x, rng: _copies(x, 1.0, rng),
    "unit, 20% copies": lambda x, rng: _copies(_unit(x), 0.2, rng),
    "unit, 40% copies": lambda x, rng: _copies(_unit(x), 0.4, rng),
    "two values": lambda x, rng: x[rng.integers(0, 2, len(x))],
    "many values": lambda x, rng: x[rng.integers(0, len(x) // 20, len(x))],
    "zeros": lambda x, rng: x * (rng.random((len(x), 1)) > 0.3),
    "constant columns": lambda x, _: np.where(np.arange(x.shape[1]) < 3, x, 3.0),
    "one column": lambda x, _: np.where(np.arange(x.shape[1]) < 1, x, 2.0),
    "collinear, off the origin": lambda x, _: x[:, :1] * x[0] + x[1],
    "clustered": lambda x, rng: 10.0 * rng.standard_normal((10, x.shape[1]))[rng.integers(0, 10, len(x))] + 0.01 * x,
    "tight clusters": lambda x, rng: (
        1000.0 * rng.standard_normal((10, x.shape[1]))[rng.integers(0, 10, len(x))] + 0.01 * x
    ),
    "small whole numbers": lambda x, rng: rng.integers(0, 3, x.shape).astype(float),
    "lengths over six decades": lambda x, rng: _unit(x) * 10.0 ** rng.uniform(-3, 3, (len(x), 1)),
    "one long row": lambda x, _: x * np.where(np.arange(len(x)) == 5, 1000.0, 1.0)[:, None],
}


def made(kind, n=N, dim=DIM, seed=1):
    """Return rows of a kind (n, dim), and queries, half of which are rows."""
    rng = np.random.default_rng(seed)
    rows = KINDS[kind](rng.standard_normal((n + 20, dim)), rng).astype(np.float32)
    train = np.ascontiguousarray(rows[:n])
    train.flags.writeable = False
    return train, np.ascontiguousarray(np.concatenate([rows[n:], rows[:20]]))


def recall(metric, train, queries, ids):
    """Return the share of neighbours found that are no farther than the k-th nearest, but for rounding to float32."""
    every = np.tile(np.arange(len(train)), (len(queries), 1))
    kth = np.partition(neighbour_distances(metric, queries, train, every), K - 1, axis=1)[:, K - 1 : K]
    if metric is Metric.EUCLIDEAN:
        slack = 1e-5 * kth
    elif metric is Metric.ANGULAR:
        slack = 1e-5 * kth + 4e-7 * np.sqrt(2.0 * np.maximum(kth, 0.0))
    else:
        slack = 1e-6 * np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(train, axis=1).max()
    found = neighbour_distances(metric, queries, train, ids)
    return float((found <= kth + slack + 1e-12).mean())


def widest(name, metric):
    """Return the build of the quick grid, and the highest value of each search parameter in the full one."""
    groups = REGISTRY[name].config.groups
    build = groups["quick"][0].build
    grids = [group.search for group in groups["full"] if group.metrics is None or metric in group.metrics]
    merged = {}
    for one in [one for grid in grids for one in (grid if isinstance(grid, list) else [grid])]:
        for key, values in one.items():
            merged[key] = merged.get(key, []) + (values if isinstance(values, list) else [values])
    # None is no bound.
    search = {key: None if None in values else max(values) for key, values in merged.items()}
    return build, search


@pytest.mark.parametrize(("name", "metric"), CLAIMS, ids=str)
def test_the_widest_setting_finds_all_neighbours(name, metric):
    """Whatever the data, the widest setting finds 99% of the neighbours, or the index says why not."""
    if name == "pq-codes":
        pytest.skip("keeps nothing but codes: what they lose is its business")
    build, search = widest(name, metric)
    index_type = REGISTRY[name].load()
    lost = {}
    for kind in KINDS:
        train, queries = made(kind)
        index = index_type(metric, **build)
        index.fit(train)
        found = recall(metric, train, queries, np.asarray(index.searcher(**search)(queries, K)))
        if found < 0.99 and "limit" not in index.effective:
            lost[kind] = round(found, 3)
    assert not lost


@pytest.mark.parametrize("metric", [Metric.ANGULAR, Metric.IP])
def test_hnsw_passes_by_crowds(metric):
    """A crowd of copies larger than `ef` neither cuts the graph into pieces nor blocks a search."""
    n = N if numba.config.DISABLE_JIT else 4000
    train, queries = made("unit, 20% copies", n, 16)
    index = HNSW(metric, ef_construction=60)
    index.fit(train)
    assert recall(metric, train, queries, index.searcher(ef=400)(queries, K)) >= 0.99

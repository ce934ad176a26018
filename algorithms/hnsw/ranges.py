"""Range search over a graph: neighbours in growing numbers, until one lies beyond the radius."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.data.metric import Metric, neighbour_distances
from harness.engines.contract import RangeSearch, Search, Vectors

# A search that ends within the radius is made again for so many times as many neighbours.
_GROWTH = 4


def growing(search: Search, metric: Metric, rows: Vectors, node_of: NDArray[np.int64], first: int) -> RangeSearch:
    """Return a range search that asks `search` for `first` neighbours of a query, then for four times as many, ...

    A neighbour beyond the radius ends it: graphs find the near ones first (as the doubling beam of Subramanya et al.
    2023 does). `rows` (nodes, dim) are those that are indexed, `node_of` (n,) says which of them an id stands for.
    """

    def of_one(query: Vectors, radius: float) -> NDArray[np.int64]:
        k = max(1, min(first, len(node_of)))
        while True:
            ids = search(query, k)[0]
            ids = ids[ids >= 0]
            away = neighbour_distances(metric, query, rows, node_of[ids][None])[0]
            if len(ids) < k or k == len(node_of) or away.max(initial=-np.inf) > radius:
                near: NDArray[np.int64] = ids[away <= radius]
                return near
            k = min(_GROWTH * k, len(node_of))

    def within(queries: Vectors, radius: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        found = [of_one(queries[i : i + 1], radius) for i in range(len(queries))]
        indptr = np.concatenate([[0], np.cumsum([len(ids) for ids in found])]).astype(np.int64)
        return indptr, np.concatenate(found) if found else np.empty(0, np.int64)

    return within

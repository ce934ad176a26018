"""Rows that occur more than once: one node of the graph stands for all of them.

A crowd of copies would fill the pool of every search that passes by, and link to nothing but itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw.copies_kernels import hash_rows
from algorithms.hnsw.room import with_room
from algorithms.kernels.jit import read_only
from algorithms.kernels.saved import check_array, check_permutation

Floats = NDArray[np.float32]


class Groups(NamedTuple):
    """Ids by node: node i stands for ids[starts[i]:starts[i + 1]].

    `ids` int32; `starts` (nodes + 1,) int64, or empty where each node stands for one id, its place.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]

    def of(self, nodes: NDArray[np.int32]) -> Groups:
        """Return the groups of the chosen nodes, in that order."""
        if not len(self.starts):
            return Groups(self.ids[nodes], self.starts)
        sizes = np.diff(self.starts)[nodes]
        starts = _ends(sizes)
        # Places in `ids`: each group's first, and on from there.
        places = np.repeat(self.starts[nodes] - starts[:-1], sizes) + np.arange(starts[-1])
        return Groups(self.ids[places], starts)

    def trimmed(self, n: int) -> Groups:
        """Return the groups of the first n nodes, without the room behind them."""
        return (
            Groups(self.ids[: self.starts[n]], self.starts[: n + 1])
            if len(self.starts)
            else Groups(self.ids[:n], self.starts)
        )

    def check(self, n: int) -> None:
        """Raise ValueError where arrays can't be the groups of n nodes: for those that come from elsewhere."""
        check_permutation("ids", self.ids, len(self.ids))
        check_array("starts", self.starts, np.int64, (len(self.starts),))
        expected = np.arange(n + 1) if not len(self.starts) else self.starts
        if len(expected) != n + 1 or expected[0] or expected[-1] != len(self.ids) or (np.diff(expected) < 1).any():
            raise ValueError(f"{len(self.ids)} ids are not those of {n} nodes")

    def followed_by(self, more: Groups, n: int) -> Groups:
        """Return the groups of n nodes, and behind them those of `more`, whose nodes and ids go on from there."""
        if not len(self.starts) and not len(more.starts):
            return Groups(with_room(self.ids, n, more.ids + np.int32(n)), self.starts)
        first, second = (
            groups.starts if len(groups.starts) else np.arange(count + 1)
            for groups, count in ((self, n), (more, len(more.ids)))
        )
        total = int(first[n])
        ids = with_room(self.ids, total, more.ids + np.int32(total))
        return Groups(ids, with_room(first, n + 1, total + second[1:]))


def group_copies(rows: Floats) -> tuple[Floats, Groups]:
    """Return the rows (n, dim) that differ from all before, and the places at which each of them occurs."""
    n = len(rows)
    alone = Groups(np.arange(n, dtype=np.int32), np.empty(0, np.int64))
    hashes = np.empty(n, np.uint64)
    hash_rows(read_only(rows).view(np.uint32), hashes)
    _, first, of = np.unique(hashes, return_index=True, return_inverse=True)
    if len(first) == n:
        return rows, alone
    leaders = first[of]
    # Rows that differ may share a hash: such a row stands for itself.
    others = np.flatnonzero(leaders != np.arange(n))
    strangers = others[(rows[others] != rows[leaders[others]]).any(axis=1)]
    leaders[strangers] = strangers
    distinct, nodes, sizes = np.unique(leaders, return_inverse=True, return_counts=True)
    return rows[distinct], Groups(np.argsort(nodes, kind="stable").astype(np.int32), _ends(sizes))


def _ends(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts

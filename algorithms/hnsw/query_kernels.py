"""From a query to its answer: it is coded, the graph is searched, and what was found is ranked again by the rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.hnsw.copies_kernels import write_groups
from algorithms.hnsw.kernels import Graph, Scratch, k_nn_search
from algorithms.kernels.bundle import matrix, vector
from algorithms.kernels.codes.ranking import rerank
from algorithms.kernels.codes.rows import encode_query
from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.jit import kernel

Array = Any


class Parts(NamedTuple):
    """What one thread's searches work on, rows aside, in the order in which it is bundled.

    First the fields of `Graph`, of `Scratch` and of `copies.Groups`. `settings` int64 are entry, top, ef, room, whether
    ranks are inner products, and the same of the ranking by rows; `factors` float64 are the length that queries are
    scaled to (0: not), what must be added to rows in bytes, the scale of codes, and `trust` and `margin` of `rerank`.
    `mean`, `basis`, `basis_scales`, `centred`, `whole`, `rotated` and `coded` are those of `codes.encode_query`;
    `query` (dim,) float32 holds the query, `best` (k,) int64 the answer's keys.
    """

    ground: Array
    upper: Array
    upper_row: Array
    pool: Array
    visited: Array
    fresh: Array
    counters: Array
    ids: Array
    starts: Array
    settings: Array
    factors: Array
    query: Array
    mean: Array
    basis: Array
    basis_scales: Array
    centred: Array
    whole: Array
    rotated: Array
    coded: Array
    best: Array


@kernel
def unbundle(table: Array) -> Parts:
    """Return the parts that the table of their bundle stands for."""
    return Parts(
        matrix(table, 0, np.int32),
        matrix(table, 1, np.int32),
        vector(table, 2, np.int32),
        vector(table, 3, np.int64),
        vector(table, 4, np.uint8),
        vector(table, 5, np.int32),
        vector(table, 6, np.int64),
        vector(table, 7, np.int32),
        vector(table, 8, np.int64),
        vector(table, 9, np.int64),
        vector(table, 10, np.float64),
        vector(table, 11, np.float32),
        vector(table, 12, np.float32),
        matrix(table, 13, np.uint8),
        vector(table, 14, np.float32),
        vector(table, 15, np.float32),
        vector(table, 16, np.int8),
        vector(table, 17, np.float32),
        vector(table, 18, np.int8),
        vector(table, 19, np.int64),
    )


@kernel
def search_floats(table: Array, rows: Array, queries: Array, answers: Array) -> None:
    """Answer `queries` (m, dim) over float32 rows: `answers` (m, k) int64; `table` is that of a bundle of `Parts`."""
    p = unbundle(table)
    graph = Graph(p.ground, p.upper, p.upper_row)
    scratch = Scratch(p.pool, p.visited, p.fresh, p.counters)
    entry, top, ef, inner = p.settings[0], p.settings[1], p.settings[2], p.settings[5]
    for i in range(queries.shape[0]):
        scale(queries[i], p.factors[0], p.query)
        k_nn_search(rows, p.query, inner, graph, entry, top, ef, ef, scratch)
        write_groups(p.pool[:ef], p.ids, p.starts, answers[i])


@kernel
def search_codes(table: Array, codes: Array, rows: Array, queries: Array, answers: Array) -> None:
    """Answer `queries` (m, dim) over codes: `answers` (m, k) int64; `table` is that of a bundle of `Parts`.

    The nodes that a search over the codes leaves in the pool are ranked again by `rows` (n, dim), if there are any:
    float32, or uint8 to which `low` must be added, which inner products need not do: it moves all alike.
    """
    p = unbundle(table)
    graph = Graph(p.ground, p.upper, p.upper_row)
    scratch = Scratch(p.pool, p.visited, p.fresh, p.counters)
    entry, top, ef, room = p.settings[0], p.settings[1], p.settings[2], p.settings[3]
    inner, exact_inner = p.settings[4] != 0, p.settings[5] != 0
    length, low, code_scale, trust, margin = p.factors[0], p.factors[1], p.factors[2], p.factors[3], p.factors[4]
    for i in range(queries.shape[0]):
        scale(queries[i], length, p.query)
        offset = encode_query(
            p.query, inner, p.mean, p.basis, p.basis_scales, code_scale, p.centred, p.whole, p.rotated, p.coded
        )
        k_nn_search(codes, p.coded, offset, graph, entry, top, ef, room, scratch)
        found = p.pool[:room]
        if rows.shape[0] == 0:
            write_groups(found, p.ids, p.starts, answers[i])
            continue
        if low != 0.0 and not exact_inner:
            for j in range(p.query.shape[0]):
                p.query[j] -= np.float32(low)
        rerank(rows, p.query, exact_inner, found, 1.0 / (code_scale * code_scale), trust, margin, p.best)
        write_groups(p.best, p.ids, p.starts, answers[i])

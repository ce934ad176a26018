"""Query path: quantise, search the graph, rerank with full vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.hnsw.copies_kernels import write_groups
from algorithms.hnsw.kernels import Graph, Scratch, k_nn_search
from algorithms.kernels.bundle import matrix, vector
from algorithms.kernels.codes.ranking import rerank
from algorithms.kernels.codes.rows import Encoder, encode_query, unbundle_encoder
from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.jit import kernel

Array = Any

SETTINGS = np.dtype(
    [
        ("entry", np.int64),
        ("top", np.int64),
        ("ef", np.int64),
        ("room", np.int64),
        ("length", np.float64),
        ("low", np.float64),
        ("code_scale", np.float64),
        ("bound_ratio", np.float64),
        ("bound_margin", np.float64),
        ("inner", np.bool_),
        ("exact_inner", np.bool_),
    ],
    align=True,
)
"""What a search is told.

It begins at the entry point `entry` on level `top`, has the beam width `ef`, and keeps `room` candidates for reranking.
Queries are scaled to `length` (0: not); `low` must be added to rows in bytes; codes have `code_scale`; `bound_ratio`
and `bound_margin` are those of `ranking.rerank`. Ranks are inner products if `inner`, those by the rows if
`exact_inner`.
"""


class Parts(NamedTuple):
    """What one thread's searches work on, rows aside.

    `ids` and `starts` are those of `copies.Groups`; `settings` is one record of `SETTINGS`; `query` (dim,) float32
    holds the query, `best` (k,) int64 the answer's keys.
    """

    graph: Graph
    scratch: Scratch
    ids: Array
    starts: Array
    settings: Array
    query: Array
    encoder: Encoder
    best: Array


def arrays_of(parts: Parts) -> tuple[Array, ...]:
    """Return the arrays in the order in which `unbundle` reads them."""
    return (
        *parts.graph,
        *parts.scratch,
        parts.ids,
        parts.starts,
        parts.settings,
        parts.query,
        *parts.encoder,
        parts.best,
    )


@kernel
def unbundle(table: Array) -> Parts:
    """Return the parts that the table of a bundle of `arrays_of` stands for."""
    return Parts(
        graph=Graph(
            ground=matrix(table, 0, np.int32),
            upper=matrix(table, 1, np.int32),
            upper_row=vector(table, 2, np.int32),
        ),
        scratch=Scratch(
            pool=vector(table, 3, np.int64),
            visited=vector(table, 4, np.uint8),
            fresh=vector(table, 5, np.int32),
            counters=vector(table, 6, np.int64),
        ),
        ids=vector(table, 7, np.int32),
        starts=vector(table, 8, np.int64),
        settings=vector(table, 9, SETTINGS),
        query=vector(table, 10, np.float32),
        encoder=unbundle_encoder(table, 11),
        best=vector(table, 18, np.int64),
    )


@kernel
def search_floats(table: Array, rows: Array, queries: Array, answers: Array) -> None:
    """Answer `queries` (m, dim) over float32 rows: `answers` (m, k) int64; `table` is that of a bundle of `Parts`."""
    p = unbundle(table)
    settings, pool = p.settings[0], p.scratch.pool
    entry, top, ef = settings["entry"], settings["top"], settings["ef"]
    offset = 1 if settings["exact_inner"] else 0
    for i in range(queries.shape[0]):
        scale(queries[i], settings["length"], p.query)
        k_nn_search(rows, p.query, offset, p.graph, entry, top, ef, ef, p.scratch)
        write_groups(pool[:ef], p.ids, p.starts, answers[i])


@kernel
def search_codes(table: Array, codes: Array, rows: Array, queries: Array, answers: Array) -> None:
    """Answer `queries` (m, dim) over codes: `answers` (m, k) int64; `table` is that of a bundle of `Parts`.

    The candidates that a search over the codes leaves in the pool are reranked by `rows` (n, dim), if there are any:
    float32, or uint8 to which `low` must be added, which inner products need not do: it moves all alike.
    """
    p = unbundle(table)
    settings = p.settings[0]
    entry, top, ef, room = settings["entry"], settings["top"], settings["ef"], settings["room"]
    exact_inner, low = settings["exact_inner"], settings["low"]
    bound_ratio, bound_margin = settings["bound_ratio"], settings["bound_margin"]
    unit = 1.0 / (settings["code_scale"] * settings["code_scale"])
    for i in range(queries.shape[0]):
        scale(queries[i], settings["length"], p.query)
        offset = encode_query(p.query, settings["inner"], settings["code_scale"], p.encoder)
        k_nn_search(codes, p.encoder.codes, offset, p.graph, entry, top, ef, room, p.scratch)
        found = p.scratch.pool[:room]
        if rows.shape[0] == 0:
            write_groups(found, p.ids, p.starts, answers[i])
            continue
        if low != 0.0 and not exact_inner:
            for j in range(p.query.shape[0]):
                p.query[j] -= np.float32(low)
        rerank(rows, p.query, exact_inner, found, unit, bound_ratio, bound_margin, p.best)
        write_groups(p.best, p.ids, p.starts, answers[i])

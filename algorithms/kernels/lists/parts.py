"""What one thread's searches of inverted lists work on, as one argument (`algorithms.kernels.bundle`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.bundle import matrix, vector
from algorithms.kernels.codes.rows import Encoder, unbundle_encoder
from algorithms.kernels.jit import kernel

Array = Any

SETTINGS = np.dtype(
    [
        ("n_probe", np.int64),
        ("n_lists", np.int64),
        ("dim", np.int64),
        ("copies", np.int64),
        ("keep", np.int64),
        ("keep_for_rows", np.int64),
        ("length", np.float64),
        ("low", np.float64),
        ("code_scale", np.float64),
        ("bias_step", np.float64),
        ("max_bias", np.float64),
        ("bound_ratio", np.float64),
        ("bound_margin", np.float64),
        ("inner", np.bool_),
        ("exact_inner", np.bool_),
        ("rerank", np.bool_),
        ("symmetric", np.bool_),
    ],
    align=True,
)
"""What a search is told.

`n_probe` of `n_lists` lists are searched; codes have `dim` dimensions, and a row lies in `copies` lists. `keep`
candidates are kept of a scan, and `keep_for_rows` of those that the codes of 8 bits rank. Queries are scaled to
`length` (0: not); `low` must be added to rows in bytes; codes of 8 bits have `code_scale`; biases come in steps of
`bias_step`, and add `max_bias` at most. `bound_ratio` and `bound_margin` are those of `ranking.rerank`. Ranks are inner
products if `inner`, those by the rows if `exact_inner`; candidates are reranked at all if `rerank`; distances are
`symmetric` where the query is coded as rows are.
"""

SCANNED, BY_CODES, BY_ROWS = 0, 1, 2
"""Places in `Parts.counters`: vectors scanned, candidates ranked by codes, and by rows."""


class Index(NamedTuple):
    """The index.

    `centroids` (bytes,) uint8, blocks of 32 centroids in the codes of rows, dimensions by fours; `norms`
    (32 * blocks,) int32, half their squared length in code units, 0 under inner products; `factors` and `shifts`
    (lists,) float32, which make a score of a rank; `starts`, `sizes`, `rows`, `codes`, `biases` of `partition.Lists`;
    `codebooks` (positions * block, words) and `radii` (positions,) float32 of `lists.search.make_tables`; `means`
    (lists, positions * block) float32, the centroids, where more is asked of them than of their codes, else empty;
    `ids` (n,) int32 by row.
    """

    centroids: Array
    norms: Array
    factors: Array
    shifts: Array
    starts: Array
    sizes: Array
    rows: Array
    codes: Array
    biases: Array
    codebooks: Array
    radii: Array
    means: Array
    ids: Array


class Query(NamedTuple):
    """Buffers for the present query.

    `values` (dim,) and `point` (positions * block,) float32, zeros behind the last dimension; `bounds` (positions,)
    float32 and `tables` (16 * positions,) uint8 or `wide_tables` (256 * positions,) uint16, by which the codes are
    looked up; the other is empty.
    """

    values: Array
    point: Array
    bounds: Array
    tables: Array
    wide_tables: Array


class Candidates(NamedTuple):
    """Buffers for lists and for rows.

    `list_scores`, `list_ids`, `spare` and `spare_ids` (lists + ROOM or more,) int32, and `list_offsets` (lists,)
    float64; `scores` and `places` int32, of the length `lists.search.capacity`; `found` and `best` (k,) int64 keys.
    """

    list_scores: Array
    list_ids: Array
    list_offsets: Array
    spare: Array
    spare_ids: Array
    scores: Array
    places: Array
    found: Array
    best: Array


class Parts(NamedTuple):
    """All of it: `settings` is one record of `SETTINGS`, `counters` (3,) int64 grow.

    Kernels are handed the table of their bundle, and take from it what they use (`lists_of` and its like): to hand over
    all arrays at each call between kernels costs 0.1 us.
    """

    lists: Index
    encoder: Encoder
    settings: Array
    query: Query
    candidates: Candidates
    counters: Array


def arrays_of(parts: Parts) -> tuple[Array, ...]:
    """Return the arrays in the order in which `lists_of` and its like read them."""
    return (*parts.lists, *parts.encoder, parts.settings, *parts.query, *parts.candidates, parts.counters)


@kernel
def lists_of(table: Array) -> Index:
    """Return the index out of the table of a bundle of `arrays_of`."""
    return Index(
        centroids=vector(table, 0, np.uint8),
        norms=vector(table, 1, np.int32),
        factors=vector(table, 2, np.float32),
        shifts=vector(table, 3, np.float32),
        starts=vector(table, 4, np.int32),
        sizes=vector(table, 5, np.int32),
        rows=vector(table, 6, np.int32),
        codes=vector(table, 7, np.uint8),
        biases=vector(table, 8, np.uint16),
        codebooks=matrix(table, 9, np.float32),
        radii=vector(table, 10, np.float32),
        means=matrix(table, 11, np.float32),
        ids=vector(table, 12, np.int32),
    )


@kernel
def query_of(table: Array) -> Query:
    """Return the buffers for the query out of the table."""
    return Query(
        values=vector(table, 21, np.float32),
        point=vector(table, 22, np.float32),
        bounds=vector(table, 23, np.float32),
        tables=vector(table, 24, np.uint8),
        wide_tables=vector(table, 25, np.uint16),
    )


@kernel
def candidates_of(table: Array) -> Candidates:
    """Return the buffers for lists and rows out of the table."""
    return Candidates(
        list_scores=vector(table, 26, np.int32),
        list_ids=vector(table, 27, np.int32),
        list_offsets=vector(table, 28, np.float64),
        spare=vector(table, 29, np.int32),
        spare_ids=vector(table, 30, np.int32),
        scores=vector(table, 31, np.int32),
        places=vector(table, 32, np.int32),
        found=vector(table, 33, np.int64),
        best=vector(table, 34, np.int64),
    )


@kernel
def encoder_of(table: Array) -> Encoder:
    """Return what codes a query out of the table."""
    return unbundle_encoder(table, 13)


@kernel
def settings_of(table: Array) -> Array:
    """Return the settings out of the table, an array of one record."""
    return vector(table, 20, SETTINGS)


@kernel
def counters_of(table: Array) -> Array:
    """Return the counters out of the table."""
    return vector(table, 35, np.int64)

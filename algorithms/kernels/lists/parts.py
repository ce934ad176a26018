"""What one thread's searches of an inverted file work on, as one argument (`algorithms.kernels.bundle`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.bundle import matrix, vector
from algorithms.kernels.jit import kernel

Array = Any


class Parts(NamedTuple):
    """What one thread's searches work on, the rows aside, in the order in which it is bundled.

    The index: `centroids` (bytes,) uint8, blocks of 32 centroids in the codes of rows, dimensions by fours; `norms`
    (32 * blocks,) int32, half their squared length in code units, 0 under inner products; `factors` and `shifts`
    (leaves,) float32, which make a score of a rank; `starts`, `sizes`, `rows`, `codes`, `biases` of `partition.Leaves`;
    `codebooks` (positions * block, words) and `radii` (positions,) float32 of `lists.search.make_tables`; `means`
    (leaves, positions * block) float32, the centroids, where more is asked of them than of their codes, else empty;
    `ids` (n,) int32 by row. `mean`, `basis`, `basis_scales`, `centred`, `whole`, `rotated` and `coded` are those of
    `codes.encode_query`.

    `settings` (11,) int64: how many leaves are searched, of how many, how many candidates are kept, how many of those
    that codes ranked are ranked by the rows, whether ranks are inner products, the same of those by the rows,
    dimensions of the codes, in how many leaves a row may lie, whether candidates are ranked again at all, the offset of
    the present query's codes, and whether distances are symmetric. `scales` (7,) float64: the length that queries are
    scaled to (0: not), what must be added to rows in bytes, the scale of codes, the step of biases, `trust` and
    `margin` of `ranking.rerank`, the most that a bias adds to a score.

    Buffers: `query` (dim,) and `point` (positions * block,) float32, zeros behind the last dimension; `bounds`
    (positions,) float32 and `tables` (16 * positions,) uint8 or `wide_tables` (256 * positions,) uint16, by which the
    codes are looked up; the other is empty; `leaf_scores`, `leaf_ids`, `spare` and `spare_ids` (leaves + ROOM or more,)
    int32 and `leaf_offsets` (leaves,) float64; `scores` and `places` int32, of the length `lists.search.capacity`, the
    candidates; `found` and `best` (k,) int64 keys; `counters` (3,) int64: vectors scanned, ranked by codes, ranked
    by rows.
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
    mean: Array
    basis: Array
    basis_scales: Array
    centred: Array
    whole: Array
    rotated: Array
    coded: Array
    settings: Array
    scales: Array
    query: Array
    point: Array
    bounds: Array
    tables: Array
    wide_tables: Array
    leaf_scores: Array
    leaf_ids: Array
    leaf_offsets: Array
    spare: Array
    spare_ids: Array
    scores: Array
    places: Array
    found: Array
    best: Array
    counters: Array


@kernel
def unbundle(table: Array) -> Parts:
    """Return the parts that the table of their bundle stands for."""
    return Parts(
        vector(table, 0, np.uint8),
        vector(table, 1, np.int32),
        vector(table, 2, np.float32),
        vector(table, 3, np.float32),
        vector(table, 4, np.int32),
        vector(table, 5, np.int32),
        vector(table, 6, np.int32),
        vector(table, 7, np.uint8),
        vector(table, 8, np.uint16),
        matrix(table, 9, np.float32),
        vector(table, 10, np.float32),
        matrix(table, 11, np.float32),
        vector(table, 12, np.int32),
        vector(table, 13, np.float32),
        matrix(table, 14, np.uint8),
        vector(table, 15, np.float32),
        vector(table, 16, np.float32),
        vector(table, 17, np.int8),
        vector(table, 18, np.float32),
        vector(table, 19, np.int8),
        vector(table, 20, np.int64),
        vector(table, 21, np.float64),
        vector(table, 22, np.float32),
        vector(table, 23, np.float32),
        vector(table, 24, np.float32),
        vector(table, 25, np.uint8),
        vector(table, 26, np.uint16),
        vector(table, 27, np.int32),
        vector(table, 28, np.int32),
        vector(table, 29, np.float64),
        vector(table, 30, np.int32),
        vector(table, 31, np.int32),
        vector(table, 32, np.int32),
        vector(table, 33, np.int32),
        vector(table, 34, np.int64),
        vector(table, 35, np.int64),
        vector(table, 36, np.int64),
    )

"""Search of a partition: leaves are chosen, their codes scanned, and the best candidates ranked again.

A score is what a distance is up to what all vectors share: -q.x under inner products, (|q - x|^2 - |q|^2) / 2 under
euclidean. For x = c + r in the leaf of centroid c, with the residual r coded as r', it is estimated by

    -q.x           ~  -q.c - q.r'
    |q - x|^2 / 2  ~  (|c|^2 / 2 - q.c) - q.r' + b,   b = (|x'|^2 - |c|^2) / 2 + h |x - x'|^2 / 2,   x' = c + r'

up to |q|^2 / 2. The last line is -(q, 1).(x, -|x|^2 / 2), an inner product in one dimension more, whose coordinate b
is kept in 16 bits a vector. So in both cases the look-up tables are of q.r' alone, and are the same for all leaves.

With h = 0, a distance is that to x'. The true one differs by |x - x'|^2 - 2 (q - x').(x - x'). Were q anywhere, the
last term would be 0 in the mean, as x' is the mean of the vectors with its code, and h = 1 be right; for q near x it
is twice the first, and h = -1 would be. For the nearest neighbours of common data, a quarter is good.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.codes.codebooks import nearest_word, word_distances
from algorithms.kernels.codes.fast_scan import BLOCK, MOST, scan_leaf
from algorithms.kernels.codes.ranking import rerank, write_ids
from algorithms.kernels.codes.rows import encode_query, prefetch_row, rank
from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.codes.wide_scan import make_wide_tables, scan_wide_leaf
from algorithms.kernels.graph.pool import make_key, node_of, sort_keys
from algorithms.kernels.jit import kernel
from algorithms.kernels.lists.parts import Parts, unbundle
from algorithms.kernels.select.selection import ROOM, keep_smallest, smallest_first
from algorithms.kernels.simd.aligned import CACHE_LINE
from algorithms.kernels.simd.instructions import prefetch
from algorithms.kernels.simd.integer_lanes import (
    DOT_BYTES,
    LANES,
    add_dots,
    difference,
    load_integers,
    no_integers,
    store_integers,
)

Array = Any

# Blocks scanned before the candidates are looked at again.
BLOCKS_AT_ONCE = 16
# Entries of a table of codes that have 4 bits.
WORDS = 16
# Scores beyond are equally bad: sums of them, and of look-ups, stay within int32.
_FARTHEST = 1 << 29
# How far the buffer of candidates fills, as a share of those that are kept, until it is cut down to them.
_SLACK = 0.5
# Bytes of a leaf asked for while the one before it is scanned.
_LEAF_AHEAD = 1024
# Of the leaves chosen, so many are brought into order: the threshold is tight after a few.
_IN_ORDER = 4


@kernel
def _full(keep: int) -> int:
    """Return how many candidates there are when they are cut down to `keep`."""
    return keep + int(_SLACK * keep) + BLOCK


def capacity(keep: int) -> int:
    """Return the length of `scores` and `places` for so many candidates."""
    return _full(keep) + BLOCK * BLOCKS_AT_ONCE + ROOM


@kernel
def score_centroids(centroids: Array, norms: Array, coded: Array, groups: int, scores: Array) -> None:
    """Fill `scores` (32 * blocks or more,) int32 with half the squared distances to the centroids, in code units.

    What all share is left out. `centroids` (bytes,) uint8 and `norms` (32 * blocks,) int32 are those of
    `lists.parts.Parts`, `coded` (4 * groups or more,) int8 is the query.
    """
    for block in range(norms.shape[0] // LANES):
        products = no_integers()
        for group in range(groups):
            products = add_dots(products, centroids, DOT_BYTES * (block * groups + group), coded, 4 * group)
        store_integers(scores, LANES * block, difference(load_integers(norms, LANES * block), products))


@kernel
def choose_leaves(p: Parts, wanted: int, n_leaves: int) -> None:
    """Fill the first of `leaf_ids` and `leaf_scores` with the nearest leaves, nearly in order of their distance."""
    groups = -(-p.settings[6] // 4)
    score_centroids(p.centroids, p.norms, p.coded, groups, p.leaf_scores)
    for leaf in range(n_leaves):
        p.leaf_ids[leaf] = leaf
    if wanted < n_leaves:
        keep_smallest(p.leaf_scores, p.leaf_ids, n_leaves, wanted)
    # Halves of halves: the first few are in order, and those behind them not far from it.
    count = wanted
    while count > _IN_ORDER:
        smallest_first(p.leaf_scores, p.leaf_ids, count, count >> 1, p.spare, p.spare_ids)
        count >>= 1


@kernel
def make_tables(point: Array, codebooks: Array, radii: Array, most_bias: float, bounds: Array, tables: Array) -> Any:
    """Fill `tables` (16 * positions,) uint8 with what each codeword adds to a score; return units a score.

    `point` (positions * block,) float32 is the query, `codebooks` (positions * block, 16) float32, `radii` (positions,)
    float32 the length of each position's longest codeword, `bounds` (positions,) float32 a buffer. A table holds
    b - q.c for the largest product b that there can be: that moves all scores alike. The units are as small as they can
    be for entries to be bytes, and their sums, with a bias of `most_bias`, below 65535.
    """
    positions = radii.shape[0]
    block = point.shape[0] // positions
    widest = np.float32(1e-30)
    total = max(np.float32(most_bias), widest)
    for m in range(positions):
        square = np.float32(0.0)
        for j in range(m * block, (m + 1) * block):
            square += point[j] * point[j]
        bounds[m] = np.sqrt(square) * radii[m]
        widest = max(widest, bounds[m])
        total += np.float32(2.0) * bounds[m]
    # Rounding makes each entry at most half a unit larger.
    units = min(np.float32(255.0) / (np.float32(2.0) * widest), np.float32(MOST - 1 - positions) / total)
    products = np.empty(WORDS, np.float32)
    for m in range(positions):
        products[:] = np.float32(0.0)
        for j in range(m * block, (m + 1) * block):
            for c in range(WORDS):
                products[c] += point[j] * codebooks[j, c]
        for c in range(WORDS):
            tables[WORDS * m + c] = np.uint8((bounds[m] - products[c]) * units + np.float32(0.499))
    return units


@kernel
def exact_score(mean: Array, point: Array, inner: bool) -> float:
    """Return the score of a centroid `mean` (width,) for a query `point` (width,), in float64."""
    total = 0.0
    for j in range(point.shape[0]):
        own = np.float64(mean[j])
        total += own * ((0.0 if inner else 0.5 * own) - np.float64(point[j]))
    return total


@kernel
def place_leaves(p: Parts, wanted: int) -> None:
    """Fill `leaf_offsets` with what the leaves chosen add to the scores of their vectors, from 0 for the best on."""
    total = np.int64(0)
    for j in range(p.settings[6]):
        total += np.int64(p.coded[j])
    least = np.inf
    for a in range(wanted):
        leaf = p.leaf_ids[a]
        if p.means.shape[0] > 0:
            score = exact_score(p.means[leaf], p.point, p.settings[4] != 0)
        else:
            # Codes lie in their bytes from 128 on.
            score = (np.int64(p.leaf_scores[a]) + 128 * total) * np.float64(p.factors[leaf])
        p.leaf_offsets[a] = score + p.shifts[leaf]
        least = min(least, p.leaf_offsets[a])
    for a in range(wanted):
        p.leaf_offsets[a] -= least


@kernel
def code_query(p: Parts) -> None:
    """Replace `point` by what it would be decoded as, were it a row of the nearest leaf: the symmetric distance."""
    positions, words = p.radii.shape[0], p.codebooks.shape[1]
    block = p.point.shape[0] // positions
    mean = p.means[p.leaf_ids[0]]
    distances = np.empty(words, np.float32)
    for m in range(positions):
        for j in range(m * block, (m + 1) * block):
            p.point[j] -= mean[j]
        word_distances(p.point, m * block, p.codebooks[m * block : (m + 1) * block], distances)
        c = nearest_word(distances)
        for j in range(m * block, (m + 1) * block):
            p.point[j] = mean[j] + p.codebooks[j, c]


@kernel
def prefetch_leaf(p: Parts, leaf: int) -> None:
    """Ask for the beginning of a leaf."""
    positions = p.radii.shape[0]
    at = p.starts[leaf] * BLOCK * positions // (1 if p.wide_tables.shape[0] > 0 else 2)
    for offset in range(0, _LEAF_AHEAD, CACHE_LINE):
        prefetch(p.codes, at, offset)


@kernel
def scan_leaves(p: Parts, wanted: int, units: float) -> Any:
    """Fill the first of `scores` and `places` with the best of the vectors in the leaves chosen; return their number.

    Never more than `keep` of them stay. Nothing that scores at the threshold or above is needed any more.
    """
    keep = p.settings[2]
    count, threshold = np.int64(0), np.int64(2) * _FARTHEST
    bias_factor = np.int64(p.scales[3] * units * 65536.0)
    for a in range(wanted):
        if a + 1 < wanted:
            prefetch_leaf(p, p.leaf_ids[a + 1])
        leaf = p.leaf_ids[a]
        far = p.leaf_offsets[a] * units
        offset = np.int64(far) if far < _FARTHEST else np.int64(_FARTHEST)
        block, left = np.int64(p.starts[leaf]), np.int64(p.sizes[leaf])
        while left > 0 and offset < threshold:
            size = min(left, np.int64(BLOCK * BLOCKS_AT_ONCE))
            if p.wide_tables.shape[0] > 0:
                count = scan_wide_leaf(
                    p.codes,
                    block,
                    size,
                    p.wide_tables,
                    p.biases,
                    bias_factor,
                    threshold - offset,
                    offset,
                    p.scores,
                    p.places,
                    count,
                )
            else:
                limit = min(threshold - offset, np.int64(MOST))
                count = scan_leaf(
                    p.codes, block, size, p.tables, p.biases, bias_factor, limit, offset, p.scores, p.places, count
                )
            block += BLOCKS_AT_ONCE
            left -= size
            p.counters[0] += size
            if count >= _full(keep):
                threshold = np.int64(keep_smallest(p.scores, p.places, count, keep))
                count = keep
    if count > keep:
        keep_smallest(p.scores, p.places, count, keep)
        count = keep
    return count


@kernel
def held(p: Parts, wanted: int) -> Any:
    """Count the vectors in the leaves chosen."""
    total = np.int64(0)
    for a in range(wanted):
        total += p.sizes[p.leaf_ids[a]]
    return total


@kernel
def find_candidates(table: Array, query: Array, k: int) -> Any:
    """Find candidates for a query (dim,): fill the first of `scores` and `places`, and return their number.

    Where the leaves wanted hold fewer than k vectors, more are searched.
    """
    p = unbundle(table)
    wanted, n_leaves = p.settings[0], p.settings[1]
    scale(query, p.scales[0], p.query)
    inner = p.settings[4] != 0
    p.settings[9] = encode_query(
        p.query, inner, p.mean, p.basis, p.basis_scales, p.scales[2], p.centred, p.whole, p.rotated, p.coded
    )
    values = p.rotated if p.basis.shape[0] > 0 else p.centred
    for j in range(values.shape[0]):
        p.point[j] = values[j]
    choose_leaves(p, wanted, n_leaves)
    while wanted < n_leaves and held(p, wanted) < k * p.settings[7]:
        wanted = min(2 * wanted, n_leaves)
        choose_leaves(p, wanted, n_leaves)
    place_leaves(p, wanted)
    if p.settings[10] != 0:
        code_query(p)
    if p.wide_tables.shape[0] > 0:
        units = make_wide_tables(p.point, p.codebooks, p.radii, p.scales[6], p.wide_tables)
    else:
        units = make_tables(p.point, p.codebooks, p.radii, p.scales[6], p.bounds, p.tables)
    return scan_leaves(p, wanted, units)


@kernel
def rank_by_codes(p: Parts, codes: Array, count: int) -> Any:
    """Replace the scores of the candidates, now rows, by their ranks by `codes` (n, stride) uint8; keep the best."""
    for z in range(count):
        prefetch_row(codes, p.places[z])
    for z in range(count):
        p.scores[z] = rank(codes, p.places[z], p.coded, p.settings[9])
    p.counters[1] += count
    few = p.settings[3]
    if few < count:
        keep_smallest(p.scores, p.places, count, few)
        return few
    return np.int64(count)


@kernel
def keep_once(found: Array, count: int, alike: bool) -> Any:
    """Keep, of the first `count` keys, ascending, the first of each row; return how many are left.

    Where the keys of one row are `alike`, they are neighbours: ranked by codes, a row has one score in all leaves.
    """
    kept = 0
    for z in range(count):
        new = True
        for y in range(max(kept - 1, 0) if alike else 0, kept):
            if node_of(found[y]) == node_of(found[z]):
                new = False
        if new:
            found[kept] = found[z]
            kept += 1
    return kept


@kernel
def search(table: Array, codes: Array, rows: Array, queries: Array, answers: Array) -> None:
    """Answer `queries` (m, dim): `answers` (m, k) int64; `table` is that of a bundle of `lists.parts.Parts`.

    Candidates are ranked by `codes` (n, stride) uint8, then the best of them by `rows` (n, dim), float32 or uint8 to
    which a number must be added. Either may be empty, and is left out then.
    """
    p = unbundle(table)
    exact_inner, copies, again = p.settings[5] != 0, p.settings[7], p.settings[8] != 0
    low, code_scale, trust, margin = p.scales[1], p.scales[2], p.scales[4], p.scales[5]
    k = answers.shape[1]
    for i in range(queries.shape[0]):
        count = find_candidates(table, queries[i], k)
        for z in range(count):
            p.places[z] = p.rows[p.places[z]]
        if again and codes.shape[0] > 0:
            count = rank_by_codes(p, codes, count)
        for z in range(count):
            p.found[z] = make_key(p.scores[z], p.places[z])
        by_rows = again and rows.shape[0] > 0
        if not by_rows or copies > 1 or trust > 0.0:
            sort_keys(p.found, count)
        if copies > 1:
            count = keep_once(p.found, count, alike=again and codes.shape[0] > 0)
        if not by_rows:
            write_ids(p.found[:count], p.ids, answers[i])
            continue
        if low != 0.0 and not exact_inner:
            for j in range(p.query.shape[0]):
                p.query[j] -= np.float32(low)
        p.counters[2] += count
        rerank(rows, p.query, exact_inner, p.found[:count], 1.0 / (code_scale * code_scale), trust, margin, p.best)
        write_ids(p.best, p.ids, answers[i])

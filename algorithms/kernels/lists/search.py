"""Search of inverted lists: the nearest are chosen, their codes scanned, and the best candidates reranked.

A score is what a distance is up to what all vectors share: -q.x under inner products, (|q - x|^2 - |q|^2) / 2 under
euclidean. For x = c + r in the list of centroid c, with the residual r coded as r', it is estimated by

    -q.x           ~  -q.c - q.r'
    |q - x|^2 / 2  ~  (|c|^2 / 2 - q.c) - q.r' + b,   b = (|x'|^2 - |c|^2) / 2 + h |x - x'|^2 / 2,   x' = c + r'

up to |q|^2 / 2. The last line is -(q, 1).(x, -|x|^2 / 2), an inner product in one dimension more, whose coordinate b
is kept in 16 bits a vector. So in both cases the look-up tables are of q.r' alone, and are the same for all lists.

With h = 0, a distance is that to x'. The true one differs by |x - x'|^2 - 2 (q - x').(x - x'). Were q anywhere, the
last term would be 0 in the mean, as x' is the mean of the vectors with its code, and h = 1 be right; for q near x it
is twice the first, and h = -1 would be. For the nearest neighbours of common data, a quarter is good.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.codes.codebooks import nearest_word, word_distances
from algorithms.kernels.codes.fast_scan import BLOCK, MAX_SUM, scan_list
from algorithms.kernels.codes.ranking import rerank, write_ids
from algorithms.kernels.codes.rows import encode_query, prefetch_row, rank
from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.codes.wide_scan import make_wide_tables, scan_wide_list
from algorithms.kernels.graph.pool import make_key, node_of, sort_keys
from algorithms.kernels.jit import kernel
from algorithms.kernels.lists.parts import (
    BY_CODES,
    BY_ROWS,
    SCANNED,
    candidates_of,
    counters_of,
    encoder_of,
    lists_of,
    query_of,
    settings_of,
)
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
# Bytes of a list asked for while the one before it is scanned.
_AHEAD = 1024
# Of the lists chosen, so many are brought into order: the threshold is tight after a few.
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
def choose_lists(table: Array, wanted: int) -> None:
    """Fill the first of `list_ids` and `list_scores` with the nearest lists, nearly in order of their distance."""
    lists, c, settings = lists_of(table), candidates_of(table), settings_of(table)[0]
    n_lists, groups = settings["n_lists"], -(-settings["dim"] // 4)
    score_centroids(lists.centroids, lists.norms, encoder_of(table).codes, groups, c.list_scores)
    for number in range(n_lists):
        c.list_ids[number] = number
    if wanted < n_lists:
        keep_smallest(c.list_scores, c.list_ids, n_lists, wanted)
    # Halves of halves: the first few are in order, and those behind them not far from it.
    count = wanted
    while count > _IN_ORDER:
        smallest_first(c.list_scores, c.list_ids, count, count >> 1, c.spare, c.spare_ids)
        count >>= 1


@kernel
def make_tables(point: Array, codebooks: Array, radii: Array, max_bias: float, bounds: Array, tables: Array) -> Any:
    """Fill `tables` (16 * positions,) uint8 with what each codeword adds to a score; return units a score.

    `point` (positions * block,) float32 is the query, `codebooks` (positions * block, 16) float32, `radii` (positions,)
    float32 the length of each position's longest codeword, `bounds` (positions,) float32 a buffer. A table holds
    b - q.c for the largest product b that there can be: that moves all scores alike. The units are as small as they can
    be for entries to be bytes, and their sums, with a bias of `max_bias`, below 65535.
    """
    positions = radii.shape[0]
    block = point.shape[0] // positions
    widest = np.float32(1e-30)
    total = max(np.float32(max_bias), widest)
    for m in range(positions):
        square = np.float32(0.0)
        for j in range(m * block, (m + 1) * block):
            square += point[j] * point[j]
        bounds[m] = np.sqrt(square) * radii[m]
        widest = max(widest, bounds[m])
        total += np.float32(2.0) * bounds[m]
    # Rounding makes each entry at most half a unit larger.
    units = min(np.float32(255.0) / (np.float32(2.0) * widest), np.float32(MAX_SUM - 1 - positions) / total)
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
def offset_lists(table: Array, wanted: int) -> None:
    """Fill `list_offsets` with what the lists chosen add to the scores of their vectors, from 0 for the best on."""
    lists, c, settings = lists_of(table), candidates_of(table), settings_of(table)[0]
    codes, point = encoder_of(table).codes, query_of(table).point
    total = np.int64(0)
    for j in range(settings["dim"]):
        total += np.int64(codes[j])
    smallest = np.inf
    for a in range(wanted):
        number = c.list_ids[a]
        if lists.means.shape[0] > 0:
            score = exact_score(lists.means[number], point, settings["inner"])
        else:
            # Codes lie in their bytes from 128 on.
            score = (np.int64(c.list_scores[a]) + 128 * total) * np.float64(lists.factors[number])
        c.list_offsets[a] = score + lists.shifts[number]
        smallest = min(smallest, c.list_offsets[a])
    for a in range(wanted):
        c.list_offsets[a] -= smallest


@kernel
def code_query(table: Array) -> None:
    """Replace `point` by what it would be decoded as, were it a row of the nearest list: the symmetric distance."""
    lists, point = lists_of(table), query_of(table).point
    codebooks, positions = lists.codebooks, lists.radii.shape[0]
    block, words = point.shape[0] // positions, codebooks.shape[1]
    mean = lists.means[candidates_of(table).list_ids[0]]
    distances = np.empty(words, np.float32)
    for m in range(positions):
        for j in range(m * block, (m + 1) * block):
            point[j] -= mean[j]
        word_distances(point, m * block, codebooks[m * block : (m + 1) * block], distances)
        c = nearest_word(distances)
        for j in range(m * block, (m + 1) * block):
            point[j] = mean[j] + codebooks[j, c]


@kernel
def prefetch_list(table: Array, number: int) -> None:
    """Ask for the beginning of a list."""
    lists, wide = lists_of(table), query_of(table).wide_tables.shape[0] > 0
    at = lists.starts[number] * BLOCK * lists.radii.shape[0] // (1 if wide else 2)
    for offset in range(0, _AHEAD, CACHE_LINE):
        prefetch(lists.codes, at, offset)


@kernel
def scan_blocks(table: Array, first: Any, size: Any, bias_factor: Any, threshold: Any, offset: Any, count: Any) -> Any:
    """Scan `size` vectors of a list from block `first` on, by tables of either kind: see `fast_scan.scan_list`."""
    lists, q, c = lists_of(table), query_of(table), candidates_of(table)
    limit = threshold - offset
    if q.wide_tables.shape[0] > 0:
        return scan_wide_list(
            lists.codes,
            first,
            size,
            q.wide_tables,
            lists.biases,
            bias_factor,
            limit,
            offset,
            c.scores,
            c.places,
            count,
        )
    limit = min(limit, np.int64(MAX_SUM))
    return scan_list(
        lists.codes, first, size, q.tables, lists.biases, bias_factor, limit, offset, c.scores, c.places, count
    )


@kernel
def scan_lists(table: Array, wanted: int, units: float) -> Any:
    """Fill the first of `scores` and `places` with the best of the vectors in the lists chosen; return their number.

    Never more than `keep` of them stay. Nothing that scores at the threshold or above is needed any more.
    """
    lists, c, settings, counters = lists_of(table), candidates_of(table), settings_of(table)[0], counters_of(table)
    keep, bias_factor = settings["keep"], np.int64(settings["bias_step"] * units * 65536.0)
    count, threshold = np.int64(0), np.int64(2) * _FARTHEST
    for a in range(wanted):
        if a + 1 < wanted:
            prefetch_list(table, c.list_ids[a + 1])
        number = c.list_ids[a]
        far = c.list_offsets[a] * units
        offset = np.int64(far) if far < _FARTHEST else np.int64(_FARTHEST)
        block, left = np.int64(lists.starts[number]), np.int64(lists.sizes[number])
        while left > 0 and offset < threshold:
            size = min(left, np.int64(BLOCK * BLOCKS_AT_ONCE))
            count = scan_blocks(table, block, size, bias_factor, threshold, offset, count)
            block += BLOCKS_AT_ONCE
            left -= size
            counters[SCANNED] += size
            if count >= _full(keep):
                threshold = np.int64(keep_smallest(c.scores, c.places, count, keep))
                count = keep
    if count > keep:
        keep_smallest(c.scores, c.places, count, keep)
        count = keep
    return count


@kernel
def held(table: Array, wanted: int) -> Any:
    """Count the vectors in the lists chosen."""
    sizes, chosen = lists_of(table).sizes, candidates_of(table).list_ids
    total = np.int64(0)
    for a in range(wanted):
        total += sizes[chosen[a]]
    return total


@kernel
def load_query(table: Array, query: Array) -> Any:
    """Scale and code a query (dim,), and fill `point` with it; return the offset of its codes."""
    settings, encoder, q = settings_of(table)[0], encoder_of(table), query_of(table)
    scale(query, settings["length"], q.values)
    offset = encode_query(q.values, settings["inner"], settings["code_scale"], encoder)
    values = encoder.rotated if encoder.basis.shape[0] > 0 else encoder.centred
    for j in range(values.shape[0]):
        q.point[j] = values[j]
    return offset


@kernel
def choose_enough_lists(table: Array, k: int) -> Any:
    """Choose `n_probe` lists, or more where those hold fewer than k rows; return how many."""
    settings = settings_of(table)[0]
    wanted = settings["n_probe"]
    choose_lists(table, wanted)
    while wanted < settings["n_lists"] and held(table, wanted) < k * settings["copies"]:
        wanted = min(2 * wanted, settings["n_lists"])
        choose_lists(table, wanted)
    return wanted


@kernel
def find_candidates(table: Array, k: int) -> Any:
    """Find candidates for the query loaded: fill the first of `scores` and `places`, and return their number."""
    lists, q, settings = lists_of(table), query_of(table), settings_of(table)[0]
    wanted = choose_enough_lists(table, k)
    offset_lists(table, wanted)
    if settings["symmetric"]:
        code_query(table)
    if q.wide_tables.shape[0] > 0:
        units = make_wide_tables(q.point, lists.codebooks, lists.radii, settings["max_bias"], q.wide_tables)
    else:
        units = make_tables(q.point, lists.codebooks, lists.radii, settings["max_bias"], q.bounds, q.tables)
    return scan_lists(table, wanted, units)


@kernel
def rank_by_codes(table: Array, codes: Array, offset: int, count: int) -> Any:
    """Replace the scores of the candidates, now rows, by their ranks by `codes` (n, stride) uint8; keep the best.

    `offset` is that of the query's codes.
    """
    c, query = candidates_of(table), encoder_of(table).codes
    for z in range(count):
        prefetch_row(codes, c.places[z])
    for z in range(count):
        c.scores[z] = rank(codes, c.places[z], query, offset)
    counters_of(table)[BY_CODES] += count
    few = settings_of(table)[0]["keep_for_rows"]
    if few < count:
        keep_smallest(c.scores, c.places, count, few)
        return few
    return np.int64(count)


@kernel
def keep_once(found: Array, count: int, alike: bool) -> Any:
    """Keep, of the first `count` keys, ascending, the first of each row; return how many are left.

    Where the keys of one row are `alike`, they are neighbours: ranked by codes, a row has one score in all lists.
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
def make_keys(table: Array, count: int, alike: bool, ordered: bool) -> Any:
    """Fill `found` with the keys of the candidates, each row once, and sorted if `ordered`; return their number.

    A row may lie in several lists; where its keys are `alike`, they are neighbours in the order.
    """
    c, once = candidates_of(table), settings_of(table)[0]["copies"] == 1
    for z in range(count):
        c.found[z] = make_key(c.scores[z], c.places[z])
    if ordered or not once:
        sort_keys(c.found, count)
    return np.int64(count) if once else keep_once(c.found, count, alike)


@kernel
def rerank_by_rows(table: Array, rows: Array, count: int) -> None:
    """Fill `best` with the keys of the nearest of the first `count` of `found`, by `rows` (n, dim)."""
    settings, q, c = settings_of(table)[0], query_of(table), candidates_of(table)
    inner, low, code_scale = settings["exact_inner"], settings["low"], settings["code_scale"]
    if low != 0.0 and not inner:
        for j in range(q.values.shape[0]):
            q.values[j] -= np.float32(low)
    counters_of(table)[BY_ROWS] += count
    unit = 1.0 / (code_scale * code_scale)
    rerank(rows, q.values, inner, c.found[:count], unit, settings["bound_ratio"], settings["bound_margin"], c.best)


@kernel
def search(table: Array, codes: Array, rows: Array, queries: Array, answers: Array) -> None:
    """Answer `queries` (m, dim): `answers` (m, k) int64; `table` is that of a bundle of `lists.parts.arrays_of`.

    Candidates are ranked by `codes` (n, stride) uint8, then the best of them by `rows` (n, dim), float32 or uint8 to
    which a number must be added. Either may be empty, and is left out then.
    """
    lists, c, settings = lists_of(table), candidates_of(table), settings_of(table)[0]
    by_codes = settings["rerank"] and codes.shape[0] > 0
    by_rows = settings["rerank"] and rows.shape[0] > 0
    for i in range(queries.shape[0]):
        offset = load_query(table, queries[i])
        count = find_candidates(table, answers.shape[1])
        for z in range(count):
            c.places[z] = lists.rows[c.places[z]]
        if by_codes:
            count = rank_by_codes(table, codes, offset, count)
        count = make_keys(table, count, by_codes, not by_rows or settings["bound_ratio"] > 0.0)
        if by_rows:
            rerank_by_rows(table, rows, count)
            write_ids(c.best, lists.ids, answers[i])
        else:
            write_ids(c.found[:count], lists.ids, answers[i])

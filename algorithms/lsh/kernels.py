"""Kernels of locality-sensitive hashing, in the order in which a search calls them.

Hash functions (`hyperplane`, `p_stable`), the query-directed probing sequence of Lv et al. (2007), the scan of a bucket
by sketches, and the ranking of what it leaves. Everything is hashed by the coordinates of one pseudo-random rotation
about the centre of the data: the first of them make the sketch, the next ones the keys of the tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.byte_rows import Rows, rank
from algorithms.kernels.fast_scan import BLOCK, pack_block, scan_block
from algorithms.kernels.hadamard import rotate
from algorithms.kernels.heap import push, replace_root
from algorithms.kernels.jit import kernel
from algorithms.kernels.prefetch import prefetch
from algorithms.kernels.scalar_codes import LEVELS, look_up_tables, sketch
from algorithms.kernels.simd import lowest_bit
from algorithms.kernels.stamps import name_new, next_generation
from algorithms.kernels.topk import select

Array = Any

# Above every sum of look-ups.
NO_THRESHOLD = 65535
# Probes ahead of the present one whose directory entry, and whose codes, are asked for.
ENTRY_AHEAD = 8
CODES_AHEAD = 3
# Bytes of a bucket asked for ahead: what follows is a stream that the processor sees by itself.
MOST_AHEAD = 4096


class Hashes(NamedTuple):
    """The random functions, L tables of K each.

    `centre` (dim,) float32; `signs` (blocks, ROUNDS, size) float32 of the rotations; `multipliers` (L, K) uint64, by
    which a key is made of K numbers: powers of two for hyperplanes, odd random ones for p-stable; `offsets` (L, K)
    float32, the b of Datar et al. Scalars: bucket `width` (0 for hyperplanes), the `shift` that leaves of a 64-bit key
    the number of its slot, and the `step` between levels of a sketch.
    """

    centre: Array
    signs: Array
    multipliers: Array
    offsets: Array
    width: float
    shift: np.uint64
    step: float


class Tables(NamedTuple):
    """The buckets: those of table t, one after the other in the order of their slots.

    Slot s holds the places directory[t, s] to directory[t, s + 1] of ids[t], and of the 32-vector blocks of codes[t].
    `directory` (L, slots + 1) int32, `ids` (L, n) int32, `codes` (L, bytes) uint8.
    """

    directory: Array
    ids: Array
    codes: Array


@kernel
def hyperplane(projection: float) -> np.int64:
    """Return on which side of a random hyperplane a vector lies (Charikar 2002): 0 or 1."""
    return np.int64(projection > 0.0)


@kernel
def p_stable(projection: float, offset: float, width: float) -> np.int64:
    """Return floor((a.x + b) / w), the bucket on a random line (Datar et al. 2004)."""
    return np.int64(np.floor((projection + offset) / width))


@kernel
def table_key(projections: Array, multipliers: Array, offsets: Array, width: float) -> np.uint64:
    """Join K hash values to a key: their sum, each times its multiplier, modulo 2^64."""
    key = np.uint64(0)
    for i in range(multipliers.shape[0]):
        if width == 0.0:
            value = hyperplane(projections[i])
        else:
            value = p_stable(projections[i], offsets[i], width)
        key += np.uint64(value) * multipliers[i]
    return key


@kernel
def perturbations(
    projections: Array,
    multipliers: Array,
    offsets: Array,
    width: float,
    scores: Array,
    changes: Array,
    functions: Array,
) -> int:
    """List the changes of one hash value by one, ascending by score; return how many there are.

    The score is the squared distance from the query to the boundary that is crossed (Lv et al., section 4.4): a
    hyperplane has one, a p-stable bucket one on either side. `changes` (2K,) uint64 is what each adds to the key,
    `functions` (2K,) uint8 whose value it changes.
    """
    count = 0
    for i in range(multipliers.shape[0]):
        up = multipliers[i]
        down = np.uint64(0) - up
        if width == 0.0:
            sides = 1
            distance = projections[i]
            change = down if hyperplane(distance) == 1 else up
        else:
            sides = 2
            distance = projections[i] + offsets[i] - p_stable(projections[i], offsets[i], width) * width
            change = down
        for _ in range(sides):
            score = np.float32(distance * distance)
            j = count
            while j > 0 and scores[j - 1] > score:
                scores[j] = scores[j - 1]
                changes[j] = changes[j - 1]
                functions[j] = functions[j - 1]
                j -= 1
            scores[j] = score
            changes[j] = change
            functions[j] = i
            count += 1
            distance = np.float32(width) - distance
            change = up
    return count


@kernel
def next_allowed(functions: Array, used: np.uint64, j: int, count: int) -> int:
    """Return the first perturbation from `j` on of a function that the set `used` doesn't change already."""
    while j < count and (used >> np.uint64(functions[j])) & np.uint64(1):
        j += 1
    return j


@kernel
def probing_sequence(projections: Array, hashes: Hashes, tables: Array, slots: Array) -> int:
    """Fill `tables` and `slots` (n_probes,) with the buckets to look into, best first; return how many there are.

    First the query's own bucket in each table, then perturbation sets by their score, the sum of the scores of their
    members, over all tables together. Sets grow out of smaller ones by the operations `shift` and `expand` of Lv et
    al., section 4.5, from a heap: each is made exactly once, and never before one of a lower score.
    """
    n_tables, n_functions = hashes.multipliers.shape
    n_probes = tables.shape[0]
    scores = np.empty((n_tables, 2 * n_functions), np.float32)
    changes = np.empty((n_tables, 2 * n_functions), np.uint64)
    functions = np.empty((n_tables, 2 * n_functions), np.uint8)
    # A set: its table, the sum of the key, its largest member, and the functions that the other members change.
    room = n_probes + n_tables + 1
    set_table = np.empty(room, np.int64)
    set_key = np.empty(room, np.uint64)
    set_last = np.empty(room, np.int64)
    set_used = np.empty(room, np.uint64)
    heap_scores = np.empty(room, np.float32)
    heap_sets = np.empty(room, np.int64)
    heap = made = found = count = 0
    for t in range(min(n_tables, n_probes)):
        part = projections[t * n_functions : (t + 1) * n_functions]
        key = table_key(part, hashes.multipliers[t], hashes.offsets[t], hashes.width)
        tables[found] = t
        slots[found] = np.int64(key >> hashes.shift)
        found += 1
        count = perturbations(
            part, hashes.multipliers[t], hashes.offsets[t], hashes.width, scores[t], changes[t], functions[t]
        )
        set_table[made], set_key[made], set_last[made], set_used[made] = t, key + changes[t, 0], 0, 0
        push(heap_scores, heap_sets, heap, scores[t, 0], made)
        heap += 1
        made += 1
    while found < n_probes and heap > 0:
        score, best = heap_scores[0], heap_sets[0]
        t, key, last, used = set_table[best], set_key[best], set_last[best], set_used[best]
        tables[found] = t
        slots[found] = np.int64(key >> hashes.shift)
        found += 1
        # Shift: the next perturbation in the place of the last one. The set has served, and is overwritten.
        j = next_allowed(functions[t], used, last + 1, count)
        if j < count:
            set_key[best] = key - changes[t, last] + changes[t, j]
            set_last[best] = j
            replace_root(heap_scores, heap_sets, heap, score - scores[t, last] + scores[t, j], best)
        else:
            heap -= 1
            replace_root(heap_scores, heap_sets, heap, heap_scores[heap], heap_sets[heap])
        # Expand: the next perturbation besides the last one.
        used |= np.uint64(1) << np.uint64(functions[t, last])
        j = next_allowed(functions[t], used, last + 1, count)
        if j < count:
            set_table[made], set_key[made], set_last[made], set_used[made] = t, key + changes[t, j], j, used
            push(heap_scores, heap_sets, heap, score + scores[t, j], made)
            heap += 1
            made += 1
    return found


@kernel
def hash_rows(rows: Array, first: int, last: int, hashes: Hashes, sketches: Array, slots: Array) -> None:
    """Fill rows first ... last - 1 of `sketches` (n, positions) uint8 and columns of `slots` (L, n) int32.

    `rows` (last - first, dim) float32.
    """
    blocks, _, size = hashes.signs.shape
    work = np.empty(size, np.float32)
    projections = np.empty(blocks * size, np.float32)
    n_tables, n_functions = hashes.multipliers.shape
    for i in range(first, last):
        rotate(rows[i - first], hashes.centre, hashes.signs, work, projections)
        sketch(projections, hashes.step, sketches[i])
        keyed = projections[sketches.shape[1] :]
        for t in range(n_tables):
            part = keyed[t * n_functions : (t + 1) * n_functions]
            key = table_key(part, hashes.multipliers[t], hashes.offsets[t], hashes.width)
            slots[t, i] = np.int32(key >> hashes.shift)


@kernel
def fill_table(slots: Array, sketches: Array, directory: Array, ids: Array, codes: Array) -> None:
    """Group the vectors of one table by their slots (counting sort), and pack their sketches in that order.

    `slots` (n,) int32; fills `directory` (slots + 1,) int32, `ids` (n,) int32 and `codes` (bytes,) uint8, zeros before.
    """
    for i in range(slots.shape[0]):
        directory[slots[i] + 1] += 1
    for s in range(1, directory.shape[0]):
        directory[s] += directory[s - 1]
    for i in range(slots.shape[0] - 1, -1, -1):
        # Ends move down to starts; the last entry, the number of vectors, is nobody's end.
        s = slots[i] + 1
        directory[s] -= 1
        ids[directory[s]] = i
    for s in range(directory.shape[0] - 1):
        directory[s] = directory[s + 1]
    directory[directory.shape[0] - 1] = slots.shape[0]
    size = LEVELS * sketches.shape[1]
    for block in range((ids.shape[0] + BLOCK - 1) // BLOCK):
        pack_block(sketches, ids, block * BLOCK, codes, block * size)


@kernel
def scan_range(
    tables: Array,
    t: int,
    start: Any,
    end: Any,
    look_ups: Array,
    keep: int,
    stamps: Array,
    scores: Array,
    places: Array,
    threshold: Any,
    kept: int,
    count: int,
) -> Any:
    """Offer the vectors at places start ... end - 1 of table t to the candidates; return threshold, kept and count.

    `scores` and `places` (capacity,) hold the candidates: `kept` whose ids are known and differ, then up to `count` new
    ones by their place in the tables. None of a score from `threshold` on is needed: when the arrays are full, they are
    cut down to the `keep` best, and the threshold falls.
    """
    all_ids = tables.ids.reshape(-1)
    sums = np.empty(BLOCK, np.uint16)
    codes = tables.codes[t]
    for block in range(start // BLOCK, (end + BLOCK - 1) // BLOCK):
        mask = scan_block(codes, block * look_ups.shape[0], look_ups, threshold, sums)
        if mask == 0:
            continue
        first = block * BLOCK
        mask &= (1 << min(end - first, BLOCK)) - (1 << max(start - first, 0))
        while mask != 0:
            lane = lowest_bit(mask)
            mask &= mask - 1
            place = t * tables.ids.shape[1] + first + lane
            prefetch(all_ids, place, 1)
            scores[count] = sums[lane]
            places[count] = place
            count += 1
            if count == scores.shape[0]:
                count = name_new(all_ids, stamps, scores, places, kept, count)
                if count > keep:
                    threshold = np.int64(select(scores, places, count, keep))
                    count = keep
                kept = count
    return threshold, kept, count


@kernel
def prefetch_bucket(tables: Tables, t: int, slot: int, block_bytes: Any) -> None:
    """Ask for the first blocks of a bucket."""
    start = np.intp(tables.directory[t, slot])
    end = np.intp(tables.directory[t, slot + 1])
    if start < end:
        first = start // BLOCK
        blocks = (end + BLOCK - 1) // BLOCK - first
        at = t * tables.codes.shape[1] + first * block_bytes
        prefetch(tables.codes, at, min(blocks * block_bytes, MOST_AHEAD))


@kernel
def scaled(vector: Array, radius: float, out: Array) -> None:
    """Fill `out` (dim,) float32 with the vector at the length `radius`, or as it is where that or the vector is 0."""
    squares = np.float32(0.0)
    for j in range(vector.shape[0]):
        squares += vector[j] * vector[j]
    factor = np.float32(1.0)
    if radius > 0.0 and squares > 0.0:
        factor = np.float32(radius) / np.sqrt(squares)
    for j in range(vector.shape[0]):
        out[j] = vector[j] * factor


@kernel
def search(
    queries: Array,
    first: int,
    last: int,
    centre: Array,
    signs: Array,
    multipliers: Array,
    offsets: Array,
    width: float,
    shift: np.uint64,
    levels_step: float,
    directory: Array,
    table_ids: Array,
    codes: Array,
    row_bytes: Array,
    exact: Array,
    low: float,
    bytes_step: float,
    error: float,
    radius: float,
    by_dot: bool,
    stamps: Array,
    n_probes: int,
    n_candidates: int,
    ids: Array,
    counts: Array,
) -> None:
    """Fill ids[first:last] (m, k) int64 with the neighbours of the queries, nearest first.

    `queries` (m, dim) float32; `stamps` (n + 1,) uint32, zeros before the first search; `counts` (3,) int64 grows by
    distances computed, vectors in the buckets and buckets. The others are the fields of `Hashes`, `Tables` and `Rows`,
    one by one: from Python, a named tuple takes microseconds to pass.
    """
    hashes = Hashes(centre, signs, multipliers, offsets, width, shift, levels_step)
    tables = Tables(directory, table_ids, codes)
    rows = Rows(row_bytes, exact, low, bytes_step, error, radius, by_dot)
    k = ids.shape[1]
    n, dim = rows.bytes.shape
    blocks, _, size = hashes.signs.shape
    block_bytes = BLOCK * tables.codes.shape[1] // (BLOCK * ((n + BLOCK - 1) // BLOCK))
    keep = min(max(n_candidates, k), n)
    hashed = np.zeros(hashes.centre.shape[0], np.float32)
    query = hashed[:dim]
    work = np.empty(size, np.float32)
    projections = np.empty(blocks * size, np.float32)
    look_ups = np.empty(block_bytes, np.uint8)
    keyed = projections[block_bytes // LEVELS :]
    probe_tables = np.empty(n_probes, np.int64)
    probe_slots = np.empty(n_probes, np.int64)
    scores = np.empty(2 * keep + BLOCK, np.uint16)
    places = np.empty(2 * keep + BLOCK, np.int64)
    near = np.empty(2 * keep + BLOCK, np.float32)
    distances = np.empty(k, np.float32)
    all_ids = tables.ids.reshape(-1)
    for i in range(first, last):
        scaled(queries[i], rows.radius, query)
        rotate(hashed, hashes.centre, hashes.signs, work, projections)
        look_up_tables(projections, hashes.step, look_ups)
        found = probing_sequence(keyed, hashes, probe_tables, probe_slots)
        next_generation(stamps)
        threshold = NO_THRESHOLD
        kept = count = 0
        for p in range(found):
            if p + ENTRY_AHEAD < found:
                entry = probe_tables[p + ENTRY_AHEAD] * tables.directory.shape[1] + probe_slots[p + ENTRY_AHEAD]
                prefetch(tables.directory, entry, 2)
            if p + CODES_AHEAD < found:
                prefetch_bucket(tables, probe_tables[p + CODES_AHEAD], probe_slots[p + CODES_AHEAD], block_bytes)
            t = probe_tables[p]
            start = np.intp(tables.directory[t, probe_slots[p]])
            end = np.intp(tables.directory[t, probe_slots[p] + 1])
            counts[1] += end - start
            threshold, kept, count = scan_range(
                tables, t, start, end, look_ups, keep, stamps, scores, places, threshold, kept, count
            )
        count = name_new(all_ids, stamps, scores, places, kept, count)
        if count < min(k, n):  # too little in these buckets: look into all of one table
            threshold, kept, count = scan_range(
                tables, 0, 0, n, look_ups, keep, stamps, scores, places, threshold, count, count
            )
            counts[1] += n
            count = name_new(all_ids, stamps, scores, places, kept, count)
        if count > keep:
            select(scores, places, count, keep)
            count = keep
        counts[0] += rank(rows, query, places[:count], near, distances, ids[i])
        counts[2] += found

"""The search of LSH: the scan of a bucket by sketches, the ranking of what it leaves, and the early stop."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.bundle import matrix, vector
from algorithms.kernels.codes.fast_scan import BLOCK, scan_block
from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.graph.visited import next_generation
from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import lowest_bit, prefetch_items
from algorithms.lsh.byte_rows import Rows, rank
from algorithms.lsh.hadamard import ROUNDS, rotate
from algorithms.lsh.hash_kernels import Hashes, own_buckets
from algorithms.lsh.pool_kernels import COUNT, KEPT, NEAREST, NO_THRESHOLD, THRESHOLD, Pool, cut_down, empty_pool
from algorithms.lsh.probing import Probes, Sequence, empty_probes, empty_sequence, next_probes
from algorithms.lsh.scalar_codes import LEVELS, look_up_tables

Array = Any

# Probes ahead of the present one whose codes are asked for.
CODES_AHEAD = 2
# Probes made at a time.
AT_ONCE = 32
# Bytes of a bucket asked for ahead: what follows is a stream that the processor sees coming.
MAX_AHEAD = 8192


DISTANCES, CANDIDATES, PROBES = 0, 1, 2
"""Places in a thread's counts: exact distances, vectors met in buckets, and buckets opened."""

SETTINGS = np.dtype(
    [
        ("shift", np.uint64),
        ("n_probes", np.int64),
        ("width", np.float64),
        ("sketch_step", np.float64),
        ("low", np.float64),
        ("step", np.float64),
        ("error", np.float64),
        ("radius", np.float64),
        ("reach", np.float64),
        ("by_dot", np.bool_),
    ],
    align=True,
)
"""The scalars of `Hashes` (`width`, `shift`, and its step as `sketch_step`), of `Rows`, and of `Bounds`."""


class Tables(NamedTuple):
    """The buckets: those of table t, one after the other in the order of their slots.

    Slot s holds the places directory[t, s] to directory[t, s + 1] of ids[t], and of the 32-vector blocks of codes[t].
    `directory` (L, slots + 1) int32, `ids` (L, n) int32, `codes` (L, bytes) uint8.
    """

    directory: Array
    ids: Array
    codes: Array


class Bounds(NamedTuple):
    """When a search ends: after so many buckets, or when the next one is too far."""

    n_probes: int
    reach: float


@kernel
def scan_range(tables: Tables, t: Any, start: Any, end: Any, look_ups: Array, pool: Pool, visited: Array) -> None:
    """Offer the vectors at places start ... end - 1 of table t to the pool."""
    all_ids = tables.ids.reshape(-1)
    sums = np.empty(BLOCK, np.uint16)
    codes = tables.codes[t]
    count, threshold = pool.state[COUNT], pool.state[THRESHOLD]
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
            # What is in the pool will be named when it is full: by then its id is in the cache.
            prefetch_items(all_ids, place, 1)
            pool.scores[count] = sums[lane]
            pool.places[count] = place
            count += 1
            if count == pool.scores.shape[0]:
                count = cut_down(pool, all_ids, visited, count)
                threshold = pool.state[THRESHOLD]
    pool.state[COUNT] = count


@kernel
def prefetch_bucket(tables: Tables, t: int, slot: Any, block_bytes: Any) -> None:
    """Ask for the first blocks of a bucket."""
    start = np.intp(tables.directory[t, slot])
    end = np.intp(tables.directory[t, slot + 1])
    if start < end:
        first = start // BLOCK
        blocks = (end + BLOCK - 1) // BLOCK - first
        at = t * tables.codes.shape[1] + first * block_bytes
        prefetch_items(tables.codes, at, min(blocks * block_bytes, MAX_AHEAD))


@kernel
def probe(
    keyed: Array,
    hashes: Hashes,
    tables: Tables,
    look_ups: Array,
    unit: float,
    bounds: Bounds,
    sequence: Sequence,
    probes: Probes,
    pool: Pool,
    visited: Array,
    counts: Array,
) -> None:
    """Scan the buckets of the probing sequence, until `bounds.n_probes` of them are done or more can't pay.

    A neighbour at distance d falls beyond boundaries of the total score s with a probability like exp(-s / (2 d^2))
    (Lv et al., section 4.4), so the search ends when s exceeds `bounds.reach` times the square of the k-th distance
    known. A score of the pool times `unit` estimates such a square.
    """
    shift = hashes.shift
    left = bounds.n_probes
    found = min(own_buckets(keyed, hashes, sequence, probes), left)
    while found > 0:
        for p in range(-CODES_AHEAD, found):
            ahead = p + CODES_AHEAD
            if ahead < found:
                prefetch_bucket(tables, probes.tables[ahead], np.intp(probes.keys[ahead] >> shift), look_ups.shape[0])
            if p < 0:
                continue
            nearest = pool.state[NEAREST]
            if nearest < NO_THRESHOLD and probes.scores[p] > bounds.reach * unit * nearest:
                return
            t, slot = probes.tables[p], np.intp(probes.keys[p] >> shift)
            start, end = np.intp(tables.directory[t, slot]), np.intp(tables.directory[t, slot + 1])
            scan_range(tables, t, start, end, look_ups, pool, visited)
            counts[CANDIDATES] += end - start
            counts[PROBES] += 1
        left -= found
        found = next_probes(sequence, min(left, AT_ONCE), probes)
        for p in range(found):
            entry = probes.tables[p] * tables.directory.shape[1] + np.intp(probes.keys[p] >> shift)
            prefetch_items(tables.directory, entry, 2)


@kernel
def unbundle(table: Array) -> tuple[Hashes, Tables, Rows, Bounds, Array, Array]:
    """Return what `LSH._bundled` put into a table: the index, the bounds of a search, and what it writes to."""
    settings = vector(table, 9, SETTINGS)[0]
    rounds = matrix(table, 1, np.float32)
    hashes = Hashes(
        centre=vector(table, 0, np.float32),
        signs=rounds.reshape((rounds.shape[0] // ROUNDS, ROUNDS, rounds.shape[1])),
        multipliers=matrix(table, 2, np.uint64),
        offsets=matrix(table, 3, np.float32),
        width=settings["width"],
        shift=settings["shift"],
        step=settings["sketch_step"],
    )
    tables = Tables(
        directory=matrix(table, 4, np.int32), ids=matrix(table, 5, np.int32), codes=matrix(table, 6, np.uint8)
    )
    rows = Rows(
        bytes=matrix(table, 7, np.uint8),
        exact=matrix(table, 8, np.float32),
        low=settings["low"],
        step=settings["step"],
        error=settings["error"],
        radius=settings["radius"],
        by_dot=settings["by_dot"],
    )
    bounds = Bounds(n_probes=settings["n_probes"], reach=settings["reach"])
    return hashes, tables, rows, bounds, vector(table, 10, np.uint8), vector(table, 11, np.int64)


@kernel
def search(table: Array, queries: Array, first: int, last: int, n_candidates: int, ids: Array) -> None:
    """Fill ids[first:last] (m, k) int64 with the neighbours of the queries, nearest first.

    `table` is that of a bundle: see `unbundle`. `queries` (m, dim) float32; of what is met, `n_candidates` or at least
    k are ranked exactly. The counts of the bundle (3,) int64 grow by distances computed, vectors in the buckets and
    buckets.
    """
    hashes, tables, rows, bounds, visited, counts = unbundle(table)
    k = ids.shape[1]
    n, dim = rows.bytes.shape
    n_tables, n_functions = hashes.multipliers.shape
    # As many bytes for the codes of a block as for the tables of a query: 16 a position.
    positions = tables.codes.shape[1] // (LEVELS * ((n + BLOCK - 1) // BLOCK))
    keep = min(max(n_candidates, k), n)
    hashed = np.zeros(hashes.centre.shape[0], np.float32)
    query = hashed[:dim]
    work = np.empty(hashes.signs.shape[2], np.float32)
    projections = np.empty(hashes.signs.shape[0] * hashes.signs.shape[2], np.float32)
    look_ups = np.empty(LEVELS * positions, np.uint8)
    sequence = empty_sequence(n_tables, 2 * n_functions, bounds.n_probes)
    probes = empty_probes(max(n_tables, AT_ONCE))
    pool = empty_pool(keep, min(k, keep))
    near = np.empty(keep, np.float32)
    distances = np.empty(k, np.float32)
    all_ids = tables.ids.reshape(-1)
    for i in range(first, last):
        scale(queries[i], rows.radius, query)
        rotate(hashed, hashes.centre, hashes.signs, work, projections)
        factor = look_up_tables(projections, hashes.step, look_ups)
        next_generation(visited)
        pool.state[KEPT] = pool.state[COUNT] = 0
        pool.state[THRESHOLD] = pool.state[NEAREST] = NO_THRESHOLD
        # A query that is endless has no factor, and no end to its search.
        unit = 1.0 / (factor * positions) if factor != 0.0 else np.inf
        keyed = projections[positions:]
        probe(keyed, hashes, tables, look_ups, unit, bounds, sequence, probes, pool, visited, counts)
        if cut_down(pool, all_ids, visited, pool.state[COUNT]) < min(k, n):
            # Too little in these buckets: look into all of one table.
            scan_range(tables, 0, 0, n, look_ups, pool, visited)
            counts[CANDIDATES] += n
            cut_down(pool, all_ids, visited, pool.state[COUNT])
        counts[DISTANCES] += rank(rows, query, pool.places[: pool.state[COUNT]], near, distances, ids[i])

"""Hash functions of LSH: `hyperplane` (Charikar 2002), `p_stable` (Datar et al. 2004), keys, tables and perturbations.

Everything is hashed by the coordinates of one pseudo-random rotation about the centre of the data: the first of them
make the sketch, the next ones the keys of the tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.codes.fast_scan import BLOCK, pack_block
from algorithms.kernels.jit import kernel
from algorithms.lsh.hadamard import rotate
from algorithms.lsh.probing import Probes, Sequence, begin
from algorithms.lsh.scalar_codes import LEVELS, sketch

Array = Any


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
def own_buckets(projections: Array, hashes: Hashes, sequence: Sequence, probes: Probes) -> Any:
    """Fill in the query's own bucket of each table, and begin the sequence of the others; return how many there are."""
    n_tables, n_functions = hashes.multipliers.shape
    sequence.sizes[:] = 0
    for t in range(n_tables):
        part = projections[t * n_functions : (t + 1) * n_functions]
        multipliers, offsets = hashes.multipliers[t], hashes.offsets[t]
        probes.tables[t] = t
        probes.scores[t] = 0.0
        probes.keys[t] = table_key(part, multipliers, offsets, hashes.width)
        sequence.counts[t] = perturbations(
            part,
            multipliers,
            offsets,
            hashes.width,
            sequence.scores[t],
            sequence.changes[t],
            sequence.functions[t],
        )
        begin(sequence, t, probes.keys[t])
    return n_tables


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

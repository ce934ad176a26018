"""The query-directed probing sequence of Lv, Josephson, Wang, Charikar and Li (2007), over all tables together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.select.heap import pop, push, replace_root

Array = Any


QUEUED, MADE = 0, 1
"""Places in `Sequence.sizes`: entries of the heap, and sets made."""


class Sequence(NamedTuple):
    """Perturbation sets in the order of their score, as far as they have been asked for.

    Table t has counts[t] perturbations, ascending: `scores` (L, most) float32, what they add to the table's key in
    `changes` (L, most) uint64, and the hash function whose value they change in `functions` (L, most) uint8. A set is
    known by its table, the key that it leads to, its last member, and the functions that its other members change, as
    bits: `set_table`, `set_key`, `set_last`, `set_used` (room,). The sets that may come next are a heap,
    `heap_scores` and `heap_sets` (room,). `sizes` (2,) int64 counts the heap's entries and the sets made.
    """

    scores: Array
    changes: Array
    functions: Array
    counts: Array
    set_table: Array
    set_key: Array
    set_last: Array
    set_used: Array
    heap_scores: Array
    heap_sets: Array
    sizes: Array


class Probes(NamedTuple):
    """Some buckets to look into, best first: `tables` int64, `keys` uint64 and `scores` float32, (most,) each."""

    tables: Array
    keys: Array
    scores: Array


@kernel
def empty_probes(most: int) -> Probes:
    """Make room for so many buckets."""
    return Probes(np.empty(most, np.int64), np.empty(most, np.uint64), np.empty(most, np.float32))


@kernel
def empty_sequence(n_tables: int, most: int, n_probes: int) -> Sequence:
    """Make room for `most` perturbations a table, and for sequences of so many probes."""
    room = n_probes + n_tables + 1
    return Sequence(
        np.empty((n_tables, most), np.float32),
        np.empty((n_tables, most), np.uint64),
        np.empty((n_tables, most), np.uint8),
        np.empty(n_tables, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.uint64),
        np.empty(room, np.int64),
        np.empty(room, np.uint64),
        np.empty(room, np.float32),
        np.empty(room, np.int64),
        np.zeros(2, np.int64),
    )


@kernel
def add_set(sequence: Sequence, t: Any, key: Any, last: Any, used: Any, score: Any) -> None:
    """Make a set, and put it on the heap."""
    new = sequence.sizes[MADE]
    sequence.set_table[new] = t
    sequence.set_key[new] = key
    sequence.set_last[new] = last
    sequence.set_used[new] = used
    push(sequence.heap_scores, sequence.heap_sets, sequence.sizes[QUEUED], score, new)
    sequence.sizes[QUEUED] += 1
    sequence.sizes[MADE] += 1


@kernel
def begin(sequence: Sequence, t: int, key: Any) -> None:
    """Start table t with the set of its best perturbation alone; `key` is that of the query's own bucket."""
    if sequence.counts[t] > 0:
        add_set(sequence, t, key + sequence.changes[t, 0], 0, np.uint64(0), sequence.scores[t, 0])


@kernel
def next_allowed(functions: Array, used: Any, j: Any, count: Any) -> Any:
    """Return the first perturbation from `j` on of a function that the set `used` doesn't change already."""
    while j < count and (used >> np.uint64(functions[j])) & np.uint64(1):
        j += 1
    return j


@kernel
def next_probes(sequence: Sequence, wanted: int, probes: Probes) -> int:
    """Fill in the next `wanted` buckets, the best first; return how many there are.

    The score of a set is the sum of those of its members. Sets grow out of smaller ones by the operations `shift` and
    `expand` (section 4.5): each is made exactly once, and comes before none of a lower score.
    """
    found = 0
    while found < wanted and sequence.sizes[QUEUED] > 0:
        score, best = sequence.heap_scores[0], sequence.heap_sets[0]
        t, key = sequence.set_table[best], sequence.set_key[best]
        last, used = sequence.set_last[best], sequence.set_used[best]
        probes.tables[found] = t
        probes.keys[found] = key
        probes.scores[found] = score
        found += 1
        count, functions, changes = sequence.counts[t], sequence.functions[t], sequence.changes[t]
        own = sequence.scores[t]
        # Shift: the next perturbation in the place of the last. The set has served, and is overwritten.
        j = next_allowed(functions, used, last + 1, count)
        if j < count:
            sequence.set_key[best] = key - changes[last] + changes[j]
            sequence.set_last[best] = j
            shifted = score - own[last] + own[j]
            replace_root(sequence.heap_scores, sequence.heap_sets, sequence.sizes[QUEUED], shifted, best)
        else:
            pop(sequence.heap_scores, sequence.heap_sets, sequence.sizes[QUEUED])
            sequence.sizes[QUEUED] -= 1
        # Expand: the next perturbation besides the last.
        used |= np.uint64(1) << np.uint64(functions[last])
        j = next_allowed(functions, used, last + 1, count)
        if j < count:
            add_set(sequence, t, key + changes[j], j, used, score + own[j])
    return found

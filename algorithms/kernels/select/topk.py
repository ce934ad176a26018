"""The k smallest of many: by insertion where few get in, by buffer and selection where scores come in blocks."""

from __future__ import annotations

from typing import Any

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import lowest_bit
from algorithms.kernels.simd.lanes import LANES, lanes_below, load

Array = Any


@kernel
def insert(distances: Array, ids: Array, distance: Any, new_id: int) -> None:
    """Insert into the k best so far, which `distances` (k,) holds ascending; the caller knows that it gets in.

    Equal distances keep their order of arrival, so that the lowest id of a tie stays first.
    """
    j = distances.shape[0] - 1
    while j > 0 and distances[j - 1] > distance:
        distances[j] = distances[j - 1]
        ids[j] = ids[j - 1]
        j -= 1
    distances[j] = distance
    ids[j] = new_id


@kernel
def select(scores: Array, ids: Array, count: int, k: int) -> float:
    """Move the k smallest of scores[:count] to the front, in no order (Hoare's selection); return the largest of them.

    Needs 1 <= k <= count.
    """
    low, high, target = 0, count - 1, k - 1
    while low < high:
        # The median of three keeps sorted and constant input from being the slow case.
        middle = (low + high) >> 1
        a, b, c = scores[low], scores[middle], scores[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while scores[i] < pivot:
                i += 1
            while scores[j] > pivot:
                j -= 1
            if i <= j:
                scores[i], scores[j] = scores[j], scores[i]
                ids[i], ids[j] = ids[j], ids[i]
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    kth: float = scores[target]
    return kth


@kernel
def offer_block(
    products: Array, offsets: Array, first: int, thresholds: Array, counts: Array, scores: Array, ids: Array, keep: int
) -> None:
    """Offer a block of scores to the buffers of its queries.

    The score of train row j for query i is offsets[j] - products[i, j]; smaller is better. `products` (m, block)
    float32, `offsets` (block,) float32, `first` the id of the block's first row. `scores` and `ids` (m, capacity) hold,
    in their first counts[i] places, every candidate seen so far that may still be among the `keep` smallest:
    nothing above thresholds[i] can be. A full buffer is cut down to the `keep` smallest, which tightens the threshold.
    """
    m, block = products.shape
    capacity = scores.shape[1]
    whole = block - block % LANES
    for i in range(m):
        threshold = thresholds[i]
        count, row = counts[i], products[i]
        for start in range(0, block, LANES):
            if start < whole:
                mask = lanes_below(load(offsets, start) - load(row, start), threshold)
            else:
                mask = 0
                for j in range(start, block):
                    if offsets[j] - row[j] < threshold:
                        mask |= 1 << (j - start)
            # Nearly all groups of lanes hold nothing, and cost one comparison.
            while mask != 0:
                j = start + lowest_bit(mask)
                mask &= mask - 1
                scores[i, count] = offsets[j] - row[j]
                ids[i, count] = first + j
                count += 1
                if count == capacity:
                    # The rest of the mask was made with the old threshold: a few too many, which the next cut drops.
                    threshold = select(scores[i], ids[i], count, keep)
                    count = keep
        thresholds[i] = threshold
        counts[i] = count


@kernel
def sort_prefix(distances: Array, ids: Array, count: int) -> None:
    """Sort the first `count` entries by (distance, id), ascending (Shell's sort: short, and compiled in no time)."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            distance, own = distances[i], ids[i]
            j = i
            while j >= gap and (
                distances[j - gap] > distance or (distances[j - gap] == distance and ids[j - gap] > own)
            ):
                distances[j] = distances[j - gap]
                ids[j] = ids[j - gap]
                j -= gap
            distances[j] = distance
            ids[j] = own
        gap //= 3

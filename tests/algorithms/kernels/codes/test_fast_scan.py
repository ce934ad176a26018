"""Look-ups of 4-bit codes in registers, against NumPy and the portable loops, and how codes are packed for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.codes import fast_scan
from algorithms.kernels.codes.fast_scan import (
    BLOCK,
    GROUP,
    LARGEST_CODE,
    MAX_SUM,
    SEGMENT,
    pack_block,
    scan_block,
    scan_list,
)
from algorithms.kernels.jit import kernel
from algorithms.lsh.scalar_codes import LEVELS


@kernel
def scan_in_kernel(codes, at, tables, threshold, sums):
    """Call what this processor has from compiled code, as searches do."""
    return scan_block(codes, at, tables, threshold, sums)


def sums_of(codes, tables, blocks):
    """Look up the codes of some blocks one by one."""
    positions = len(tables) // LEVELS
    packed = codes[: blocks * LEVELS * positions].reshape(blocks, positions, LEVELS)
    indices = np.concatenate([packed & 15, packed >> 4], axis=2)
    entries = tables.reshape(1, positions, LEVELS).astype(np.int64)
    return np.take_along_axis(np.broadcast_to(entries, (blocks, positions, LEVELS)), indices, axis=2).sum(axis=1)


@pytest.mark.parametrize("positions", [SEGMENT, 3 * SEGMENT, LARGEST_CODE])
@pytest.mark.parametrize("largest", [40, 255])
def test_scan_block_equals_numpy(positions, largest):
    """The register look-ups give NumPy's sums and mask in any block, and so does the portable loop."""
    rng = np.random.default_rng(positions)
    codes = rng.integers(0, 256, 4 * LEVELS * positions, np.uint8)
    tables = rng.integers(0, largest + 1, LEVELS * positions, np.uint8)
    expected = sums_of(codes, tables, 4)
    for block in range(4):
        at = block * LEVELS * positions
        loop, sums = np.empty((2, BLOCK), np.uint16)
        for threshold in (0, positions * largest // 2, MAX_SUM):
            mask = sum(1 << i for i in range(BLOCK) if expected[block, i] < threshold)
            assert fast_scan._scan_block_loop(codes, at, tables, threshold, loop) == mask
            assert scan_in_kernel(codes, at, tables, threshold, sums) == mask
            np.testing.assert_array_equal(loop, expected[block])
            if mask:
                np.testing.assert_array_equal(sums, expected[block])


@given(
    groups=st.sampled_from([1, 2, 3, 13, LARGEST_CODE // GROUP]),
    size=st.integers(0, 70),
    threshold=st.sampled_from([0, 1, 900, 4000, 20_000, MAX_SUM]),
    biased=st.booleans(),
    seed=st.integers(0, 100),
)
@settings(deadline=None, max_examples=60)
def test_scan_leaf_equals_numpy(groups, size, threshold, biased, seed):
    """All vectors of a leaf with a sum below the threshold are appended, biases included, and no padding."""
    rng = np.random.default_rng(seed)
    positions, first, blocks = GROUP * groups, 2, 5
    codes = rng.integers(0, 256, blocks * LEVELS * positions, np.uint8)
    tables = rng.integers(0, 256, LEVELS * positions, np.uint8)
    biases = rng.integers(0, 65536, blocks * BLOCK if biased else 0).astype(np.uint16)
    factor, offset, before = int(rng.integers(0, 65536)), int(rng.integers(-(10**6), 10**6)), 3
    totals = sums_of(codes, tables, blocks).ravel()
    if biased:
        totals = np.minimum(totals + (biases.astype(np.int64) * factor >> 16), MAX_SUM)
    inside = np.arange(first * BLOCK, first * BLOCK + size)
    expected = inside[totals[inside] < threshold]
    for scan in (scan_list, fast_scan._scan_list_loop):
        scores, places = np.full((2, before + size + BLOCK), 7, np.int32)
        count = scan(codes, first, size, tables, biases, factor, threshold, offset, scores, places, before)
        assert count == before + len(expected)
        np.testing.assert_array_equal(places[before:count], expected)
        np.testing.assert_array_equal(scores[before:count], totals[expected] + offset)
        np.testing.assert_array_equal(scores[:before], 7)


@pytest.mark.parametrize("n", [1, 16, 33, 70])
def test_packed_codes_sum_as_sketches_do(n):
    """Packing keeps each vector's levels in its lane: the sums are those looked up in the sketches."""
    rng = np.random.default_rng(n)
    sketches = rng.integers(0, LEVELS, (n, SEGMENT), np.uint8)
    ids = rng.permutation(n).astype(np.int32)
    tables = rng.integers(0, 200, LEVELS * SEGMENT, np.uint8)
    blocks = -(-n // BLOCK)
    codes = np.zeros(blocks * LEVELS * SEGMENT, np.uint8)
    sums = np.empty((blocks, BLOCK), np.uint16)
    for block in range(blocks):
        pack_block(sketches, ids, block * BLOCK, codes, block * LEVELS * SEGMENT)
        scan_in_kernel(codes, block * LEVELS * SEGMENT, tables, MAX_SUM, sums[block])
    expected = tables.reshape(SEGMENT, LEVELS)[np.arange(SEGMENT), sketches[ids]].sum(axis=1)
    np.testing.assert_array_equal(sums.ravel()[:n], expected)

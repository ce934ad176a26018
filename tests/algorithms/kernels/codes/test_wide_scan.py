"""Look-ups of 8-bit codes, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.kernels.codes.fast_scan import BLOCK
from algorithms.kernels.codes.wide_scan import MAX_ENTRY, WIDE_WORDS, make_wide_tables, scan_wide_list


@pytest.mark.parametrize("positions", [1, 7, 40])
@pytest.mark.parametrize("biased", [False, True])
def test_sums_are_those_of_the_entries(positions, biased):
    """All vectors below the threshold are appended, with what their codes, and biases, add up to."""
    rng = np.random.default_rng(positions)
    size, first = 45, 1
    codes = rng.integers(0, 256, (4 * BLOCK, positions), np.uint8)
    tables = rng.integers(0, MAX_ENTRY + 1, (positions, WIDE_WORDS)).astype(np.uint16)
    biases = rng.integers(0, 65536, 4 * BLOCK if biased else 0).astype(np.uint16)
    factor, offset = 200_000, -7
    inside = np.arange(first * BLOCK, first * BLOCK + size)
    totals = tables[np.arange(positions), codes[inside]].sum(axis=1, dtype=np.int64)
    if biased:
        totals += biases[inside].astype(np.int64) * factor >> 16
    threshold = int(np.median(totals))
    scores, places = np.full((2, size + 3), 5, np.int32)
    count = scan_wide_list(
        codes.ravel(), first, size, tables.ravel(), biases, factor, threshold, offset, scores, places, 2
    )
    chosen = totals < threshold
    assert count == 2 + chosen.sum()
    np.testing.assert_array_equal(scores[2:count], totals[chosen] + offset)
    np.testing.assert_array_equal(places[2:count], inside[chosen])
    np.testing.assert_array_equal(scores[:2], 5)


@pytest.mark.parametrize("most_bias", [0.0, 1e9])
def test_tables_hold_products_in_units(most_bias):
    """Entries are the bound less the product, in units that are as fine as 16 bits and the biases allow."""
    rng = np.random.default_rng(0)
    point = rng.standard_normal(6).astype(np.float32)
    books = rng.standard_normal((6, WIDE_WORDS)).astype(np.float32)
    radii = np.sqrt((books.reshape(3, 2, -1) ** 2).sum(1)).max(axis=1)
    tables = np.empty(3 * WIDE_WORDS, np.uint16)
    units = make_wide_tables(point, books, radii, most_bias, tables)
    products = (point.reshape(3, 2, 1) * books.reshape(3, 2, -1)).sum(1)
    bounds = np.sqrt((point.reshape(3, 2) ** 2).sum(1)) * radii
    expected = (bounds[:, None] - products) * units
    assert np.abs(tables.reshape(3, -1) - expected).max() < 0.6
    assert units * most_bias <= 1.01 * 2**27
    if most_bias == 0.0:
        assert units == pytest.approx(MAX_ENTRY / (2 * bounds.max()), rel=1e-3)

"""The rows of an index: taken apart into arrays and made again, they encode and hold what they did."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.kernels.codes.storage import Storage
from algorithms.kernels.saved import Facts


def rows_of(kind, n=200, dim=70):
    """Draw rows that are whole numbers, or not."""
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (n, dim)) if kind == "whole" else rng.standard_normal((n, dim))).astype(np.float32)


@pytest.mark.parametrize("kind", ["whole", "normal"])
@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize(
    ("storage", "n_components", "rerank"),
    [("float32", None, True), ("sq8", None, True), ("sq8", None, False), ("sq8", 12, True), ("sq8", 12, False)],
)
def test_storage_made_again_from_its_arrays(kind, inner, storage, n_components, rerank):
    """Codes, exact rows, and how later rows are encoded are the same after saving as before."""
    rows = rows_of(kind)
    before = Storage.choose(rows, storage, n_components, rerank=rerank, inner=inner)
    coarse, _ = before.encode(rows)
    before.keep(rows, coarse, np.random.default_rng(1).permutation(200).astype(np.int32))
    after = Storage.restore(Facts(before.facts()), {name: array.copy() for name, array in before.arrays(200).items()})
    after.check(200, 70)
    assert (after.kind, after.n_components, after.rotated) == (before.kind, before.n_components, before.rotated)
    np.testing.assert_array_equal(after.codes, before.codes)
    if before.keep_exact:
        np.testing.assert_array_equal(after.floats(200), before.floats(200))
    later = rows_of(kind)[:9] + np.float32(1.0)
    for old, new in zip(before.encode(later), after.encode(later), strict=True):
        np.testing.assert_array_equal(new, old)
    if after.quantizer is not None:
        assert after.codes.ctypes.data % 64 == 0


def test_exact_rows_of_whole_numbers_are_bytes():
    """Whole numbers within a span of 255 are kept in a byte each, and come back as they were."""
    rows = rows_of("whole") - 40
    storage = Storage.choose(rows, "sq8", None, rerank=True, inner=False)
    coarse, _ = storage.encode(rows)
    storage.keep(rows, coarse, np.arange(200, dtype=np.int32))
    assert storage.exact.dtype == np.uint8
    np.testing.assert_array_equal(storage.floats(200), rows)


def test_small_whole_numbers_are_coded_in_finer_steps_where_centroids_are_coded_too():
    """Asked for `fine` codes, rows of small whole numbers are kept exactly beside codes that aren't theirs."""
    rows = np.random.default_rng(0).integers(0, 9, (300, 12)).astype(np.float32)
    storage = Storage.choose(rows, "sq8", None, rerank=True, inner=False, fine=True)
    assert storage.quantizer is not None
    assert storage.quantizer.scale > 10.0
    storage.keep(rows, storage.quantizer.encode(rows), np.arange(300, dtype=np.int32))
    assert storage.exact.dtype == np.uint8
    np.testing.assert_array_equal(storage.floats(300), rows)
    again = Storage.restore(Facts(storage.facts()), storage.arrays(300))
    assert again.quantizer is not None
    assert again.quantizer.scale == storage.quantizer.scale
    np.testing.assert_array_equal(again.floats(300), rows)
    np.testing.assert_array_equal(again.codes[:300], storage.codes[:300])
    wide = rows * np.float32(30.0)
    assert Storage.choose(wide, "sq8", None, rerank=True, inner=False, fine=True).quantizer.exact

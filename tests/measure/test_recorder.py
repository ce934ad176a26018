"""What is kept of a search: distances that lose nothing that a measure could see."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.data.exact_distances import rounded

ANY = arrays(np.float64, st.integers(0, 40), elements=st.floats(allow_nan=False, min_value=-1e300, max_value=1e300))


@given(ANY)
def test_rounded_distances_keep_their_order_and_their_size(distances: np.ndarray) -> None:
    """Rounding moves a distance by 2^-33 of itself at most, and never turns the order of two about."""
    distances = np.sort(distances)
    found = rounded(distances)
    assert (np.diff(found) >= 0).all()
    np.testing.assert_allclose(found, distances, rtol=2.0**-32, atol=5e-324)
    np.testing.assert_array_equal(rounded(found), found)


def test_padding_stays_padding() -> None:
    """Infinity, which pads answers that are short, and nan come back as they are."""
    given_ones = np.array([0.0, -0.0, np.inf, np.nan, 1.5])
    np.testing.assert_array_equal(rounded(given_ones), given_ones)

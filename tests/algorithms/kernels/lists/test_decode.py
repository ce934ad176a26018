"""Rows as their codes say: near the rows, by id, and what searches by codes alone rank by."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from algorithms.anisotropic_vq import AnisotropicVQ
from algorithms.pq import PQ
from harness.data.metric import Metric, normalise

INTERPRETED = bool(numba.config.DISABLE_JIT)
CODES = {"storage": None, "n_components": None}


def vectors(n, dim, seed=0):
    """Draw vectors away from the origin, read-only."""
    rows = (np.random.default_rng(seed).standard_normal((n, dim)) + 1).astype(np.float32)
    rows.flags.writeable = False
    return rows


def lost(rows, decoded):
    """Give the mean squared error as a share of the variance."""
    return np.square(rows - decoded).sum() / np.square(rows - rows.mean(axis=0)).sum()


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP])
@pytest.mark.parametrize(("bits", "opq", "n_lists"), [(4, False, 1), (8, False, 3), (8, True, 1), (4, True, 3)])
def test_decoded_rows_are_near_the_rows(metric, bits, opq, n_lists):
    """A code a dimension loses little, in lists and under a rotation too; rows added later are decoded as well."""
    if INTERPRETED and (bits == 8 or (opq and metric is not Metric.EUCLIDEAN)):
        pytest.skip("256 codewords take half a minute in Python; the test below builds them, and 4 bits train alike")
    train = vectors(280, 5)
    index = PQ(metric, bits=bits, opq=opq, n_lists=n_lists, n_subspaces=5, **CODES)
    index.fit(train[:260])
    index.add(train[260:])
    rows = normalise(train) if metric is Metric.ANGULAR else train
    decoded = index.decode()
    assert decoded.shape == rows.shape
    assert decoded.dtype == np.float32
    assert lost(rows, decoded) < (0.03 if bits == 4 else 0.003)


def test_fewer_components_and_second_leaves_are_decoded():
    """What a rotation lists out is lost to the mean alone, and a row that lies in two lists is decoded once."""
    train = vectors(260, 3)
    flat = np.concatenate([train, train[:, :1]], axis=1)  # fills 3 of its 4 dimensions
    index = AnisotropicVQ(Metric.EUCLIDEAN, n_leaves=4, dims_per_block=1, spill=True, n_components=3)
    index.fit(flat)
    assert len(index.decode()) == len(flat)
    assert lost(flat, index.decode()) < 0.03


def test_searches_by_codes_rank_as_decoded_rows_do():
    """Under ip the first found by codes alone has the greatest product, or nearly, with the query."""
    train, queries = vectors(300, 6), vectors(10, 6, seed=1)
    index = PQ(Metric.IP, bits=8, n_lists=1, n_subspaces=3, **CODES)
    index.fit(train)
    products = queries @ index.decode().T
    found = index.searcher()(queries, 1)[:, 0]
    assert (products[np.arange(10), found] > products.max(axis=1) - 0.02 * np.abs(products).max(axis=1)).all()

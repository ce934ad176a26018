"""Search of lists: tables and centroids in bytes against NumPy, and scores against the distances they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from algorithms.anisotropic_vq.coder import AnisotropicCoder, soar
from algorithms.kernels.codes.codebooks import decode
from algorithms.kernels.codes.fast_scan import BLOCK, MAX_SUM
from algorithms.kernels.codes.scalar_quantizer import query_width, train_quantizer
from algorithms.kernels.codes.storage import Storage
from algorithms.kernels.lists import search as lists_search
from algorithms.kernels.lists.build import Shape, build
from algorithms.kernels.lists.coded_centroids import code_centroids
from algorithms.kernels.lists.inverted_file import ERROR_SHARE
from algorithms.kernels.lists.partition import padded_positions, unpack
from algorithms.kernels.lists.parts import (
    arrays_of,
    candidates_of,
    counters_of,
    encoder_of,
    lists_of,
    query_of,
    settings_of,
)
from algorithms.kernels.lists.points import to_points
from algorithms.kernels.lists.worker import Effort, Worker
from algorithms.kernels.select.selection import ROOM

INTERPRETED = bool(config.DISABLE_JIT)
WORDS = 16


def normal(n, dim, seed=0):
    """Draw normal rows."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def tables_of(point, codebooks, most_bias=0.0):
    """Return units, bounds and tables (positions, 16) for a point and codebooks (positions, block, 16)."""
    positions, block, _ = codebooks.shape
    radii = np.sqrt((codebooks**2).sum(axis=1)).max(axis=1)
    bounds, tables = np.empty(positions, np.float32), np.zeros(positions * WORDS, np.uint8)
    flat = codebooks.reshape(positions * block, WORDS)
    units = lists_search.make_tables(point, flat, radii, most_bias, bounds, tables)
    return float(units), bounds.astype(np.float64), tables.reshape(positions, WORDS).astype(np.float64)


@given(
    positions=st.sampled_from([4, 8, 60, 256, 260, 512]),
    block=st.integers(1, 3),
    bias=st.sampled_from([0.0, 0.1, 1e4]),
    size=st.sampled_from([1e-9, 1.0, 1e9]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=30)
def test_tables_are_those_of_numpy(positions, block, bias, size, seed):
    """Entries are bytes within a unit of what they stand for, and their sums leave room for the bias."""
    point = np.float32(size) * normal(1, positions * block, seed)[0]
    codebooks = normal(positions, block * WORDS, seed + 1).reshape(positions, block, WORDS)
    codebooks[: positions // 2] *= np.float32(0.01)
    units, bounds, tables = tables_of(point, codebooks, bias)
    products = np.einsum("mj,mjc->mc", point.reshape(positions, block).astype(np.float64), codebooks)
    expected = (bounds[:, None] - products) * units
    assert units > 0.0
    assert np.abs(tables - expected).max() <= 0.51
    assert tables.max(axis=1).sum() + bias * units < MAX_SUM


@given(positions=st.sampled_from([4, 64, 256, 512]), bias=st.sampled_from([0.0, 50.0]), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_tables_use_the_bits_that_there_are(positions, bias, seed):
    """Either an entry could not be larger, or the sums could not: few bits are left unused."""
    point = normal(1, 2 * positions, seed)[0]
    codebooks = normal(positions, 2 * WORDS, seed + 1).reshape(positions, 2, WORDS)
    units, bounds, _ = tables_of(point, codebooks, bias)
    largest, most = 2 * bounds.max() * units, (2 * bounds.sum() + bias) * units
    assert largest > 254.9 or most > MAX_SUM - 2 * positions


def test_tables_of_a_query_of_zeros():
    """Where a query is 0, all codewords are alike."""
    units, bounds, tables = tables_of(np.zeros(8, np.float32), normal(4, 2 * WORDS).reshape(4, 2, WORDS))
    assert np.isfinite(units)
    assert not bounds.any()
    assert not tables.any()


@pytest.mark.skipif(INTERPRETED, reason="NumPy warns of what compiled code does in silence")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, 1e38, 1e-40])
def test_tables_of_odd_queries(value):
    """Queries that are no numbers, endless or extreme give some tables."""
    point = normal(1, 8)[0]
    point[3] = value
    units, _, tables = tables_of(point, normal(4, 2 * WORDS).reshape(4, 2, WORDS), 1.0)
    assert not units < 0.0
    assert tables.shape == (4, WORDS)


@given(
    n_lists=st.sampled_from([1, 2, 31, 32, 33, 70]),
    dim=st.sampled_from([1, 3, 4, 65]),
    inner=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_scores_of_centroids_are_those_of_numpy(n_lists, dim, inner, seed):
    """In bytes, half a squared distance less what all share is an integer, and near that of the centroid itself."""
    rows = normal(200, dim, seed)
    quantizer = train_quantizer(rows, None, inner=inner)
    centroids = np.zeros((n_lists, dim + 3), np.float32)
    centroids[:, :dim] = 0.5 * (rows[:n_lists] - quantizer.mean)  # short enough for no code to be cut off
    coded = code_centroids(centroids, quantizer, by_direction=False)
    query = np.zeros(query_width(dim + 4), np.int8)
    query[:dim] = np.random.default_rng(seed).integers(-128, 128, dim)
    scores = np.zeros(len(coded.norms) + ROOM, np.int32)
    lists_search.score_centroids(coded.codes, coded.norms, query, -(-dim // 4), scores)
    found = (scores[:n_lists] + 128.0 * query.sum(dtype=np.int64)) * coded.factors
    point, own = query[:dim] / quantizer.scale, centroids[:, :dim].astype(np.float64)
    expected = (0.0 if inner else (own**2).sum(axis=1) / 2) - own @ point
    # Each code lies within half a step.
    steps = (np.abs(point).sum() + np.abs(own).sum(axis=1) + dim / quantizer.scale) / quantizer.scale
    assert (np.abs(found - expected) <= steps + 1.0 / quantizer.scale**2).all()


def test_directions_have_one_length():
    """Centroids by direction are coded at the length of the longest, a centroid of zeros as it is."""
    rows = normal(100, 6)
    quantizer = train_quantizer(rows, None, inner=True)
    centroids = np.stack([rows[0], 0.01 * rows[0], np.zeros(6, np.float32)])
    coded = code_centroids(centroids, quantizer, by_direction=True)
    codes = coded.codes.reshape(-1, 32, 4).transpose(1, 0, 2).reshape(32, -1)[:3, :6].astype(int) - 128
    np.testing.assert_array_equal(codes[0], codes[1])
    assert not codes[2].any()
    assert coded.factors[1] == pytest.approx(0.01 * coded.factors[0])


def built(rows, inner, *, threshold=None, spill=False, n_lists=6, block=2, n_components=None):
    """Return an inverted file over rows."""
    storage = Storage.choose(rows, "sq8", n_components, rerank=True, inner=inner)
    quantizer = storage.quantizer or train_quantizer(rows, None, inner=inner)
    coder = AnisotropicCoder(threshold, quantizer.dim, float(np.sqrt((rows**2).sum(1).mean())), 0)
    shape = Shape(n_lists, min(block, quantizer.dim), 5, 1000, spherical=False, by_direction=False, seed=0)
    return build(rows, storage, quantizer, shape, coder, soar(1.0) if spill else None, 1)


def estimates(index, rows, query):
    """Return all entries, their scores in a search of all lists, and what NumPy says of them but for a constant."""
    n_lists, dim = len(index.centroids), rows.shape[1]
    centroids = code_centroids(index.centroids, index.quantizer, by_direction=False)
    effort = Effort(n_lists, 10**6, rerank=True, rerank_factor=1, length=0.0, exact_inner=index.inner)
    worker = Worker(index, centroids, effort, dim, 1)
    parts = worker.parts
    lists_search.load_query(worker._bundle.table, query)
    count = lists_search.find_candidates(worker._bundle.table, 1)
    units = lists_search.make_tables(
        *(parts.query.point, parts.lists.codebooks, parts.lists.radii),
        *(parts.settings["max_bias"][0], parts.query.bounds, parts.query.tables),
    )
    positions, block, _ = index.codebooks.shape
    entries = unpack(index.lists, padded_positions(positions, 16), 16)
    residuals = np.empty((len(entries.rows), positions * block), np.float32)
    decode(entries.codes[:, :positions].copy(), index.codebooks, residuals)
    point = parts.query.point[: positions * block].astype(np.float64)
    own = index.centroids[entries.lists].astype(np.float64)
    expected = -(own + residuals) @ point
    if not index.inner:
        x, rest = to_points(index.quantizer, rows, positions * block)
        x = x[index.ids[entries.rows]].astype(np.float64)
        rest = rest[index.ids[entries.rows]]
        # |q - x'|^2 / 2 less |q|^2 / 2, and a share of the error.
        decoded = own + residuals
        expected += (decoded**2).sum(1) / 2 + ERROR_SHARE * ((x - decoded) ** 2).sum(1) / 2 + rest / 2
    found = dict(zip(parts.candidates.places[:count].tolist(), parts.candidates.scores[:count].tolist(), strict=True))
    sizes, starts = index.lists.sizes.tolist(), index.lists.starts.tolist()
    where = [BLOCK * start + i for start, size in zip(starts, sizes, strict=False) for i in range(size)]
    assert sorted(found) == where
    return entries, np.array([found[place] for place in where]) / units, expected


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize(
    ("dim", "options"),
    [
        (1, {"block": 1}),
        (7, {}),
        (24, {"threshold": 0.2}),
        (24, {"spill": True}),
        (65, {"block": 3}),
        (70, {"n_components": 12}),
        (300, {"block": 1}),
    ],
)
def test_scores_are_what_distances_are(inner, dim, options):
    """Scores of all vectors differ as the distances to what their codes stand for do, but for rounding."""
    rows = normal(40 if INTERPRETED else 150, dim) * np.float32(2.0) + np.float32(0.5)
    index = built(rows, inner, **options)
    for query in normal(3, dim, seed=1):
        entries, scores, expected = estimates(index, rows, query)
        off = scores - expected
        off -= np.median(off)
        assert np.std(off) <= 0.04 * np.std(expected)
        assert np.abs(off).max() <= 0.12 * np.std(expected)
        assert len(entries.rows) == len(rows) * index.copies


def test_estimates_follow_true_distances():
    """Scores order as true distances do for the most part, in both kinds of distance, with 256 positions, too."""
    for inner in (False, True):
        rows = normal(60 if INTERPRETED else 150, 40 if INTERPRETED else 512) + np.float32(0.2)
        index = built(rows, inner)
        query = rows[3] + np.float32(0.3) * normal(1, rows.shape[1], 5)[0]
        entries, scores, _ = estimates(index, rows, query)
        x = rows[index.ids[entries.rows]].astype(np.float64)
        true = -x @ query if inner else ((x - query) ** 2).sum(1)
        assert np.corrcoef(scores, true)[0, 1] > 0.9


def test_no_more_than_wanted_are_kept():
    """Of all vectors, the best are kept, as many as asked for, whatever the number of lists."""
    rows = normal(700, 8)
    index = built(rows, inner=False, n_lists=3)
    centroids = code_centroids(index.centroids, index.quantizer, by_direction=False)
    best = None
    for keep in (700, 40, 3):
        effort = Effort(3, keep, rerank=False, rerank_factor=1, length=0.0, exact_inner=False)
        worker = Worker(index, centroids, effort, 8, 3)
        parts = worker.parts
        lists_search.load_query(worker._bundle.table, rows[0])
        count = lists_search.find_candidates(worker._bundle.table, 3)
        assert count == keep
        scores = np.sort(parts.candidates.scores[:count])
        best = scores if best is None else best
        np.testing.assert_array_equal(scores, best[:keep])


def test_keys_of_one_row_are_kept_once():
    """Of several keys of a row the first stays, and the order of the others."""
    keys = np.array([(5 << 32) | (2 << 1), (6 << 32) | (9 << 1), (7 << 32) | (2 << 1), (8 << 32) | (1 << 1)], np.int64)
    expected = keys[[0, 1, 3]].tolist()
    assert lists_search.keep_once(keys, 4, alike=False) == 3
    assert keys[:3].tolist() == expected
    # Those that are alike need not be looked for further away.
    keys = np.array([(5 << 32) | (2 << 1)] * 2 + [(6 << 32) | (9 << 1)] * 2, np.int64)
    assert lists_search.keep_once(keys, 4, alike=True) == 2
    assert [key >> 32 for key in keys[:2].tolist()] == [5, 6]


def test_a_bundle_is_what_was_bundled():
    """Every array of the parts comes out of the table under its own name."""
    rows = normal(90, 8)
    for inner in (False, True):
        index = built(rows, inner)
        centroids = code_centroids(index.centroids, index.quantizer, by_direction=False)
        effort = Effort(3, 20, rerank=True, rerank_factor=1, length=0.0, exact_inner=inner, symmetric=True)
        worker = Worker(index, centroids, effort, 8, 3)
        table = worker._bundle.table
        again = (*lists_of(table), *encoder_of(table), settings_of(table), *query_of(table))
        again = (*again, *candidates_of(table), counters_of(table))
        assert len(again) == len(arrays_of(worker.parts))
        for name, one, other in zip(range(99), arrays_of(worker.parts), again, strict=False):
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, err_msg=str(name))

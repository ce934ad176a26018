"""The kernels behind locality-sensitive hashing, each against NumPy, SciPy or an enumeration of everything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard as hadamard_matrix

from algorithms.kernels.codes.fast_scan import SEGMENT
from algorithms.kernels.graph.visited import next_generation
from algorithms.lsh.byte_rows import Rows, rank, to_bytes
from algorithms.lsh.hadamard import hadamard, random_signs, rotate, rotation_size
from algorithms.lsh.pool_kernels import name_new
from algorithms.lsh.probing import begin, empty_probes, empty_sequence, next_probes
from algorithms.lsh.scalar_codes import LEVELS, look_up_tables, sketch

# Keys are sums modulo 2^64: without the compiler NumPy remarks on each that wraps around.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


@pytest.mark.parametrize("size", [64, 128, 1024])
def test_hadamard(size):
    """The fast transform is the product with Sylvester's matrix, transposed as its docstring says."""
    x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    expected = hadamard_matrix(size) @ x.astype(np.float64)
    out = np.empty(size, np.float32)
    hadamard(x.copy(), out)
    height = 2 ** ((size.bit_length() - 1) // 2)
    np.testing.assert_allclose(out.reshape(-1, height).T.ravel(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dim", [1, 7, 65, 200])
def test_rotation_keeps_angles_and_lengths(dim):
    """Each rotation multiplies all dot products by its size, after the centre is taken away."""
    rng = np.random.default_rng(dim)
    rows, centre = rng.standard_normal((2, dim), dtype=np.float32), rng.standard_normal(dim, dtype=np.float32)
    size = rotation_size(dim)
    signs = random_signs(rng, 3, dim)
    out = np.empty((2, 3 * size), np.float32)
    for i in range(2):
        rotate(rows[i], centre, signs, np.empty(size, np.float32), out[i])
    away = (rows - centre).astype(np.float64)
    for block in range(3):
        part = out[:, block * size : (block + 1) * size].astype(np.float64)
        np.testing.assert_allclose(part @ part.T / size, away @ away.T, rtol=1e-4, atol=1e-4)


def enumerate_probes(scores, changes, functions, keys):
    """List (score, table, key) of every set of perturbations in which no function is changed twice."""
    everything = []
    for t, (own, delta, of) in enumerate(zip(scores, changes, functions, strict=True)):
        for size in range(1, len(own) + 1):
            for members in combinations(range(len(own)), size):
                if len({of[j] for j in members}) == size:
                    key = (int(keys[t]) + sum(int(delta[j]) for j in members)) % 2**64
                    everything.append((sum(own[j] for j in members), t, key))
    return sorted(everything)


@given(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(1, 9), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_probing_sequence_is_that_of_an_enumeration(n_tables, n_functions, both_sides, at_once, seed):
    """Every valid perturbation set comes exactly once, by ascending score, over all tables together."""
    rng = np.random.default_rng(seed)
    most = n_functions * (2 if both_sides else 1)
    sequence = empty_sequence(n_tables, most, n_tables * 3**n_functions)
    probes = empty_probes(at_once)
    # Scores are multiples of 1/64, so that sums are exact; some of them tie.
    sequence.scores[:] = np.sort(rng.integers(0, 400, (n_tables, most)), axis=1) / 64
    sequence.changes[:] = rng.integers(0, 2**64, (n_tables, most), np.uint64)
    for t in range(n_tables):
        sequence.functions[t] = rng.permutation(np.tile(np.arange(n_functions), most // n_functions))
    sequence.counts[:] = most
    keys = rng.integers(0, 2**64, n_tables, np.uint64)
    for t in range(n_tables):
        begin(sequence, t, keys[t])
    found = []
    while count := next_probes(sequence, at_once, probes):
        found += zip(probes.scores[:count], probes.tables[:count], probes.keys[:count], strict=True)
    expected = enumerate_probes(sequence.scores.astype(float), sequence.changes, sequence.functions, keys)
    np.testing.assert_allclose([score for score, _, _ in found], [score for score, _, _ in expected])
    assert sorted((t, key) for _, t, key in found) == sorted((t, key) for _, t, key in expected)


def test_sketch_rounds_to_sixteen_levels():
    """Levels are steps of the projection about zero, cut off at both ends."""
    projections = np.array([-99.0, -8.0, -0.1, 0.0, 0.9, 1.0, 7.5, 99.0], np.float32)
    levels = np.empty(8, np.uint8)
    sketch(projections, 1.0, levels)
    np.testing.assert_array_equal(levels, [0, 0, 7, 8, 8, 9, 15, 15])


@given(st.integers(0, 50), st.floats(0.01, 100))
@settings(deadline=None)
def test_look_up_tables_hold_squared_distances(seed, step):
    """Entries are the squared distances to the middles of the levels, by one scale, rounded to bytes."""
    projections = (8 * step * np.random.default_rng(seed).standard_normal(SEGMENT)).astype(np.float32)
    tables = np.empty(LEVELS * SEGMENT, np.uint8)
    scale = look_up_tables(projections, step, tables)
    middles = (np.arange(LEVELS) - 7.5) * step
    expected = (projections[:, None].astype(np.float64) - middles) ** 2 * scale
    assert expected.max() == pytest.approx(255, rel=1e-3)
    np.testing.assert_allclose(tables.reshape(SEGMENT, LEVELS), expected, atol=0.51)


@pytest.mark.parametrize("by_dot", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("dim", [1, 7, 65])
def test_rank_is_exact(by_dot, whole, dim):
    """Ranking by bytes, corrected where they lose something, gives what ranking by float64 gives."""
    rng = np.random.default_rng(dim)
    rows = rng.integers(0, 200, (300, dim)) if whole else 3 * rng.standard_normal((300, dim))
    rows = rows.astype(np.float32)
    low = float(rows.min())
    step = 1.0 if whole else (float(rows.max()) - low) / 255
    coded = np.empty(rows.shape, np.uint8)
    error = float(np.sqrt(to_bytes(rows, low, step, coded)))
    decoded = low + step * coded
    assert error == pytest.approx(np.sqrt(((rows - decoded) ** 2).sum(axis=1).max()), rel=1e-5, abs=1e-9)
    assert (error == 0) == whole
    query = rng.standard_normal(dim).astype(np.float32) + rows[7]
    candidates = rng.permutation(300)[:120].astype(np.int64)
    wide = rows[candidates].astype(np.float64)
    expected = -(wide @ query) if by_dot else ((wide - query) ** 2).sum(axis=1)
    for k in (1, 10, 130):
        distances, ids = np.empty(k, np.float32), np.empty(k, np.int64)
        form = Rows(coded, rows, low, step, error, 0.0, by_dot)
        rank(form, query, candidates.copy(), np.empty(120, np.float32), distances, ids)
        np.testing.assert_allclose(distances[:120], np.sort(expected)[:k], rtol=1e-4, atol=1e-3)
        assert (ids[120:] == -1).all()
        assert len(set(ids[:120])) == min(k, 120)


def test_rank_measures_few_again():
    """The error bound leaves all but a few candidates to their bytes."""
    rows = np.random.default_rng(0).standard_normal((500, 64)).astype(np.float32)
    low, step = float(rows.min()), float(np.ptp(rows)) / 255
    coded = np.empty(rows.shape, np.uint8)
    error = float(np.sqrt(to_bytes(rows, low, step, coded)))
    form = Rows(coded, rows, low, step, error, 0.0, by_dot=False)
    distances, ids = np.empty(5, np.float32), np.empty(5, np.int64)
    candidates = np.arange(500)
    computed = rank(form, rows[3].copy(), candidates, np.empty(500, np.float32), distances, ids)
    assert ids[0] == 3
    assert 505 <= computed < 550


def test_candidates_are_named_once():
    """Places become ids, once each; a new query has seen nothing, even when its stamp is used anew."""
    all_ids = np.array([4, 2, 4, 0, 2], np.int32)
    visited = np.zeros(6, np.uint8)
    for _ in range(300):
        next_generation(visited)
        scores, places = np.arange(6, dtype=np.uint16), np.array([9, 0, 1, 2, 3, 4])
        count = name_new(all_ids, visited, scores, places, 1, 6)
        assert places[:count].tolist() == [9, 4, 2, 0]
        assert scores[:count].tolist() == [0, 1, 2, 4]

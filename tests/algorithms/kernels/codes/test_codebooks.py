"""Codebooks: codes against NumPy, training against scikit-learn, and data that leave little to train on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from sklearn.cluster import KMeans

from algorithms.kernels.codes.codebooks import decode, encode, nearest_codes, train_codebooks

N = 200 if config.DISABLE_JIT else 2000
WORDS = 16


def normal(n, dim, seed=0):
    """Draw normal rows."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def distances(rows, codebooks):
    """Return the squared distances (n, positions, words) of each stretch to all of its codewords in float64."""
    positions, block, _ = codebooks.shape
    stretches = rows.reshape(len(rows), positions, block, 1).astype(np.float64)
    return ((stretches - codebooks) ** 2).sum(axis=2)


def chosen(rows, codebooks, codes):
    """Return the squared distances (n, positions) to the codewords that `codes` name."""
    return np.take_along_axis(distances(rows, codebooks), codes[:, :, None].astype(np.int64), axis=2)[:, :, 0]


@given(
    n=st.integers(0, 40),
    positions=st.integers(1, 5),
    block=st.integers(1, 4),
    words=st.sampled_from([1, 2, 16, 256]),
    seed=st.integers(0, 99),
    size=st.sampled_from([1e-6, 1.0, 1e6]),
)
@settings(deadline=None, max_examples=40)
def test_codes_are_of_the_nearest_codewords(n, positions, block, words, seed, size):
    """No codeword is nearer than the one chosen by more than the share that its place takes of the distance."""
    rows = np.float32(size) * normal(n, positions * block, seed)
    codebooks = np.float32(size) * normal(positions, block * words, seed + 1).reshape(positions, block, words)
    codes = encode(rows, codebooks, 2)
    assert codes.dtype == np.uint8
    assert codes.shape == (n, positions)
    least = distances(rows, codebooks).min(axis=2)
    assert (chosen(rows, codebooks, codes) <= least * (1 + words / 2**23 + 1e-5) + 1e-30).all()


def test_a_range_of_rows_is_coded():
    """Rows outside the range keep the codes that they have."""
    rows, codebooks = normal(9, 4), normal(2, 2 * WORDS).reshape(2, 2, WORDS)
    codes = np.full((9, 2), 99, np.uint8)
    nearest_codes(rows, 3, 7, codebooks, codes)
    np.testing.assert_array_equal(codes[3:7], encode(rows, codebooks, 1)[3:7])
    assert (codes[:3] == 99).all()
    assert (codes[7:] == 99).all()


def test_equal_codewords_go_to_the_first():
    """Of codewords at the same distance the first is taken, distances of 0 included."""
    codebooks = np.zeros((1, 2, WORDS), np.float32)
    assert encode(np.zeros((1, 2), np.float32), codebooks, 1)[0, 0] == 0
    assert encode(np.ones((1, 2), np.float32), codebooks, 1)[0, 0] == 0


def test_decoded_rows_are_the_codewords():
    """Decoding puts the codeword of each position in its dimensions."""
    codebooks = normal(3, 2 * WORDS).reshape(3, 2, WORDS)
    codes = np.random.default_rng(0).integers(0, WORDS, (20, 3), np.uint8)
    rows = np.empty((20, 6), np.float32)
    decode(codes, codebooks, rows)
    expected = codebooks[np.arange(3), :, codes].reshape(20, 6)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(encode(rows, codebooks, 1), codes)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_codebooks_are_as_good_as_those_of_scikit_learn(block):
    """From the same first codewords, each position's error is within 3 % of what scikit-learn's k-means reaches."""
    rows = normal(N, 2 * block)
    first = train_codebooks(rows, block, WORDS, 0, 0, 1)
    codebooks = train_codebooks(rows, block, WORDS, 10, 0, 1)
    ours = chosen(rows, codebooks, encode(rows, codebooks, 1)).mean(axis=0)
    for m in range(2):
        oracle = KMeans(WORDS, init=first[m].T, n_init=1, max_iter=10, tol=0.0, algorithm="lloyd")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)  # that it has not converged
            oracle.fit(rows[:, m * block : (m + 1) * block])
        assert ours[m] == pytest.approx(oracle.inertia_ / N, rel=0.03)


def test_more_iterations_lower_the_error():
    """Lloyd's iterations never make the error grow by more than rounding."""
    rows = normal(N, 6)
    errors = []
    for iterations in (0, 1, 3, 10):
        codebooks = train_codebooks(rows, 3, WORDS, iterations, 0, 1)
        errors.append(chosen(rows, codebooks, encode(rows, codebooks, 1)).mean())
    assert (np.diff(errors) <= 1e-6).all()
    assert errors[-1] < 0.95 * errors[0]


def test_threads_change_nothing():
    """Codebooks and codes are equal, bit for bit, on one thread and on two, and change with the seed."""
    rows = normal(N, 12)
    one, two, other = (train_codebooks(rows, 2, WORDS, 5, seed, threads) for seed, threads in ((3, 1), (3, 2), (4, 2)))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(encode(rows, one, 1), encode(rows, one, 2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("n", [0, 1, 2, 15])
def test_fewer_rows_than_codewords(n):
    """With a codeword for each row nothing is lost, and without rows all codewords are 0."""
    rows = normal(n, 6)
    codebooks = train_codebooks(rows, 2, WORDS, 10, 0, 2)
    assert codebooks.shape == (3, 2, WORDS)
    assert codebooks.any() == (n > 0)
    assert chosen(rows, codebooks, encode(rows, codebooks, 1)).max(initial=0.0) < 1e-10


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_equal_rows_have_equal_codewords(value):
    """Where all rows are the same, so is what their codes stand for."""
    rows = np.full((50, 4), value, np.float32)
    codebooks = train_codebooks(rows, 2, WORDS, 10, 0, 1)
    decoded = np.empty_like(rows)
    decode(encode(rows, codebooks, 1), codebooks, decoded)
    np.testing.assert_array_equal(decoded, rows)


def test_codewords_without_rows_are_put_to_use():
    """Rows that take 16 values, most of them the same, end with a codeword for nearly each value."""
    values = 10.0 * np.arange(WORDS, dtype=np.float32)
    rows = values[np.r_[np.zeros(100, int), np.arange(WORDS).repeat(2)], None]
    codebooks = train_codebooks(rows, 1, WORDS, 40, 0, 1)
    assert len(np.unique(encode(rows, codebooks, 1))) >= WORDS - 2

"""Codes under the anisotropic loss and the second leaves of SOAR, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from algorithms.anisotropic_vq import kernels
from algorithms.anisotropic_vq.coder import WORDS, AnisotropicCoder, soar
from algorithms.kernels.codes import codebooks as plain

N = 150 if config.DISABLE_JIT else 1500


def normal(n, dim, seed=0):
    """Draw normal rows."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def problem(n, positions, block, seed=0):
    """Draw points, residuals, weights, codebooks and the plain codes of the residuals."""
    points, residuals = normal(n, positions * block, seed) + np.float32(1), 0.3 * normal(n, positions * block, seed + 1)
    weights = np.random.default_rng(seed).uniform(0, 2, n).astype(np.float32)
    books = 0.3 * normal(positions, block * WORDS, seed + 2).reshape(positions, block, WORDS)
    return points, residuals, weights, books, plain.encode(residuals, books, 1)


def losses(points, residuals, weights, books, codes):
    """Return |e|^2 + w (e.x)^2 of each vector, (n,) float64."""
    decoded = np.empty_like(residuals)
    plain.decode(codes, books, decoded)
    errors = residuals.astype(np.float64) - decoded
    return (errors**2).sum(axis=1) + weights * (errors * points).sum(axis=1) ** 2


@given(st.sampled_from([1, 3, 8]), st.integers(1, 3), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_coordinate_descent_never_raises_the_loss(positions, block, seed):
    """Each further round leaves the loss of every vector as it is, or lowers it."""
    points, residuals, weights, books, codes = problem(30, positions, block, seed)
    first = before = losses(points, residuals, weights, books, codes)
    for _ in range(4):
        kernels.encode(points, residuals, weights, books, 0, 30, 1, codes)
        after = losses(points, residuals, weights, books, codes)
        assert (after <= before * (1 + 1e-4) + 1e-5).all()
        before = after
    assert positions == 1 or after.sum() < first.sum()


def test_descent_ends_where_no_single_code_helps():
    """After enough rounds, no vector's loss falls when one code of it is changed."""
    points, residuals, weights, books, codes = problem(20, 4, 2)
    kernels.encode(points, residuals, weights, books, 0, 20, 50, codes)
    least = losses(points, residuals, weights, books, codes)
    for m in range(4):
        for word in range(WORDS):
            other = codes.copy()
            other[:, m] = word
            assert (losses(points, residuals, weights, books, other) >= least * (1 - 1e-4) - 1e-5).all()


def test_descent_codes_a_range():
    """Codes outside the range stay as they are."""
    points, residuals, weights, books, codes = problem(20, 4, 2)
    before = codes.copy()
    kernels.encode(points, residuals, weights, books, 5, 9, 4, codes)
    np.testing.assert_array_equal(codes[:5], before[:5])
    np.testing.assert_array_equal(codes[9:], before[9:])
    assert (codes[5:9] != before[5:9]).any()


def test_parallel_errors_are_those_of_numpy():
    """What is kept of e.x is that of all positions; one position can be taken out and put back."""
    points, residuals, _, books, codes = problem(40, 3, 2)
    decoded, parallel = np.empty_like(residuals), np.empty(40, np.float32)
    plain.decode(codes, books, decoded)
    products = (residuals - decoded) * points
    kernels.parallel_errors(points, residuals, books, codes, parallel)
    np.testing.assert_allclose(parallel, products.sum(axis=1), atol=1e-5)
    kernels.move_parallel_errors(points, residuals, books[1], 1, codes, -1.0, parallel)
    np.testing.assert_allclose(parallel, products[:, [0, 1, 4, 5]].sum(axis=1), atol=1e-5)
    kernels.move_parallel_errors(points, residuals, books[1], 1, codes, 1.0, parallel)
    np.testing.assert_allclose(parallel, products.sum(axis=1), atol=1e-5)


def test_closed_form_is_the_least_squares_solution():
    """The codewords of a position minimise the loss, as NumPy's least squares do; unused ones stay where they are."""
    points, residuals, weights, books, codes = problem(60, 3, 2)
    codes[:, 1] %= 5
    before, m = books.copy(), 1
    parallel = np.empty(60, np.float32)
    kernels.parallel_errors(points, residuals, books, codes, parallel)
    old = losses(points, residuals, weights, books, codes).sum()
    AnisotropicCoder._solve(points, residuals, weights, parallel, books, codes, m)
    assert losses(points, residuals, weights, books, codes).sum() < old
    np.testing.assert_array_equal(np.delete(books, m, axis=0), np.delete(before, m, axis=0))
    np.testing.assert_array_equal(books[m][:, 5:], before[m][:, 5:])
    decoded = np.empty_like(residuals)
    plain.decode(codes, before, decoded)
    other = [0, 1, 4, 5]
    for word in range(5):
        mine = codes[:, m] == word
        x, r, root = points[mine][:, 2:4], residuals[mine][:, 2:4], np.sqrt(weights[mine])
        rest = ((residuals - decoded) * points)[mine][:, other].sum(axis=1)
        left = np.concatenate([np.eye(2)] * mine.sum() + [root[:, None] * x])
        right = np.concatenate([r.ravel(), root * (rest + (r * x).sum(axis=1))])
        np.testing.assert_allclose(books[m][:, word], np.linalg.lstsq(left, right)[0], atol=1e-4)
    kept = parallel.copy()
    kernels.parallel_errors(points, residuals, books, codes, parallel)
    np.testing.assert_allclose(kept, parallel, atol=1e-4)


def test_training_lowers_the_loss():
    """Codebooks of the anisotropic loss have less of it than those of k-means, and codes less than the nearest ones."""
    points = normal(N, 12) + np.float32(0.5)
    residuals = points - points.mean(axis=0)
    coder, simple = (AnisotropicCoder(threshold, 12, 3.5, 0) for threshold in (0.7, None))
    weights = coder.weights(points)
    ours, theirs = coder.train(points, residuals, 2, 2), simple.train(points, residuals, 2, 1)
    nearest = losses(points, residuals, weights, theirs, simple.encode(points, residuals, theirs, 1)).mean()
    descended = losses(points, residuals, weights, theirs, coder.encode(points, residuals, theirs, 1)).mean()
    trained = losses(points, residuals, weights, ours, coder.encode(points, residuals, ours, 1)).mean()
    assert trained < 0.98 * descended < 0.9 * nearest


def test_threads_change_nothing():
    """Codebooks and codes are equal, bit for bit, on one thread and on two."""
    points = normal(N + 2100, 6) if not config.DISABLE_JIT else normal(N, 6)
    coder = AnisotropicCoder(0.3, 6, 2.4, 0)
    one, two = (coder.train(points, 0.5 * points, 2, threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(
        coder.encode(points, 0.5 * points, one, 1), coder.encode(points, 0.5 * points, one, 2)
    )


def test_no_threshold_is_plain_quantisation():
    """Without a threshold, codebooks and codes are those of k-means and the nearest codewords."""
    points, residuals = normal(200, 8), normal(200, 8, 1)
    coder = AnisotropicCoder(None, 8, 1.0, 7)
    books = coder.train(points, residuals, 2, 1)
    np.testing.assert_array_equal(books, plain.train_codebooks(residuals, 2, WORDS, 10, 7, 1))
    np.testing.assert_array_equal(coder.encode(points, residuals, books, 1), plain.encode(residuals, books, 1))
    assert not coder.weights(points).any()


def test_weights_are_those_of_the_paper():
    """For rows of the typical length eta is (d - 1) T^2 / (1 - T^2); longer rows have less, and never less than 1."""
    points = np.array([[3.0, 4.0, 0.0], [30.0, 40.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    eta = 99 * 0.2**2 / (1 - 0.2**2)
    weights = AnisotropicCoder(0.2, 100, 5.0, 0).weights(points)
    assert weights[0] == pytest.approx((eta - 1) / 25.0)
    assert weights[1] == weights[2] == 0.0
    assert not AnisotropicCoder(0.2, 1, 5.0, 0).weights(points).any()


def test_weights_of_tiny_rows_are_finite():
    """Rows far shorter than others leave codebooks finite, and cost the others nothing."""
    points = normal(200, 8)
    points[::5] *= np.float32(1e-30)
    points[1::5] *= np.float32(1e-4)
    coder = AnisotropicCoder(0.2, 8, 2.8, 0)
    assert np.isfinite(coder.weights(points)).all()
    books = coder.train(points, points, 2, 1)
    assert np.isfinite(books).all()
    assert losses(points, points, coder.weights(points), books, coder.encode(points, points, books, 1)).max() < 8.0


@pytest.mark.parametrize("size", [1e-15, 1e-6, 1.0, 1e6, 1e15])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 3.0])
def test_second_leaves_are_those_of_the_least_loss(penalty, size):
    """Second leaves are others that minimise |x - c'|^2 + penalty ((x - c').u)^2, u along the first residual.

    The scale of the data changes nothing.
    """
    points, centroids = np.float32(size) * normal(80, 5), np.float32(size) * normal(9, 5, 1)
    away = points[:, None].astype(np.float64) - centroids
    squares = (away**2).sum(axis=2)
    labels = squares.argmin(axis=1).astype(np.int32)
    second = soar(penalty)(points, centroids, labels, 2)
    first = away[np.arange(80), labels]
    along = np.einsum("ncd,nd->nc", away, first / np.linalg.norm(first, axis=1, keepdims=True))
    loss = squares + penalty * along**2
    loss[np.arange(80), labels] = np.inf
    np.testing.assert_allclose(loss[np.arange(80), second], loss.min(axis=1), rtol=1e-4)
    assert (second != labels).all()
    assert second.dtype == np.int32


def test_second_leaves_of_rows_on_their_centroids():
    """Where the first residual has no direction, the second leaf is another one all the same."""
    centroids = 100.0 * normal(6, 4)
    labels = np.arange(6, dtype=np.int32)
    second = soar(1.0)(centroids, centroids, labels, 1)
    assert (second != labels).all()
    assert ((second >= 0) & (second < 6)).all()

"""Similarities and distances against scipy, and where float32 is short of digits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from harness.core.errors import UnknownNameError

torch = pytest.importorskip("torch")
from harness.embedding.losses.similarity import (  # noqa: E402 - torch first: without it there is no test
    distances,
    normalise,
    row_distances,
    row_similarities,
    similarities,
)

SCIPY = {"euclidean": "euclidean", "squared": "sqeuclidean", "cosine": "cosine"}


@pytest.mark.parametrize("kind", SCIPY)
def test_distances_equal_scipy(normal, kind: str) -> None:
    """All against all, and row by row, they are scipy's."""
    x, y = normal(0, 40, 7, double=True), normal(1, 40, 7, double=True)
    expected = cdist(x.detach().numpy(), y.detach().numpy(), SCIPY[kind])
    np.testing.assert_allclose(distances(x, y, kind).detach(), expected, atol=1e-12)
    np.testing.assert_allclose(row_distances(x, y, kind).detach(), expected.diagonal(), atol=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "dot"])
def test_similarities_by_row_are_the_diagonal(normal, kind: str) -> None:
    """One against one is the diagonal of all against all."""
    x, y = normal(0, 6, 5), normal(1, 6, 5)
    torch.testing.assert_close(row_similarities(x, y, kind), similarities(x, y, kind).diagonal())


def test_small_distances_keep_their_digits() -> None:
    """Two vectors of length 100 that lie 0.001 apart do so in float32 too, in a batch of any size."""
    x = torch.full((64, 16), 25.0)
    y = x.clone()
    y[:, 0] += 0.001
    torch.testing.assert_close(distances(x, y, "euclidean"), torch.full((64, 64), (y - x)[0, 0].item()))


def test_normalising(normal) -> None:
    """Rows come out with length 1, whatever their size; a row of zeros stays, and passes its gradient on."""
    x = torch.cat([normal(0, 2, 3) * 1e-6, normal(1, 2, 3) * 1e6, torch.zeros(1, 3)]).detach().requires_grad_()
    unit = normalise(x)
    torch.testing.assert_close(unit.norm(dim=1), torch.tensor([1.0, 1, 1, 1, 0]))
    (gradient,) = torch.autograd.grad(unit.sum(), x)
    assert gradient[4].tolist() == [1, 1, 1]


def test_unknown_kinds_are_refused(normal) -> None:
    """A similarity or distance that doesn't exist is answered with those that do."""
    x = normal(0, 2, 3)
    with pytest.raises(UnknownNameError, match="no similarity is called 'cos'; did you mean cosine"):
        similarities(x, x, "cos")
    with pytest.raises(UnknownNameError, match="no distance is called 'l2'"):
        distances(x, x, "l2")

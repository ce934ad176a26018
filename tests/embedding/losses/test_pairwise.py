"""Contrastive pairs against sentence-transformers and by hand."""

from __future__ import annotations

import pytest

from harness.core.errors import AnnbenchError, UnknownNameError

torch = pytest.importorskip("torch")
from harness.embedding.losses.pairwise import contrastive  # noqa: E402 - torch first: without it there is no test


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(5))
def test_equals_sentence_transformers(normal, agree, seed: int, distance: str) -> None:
    """Value and gradients are those of ContrastiveLoss, for margins that some pairs keep and others break."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    metric = getattr(theirs.SiameseDistanceMetric, {"cosine": "COSINE_DISTANCE", "euclidean": "EUCLIDEAN"}[distance])
    margin = {"cosine": 1.0, "euclidean": 4.0}[distance]
    oracle = theirs.ContrastiveLoss(None, metric, margin)
    labels = torch.arange(12) % 2
    agree(
        lambda x, y: contrastive(x, y, labels, margin=margin, distance=distance),
        lambda x, y: oracle.compute_loss_from_embeddings([x, y], labels),
        normal(seed, 12, 8),
        normal(seed + 100, 12, 8),
    )


def test_equation_four_by_hand() -> None:
    """At distance 3 a similar pair costs 9 / 2, and another one, within a margin of 5, costs 4 / 2."""
    x, y = torch.zeros(2, 1), torch.tensor([[3.0], [3.0]])
    loss = contrastive(x, y, torch.tensor([1, 0]), margin=5.0, distance="euclidean")
    assert loss.item() == pytest.approx((9 / 2 + 4 / 2) / 2)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared"])
def test_gradients_are_those_of_the_value(normal, distance: str) -> None:
    """Finite differences in float64 agree."""
    labels = torch.tensor([1, 0, 0, 1])
    inputs = (normal(0, 4, 3, double=True), normal(1, 4, 3, double=True))
    assert torch.autograd.gradcheck(lambda x, y: contrastive(x, y, labels, margin=3.1, distance=distance), inputs)


def test_wrong_shapes_and_names_are_refused(normal) -> None:
    """Other row counts, other labels, and an unknown distance are named."""
    x, labels = normal(0, 4, 3), torch.ones(4)
    with pytest.raises(AnnbenchError, match=r"positives must have 4 rows, one a query: given shape \(3, 3\)"):
        contrastive(x, normal(0, 3, 3), labels)
    with pytest.raises(AnnbenchError, match=r"labels must have shape \(4,\): given \(4, 1\)"):
        contrastive(x, x, labels[:, None])
    with pytest.raises(UnknownNameError, match="did you mean cosine"):
        contrastive(x, x, labels, distance="cosin")

"""Matryoshka against sentence-transformers, and by hand."""

from __future__ import annotations

import pytest

from harness.core.errors import ParameterError

torch = pytest.importorskip("torch")
from harness.embedding.losses.batch import Batch  # noqa: E402 - torch first: without it there is no test
from harness.embedding.losses.matryoshka import matryoshka  # noqa: E402
from harness.embedding.losses.registry import LOSSES  # noqa: E402


class _Given(torch.nn.Module):
    """A model whose features are its embeddings, as MatryoshkaLoss asks for one."""

    def forward(self, features):
        return {"sentence_embedding": features["x"]}

    def get_embedding_dimension(self) -> int:
        return 8


@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
@pytest.mark.parametrize("seed", range(3))
def test_equals_sentence_transformers(normal, agree, seed: int, weights: list[float] | None) -> None:
    """Around InfoNCE, value and gradients are those of MatryoshkaLoss around MultipleNegativesRankingLoss."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    model, dims = _Given(), [8, 4, 2]
    oracle = theirs.MatryoshkaLoss(
        model, theirs.MultipleNegativesRankingLoss(model), matryoshka_dims=dims, matryoshka_weights=weights
    )
    ours = matryoshka(LOSSES["info_nce"], dims, weights)
    agree(
        lambda x, y: ours(Batch(x, y), {"temperature": 0.05}),
        lambda x, y: oracle([{"x": x}, {"x": y}], None),
        normal(seed, 6, 8),
        normal(seed + 1, 6, 8),
    )


def test_every_embedding_is_cut(normal) -> None:
    """Negatives and the teacher's embeddings are cut and scaled too; labels and scores are left alone."""
    batch = Batch(
        normal(0, 3, 6),
        normal(1, 3, 6),
        normal(2, 3, 2, 6),
        labels=torch.arange(3),
        teacher_scores=torch.ones(3, 3),
        teacher_embeddings=normal(3, 3, 6),
    )
    cut = batch.prefix(4)
    for name in ("queries", "positives", "negatives", "teacher_embeddings"):
        kept = getattr(batch, name)[..., :4]
        torch.testing.assert_close(getattr(cut, name), torch.nn.functional.normalize(kept, dim=-1))
    assert cut.labels is batch.labels
    assert cut.teacher_scores is batch.teacher_scores


def test_lengths_no_longer_matter(normal) -> None:
    """A loss of dot products sees prefixes of length 1, whatever the embeddings' own."""
    loss = matryoshka(LOSSES["info_nce"], [3, 6])
    x, y = normal(0, 4, 6), normal(1, 4, 6)
    same = loss(Batch(x, y), {"similarity": "dot"}), loss(Batch(5 * x, y), {"similarity": "dot"})
    torch.testing.assert_close(*same)


def test_gradients_are_those_of_the_value(normal) -> None:
    """Finite differences in float64 agree."""
    loss = matryoshka(LOSSES["sup_con"], [2, 4], [1.0, 0.3])
    labels = torch.tensor([0, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda x: loss(Batch(x, labels=labels), {}), (normal(0, 4, 4, double=True),))


def test_bad_dims_are_refused(normal) -> None:
    """No dims, a dim of 0, too few weights and a prefix wider than the embeddings are named."""
    loss = LOSSES["info_nce"]
    for dims in ([], [0, 4]):
        with pytest.raises(ParameterError, match="1 or above"):
            matryoshka(loss, dims)
    with pytest.raises(ParameterError, match="2 dims need as many weights: given 1"):
        matryoshka(loss, [2, 4], [1.0])
    with pytest.raises(ParameterError, match="a prefix of 16 columns needs embeddings as wide: these have 4"):
        matryoshka(loss, [2, 16])(Batch(normal(0, 3, 4), normal(1, 3, 4)), {})

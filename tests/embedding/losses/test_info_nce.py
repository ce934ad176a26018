"""InfoNCE against sentence-transformers, CLIP's own loss and pytorch-metric-learning; masks, and the edges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import AnnbenchError, ParameterError

torch = pytest.importorskip("torch")
from harness.embedding.losses.info_nce import info_nce  # noqa: E402 - torch first: without it there is no test


@given(
    seed=st.integers(0, 10_000),
    b=st.integers(1, 9),
    h=st.integers(0, 3),
    symmetric=st.booleans(),
    similarity=st.sampled_from(["cosine", "dot"]),
)
@settings(deadline=None, max_examples=60)
def test_equals_sentence_transformers(
    normal, agree, seed: int, b: int, h: int, symmetric: bool, similarity: str
) -> None:
    """With any number of hard negatives, one way and both, it is MultipleNegativesRankingLoss."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    import sentence_transformers.util as measures

    directions = ("query_to_doc", "doc_to_query") if symmetric else ("query_to_doc",)
    oracle = theirs.MultipleNegativesRankingLoss(
        None,
        scale=4.0,
        similarity_fct=measures.cos_sim if similarity == "cosine" else measures.dot_score,
        directions=directions,
        partition_mode="per_direction" if symmetric else "joint",
    )

    def ours(q, p, *n):
        negatives = torch.stack(n, 1) if n else None
        return info_nce(q, p, negatives, temperature=0.25, symmetric=symmetric, similarity=similarity)

    inputs = [normal(seed + 100 * i, b, 6, double=True) for i in range(2 + h)]
    agree(ours, lambda *x: oracle.compute_loss_from_embeddings(list(x), None), *inputs)


@pytest.mark.parametrize("seed", range(3))
def test_equals_clip(normal, agree, seed: int) -> None:
    """Symmetric, with a learnt temperature, it is the loss inside transformers' CLIP, in that one's gradient too."""
    clip = pytest.importorskip("transformers.models.clip.modeling_clip")

    def theirs(text, image, log_scale):
        unit = [x / x.norm(dim=-1, keepdim=True) for x in (text, image)]
        return clip.image_text_contrastive_loss(log_scale.exp() * unit[0] @ unit[1].T)

    agree(
        lambda x, y, t: info_nce(x, y, temperature=t, symmetric=True),
        theirs,
        normal(seed, 8, 5),
        normal(seed + 1, 8, 5),
        torch.tensor(math.log(1 / 0.07), requires_grad=True),
    )


def test_equals_metric_learning(normal, agree) -> None:
    """One way, it is NTXentLoss of pairs (query, positive) with the other queries' positives as negatives."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    b = 7
    other = (~torch.eye(b, dtype=torch.bool)).nonzero()
    pairs = (torch.arange(b), torch.arange(b), other[:, 0], other[:, 1])
    labels = torch.arange(b)
    agree(
        lambda x, y: info_nce(x, y, temperature=0.1),
        lambda x, y: losses.NTXentLoss(0.1)(x, labels, pairs, ref_emb=y, ref_labels=labels),
        normal(0, b, 5),
        normal(1, b, 5),
    )


@given(seed=st.integers(0, 10_000), h=st.integers(0, 2), share=st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_false_negatives_are_as_if_absent(normal, agree, seed: int, h: int, share: float) -> None:
    """A masked candidate counts as if it were not in that query's list: each row alone, by cross entropy, says so."""
    b = 5
    mask = torch.rand(b, b * (1 + h), generator=torch.Generator().manual_seed(seed)) < share

    def by_hand(q, p, *n):
        candidates = torch.cat([p, *(n[0].flatten(0, 1) if n else p[:0],)])
        rows = []
        for i in range(b):
            kept = [i, *(j for j in range(len(candidates)) if j != i and not mask[i, j])]
            logits = torch.nn.functional.cosine_similarity(q[i : i + 1], candidates[kept]) / 0.2
            rows.append(torch.nn.functional.cross_entropy(logits[None], torch.tensor([0])))
        return torch.stack(rows).mean()

    inputs = [normal(seed, b, 4), normal(seed + 1, b, 4), *([normal(seed + 2, b, h, 4)] if h else [])]
    agree(
        lambda q, p, *n: info_nce(q, p, n[0] if n else None, mask, temperature=0.2),
        by_hand,
        *inputs,
    )


def test_a_mask_of_the_batch_serves_both_ways(normal) -> None:
    """A mask (b, b) spares hard negatives, and is turned about for the way back."""
    q, p, n = normal(0, 4, 3), normal(1, 4, 3), normal(2, 4, 2, 3)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 2] = True
    wide = torch.cat([mask, torch.zeros(4, 8, dtype=torch.bool)], 1)
    assert info_nce(q, p, n, mask) == info_nce(q, p, n, wide)
    ways = (info_nce(q, p, None, mask) + info_nce(p, q, None, mask.T)) / 2
    torch.testing.assert_close(info_nce(q, p, None, mask, symmetric=True), ways)
    assert not mask.diagonal().any()


def test_duplicates_pull_no_longer(normal) -> None:
    """Two queries with one and the same positive: unmasked they can't get below log 2, masked they can."""
    q = torch.eye(4)[[0, 0, 1]]
    twins = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    assert info_nce(q, q, temperature=0.01).item() == pytest.approx(2 / 3 * math.log(2), abs=1e-6)
    assert info_nce(q, q, None, twins, temperature=0.01).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
def test_gradients_are_those_of_the_value(normal, symmetric: bool) -> None:
    """Finite differences in float64 agree: of both sides, hard negatives and the log scale, under a mask."""
    mask = torch.zeros(3, 9, dtype=torch.bool)
    mask[0, [1, 5]] = True
    inputs = (
        normal(0, 3, 4, double=True),
        normal(1, 3, 4, double=True),
        normal(2, 3, 2, 4, double=True),
        torch.tensor(1.5, dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(
        lambda q, p, n, t: info_nce(q, p, n, mask, temperature=t, symmetric=symmetric), inputs
    )


def test_extreme_scores_stay_finite(normal) -> None:
    """Dot products in the tens of thousands overflow no exponential, and far-off pairs cost what they are apart."""
    q = torch.eye(3) * 200
    p = q.roll(1, 0).clone().requires_grad_()
    value = info_nce(q, p, temperature=0.01, similarity="dot")
    (gradient,) = torch.autograd.grad(value, p)
    assert value.item() == pytest.approx(200 * 200 / 0.01)
    assert gradient.isfinite().all()


def test_a_batch_of_one_has_nothing_to_tell_apart(normal) -> None:
    """A lone pair costs 0, with a gradient of 0."""
    q, p = normal(0, 1, 4), normal(1, 1, 4)
    value = info_nce(q, p, symmetric=True)
    assert value.item() == 0
    assert not any(g.any() for g in torch.autograd.grad(value, (q, p)))


def test_bad_settings_are_refused(normal) -> None:
    """A temperature of 0, a mask of numbers and one of another shape are named."""
    q = normal(0, 3, 4)
    with pytest.raises(ParameterError, match=r"above 0, e\.g\. 0\.05: given 0"):
        info_nce(q, q, temperature=0)
    with pytest.raises(AnnbenchError, match=r"bool: given torch\.float32"):
        info_nce(q, q, None, torch.zeros(3, 3))
    with pytest.raises(AnnbenchError, match=r"shape \(3, 3\): given \(3, 4\)"):
        info_nce(q, q, None, torch.zeros(3, 4, dtype=torch.bool))
    with pytest.raises(AnnbenchError, match="negatives must have 3 rows"):
        info_nce(q, q, normal(0, 2, 1, 4))

"""Triplet losses against pytorch-metric-learning and sentence-transformers, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import AnnbenchError, ParameterError

torch = pytest.importorskip("torch")
from harness.embedding.losses.triplet import batch_all, batch_hard, semi_hard, triplet  # noqa: E402

ON_LABELS = [batch_all, semi_hard, batch_hard]
SEEDS = st.integers(0, 10_000)


def grouped(seed: int, items: int, classes: int):
    """Draw labels of which some have one item only, so that not every anchor has a positive."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, classes, items))


def metric_learning(part: str):
    """Return a part of pytorch-metric-learning."""
    return pytest.importorskip(f"pytorch_metric_learning.{part}")


def their_distance(name: str):
    """Return pytorch-metric-learning's distance of our name; a cosine is a similarity there, and compares the same."""
    theirs = metric_learning("distances")
    if name == "cosine":
        return theirs.CosineSimilarity()
    return theirs.LpDistance(normalize_embeddings=False, power=2 if name == "squared" else 1)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(5))
def test_given_triplets_equal_sentence_transformers(normal, agree, seed: int, distance: str) -> None:
    """With one negative a query, value and gradients are those of TripletLoss."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    oracle = theirs.TripletLoss(None, getattr(theirs.TripletDistanceMetric, distance.upper()), 0.3)
    agree(
        lambda q, p, n: triplet(q, p, n[:, None], margin=0.3, distance=distance),
        lambda q, p, n: oracle.compute_loss_from_embeddings([q, p, n], None),
        *(normal(seed + 100 * i, 9, 6) for i in range(3)),
    )


def test_more_negatives_are_more_triplets(normal) -> None:
    """With h negatives a query the loss is the mean of h losses with one."""
    q, p, n = normal(0, 5, 4), normal(1, 5, 4), normal(2, 5, 3, 4)
    each = [triplet(q, p, n[:, [j]], margin=1.0) for j in range(3)]
    torch.testing.assert_close(triplet(q, p, n, margin=1.0), torch.stack(each).mean())


@given(
    seed=SEEDS, items=st.integers(2, 14), classes=st.integers(1, 5), distance=st.sampled_from(["cosine", "euclidean"])
)
@settings(deadline=None, max_examples=40)
def test_batch_all_equals_metric_learning(normal, agree, seed: int, items: int, classes: int, distance: str) -> None:
    """Over any labels, "active" is the mean over triplets that cost something, and "all" over all."""
    apart = their_distance(distance)
    labels = grouped(seed, items, classes)
    reducers = metric_learning("reducers")
    for average, reducer in (("active", reducers.AvgNonZeroReducer()), ("all", reducers.MeanReducer())):
        oracle = metric_learning("losses").TripletMarginLoss(0.4, distance=apart, reducer=reducer)
        agree(
            lambda x, average=average: batch_all(x, labels, margin=0.4, distance=distance, average=average),
            lambda x, oracle=oracle: oracle(x, labels),
            normal(seed, items, 5, double=True),
        )


@given(
    seed=SEEDS, items=st.integers(2, 14), classes=st.integers(1, 5), distance=st.sampled_from(["cosine", "euclidean"])
)
@settings(deadline=None, max_examples=40)
def test_batch_hard_equals_metric_learning(normal, agree, seed: int, items: int, classes: int, distance: str) -> None:
    """Over any labels, the loss is the mean over the triplets that BatchHardMiner picks."""
    apart = their_distance(distance)
    labels = grouped(seed, items, classes)
    miner = metric_learning("miners").BatchHardMiner(distance=apart)
    oracle = metric_learning("losses").TripletMarginLoss(
        0.4, distance=apart, reducer=metric_learning("reducers").MeanReducer()
    )
    agree(
        lambda x: batch_hard(x, labels, margin=0.4, distance=distance),
        lambda x: oracle(x, labels, miner(x, labels)),
        normal(seed, items, 5, double=True),
    )


@given(seed=SEEDS, classes=st.integers(2, 5), distance=st.sampled_from(["cosine", "euclidean", "squared"]))
@settings(deadline=None, max_examples=40)
def test_semi_hard_equals_sentence_transformers(normal, agree, seed: int, classes: int, distance: str) -> None:
    """Value and gradients are those of BatchSemiHardTripletLoss, a port of TensorFlow's, with its three distances."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    metrics = theirs.BatchHardTripletLossDistanceFunction
    metric = {
        "cosine": metrics.cosine_distance,
        "euclidean": metrics.euclidean_distance,
        "squared": lambda x: metrics.euclidean_distance(x, squared=True),
    }[distance]
    oracle = theirs.BatchSemiHardTripletLoss(None, metric, 0.4)
    labels = torch.cat([torch.arange(classes), grouped(seed, 12 - classes, classes)])
    agree(
        lambda x: semi_hard(x, labels, margin=0.4, distance=distance),
        lambda x: oracle.batch_semi_hard_triplet_loss(labels, x),
        normal(seed, 12, 5, double=True),
    )


@pytest.mark.parametrize("seed", range(5))
def test_semi_hard_negatives_are_metric_learnings(normal, seed: int) -> None:
    """The negative of a pair is the nearest of those that TripletMarginMiner lists for it, or else the farthest."""
    apart = their_distance("squared")
    margin = 1000.0  # so wide that it holds all negatives beyond the positive
    x, labels = normal(seed, 16, 5, double=True), grouped(seed, 16, 4)
    miner = metric_learning("miners").TripletMarginMiner(margin, type_of_triplets="semihard", distance=apart)
    a, p, n = miner(x, labels)
    squared = (x[:, None] - x[None]).square().sum(-1)
    terms, without = [], 0
    for i, j in ((labels[:, None] == labels) & ~torch.eye(16, dtype=torch.bool)).nonzero().tolist():
        mined = n[(a == i) & (p == j)]
        without += not len(mined)
        far = squared[i, mined].min() if len(mined) else squared[i][labels != labels[i]].max()
        terms.append(squared[i, j] - far + margin)
    assert 0 < without < len(terms)
    torch.testing.assert_close(semi_hard(x, labels, margin=margin), torch.stack(terms).mean())


def test_soft_margins_equal_sentence_transformers(normal, agree) -> None:
    """Without a margin batch-hard is BatchHardSoftMarginTripletLoss."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    labels = torch.arange(12) % 3
    oracle = theirs.BatchHardSoftMarginTripletLoss(None)
    agree(
        lambda x: batch_hard(x, labels, margin=None),
        lambda x: oracle.batch_hard_triplet_soft_margin_loss(labels, x),
        normal(3, 12, 5),
    )


@pytest.mark.parametrize("margin", [0.3, None])
def test_gradients_of_given_triplets_are_those_of_the_value(normal, margin: float | None) -> None:
    """Finite differences in float64 agree, on all three sides."""
    inputs = (normal(0, 4, 3, double=True), normal(1, 4, 3, double=True), normal(2, 4, 2, 3, double=True))
    assert torch.autograd.gradcheck(lambda q, p, n: triplet(q, p, n, margin=margin), inputs)


@pytest.mark.parametrize("loss", ON_LABELS)
@pytest.mark.parametrize("margin", [0.3, None])
def test_gradients_are_those_of_the_value(normal, loss, margin: float | None) -> None:
    """Finite differences in float64 agree, with a hard and a soft margin."""
    labels = torch.tensor([0, 0, 1, 1, 2, 0])
    inputs = (normal(4, 6, 3, double=True),)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, margin=margin), inputs)


@pytest.mark.parametrize("loss", ON_LABELS)
@pytest.mark.parametrize("labels", [[5], [1, 1, 1], [0, 1, 2]], ids=["one item", "one label", "no positive"])
@pytest.mark.parametrize("margin", [0.2, None])
def test_no_triplet_costs_nothing(normal, loss, labels: list[int], margin: float | None) -> None:
    """Without a triplet the loss is 0, and so is its gradient."""
    x = normal(0, len(labels), 4)
    value = loss(x, torch.tensor(labels), margin=margin)
    (gradient,) = torch.autograd.grad(value, x)
    assert value.item() == 0
    assert not gradient.any()


@pytest.mark.parametrize("loss", ON_LABELS)
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared"])
def test_equal_vectors_cost_the_margin(loss, distance: str) -> None:
    """Where all vectors are equal, every triplet costs the margin, and the gradient is finite."""
    x = torch.ones(6, 4, requires_grad=True)
    value = loss(x, torch.tensor([0, 0, 1, 1, 2, 2]), margin=0.25, distance=distance)
    (gradient,) = torch.autograd.grad(value, x)
    assert value.item() == pytest.approx(0.25, abs=1e-6)
    assert gradient.isfinite().all()


def test_bad_settings_are_refused(normal) -> None:
    """A negative margin, an unknown average, and labels of another length are named."""
    x = normal(0, 4, 3)
    with pytest.raises(ParameterError, match=r"0 or above, or None for a soft one: given -1"):
        batch_hard(x, torch.tensor([0, 0, 1, 1]), margin=-1)
    with pytest.raises(ParameterError, match="'active' or 'all': given 'some'"):
        batch_all(x, torch.tensor([0, 0, 1, 1]), average="some")
    with pytest.raises(AnnbenchError, match=r"labels must have shape \(4,\)"):
        semi_hard(x, torch.tensor([0, 0, 1]))

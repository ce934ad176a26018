"""SupCon against pytorch-metric-learning, by the paper's formula, and at the edges."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from harness.embedding.losses.sup_con import sup_con  # noqa: E402 - torch first: without it there is no test


@given(seed=st.integers(0, 10_000), labels=st.lists(st.integers(0, 3), min_size=2, max_size=14))
@settings(deadline=None, max_examples=60)
def test_equals_metric_learning(normal, agree, seed: int, labels: list[int]) -> None:
    """Over any labels with positives and negatives, value and gradients are those of SupConLoss."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    assume(1 < len(set(labels)) < len(labels))
    y = torch.tensor(labels)
    oracle = losses.SupConLoss(0.2)
    x = normal(seed, len(labels), 5, double=True)
    agree(lambda x: sup_con(x, y, temperature=0.2), lambda x: oracle(x, y), x)


def test_equation_two(normal) -> None:
    """Summed term by term as the paper writes L_out, it is the same."""
    x, labels = normal(1, 7, 4, double=True), torch.tensor([0, 1, 0, 2, 1, 0, 3])
    z = torch.nn.functional.normalize(x)
    terms = []
    for i in range(7):
        positives = [p for p in range(7) if p != i and labels[p] == labels[i]]
        below = sum((z[i] @ z[a] / 0.1).exp() for a in range(7) if a != i)
        if positives:
            terms.append(-sum(((z[i] @ z[p] / 0.1).exp() / below).log() for p in positives) / len(positives))
    assert len(terms) == 5
    torch.testing.assert_close(sup_con(x, labels), torch.stack(terms).mean())


def test_gradients_are_those_of_the_value(normal) -> None:
    """Finite differences in float64 agree, in the log scale too."""
    labels = torch.tensor([0, 0, 1, 2, 1])
    inputs = (normal(0, 5, 3, double=True), torch.tensor(1.5, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(lambda x, t: sup_con(x, labels, temperature=t), inputs)


@pytest.mark.parametrize("labels", [[3], [0, 1, 2]], ids=["one item", "no positive"])
def test_no_positive_costs_nothing(normal, labels: list[int]) -> None:
    """Where no anchor has a positive the loss is 0, and so is its gradient."""
    x = normal(0, len(labels), 4)
    value = sup_con(x, torch.tensor(labels))
    (gradient,) = torch.autograd.grad(value, x)
    assert value.item() == 0
    assert not gradient.any()


def test_one_label_and_equal_vectors() -> None:
    """Five equal vectors of one label: each of four positives has a quarter of the sum, which costs log 4."""
    x = torch.ones(5, 3, requires_grad=True)
    value = sup_con(x, torch.zeros(5))
    (gradient,) = torch.autograd.grad(value, x)
    assert value.item() == pytest.approx(math.log(4), rel=1e-6)
    assert gradient.isfinite().all()

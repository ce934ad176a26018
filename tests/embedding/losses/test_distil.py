"""Distillation losses against sentence-transformers', and at the edges."""

from __future__ import annotations

import pytest

from harness.core.errors import AnnbenchError, ParameterError

torch = pytest.importorskip("torch")
from harness.embedding.losses.distil import (  # noqa: E402 - torch first: without it there is no test
    embedding_cosine,
    embedding_mse,
    list_kl,
    margin_mse,
)


@pytest.mark.parametrize("h", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_margins_equal_sentence_transformers(normal, agree, seed: int, h: int) -> None:
    """For one negative and more, value and gradients are those of MarginMSELoss."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses").MarginMSELoss(None)
    teacher = normal(seed + 50, 6, 1 + h).detach()
    agree(
        lambda q, p, n: margin_mse(q, p, n, teacher),
        lambda q, p, n: theirs.compute_loss_from_embeddings([q, p, *n.unbind(1)], teacher),
        normal(seed, 6, 5),
        normal(seed + 1, 6, 5),
        normal(seed + 2, 6, h, 5),
    )


@pytest.mark.parametrize(("temperature", "teacher_temperature"), [(1.0, None), (2.5, None), (0.5, 3.0)])
@pytest.mark.parametrize("seed", range(3))
def test_lists_equal_sentence_transformers(
    normal, agree, seed: int, temperature: float, teacher_temperature: float | None
) -> None:
    """With one temperature and two, value and gradients are those of DistillKLDivLoss."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses").DistillKLDivLoss(
        None,
        student_temperature=temperature,
        teacher_temperature=temperature if teacher_temperature is None else teacher_temperature,
    )
    teacher = normal(seed + 50, 6, 4).detach()
    agree(
        lambda q, p, n: list_kl(q, p, n, teacher, temperature=temperature, teacher_temperature=teacher_temperature),
        lambda q, p, n: theirs.compute_loss_from_embeddings([q, p, *n.unbind(1)], teacher),
        normal(seed, 6, 5),
        normal(seed + 1, 6, 5),
        normal(seed + 2, 6, 3, 5),
    )


@pytest.mark.parametrize(("ours", "name"), [(embedding_mse, "mse"), (embedding_cosine, "cosine")])
def test_embeddings_equal_sentence_transformers(normal, agree, ours, name: str) -> None:
    """Value and gradients are those of EmbedDistillLoss with its two metrics."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses").EmbedDistillLoss(None, name)
    teacher = normal(1, 6, 5).detach()
    agree(
        lambda x: ours(x, teacher),
        lambda x: theirs.compute_loss_from_embeddings([x], [teacher]),
        normal(0, 6, 5),
    )


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_gradients_are_those_of_the_value(normal, similarity: str) -> None:
    """Finite differences in float64 agree."""
    teacher = normal(9, 3, 3, double=True).detach()
    inputs = (normal(0, 3, 4, double=True), normal(1, 3, 4, double=True), normal(2, 3, 2, 4, double=True))
    for loss in (margin_mse, list_kl):
        assert torch.autograd.gradcheck(
            lambda q, p, n, loss=loss: loss(q, p, n, teacher, similarity=similarity), inputs
        )
    goal = normal(3, 3, 4, double=True).detach()
    for loss in (embedding_mse, embedding_cosine):
        assert torch.autograd.gradcheck(lambda q, loss=loss: loss(q, goal), inputs[:1])


def test_a_student_that_agrees_pays_nothing(normal) -> None:
    """The student's own scores, moved by a constant, as the teacher's: nothing is left to learn."""
    q, p, n = normal(0, 4, 5), normal(1, 4, 5), normal(2, 4, 2, 5)
    own = torch.cat([(q * p).sum(1, keepdim=True), torch.einsum("bd,bhd->bh", q, n)], 1)
    for loss in (margin_mse, list_kl):
        value = loss(q, p, n, own + 7.0)
        assert value.item() == pytest.approx(0, abs=1e-6)
    assert embedding_cosine(q, 3 * q).item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_learns_nothing(normal) -> None:
    """No gradient reaches the teacher's scores or embeddings."""
    q, p, n, scores = normal(0, 4, 5), normal(1, 4, 5), normal(2, 4, 2, 5), normal(3, 4, 3)
    for value in (margin_mse(q, p, n, scores), list_kl(q, p, n, scores), embedding_mse(q, p), embedding_cosine(q, p)):
        value.backward()
    assert scores.grad is None
    assert p.grad is not None  # as a student
    student, teacher = normal(0, 4, 5), normal(1, 4, 5)
    (embedding_mse(student, teacher) + embedding_cosine(student, teacher)).backward()
    assert teacher.grad is None


def test_a_padded_candidate_counts_for_nothing(normal) -> None:
    """A candidate that the teacher scored -inf draws no gradient but that of the student's own sum."""
    q, p, n = normal(0, 2, 4), normal(1, 2, 4), normal(2, 2, 2, 4)
    teacher = torch.tensor([[2.0, 1.0, -torch.inf]] * 2)
    value = list_kl(q, p, n, teacher)
    assert value.isfinite()
    assert all(g.isfinite().all() for g in torch.autograd.grad(value, (q, p, n)))


def test_bad_input_is_refused(normal) -> None:
    """Scores of another shape, widths that differ and a temperature of 0 are named."""
    q, n = normal(0, 4, 5), normal(2, 4, 2, 5)
    with pytest.raises(AnnbenchError, match=r"teacher_scores must have shape \(4, 3\): given \(4, 2\)"):
        margin_mse(q, q, n, torch.zeros(4, 2))
    with pytest.raises(AnnbenchError, match="project one to the other's width first"):
        embedding_mse(q, normal(1, 4, 8))
    with pytest.raises(ParameterError, match="given 0"):
        list_kl(q, q, n, torch.zeros(4, 3), teacher_temperature=0)

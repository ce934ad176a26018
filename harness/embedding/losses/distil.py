"""Distillation: learn a teacher's margins, its order of candidates, or its embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, mse_loss

from harness.core.errors import AnnbenchError
from harness.embedding.losses.shapes import check_rows, check_shape
from harness.embedding.losses.similarity import Similarity, row_similarities, wide
from harness.embedding.losses.temperature import scale_of


def margin_mse(
    queries: Tensor, positives: Tensor, negatives: Tensor, teacher_scores: Tensor, *, similarity: Similarity = "dot"
) -> Tensor:
    """Match the teacher's margin between the positive and each negative (Hofstätter et al. 2020).

    `queries` and `positives` are (b, d), `negatives` (b, h, d), `teacher_scores` (b, 1 + h), the positive's first.
    Returns the mean squared difference of the b h margins.
    """
    student = _candidate_scores(queries, positives, negatives, similarity)
    check_shape(tuple(student.shape), teacher_scores=teacher_scores)
    teacher = wide(teacher_scores.detach())
    return mse_loss(student[:, :1] - student[:, 1:], teacher[:, :1] - teacher[:, 1:])


def list_kl(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor,
    teacher_scores: Tensor,
    *,
    temperature: float = 1.0,
    teacher_temperature: float | None = None,
    similarity: Similarity = "dot",
) -> Tensor:
    """Match the teacher's distribution over each query's own candidates (Lin, Yang and Lin 2020).

    Shapes as for `margin_mse`; a candidate that the teacher scored -inf counts for nothing. `temperature` divides the
    student's scores, `teacher_temperature` (the same where None) the teacher's. Returns the mean over queries of
    KL(teacher || student), times temperature squared, so that gradients keep their size when it changes (Hinton et al.
    2015).
    """
    teacher_temperature = temperature if teacher_temperature is None else teacher_temperature
    student = _candidate_scores(queries, positives, negatives, similarity)
    check_shape(tuple(student.shape), teacher_scores=teacher_scores)
    teacher = wide(teacher_scores.detach()) * scale_of(teacher_temperature)
    goal, got = torch.softmax(teacher, 1), log_softmax(student * scale_of(temperature), 1)
    return kl_div(got, goal, reduction="batchmean") * temperature**2


def embedding_mse(queries: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Return the mean squared difference to the teacher's embeddings, both (b, d) (Reimers and Gurevych 2020)."""
    _check_twins(queries, teacher_embeddings)
    return mse_loss(wide(queries), wide(teacher_embeddings.detach()))


def embedding_cosine(queries: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Return the mean of 1 - cosine with the teacher's embeddings, both (b, d)."""
    _check_twins(queries, teacher_embeddings)
    return 1 - row_similarities(queries, teacher_embeddings.detach(), "cosine").mean()


def _candidate_scores(queries: Tensor, positives: Tensor, negatives: Tensor, similarity: Similarity) -> Tensor:
    """Return the student's scores (b, 1 + h) of each query's own candidates, the positive first."""
    check_rows(len(queries), positives=positives, negatives=negatives)
    candidates = torch.cat([positives[:, None], negatives], 1)
    return row_similarities(queries[:, None], candidates, similarity)


def _check_twins(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise AnnbenchError(
            f"the student's embeddings have shape {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}: "
            "project one to the other's width first"
        )

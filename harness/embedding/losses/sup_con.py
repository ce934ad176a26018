"""Supervised contrastive loss (Khosla et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.embedding.losses.shapes import check_shape
from harness.embedding.losses.similarity import similarities
from harness.embedding.losses.temperature import scale_of


def sup_con(embeddings: Tensor, labels: Tensor, *, temperature: float | Tensor = 0.1) -> Tensor:
    """Tell the items of an anchor's label from all other items of the batch.

    `embeddings` (b, d), `labels` (b,) integers; similarities are cosines; `temperature` is a float, or a learnable log
    scale (see `temperature`). The paper's L_out (equation 2): the mean over positives stands outside the logarithm.
    Returns the mean over anchors that have a positive in the batch; 0, with a gradient of 0, where none has.
    """
    check_shape((len(embeddings),), labels=labels)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = (labels[:, None] == labels) & ~itself
    logits = scale_of(temperature) * similarities(embeddings, embeddings, "cosine")
    anchors = same.any(1)
    same, logits, itself = same[anchors], logits[anchors], itself[anchors]
    everybody = torch.logsumexp(logits.masked_fill(itself, -torch.inf), 1)
    positives = (logits * same).sum(1) / same.sum(1)
    return (everybody - positives).sum() / max(1, len(logits))

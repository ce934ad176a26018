"""Contrastive loss on labelled pairs (Hadsell, Chopra and LeCun 2006)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.embedding.losses.shapes import check_rows, check_shape
from harness.embedding.losses.similarity import Distance, row_distances, wide


def contrastive(
    queries: Tensor, positives: Tensor, labels: Tensor, *, margin: float = 0.5, distance: Distance = "cosine"
) -> Tensor:
    """Draw similar pairs together, and push others apart until `margin` lies between them.

    `queries` and `positives` (b, d) are pairs row by row; `labels` (b,) is 1 (or True) for a similar pair and 0 for
    another (the paper's Y is 1 - label). Returns the mean of label D^2 / 2 + (1 - label) max(0, margin - D)^2 / 2,
    the paper's equation 4. Two equal vectors that should be apart get no gradient: they have no direction to go.
    """
    check_rows(len(queries), positives=positives)
    check_shape((len(queries),), labels=labels)
    apart = row_distances(queries, positives, distance)
    similar = wide(labels)
    terms = similar * apart.square() + (1 - similar) * torch.relu(margin - apart).square()
    return terms.sum() / (2 * max(1, len(terms)))

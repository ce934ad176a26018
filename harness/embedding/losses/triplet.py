"""Triplet losses: on given triplets, or on those that a labelled batch holds.

Schroff, Kalenichenko and Philbin 2015 ("FaceNet", semi-hard); Hermans, Beyer and Leibe 2017 ("In Defense of the Triplet
Loss", batch-all and batch-hard). A `margin` of None is the latter's soft margin, log(1 + exp x) in place of
max(0, margin + x). A batch without a triplet costs 0, with a gradient of 0.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from harness.core.errors import ParameterError
from harness.embedding.losses.shapes import check_rows, check_shape
from harness.embedding.losses.similarity import Distance, distances, row_distances


def triplet(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor,
    *,
    margin: float | None = 0.2,
    distance: Distance = "euclidean",
) -> Tensor:
    """Ask that each query be nearer to its positive than to its negatives, by `margin`.

    `queries` and `positives` are (b, d), `negatives` (b, h, d): query i makes h triplets. Returns their mean.
    """
    check_rows(len(queries), positives=positives, negatives=negatives)
    near = row_distances(queries, positives, distance)
    far = row_distances(queries[:, None], negatives, distance)
    return _mean(_hinge(near[:, None] - far, margin))


def batch_all(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float | None = 0.2,
    distance: Distance = "euclidean",
    average: Literal["active", "all"] = "active",
) -> Tensor:
    """Average over every triplet of a labelled batch (Hermans et al., equation 6).

    `embeddings` (b, d), `labels` (b,) integers. "active" averages over triplets that cost something, the paper's
    L_BA != 0, which it recommends: most triplets soon cost nothing and would hide the others. "all" averages over all.
    Takes memory for (positive pairs) x b floats.
    """
    if average not in {"active", "all"}:
        raise ParameterError(f"average must be 'active' or 'all': given {average!r}")
    apart, same, other = _batch(embeddings, labels, distance)
    anchor, positive = same.nonzero(as_tuple=True)
    terms = _hinge(apart[anchor, positive][:, None] - apart[anchor], margin)[other[anchor]]
    return _mean(terms[terms > 0] if average == "active" else terms)


def semi_hard(
    embeddings: Tensor, labels: Tensor, *, margin: float | None = 0.2, distance: Distance = "squared"
) -> Tensor:
    """Give each positive pair the nearest negative that lies beyond its positive (Schroff et al., 3.2).

    `embeddings` (b, d), `labels` (b,) integers. The paper has squared distances of vectors of length 1, and all
    positive pairs; the nearest of the semi-hard negatives, and the farthest negative where all lie nearer than the
    positive, are the choice of TensorFlow's `triplet_semihard_loss`. Returns the mean over positive pairs that have a
    negative in the batch.
    """
    apart, same, other = _batch(embeddings, labels, distance)
    anchor, positive = (same & other.any(1, keepdim=True)).nonzero(as_tuple=True)
    with torch.no_grad():
        # Row by row the distances to negatives in rising order; all else lies at infinity, behind them.
        ranked, order = apart.masked_fill(~other, torch.inf).sort(dim=1)
        beyond = torch.searchsorted(ranked, apart, right=True)[anchor, positive]
        last = other.sum(1)[anchor] - 1
        negative = order[anchor, torch.minimum(beyond, last)]
    return _mean(_hinge(apart[anchor, positive] - apart[anchor, negative], margin))


def batch_hard(
    embeddings: Tensor, labels: Tensor, *, margin: float | None = 0.2, distance: Distance = "euclidean"
) -> Tensor:
    """Give each anchor its farthest positive and its nearest negative (Hermans et al., equation 5).

    `embeddings` (b, d), `labels` (b,) integers. Returns the mean over anchors that have both in the batch, as all have
    under the paper's sampling of P classes with K items each.
    """
    apart, same, other = _batch(embeddings, labels, distance)
    able = same.any(1) & other.any(1)
    positive = apart.masked_fill(~same, -torch.inf)[able].amax(1)
    negative = apart.masked_fill(~other, torch.inf)[able].amin(1)
    return _mean(_hinge(positive - negative, margin))


def _batch(embeddings: Tensor, labels: Tensor, distance: Distance) -> tuple[Tensor, Tensor, Tensor]:
    """Return distances (b, b), and which pairs have one label (an item and itself aside), and which two."""
    check_shape((len(embeddings),), labels=labels)
    equal = labels[:, None] == labels
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return distances(embeddings, embeddings, distance), equal & ~itself, ~equal


def _hinge(violation: Tensor, margin: float | None) -> Tensor:
    if margin is None:
        return softplus(violation)
    if margin < 0:
        raise ParameterError(f"a margin must be 0 or above, or None for a soft one: given {margin}")
    return torch.relu(violation + margin)


def _mean(terms: Tensor) -> Tensor:
    # The sum of nothing is 0 and has a gradient; the mean of nothing is nan.
    return terms.sum() / max(1, terms.numel())

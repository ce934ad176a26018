"""InfoNCE: tell each query's positive from all other candidates of the batch (van den Oord, Li and Vinyals 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.core.errors import AnnbenchError
from harness.embedding.losses.shapes import check_rows, check_shape
from harness.embedding.losses.similarity import Similarity, similarities
from harness.embedding.losses.temperature import scale_of


def info_nce(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor | None = None,
    false_negatives: Tensor | None = None,
    *,
    temperature: float | Tensor = 0.05,
    symmetric: bool = False,
    similarity: Similarity = "cosine",
) -> Tensor:
    """Take the cross entropy of each query's positive among all positives and hard negatives of the batch.

    `queries` and `positives` are (b, d), from one tower or two; `negatives` (b, h, d) are hard negatives, which serve
    all queries, as in DPR (Karpukhin et al. 2020). `symmetric` averages it with the same from positives to queries
    (without hard negatives), as CLIP does. `temperature` is a float, or a learnable log scale (see `temperature`).

    `false_negatives` (b, b) or (b, b + b h) bool is True where a candidate answers a query that it isn't paired with (a
    known positive, a duplicate): it is left out of that query's sum. Columns are positives, then the hard negatives
    query by query. The diagonal is never left out.
    """
    check_rows(len(queries), positives=positives, negatives=negatives)
    candidates = positives if negatives is None else torch.cat([positives, negatives.flatten(0, 1)])
    logits = scale_of(temperature) * similarities(queries, candidates, similarity)
    if false_negatives is not None:
        logits = logits.masked_fill(left_out(false_negatives, *logits.shape), -torch.inf)
    forward = _cross_entropy(logits)
    if not symmetric:
        return forward
    return (forward + _cross_entropy(logits[:, : len(queries)].T)) / 2


def left_out(false_negatives: Tensor, rows: int, columns: int) -> Tensor:
    """Return which of the (rows, columns) logits a mask leaves out: never one on the diagonal.

    A mask (rows, rows) says nothing of hard negatives, and leaves out none. Raises AnnbenchError for other shapes.
    """
    if false_negatives.dtype != torch.bool:
        raise AnnbenchError(f"false_negatives must be a tensor of bool: given {false_negatives.dtype}")
    if false_negatives.shape != (rows, rows):
        check_shape((rows, columns), false_negatives=false_negatives)
    whole = false_negatives.new_zeros(rows, columns)
    whole[:, : false_negatives.shape[1]] = false_negatives
    return whole.fill_diagonal_(fill_value=False)


def _cross_entropy(logits: Tensor) -> Tensor:
    """Return the mean of -log softmax on the diagonal of `logits` (b, c), c >= b."""
    return (torch.logsumexp(logits, 1) - logits.diagonal()).mean()

"""SigLIP: every pair of the batch is a binary question of its own (Zhai, Mustafa, Kolesnikov and Beyer 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from harness.embedding.losses.info_nce import left_out
from harness.embedding.losses.shapes import check_rows
from harness.embedding.losses.similarity import similarities

# The paper's start: a temperature of 1/10, and a bias that makes all pairs improbable, as all but b of b^2 are.
INITIAL_LOG_SCALE = math.log(10)
INITIAL_BIAS = -10.0


def siglip(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor | None = None,
    false_negatives: Tensor | None = None,
    *,
    log_scale: float | Tensor = INITIAL_LOG_SCALE,
    bias: float | Tensor = INITIAL_BIAS,
) -> Tensor:
    """Classify each pair of query and candidate as matching or not, by a sigmoid of exp(log_scale) cosine + bias.

    `queries` and `positives` are (b, d), hard `negatives` (b, h, d), `false_negatives` as for `info_nce`; `log_scale`
    and `bias` are numbers or learnable scalars. Returns the sum over pairs divided by b (Zhai et al., algorithm 1).
    """
    check_rows(len(queries), positives=positives, negatives=negatives)
    candidates = positives if negatives is None else torch.cat([positives, negatives.flatten(0, 1)])
    scale = log_scale.exp() if isinstance(log_scale, Tensor) else math.exp(log_scale)
    logits = scale * similarities(queries, candidates, "cosine") + bias
    sign = 2 * torch.eye(*logits.shape, device=logits.device, dtype=logits.dtype) - 1
    terms = logsigmoid(sign * logits)
    if false_negatives is not None:
        terms = terms.masked_fill(left_out(false_negatives, *logits.shape), 0)
    return -terms.sum() / max(1, len(queries))

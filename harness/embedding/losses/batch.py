"""What a loss looks at: the embeddings of one batch, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from harness.core.errors import ParameterError
from harness.embedding.losses.shapes import check_rows
from harness.embedding.losses.similarity import normalise

_EMBEDDINGS = ("queries", "positives", "negatives", "teacher_embeddings")


@dataclass(frozen=True, eq=False)
class Batch:
    """The embeddings of a batch of b examples; a loss reads the fields that it needs.

    `queries` (b, d); in a labelled batch these are its items. `positives` (b, d), partner by partner. `negatives`
    (b, h, d), hard ones. `labels` (b,): of items, or 1 and 0 for similar and other pairs. `teacher_scores` (b, 1 + h),
    the positive's first. `teacher_embeddings` (b, d) of the queries. `false_negatives` (b, b) or (b, b + b h) bool, see
    `info_nce`. Raises AnnbenchError for a field that doesn't have b rows.
    """

    queries: Tensor
    positives: Tensor | None = None
    negatives: Tensor | None = None
    labels: Tensor | None = None
    teacher_scores: Tensor | None = None
    teacher_embeddings: Tensor | None = None
    false_negatives: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that each field has a row a query."""
        check_rows(len(self.queries), **{name: value for name, value in vars(self).items() if name != "queries"})

    def prefix(self, dim: int) -> Batch:
        """Return the batch with each embedding cut to its first `dim` columns and scaled to length 1."""
        width = self.queries.shape[-1]
        if dim > width:
            raise ParameterError(f"a prefix of {dim} columns needs embeddings as wide: these have {width}")
        cut = {name: getattr(self, name) for name in _EMBEDDINGS}
        return replace(self, **{name: normalise(x[..., :dim]) for name, x in cut.items() if x is not None})


# What a training loop calls: the batch, and settings by name (numbers, words, or learnable scalars).
LossFunction = Callable[[Batch, Mapping[str, Any]], Tensor]

"""What an encoder is asked to do: five kinds of task, each with its texts and with what people said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Queries, documents, and judgements: query id -> document id -> relevance, 0 where irrelevant.

    Only judged queries are kept, in the order of the file of queries. `about` says what was left out, if anything.
    """

    name: str
    document_ids: Sequence[str]
    documents: Sequence[str]
    query_ids: Sequence[str]
    queries: Sequence[str]
    judgements: Mapping[str, Mapping[str, int]]
    about: str = ""


@dataclass(frozen=True, eq=False)
class Similarity:
    """Pairs of texts and how alike people found them, `scores` (n,) float64, the higher the more alike."""

    name: str
    first: Sequence[str]
    second: Sequence[str]
    scores: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Classification:
    """Texts and their labels: some to learn from, others to be right about."""

    name: str
    train: Sequence[str]
    train_labels: Sequence[str]
    test: Sequence[str]
    test_labels: Sequence[str]


@dataclass(frozen=True, eq=False)
class Clustering:
    """Texts that should fall into as many groups as there are labels."""

    name: str
    texts: Sequence[str]
    labels: Sequence[str]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of texts, `labels` (n,) bool: whether the two say the same."""

    name: str
    first: Sequence[str]
    second: Sequence[str]
    labels: NDArray[np.bool_]


Task = Retrieval | Similarity | Classification | Clustering | Pairs

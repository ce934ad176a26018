"""What an encoder is asked to do: six kinds of task, each with its items and with what people said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Queries, documents, and judgements: query id -> document id -> relevance, 0 where irrelevant.

    Only judged queries are kept, in the order of the file of queries. `about` says what was left out, if anything.
    """

    name: str
    document_ids: Sequence[str]
    documents: Sequence[Any]
    query_ids: Sequence[str]
    queries: Sequence[Any]
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
    """Texts, or images, and their labels: some to learn from, others to be right about."""

    name: str
    train: Sequence[Any]
    train_labels: Sequence[str]
    test: Sequence[Any]
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


@dataclass(frozen=True, eq=False)
class ImageText:
    """Images and captions: each caption should find its images, and each image its captions.

    `images` (n, h, w, c) uint8; `pairs` (m, 2) int64, number of caption and number of image, say what belongs together.
    """

    name: str
    captions: Sequence[str]
    images: NDArray[np.uint8]
    pairs: NDArray[np.int64]

    def by_caption(self) -> Retrieval:
        """Return the half of the task that finds images: captions are queries, images documents.

        Ids are `caption-` or `image-` and the number: equal ones would say that a query is a document.
        """
        return self._half("caption", self.captions, "image", list(self.images), self.pairs)

    def by_image(self) -> Retrieval:
        """Return the half of the task that finds captions: images are queries, captions documents."""
        return self._half("image", list(self.images), "caption", self.captions, self.pairs[:, ::-1])

    def _half(
        self, asking: str, queries: Sequence[Any], found: str, documents: Sequence[Any], pairs: NDArray[np.int64]
    ) -> Retrieval:
        judgements: dict[str, dict[str, int]] = {f"{asking}-{query}": {} for query in range(len(queries))}
        ids = [f"{found}-{document}" for document in range(len(documents))]
        for query, document in pairs.tolist():
            judgements[f"{asking}-{query}"][ids[document]] = 1
        return Retrieval(self.name, ids, documents, list(judgements), queries, judgements)


Task = Retrieval | Similarity | Classification | Clustering | Pairs | ImageText

"""How well captions find images, and images captions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.embedding.encoder import Vectors
from harness.embedding.measures.ranking import Judgements, ndcg, recall
from harness.embedding.retrieval import exact_ranking
from harness.embedding.tasks import ImageText, Retrieval
from harness.embedding.variants import Variant

CUTS = (1, 5, 10)


def measure_image_text(
    task: ImageText, images: Vectors, captions: Vectors, variant: Variant
) -> dict[str, NDArray[np.float64]]:
    """Rank images (n, dim) by captions (m, dim), and captions by images; what is ranked is stored under the variant.

    Returns a value a query for `caption_to_image_recall@1`, 5 and 10 and `caption_to_image_ndcg@10`, (m,), and for
    `image_to_caption_...`, (n,). The recall is that of image-text retrieval (Karpathy and Fei-Fei 2015): 1 where any of
    a query's matches is among the first k, however many it has.
    """
    measured: dict[str, NDArray[np.float64]] = {}
    for name, half, queries, documents in (
        ("caption_to_image", task.by_caption(), captions, images),
        ("image_to_caption", task.by_image(), images, captions),
    ):
        measured |= {f"{name}_{figure}": values for figure, values in _half(half, queries, documents, variant).items()}
    return measured


def _half(half: Retrieval, queries: Vectors, documents: Vectors, variant: Variant) -> dict[str, NDArray[np.float64]]:
    judgements = Judgements.build(half.judgements, half.document_ids)
    row = {name: number for number, name in enumerate(half.query_ids)}
    asked = queries[[row[query] for query in judgements.queries]]
    ranked = exact_ranking(asked, documents, variant.fit(documents), max(CUTS), judgements.precedence)
    found = {f"recall@{k}": (recall(judgements, ranked, k) > 0).astype(np.float64) for k in CUTS}
    return {**found, "ndcg@10": ndcg(judgements, ranked, 10)}

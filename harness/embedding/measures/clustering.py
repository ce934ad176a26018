"""Clustering: how well k-means over embeddings finds the groups that people made, as MTEB measures it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import AnnbenchError
from harness.embedding.measures.vectors import Matrix, finite

SEED = 42
DRAWS = 10
DRAWN_ROWS = 16_384
_BATCH = 512


def v_measures(
    vectors: Matrix, labels: NDArray[Any], *, draws: int = DRAWS, rows: int = DRAWN_ROWS, seed: int = SEED
) -> NDArray[np.float64]:
    """Return the V-measure of k-means against `labels` for each of several draws of rows, (draws,).

    `vectors` (n, dim) float, `labels` (n,); each draw takes `rows` of them with replacement, and MiniBatchKMeans looks
    for as many clusters as there are labels in all, from k-means++ and in batches of 512. That is MTEB's
    AbsTaskClustering (`mteb/abstasks/clustering.py`), with its random streams where it embeds all documents; it quotes
    the mean. The V-measure is the harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg 2007).
    Raises AnnbenchError for labels that don't fit the rows, fewer than two labels, and fewer rows a draw than labels.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import v_measure_score

    if labels.shape != (len(finite(vectors)),):
        raise AnnbenchError(f"{len(vectors)} rows need a label each: given {labels.shape}")
    groups = len(np.unique(labels))
    if groups < 2:
        raise AnnbenchError(f"clusters are compared with two labels or more: all rows have {labels[0]}")
    if draws < 1 or rows < groups:
        raise AnnbenchError(f"needs a draw or more of {groups} rows, one a label, or more: given {draws} of {rows}")
    stream = random.Random(seed)  # noqa: S311 - MTEB's stream, so that its figures compare
    model = MiniBatchKMeans(n_clusters=groups, batch_size=_BATCH, init="k-means++", n_init=1, random_state=seed)
    found = np.empty(draws)
    for draw in range(draws):
        drawn = stream.choices(range(len(vectors)), k=rows)
        found[draw] = v_measure_score(labels[drawn], model.fit_predict(vectors[drawn]))
    return found

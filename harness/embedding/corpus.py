"""A retrieval task as an ANN dataset: documents to index, queries, and the judgements beside them in the file.

So any index is measured on what a model embeds, and its answers can be judged by people's word, not by recall alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ConfigError
from harness.data.dataset import dataset_path
from harness.data.metric import Metric, pack_bits
from harness.data.sources.content import DEPTH, Content, write_content
from harness.data.sources.present import look_at, refuse_taken_name
from harness.embedding.cache import EmbeddingCache
from harness.embedding.encoder import Encoder, Progress
from harness.embedding.evaluation import hash_task
from harness.embedding.judged import DOCUMENTS, JUDGEMENTS, QUERIES
from harness.embedding.tasks import Retrieval
from harness.embedding.variants import Variant

_UNSAFE = re.compile(r"[^\w.+]+")


def embed_corpus(
    task: Retrieval,
    encoder: Encoder,
    cache: EmbeddingCache,
    folder: Path,
    *,
    variant: Variant,
    name: str | None = None,
    licence: str = "unknown",
    progress: Progress | None = None,
) -> Path:
    """Write a task's embeddings into `folder` as an HDF5 dataset under angular, or hamming for binary codes.

    float16 and int8 are written as the values that their codes stand for. Raises ConfigError for a bad name or a
    variant that no index can search, DatasetError for embeddings that can't be.
    """
    if variant.rescore:
        raise ConfigError(f"variant {variant.label}: an index can't rescore; embed it as binary")
    metric = Metric.HAMMING if variant.precision == "binary" else Metric.ANGULAR
    dimension = variant.dimension(encoder.dimension)
    name = name or dataset_name(task.name, encoder.name, variant, dimension, metric)
    if not re.fullmatch(r"[\w][\w.+-]*", name) or name.endswith(".hdf5"):
        raise ConfigError(f"the name {name!r} can't be that of a dataset; use letters, digits, '-', '_', '.'")
    documents = cache.embed(encoder, task.documents, "document", progress=progress).vectors
    queries = cache.embed(encoder, task.queries, "query", progress=progress).vectors
    codec = variant.fit(documents)
    train: Any
    test: Any
    train, test = codec.documents(documents), codec.queries(queries)
    if metric is Metric.HAMMING:
        train, test = pack_bits(train > 0), pack_bits(test > 0)
    path = dataset_path(folder, name)
    refuse_taken_name(name, encoder.name)
    there = look_at(path)
    if there is not None and there.source and " embedded by " not in there.source:
        raise ConfigError(f"{path}: was made from {there.source}; choose another name, or remove the file")
    content = Content(
        metric=metric,
        train=train,
        test=test,
        dimension=dimension,
        source=f"{task.name} embedded by {encoder.name} ({variant.label})",
        licence=licence,
        tables={
            JUDGEMENTS: _rows(task),
            DOCUMENTS: list(task.document_ids),
            QUERIES: list(task.query_ids),
        },
        attributes={
            "model": encoder.name,
            "variant": variant.label,
            "task": task.name,
            "task_hash": hash_task(task),
            "fingerprint": encoder.fingerprint,
        },
    )
    write_content(path, content, depth=DEPTH, progress=False)
    return path


def dataset_name(task: str, model: str, variant: Variant, dimension: int, metric: Metric) -> str:
    """Name a dataset by what it is made of, e.g. `nave-web-all-MiniLM-L6-v2-384-angular`."""
    shape = [] if variant.label == "full" else [variant.label]
    parts = [_UNSAFE.sub("-", part).strip("-.") for part in (task, model, *shape)]
    return "-".join([*parts, str(dimension), str(metric)])


def _rows(task: Retrieval) -> NDArray[np.int32]:
    """Return the judgements as rows of query number, document number and relevance, (m, 3)."""
    number = {name: row for row, name in enumerate(task.document_ids)}
    rows = [
        (query, number[document], relevance)
        for query, name in enumerate(task.query_ids)
        for document, relevance in task.judgements[name].items()
        if document in number
    ]
    return np.array(rows, np.int32).reshape(-1, 3)

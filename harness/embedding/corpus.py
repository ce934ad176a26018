"""A retrieval task as an ANN dataset: documents to index, queries, and the judgements beside them in the file.

So any index is measured on what a model embeds, and its answers can be judged by people's word, not by recall alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.atomic import reason
from harness.dataset import dataset_path
from harness.embedding.cache import EmbeddingCache
from harness.embedding.encoder import Encoder, Progress
from harness.embedding.evaluation import hash_task
from harness.embedding.measures.ranking import Judgements
from harness.embedding.tasks import Retrieval
from harness.embedding.variants import Variant
from harness.errors import ConfigError, DatasetError
from harness.metric import Metric, pack_bits
from harness.sources.content import Content, write_content

DEPTH = 100
_JUDGEMENTS, _DOCUMENTS, _QUERIES = "judgements", "train_ids", "test_ids"
_ATTRIBUTES = ("model", "variant", "task", "task_hash", "fingerprint")
_UNSAFE = re.compile(r"[^\w.+]+")


@dataclass(frozen=True, eq=False)
class Judged:
    """What a dataset made of a task says beside its vectors.

    `judgements` are of the queries in the order of the test vectors; `own` (q,) is the document that is the query
    itself, or -1; `exact` (q, depth) are the true neighbours.
    """

    dataset: str
    model: str
    variant: str
    task: str
    dimension: int
    judgements: Judgements
    own: NDArray[np.int64]
    exact: NDArray[np.int64]


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
    documents = cache.embed(encoder, task.documents, "document", progress=progress).vectors
    queries = cache.embed(encoder, task.queries, "query", progress=progress).vectors
    codec = variant.fit(documents)
    train: Any
    test: Any
    train, test = codec.documents(documents), codec.queries(queries)
    metric = Metric.ANGULAR
    if variant.precision == "binary":
        metric, train, test = Metric.HAMMING, pack_bits(train > 0), pack_bits(test > 0)
    dimension = variant.dimension(documents.shape[1])
    name = name or dataset_name(task.name, encoder.name, variant, dimension, metric)
    if not re.fullmatch(r"[\w][\w.+-]*", name) or name.endswith(".hdf5"):
        raise ConfigError(f"the name {name!r} can't be that of a dataset; use letters, digits, '-', '_', '.'")
    path = dataset_path(folder, name)
    content = Content(
        metric=metric,
        train=train,
        test=test,
        dimension=dimension,
        source=f"{task.name} embedded by {encoder.name} ({variant.label})",
        licence=licence,
        tables={
            _JUDGEMENTS: _rows(task),
            _DOCUMENTS: list(task.document_ids),
            _QUERIES: list(task.query_ids),
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


def read_judged(path: Path) -> Judged | None:
    """Read what a dataset says of its judgements; None where it has none. Raises DatasetError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if _JUDGEMENTS not in file:
                return None
            rows: NDArray[np.int64] = file[_JUDGEMENTS][:].astype(np.int64)
            documents: Sequence[str] = file[_DOCUMENTS].asstr()[:].tolist()
            queries: Sequence[str] = file[_QUERIES].asstr()[:].tolist()
            exact: NDArray[np.int64] = file["neighbors"][:].astype(np.int64)
            said = {key: str(file.attrs.get(key, "")) for key in _ATTRIBUTES}
            dimension = int(file.attrs["dimension"])
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as problem:
        raise DatasetError(f"{path}: its judgements can't be read ({reason(problem)}); embed it again") from None
    judgements: dict[str, dict[str, int]] = {query: {} for query in queries}
    for query, document, relevance in rows.tolist():
        judgements[queries[query]][documents[document]] = relevance
    number = {name: row for row, name in enumerate(documents)}
    built = Judgements.build(judgements, documents, keep_unanswerable=True)
    if len(built.queries) != len(queries):
        raise DatasetError(f"{path}: {len(queries) - len(built.queries)} queries have no judgement; embed it again")
    return Judged(
        dataset=path.stem,
        model=said["model"],
        variant=said["variant"],
        task=said["task"],
        dimension=dimension,
        judgements=built,
        own=np.array([number.get(query, -1) for query in queries], np.int64),
        exact=exact,
    )

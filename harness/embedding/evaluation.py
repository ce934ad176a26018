"""Evaluate a model on a task: embed what it holds, measure, and say how sure each figure is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from harness.analyse.statistics import Range, mean_range
from harness.embedding.cache import EmbeddingCache
from harness.embedding.encoder import Encoder, Progress, Vectors
from harness.embedding.image_text import measure_image_text
from harness.embedding.measures.classification import few_shot_probe, full_probe
from harness.embedding.measures.clustering import v_measures
from harness.embedding.measures.geometry import describe_geometry
from harness.embedding.measures.intervals import spearman_range
from harness.embedding.measures.pairs import score_pairs
from harness.embedding.measures.ranking import (
    Ids,
    Judgements,
    average_precision,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from harness.embedding.measures.similarity import similarities, sts
from harness.embedding.records import Figure, Kind, Record
from harness.embedding.retrieval import bm25_ranking, exact_ranking
from harness.embedding.tasks import Classification, Clustering, ImageText, Pairs, Retrieval, Similarity, Task
from harness.embedding.towers.tower import item_bytes
from harness.embedding.variants import Codec, Variant

DEPTH = 100
"""Documents ranked for each query."""
KINDS: dict[type, Kind] = {
    Retrieval: "retrieval",
    Similarity: "similarity",
    Classification: "classification",
    Clustering: "clustering",
    Pairs: "pairs",
    ImageText: "image-text",
}
MAIN: dict[Kind, str] = {
    "retrieval": "ndcg@10",
    "similarity": "spearman",
    "classification": "accuracy",
    "clustering": "v_measure",
    "pairs": "average_precision",
    "image-text": "caption_to_image_ndcg@10",
}
_GEOMETRY = (
    *("alignment", "uniformity", "effective_rank", "anisotropy", "iso_score", "local_intrinsic_dimension"),
    *("two_nn", "hubness", "relative_contrast"),
)


class Outcome(NamedTuple):
    """Figures by name, and what the main one is the mean of, a value a query; empty where it is no mean."""

    figures: dict[str, Figure]
    values: NDArray[np.float64]
    note: str = ""


class _Texts(NamedTuple):
    """The embeddings that a task needs, and what embedding them took."""

    parts: tuple[Vectors, ...]
    items: int
    seconds: float


def evaluate(
    task: Task,
    encoder: Encoder,
    cache: EmbeddingCache,
    *,
    variants: Sequence[Variant] = (Variant(),),
    geometry: bool = True,
    minutes: float | None = None,
    progress: Progress | None = None,
) -> list[Record]:
    """Evaluate a model on a task, once for each variant of its embeddings.

    The geometry is that of documents, or of the task's texts, as the variant stores them. Raises what encoding and
    measuring raise.
    """
    kind = KINDS[type(task)]
    texts = _embed(task, encoder, cache, progress)
    base = Record(
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        task=task.name,
        task_hash=hash_task(task),
        kind=kind,
        main=MAIN[kind],
        figures={},
        parameters=encoder.parameter_count,
        training_minutes=minutes,
        items=texts.items,
        seconds=texts.seconds,
        notes=[task.about] if isinstance(task, Retrieval) and task.about else [],
    )
    return [_evaluate(task, base, texts.parts, variant, geometry=geometry) for variant in variants]


def _embed(task: Task, encoder: Encoder, cache: EmbeddingCache, progress: Progress | None) -> _Texts:
    """Embed the documents first, or what stands for them."""
    asked: list[tuple[Sequence[Any], Any]] = []
    match task:
        case Retrieval():
            asked = [(task.documents, "document"), (task.queries, "query")]
        case Similarity() | Pairs():
            asked = [(task.first, "document"), (task.second, "document")]
        case Classification():
            asked = [(task.train, "document"), (task.test, "document")]
        case Clustering():
            asked = [(task.texts, "document")]
        case ImageText():
            asked = [(list(task.images), "document"), (task.captions, "query")]
        case _:
            assert_never(task)
    found = [cache.embed(encoder, texts, role, progress=progress) for texts, role in asked]
    return _Texts(
        tuple(one.vectors for one in found), sum(len(texts) for texts, _ in asked), sum(one.seconds for one in found)
    )


def _evaluate(task: Task, base: Record, parts: tuple[Vectors, ...], variant: Variant, *, geometry: bool) -> Record:
    codec = variant.fit(parts[0])
    stored = tuple(codec.documents(part) for part in parts)
    positives = None
    match task:
        case Retrieval():
            outcome = _retrieval(task, parts, codec)
            positives = _positives(task, codec.queries(parts[1]), stored[0])
        case Similarity():
            outcome = _similarity(task, stored[0], stored[1])
            alike = task.scores >= np.quantile(task.scores, 0.8)
            positives = stored[0][alike], stored[1][alike]
        case Pairs():
            outcome = _pairs(task, stored[0], stored[1])
            positives = stored[0][task.labels], stored[1][task.labels]
        case Classification():
            outcome = _classification(task, stored[0], stored[1])
        case Clustering():
            draws = v_measures(stored[0], np.array(task.labels))
            outcome = Outcome({"v_measure": _mean(draws)}, draws)
        case ImageText():
            measured = measure_image_text(task, parts[0], parts[1], variant)
            outcome = Outcome({name: _mean(values) for name, values in measured.items()}, measured[MAIN["image-text"]])
            positives = codec.queries(parts[1])[task.pairs[:, 0]], stored[0][task.pairs[:, 1]]
        case _:
            assert_never(task)
    full = parts[0].shape[1]
    return base.model_copy(
        update={
            "variant": variant.label,
            "figures": outcome.figures,
            "values": [round(float(value), 6) for value in outcome.values],
            "dimension": variant.dimension(full),
            "bytes_a_vector": variant.bytes_a_vector(full),
            "geometry": _geometry(stored[0], positives) if geometry else {},
            "notes": [*base.notes, *([outcome.note] if outcome.note else [])],
        }
    )


def evaluate_bm25(task: Retrieval) -> Record:
    """Evaluate BM25, which has no embeddings, on a retrieval task. Raises ConfigError where bm25s is missing."""
    judgements = Judgements.build(task.judgements, task.document_ids)
    ranked = bm25_ranking(task.queries, task.documents, DEPTH, judgements.precedence, own_documents(task, judgements))
    outcome = _ranked(task, judgements, ranked)
    return Record(
        model="bm25",
        fingerprint="bm25 lucene k1=1.5 b=0.75 english",
        task=task.name,
        task_hash=hash_task(task),
        kind="retrieval",
        main=MAIN["retrieval"],
        figures=outcome.figures,
        values=[round(float(value), 6) for value in outcome.values],
        notes=[task.about] if task.about else [],
    )


def _retrieval(task: Retrieval, parts: tuple[Vectors, ...], codec: Codec) -> Outcome:
    documents, queries = parts
    judgements = Judgements.build(task.judgements, task.document_ids)
    ranked = exact_ranking(queries, documents, codec, DEPTH, judgements.precedence, own_documents(task, judgements))
    return _ranked(task, judgements, ranked)


def own_documents(task: Retrieval, judgements: Judgements) -> Ids | None:
    """Return for each query the document of the same id, -1 where there is none; None where no query has one."""
    own = np.array([judgements.numbers.get(query, -1) for query in task.query_ids], np.int64)
    own[own >= len(task.document_ids)] = -1
    return own if (own >= 0).any() else None


def _ranked(task: Retrieval, judgements: Judgements, ranked: Ids) -> Outcome:
    """Measure a ranking whose rows are the task's queries."""
    if list(judgements.queries) != list(task.query_ids):
        row = {query: number for number, query in enumerate(task.query_ids)}
        ranked = ranked[[row[query] for query in judgements.queries]]
    main = ndcg(judgements, ranked, 10)
    figures = {
        "ndcg@10": _mean(main),
        "mrr@10": _mean(reciprocal_rank(judgements, ranked, 10)),
        "precision@10": _mean(precision(judgements, ranked, 10)),
        "map@100": _mean(average_precision(judgements, ranked, DEPTH)),
        "recall@100": _mean(recall(judgements, ranked, DEPTH)),
    }
    return Outcome(figures, main)


def _similarity(task: Similarity, first: Vectors, second: Vectors) -> Outcome:
    found = sts(first, second, task.scores)
    interval = spearman_range(similarities(first, second), task.scores)
    figures = {
        "spearman": _figure(found["cosine"].spearman, interval),
        "pearson": Figure(value=found["cosine"].pearson),
        "spearman_euclidean": Figure(value=found["euclidean"].spearman),
        "spearman_dot": Figure(value=found["dot"].spearman),
    }
    return Outcome(figures, np.empty(0), found["cosine"].unknown)


def _pairs(task: Pairs, first: Vectors, second: Vectors) -> Outcome:
    found = score_pairs(similarities(first, second), task.labels)
    names = ("average_precision", "accuracy", "f1")
    return Outcome({name: Figure(value=float(getattr(found, name))) for name in names}, np.empty(0))


def _classification(task: Classification, train: Vectors, test: Vectors) -> Outcome:
    parts = train, np.array(task.train_labels), test, np.array(task.test_labels)
    probe = few_shot_probe(*parts)
    figures = {
        "accuracy": _mean(probe.correct),
        "macro_f1": Figure(value=probe.macro_f1),
        "accuracy_all_rows": _mean(full_probe(*parts).correct),
    }
    return Outcome(figures, probe.correct)


def _mean(values: NDArray[np.float64]) -> Figure:
    return _figure(float(values.mean()), mean_range(values))


def _figure(value: float, interval: Range) -> Figure:
    return Figure(value=value, low=interval.low, high=interval.high)


def _positives(task: Retrieval, queries: Vectors, documents: Vectors) -> tuple[Vectors, Vectors]:
    """Return each query and its relevant documents, row by row."""
    number = {name: row for row, name in enumerate(task.document_ids)}
    pairs = [
        (row, number[document])
        for row, query in enumerate(task.query_ids)
        for document, relevance in task.judgements[query].items()
        if relevance > 0 and document in number
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return queries[rows[:, 0]], documents[rows[:, 1]]


def _geometry(vectors: Vectors, positives: tuple[Vectors, Vectors] | None) -> dict[str, float]:
    """Describe the vectors that have a direction: a text without a known word is embedded as zeros."""
    pointing = vectors[vectors.any(axis=1)]
    if not len(pointing):
        return {}
    if positives is not None:
        both = positives[0].any(axis=1) & positives[1].any(axis=1)
        positives = (positives[0][both], positives[1][both]) if both.any() else None
    described = asdict(describe_geometry(pointing, positives=positives))
    return {name: float(described[name]) for name in _GEOMETRY}


def hash_task(task: Task) -> str:
    """Hash what a task holds, so that only figures of the same texts and judgements are compared."""
    digest = hashlib.sha256(type(task).__name__.encode())
    for name, value in sorted(vars(task).items()):
        if name in ("name", "about"):
            continue
        if _are_images(value):
            for image in value:
                digest.update(item_bytes(image))
            continue
        content = value.tolist() if isinstance(value, np.ndarray) else value
        digest.update(json.dumps([name, _plain(content)], ensure_ascii=False).encode())
    return digest.hexdigest()


def _are_images(value: Any) -> bool:
    return not isinstance(value, Mapping) and len(value) > 0 and getattr(value[0], "dtype", None) == np.uint8


def _plain(content: Any) -> Any:
    return dict(content) if isinstance(content, Mapping) else list(content)


def _more_than(asked: int, kept: int) -> str:
    return f"{kept:,} documents, not {asked:,}, since all that have judgements are kept" if kept > asked else ""


def subset(task: Retrieval, documents: int, *, seed: int = 0) -> Retrieval:
    """Keep every judged document and as many of the others as make `documents`, and all queries.

    The name says the size, since figures of a smaller corpus are higher; a task that isn't larger stays as it is.
    Where more documents are judged than were asked for, `about` says so.
    """
    judged = {document for by in task.judgements.values() for document in by}
    rest = [row for row, name in enumerate(task.document_ids) if name not in judged]
    rng = np.random.default_rng(seed)
    more = max(0, documents - (len(task.document_ids) - len(rest)))
    drawn = set(rng.permutation(rest)[:more].tolist())
    kept = [row for row, name in enumerate(task.document_ids) if name in judged or row in drawn]
    if len(kept) == len(task.document_ids):
        return task
    return replace(
        task,
        name=f"{task.name}-{len(kept)}",
        about="; ".join(filter(None, (task.about, _more_than(documents, len(kept))))),
        document_ids=[task.document_ids[row] for row in kept],
        documents=[task.documents[row] for row in kept],
    )

"""Evaluation end to end on given vectors, against pytrec_eval, scipy and scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch")

from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import DEPTH, KINDS, MAIN, evaluate, evaluate_bm25, hash_task, subset
from harness.embedding.records import Record
from harness.embedding.tasks import Classification, Clustering, Pairs, Retrieval, Similarity, Task
from harness.embedding.variants import Variant

NO_CACHE = EmbeddingCache(None)
Vectors = NDArray[np.float32]


@dataclass
class Given:
    """An encoder whose vectors are given by text."""

    vectors: Mapping[str, Vectors]
    name: str = "given"
    fingerprint: str = "f"
    parameter_count: int = 7
    roles: list[str] = field(default_factory=list)

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return len(next(iter(self.vectors.values())))

    def encode(self, items: Sequence[Any], role: str = "document", *, progress: Any = None) -> Vectors:
        """Look the items up."""
        self.roles.append(role)
        if progress is not None:
            progress(len(items))
        return np.array([self.vectors[item] for item in items], np.float32)


def only(task: Task, encoder: Given, **options: Any) -> Record:
    """Evaluate the full embeddings alone."""
    (record,) = evaluate(task, encoder, NO_CACHE, **options)
    return record


def random_retrieval(seed: int, *, own: bool) -> tuple[Retrieval, Given]:
    """Make a task whose vectors have few values, so that many scores tie; queries may be documents, too."""
    rng = np.random.default_rng(seed)
    documents = [f"d{number}" for number in rng.permutation(rng.integers(3, 150))]
    count = int(rng.integers(1, 6))
    queries = [str(name) for name in rng.choice(documents, min(count, len(documents)), replace=False)] if own else []
    queries = queries or [f"q{number}" for number in rng.permutation(count)]
    judgements = {}
    for query in queries:
        judged = rng.choice(documents, min(len(documents), int(rng.integers(1, 9))), replace=False)
        grades = rng.integers(0, 4, len(judged))
        grades[rng.integers(len(judged))] = 1
        judgements[query] = {str(name): int(grade) for name, grade in zip(judged, grades, strict=True)}
    texts = [f"text of {name}" for name in documents], [f"query {name}" for name in queries]
    vectors = {text: rng.choice([-0.5, 0.5], 4) for text in (*texts[0], *texts[1])}
    task = Retrieval("random", documents, texts[0], queries, texts[1], MappingProxyType(judgements))
    return task, Given(vectors)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), own=st.booleans())
def test_retrieval_figures_are_pytrec_evals(seed: int, own: bool) -> None:
    """Each figure, and nDCG of each query, equal pytrec_eval's on a run made in plain Python, its own ties included."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    task, encoder = random_retrieval(seed, own=own)
    run: dict[str, dict[str, float]] = {}
    for query, asked in zip(task.query_ids, task.queries, strict=True):
        scores = {
            document: float(sum(a * b for a, b in zip(encoder.vectors[asked], encoder.vectors[text], strict=True)))
            for document, text in zip(task.document_ids, task.documents, strict=True)
            if document != query
        }
        best = sorted(scores, key=lambda name: (scores[name], name), reverse=True)[:DEPTH]
        run[query] = {name: scores[name] for name in best}
    qrels = {query: dict(by) for query, by in task.judgements.items()}
    measures = {"ndcg_cut.10", "map_cut.100", "recall.100"}
    found = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    ten = {query: dict(list(scores.items())[:10]) for query, scores in run.items()}
    reciprocal = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(ten)
    record = only(task, encoder, geometry=False)
    expected = {
        "ndcg@10": [found.get(query, {}).get("ndcg_cut_10", 0.0) for query in task.query_ids],
        "mrr@10": [reciprocal.get(query, {}).get("recip_rank", 0.0) for query in task.query_ids],
        "map@100": [found.get(query, {}).get("map_cut_100", 0.0) for query in task.query_ids],
        "recall@100": [found.get(query, {}).get("recall_100", 0.0) for query in task.query_ids],
    }
    for name, values in expected.items():
        figure = record.figures[name]
        assert figure.value == pytest.approx(np.mean(values), abs=1e-9)
        assert figure.low <= figure.value + 1e-6
        assert figure.value <= figure.high + 1e-6
    np.testing.assert_allclose(record.values, expected["ndcg@10"], atol=1e-6)
    assert record.quality.value == record.figures["ndcg@10"].value
    assert encoder.roles == ["document", "query"]


def test_what_a_record_says_of_the_model_and_the_task() -> None:
    """Names, sizes, hashes and notes are those of the model, the variant and the task."""
    task, encoder = random_retrieval(1, own=False)
    told: list[int] = []
    variants = [Variant(), Variant.parse("prefix-2/int8")]
    full, small = evaluate(
        replace(task, about="some left out"), encoder, NO_CACHE, variants=variants, minutes=3.0, progress=told.append
    )
    assert (full.model, full.task, full.kind, full.main) == ("given", "random", "retrieval", "ndcg@10")
    assert (full.parameters, full.training_minutes, full.notes) == (7, 3.0, ["some left out"])
    assert full.items == sum(told) == len(task.documents) + len(task.queries)
    assert (full.variant, full.dimension, full.bytes_a_vector) == ("full", 4, 16)
    assert (small.variant, small.dimension, small.bytes_a_vector) == ("prefix-2/int8", 2, 2)
    assert full.task_hash == small.task_hash == hash_task(task)
    assert set(full.geometry) >= {"alignment", "uniformity", "hubness"}
    assert full.geometry["alignment"] != small.geometry["alignment"]


def test_bm25_leaves_out_own_documents_too() -> None:
    """A query that is a document ranks the others, by words as by vectors."""
    pytest.importorskip("bm25s")
    pytest.importorskip("Stemmer")
    texts = ["red fox", "red foxes jump", "blue"]
    task = Retrieval("own", ["a", "b", "c"], texts, ["a", "q"], ["red fox", "blue"], {"a": {"b": 1}, "q": {"c": 1}})
    record = evaluate_bm25(task)
    assert record.values == [1.0, 1.0]
    assert record.figures["mrr@10"].value == 1.0
    assert (record.model, record.geometry, record.dimension) == ("bm25", {}, None)


def test_similarity_is_scipys() -> None:
    """Spearman and Pearson of cosines are scipy's, whatever the lengths; no variance is no figure, and is noted."""
    from scipy.stats import pearsonr, spearmanr

    rng = np.random.default_rng(2)
    vectors = {f"{side}{row}": rng.standard_normal(5) * rng.uniform(0.1, 9) for side in "ab" for row in range(40)}
    first, second = ([f"{side}{row}" for row in range(40)] for side in "ab")
    cosines = np.array(
        [
            vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
            for a, b in zip(first, second, strict=True)
        ]
    )
    gold = np.round(cosines * 2 + rng.standard_normal(40), 0)
    record = only(Similarity("sts", first, second, gold), Given(vectors))
    assert record.quality.value == pytest.approx(spearmanr(cosines, gold).statistic, abs=1e-6)
    assert record.figures["pearson"].value == pytest.approx(pearsonr(cosines, gold).statistic, abs=1e-6)
    assert record.quality.low < record.quality.value < record.quality.high
    assert (record.values, record.notes) == ([], [])
    flat = only(Similarity("flat", first, second, np.ones(40)), Given(vectors))
    assert math.isnan(flat.quality.value)
    assert flat.notes == ["all gold scores are 1: what doesn't vary has no correlation"]


def test_pairs_are_scikit_learns() -> None:
    """The average precision of cosines is scikit-learn's."""
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(3)
    vectors = {f"{side}{row}": rng.standard_normal(3) for side in "ab" for row in range(30)}
    first, second = ([f"{side}{row}" for row in range(30)] for side in "ab")
    cosines = [
        vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
        for a, b in zip(first, second, strict=True)
    ]
    labels = rng.random(30) < 0.4
    record = only(Pairs("pairs", first, second, labels), Given(vectors))
    assert record.quality.value == pytest.approx(average_precision_score(labels, cosines), abs=1e-6)
    assert {"accuracy", "f1"} < set(record.figures)


def test_labelled_texts_far_apart_are_told_apart() -> None:
    """Labels that lie in two heaps are classified and clustered without a fault."""
    rng = np.random.default_rng(4)
    texts = [f"t{row}" for row in range(60)]
    labels = ["left" if row % 2 else "right" for row in range(60)]
    vectors = {
        text: rng.normal([5.0, -5.0] if label == "left" else [-5.0, 5.0], 0.1)
        for text, label in zip(texts, labels, strict=True)
    }
    classified = only(Classification("c", texts[:30], labels[:30], texts[30:], labels[30:]), Given(vectors))
    assert (classified.quality.value, classified.figures["macro_f1"].value) == (1.0, 1.0)
    assert classified.values == [1.0] * 30
    clustered = only(Clustering("c", texts, labels), Given(vectors))
    assert clustered.quality.value == pytest.approx(1.0)
    assert {classified.kind, clustered.kind} < set(MAIN) == set(KINDS.values())


@pytest.mark.parametrize("text", ["full", "int8", "binary"])
def test_texts_embedded_as_zeros_spoil_no_figure(text: str) -> None:
    """A text without a known word has no direction: the geometry leaves it out, and figures are finite."""
    task, encoder = random_retrieval(5, own=False)
    judged = next(iter(task.judgements[task.query_ids[0]]))
    zeros = {task.documents[list(task.document_ids).index(judged)], task.queries[0]}
    empty = Given({text: np.zeros(4) if text in zeros else vector for text, vector in encoder.vectors.items()})
    (record,) = evaluate(task, empty, NO_CACHE, variants=[Variant.parse(text)])
    assert all(math.isfinite(figure.value) for figure in record.figures.values())
    assert math.isfinite(record.geometry["uniformity"])
    nothing = Given(dict.fromkeys(encoder.vectors, np.zeros(4)))
    (record,) = evaluate(task, nothing, NO_CACHE)
    assert record.geometry == {}


# --- tasks ---------------------------------------------------------------------------------------------------------


def test_hashes_change_with_what_a_task_holds() -> None:
    """Texts, ids, their order and judgements count; the name, and what was left out, do not."""
    task, _ = random_retrieval(6, own=False)
    same = [replace(task, name="other"), replace(task, about="x"), replace(task, documents=tuple(task.documents))]
    first = {query: dict(by) for query, by in task.judgements.items()}
    first[task.query_ids[0]][task.document_ids[0]] = 9
    different = [
        replace(task, documents=[*task.documents[:-1], "x"]),
        replace(task, queries=[*task.queries[:-1], "x"]),
        replace(task, document_ids=[*task.document_ids[:-1], "x"]),
        replace(task, documents=task.documents[::-1]),
        replace(task, judgements=first),
        Clustering("c", ["a", "b"], ["x", "y"]),
        Clustering("c", ["a", "b"], ["x", "x"]),
        Similarity("s", ["a"], ["b"], np.array([1.0])),
        Similarity("s", ["a"], ["b"], np.array([2.0])),
        Similarity("s", ["b"], ["a"], np.array([1.0])),
        Pairs("s", ["a"], ["b"], np.array([True])),
    ]
    assert {hash_task(one) for one in same} == {hash_task(task)}
    assert len({hash_task(one) for one in (task, *different)}) == 1 + len(different)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), wanted=st.integers(1, 160), draw=st.integers(0, 3))
def test_a_smaller_corpus_keeps_what_is_judged(seed: int, wanted: int, draw: int) -> None:
    """So many documents are left, in their order, all judged ones among them; the name says how many."""
    task, _ = random_retrieval(seed, own=False)
    judged = {document for by in task.judgements.values() for document in by}
    small = subset(task, wanted, seed=draw)
    assert len(small.document_ids) == min(len(task.document_ids), max(wanted, len(judged)))
    assert judged <= set(small.document_ids)
    texts = dict(zip(task.document_ids, task.documents, strict=True))
    assert [texts[name] for name in small.document_ids] == list(small.documents)
    assert list(small.document_ids) == [name for name in task.document_ids if name in set(small.document_ids)]
    assert (small.queries, small.judgements) == (task.queries, task.judgements)
    smaller = len(small.document_ids) < len(task.document_ids)
    assert bool(small.about) == (smaller and len(judged) > wanted)
    assert small.name == (f"random-{len(small.document_ids)}" if smaller else "random")
    assert hash_task(subset(task, wanted, seed=draw)) == hash_task(small)

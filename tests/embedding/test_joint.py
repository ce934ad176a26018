"""What an index's answers are worth: nDCG as pytrec_eval has it, the loss against exact search, frontier and onset."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse.statistics import Range
from harness.embedding.joint import JointRow, joint_rows, onsets, together
from harness.embedding.judged import Judged
from harness.embedding.measures.ranking import Judgements
from harness.store.result import Result
from support import factory

QUERIES, DOCUMENTS = 40, 120
SHA = "d" * 64
UNKNOWN = Range(math.nan, math.nan)


def judged(*, own: bool = False, seed: int = 0) -> Judged:
    """Return graded judgements of random documents; with `own`, each even query is the document of its number."""
    rng = np.random.default_rng(seed)
    names = [f"d{i:03}" for i in range(DOCUMENTS)]
    queries = [names[i] if own and i % 2 == 0 else f"q{i}" for i in range(QUERIES)]
    exact = np.array([rng.permutation(DOCUMENTS)[:100] for _ in range(QUERIES)])
    said = {}
    for row, query in enumerate(queries):
        if own and row % 2 == 0:
            exact[row] = [row, *exact[row][exact[row] != row]][:100]  # a query is nearest to itself
        # Most of what is relevant is near, so that a loss can be seen.
        relevant = exact[row][rng.permutation(14)[:5]]
        said[query] = {names[d]: int(rng.integers(0, 3)) for d in relevant} | {names[exact[row][3]]: 2}
    return Judged(
        dataset="some-data",
        model="a model",
        variant="full",
        task="task",
        dimension=8,
        judgements=Judgements.build(said, names, keep_unanswerable=True),
        own=np.array([row if own and row % 2 == 0 else -1 for row in range(QUERIES)]),
        exact=exact,
        sha256=SHA,
    )


def answered(neighbors: Any, **spec: Any) -> Result:
    """Return a result whose answers are these."""
    result = factory.make_result(dataset="some-data", queries=len(neighbors), k=neighbors.shape[1], **spec)
    found: Result = replace(result, arrays={**result.arrays, "neighbors": np.asarray(neighbors, np.int64)})
    return found


def by_pytrec_eval(about: Judged, neighbors: Any) -> list[float]:
    """Return nDCG@10 of each query as TREC's own program computes it, the query's own document left out."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    names, queries = about.judgements.documents, about.judgements.queries
    qrels: dict[str, dict[str, int]] = {query: {} for query in queries}
    for row, query in enumerate(queries):
        part = slice(about.judgements.start[row], about.judgements.start[row + 1])
        for document, grade in zip(about.judgements.judged[part], about.judgements.relevance[part], strict=True):
            qrels[query][names[document]] = int(grade)
    run = {
        query: {names[d]: float(-rank) for rank, d in enumerate(row) if d >= 0 and d != own}
        for query, row, own in zip(queries, neighbors, about.own, strict=False)
    }
    scores = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    return [scores.get(query, {}).get("ndcg_cut_10", 0.0) for query in list(queries)[: len(neighbors)]]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("k", [10, 11, 25])
def test_answers_are_judged_as_pytrec_eval_does(own: bool, k: int) -> None:
    """Of answers that miss some, to some of the queries; exact search's too, and the loss is what lies between."""
    about = judged(own=own)
    rng = np.random.default_rng(1)
    count = 33
    neighbors = about.exact[:count, :k].copy()
    for row in neighbors:
        row[rng.permutation(k)[:4]] = -1  # not found
        rng.shuffle(row)
    (found,) = joint_rows([answered(neighbors)], {"some-data": about})
    wanted, exact = by_pytrec_eval(about, neighbors), by_pytrec_eval(about, about.exact[:count, :k])
    assert found.queries == count
    assert found.ndcg == pytest.approx(np.mean(wanted))
    assert found.exact == pytest.approx(np.mean(exact))
    assert found.loss == pytest.approx(np.mean(exact) - np.mean(wanted))
    assert found.measurable
    assert found.loss_range.low < found.loss < found.loss_range.high


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("k", [10, 30])
def test_exact_answers_lose_nothing(own: bool, k: int) -> None:
    """Neither where each query is a document, and so one of ten neighbours is none: exact search had ten as well."""
    about = judged(own=own)
    (found,) = joint_rows([answered(about.exact[:, :k])], {"some-data": about})
    assert (found.loss, found.ndcg) == (0.0, found.exact)
    assert not found.measurable
    if k > 10:
        assert found.exact == pytest.approx(np.mean(by_pytrec_eval(about, about.exact)))


def test_what_is_not_judged_is_left_out() -> None:
    """Fewer than ten neighbours, other data, other vectors of that name, floors and other workloads are no rows."""
    about = judged()
    right = answered(about.exact[:, :10])
    by_radius = right.document.model_copy(update={"workload": "range"})
    others = [
        replace(right, document=by_radius, arrays={}),
        answered(about.exact[:, :9]),
        factory.make_result(dataset="other-data", queries=10),
        answered(about.exact[:, :10], dataset_sha256="e" * 64),
        answered(about.exact[:, :10], purpose="floor"),
    ]
    assert len(joint_rows([right, *others], {"some-data": about})) == 1
    assert joint_rows(others, {"some-data": about}) == []


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_the_frontier_is_what_no_other_beats(points: list[tuple[int, int, bool]]) -> None:
    """A row is on it if none of its dataset is as good in both and better in one; equal rows both are."""
    points = sorted(points, key=lambda point: point[2])
    rows = [factory.make_joint_row(qps=qps, loss=-kept / 10, dataset=str(first)) for qps, kept, first in points]
    for marked, (qps, kept, first) in zip(together(rows), points, strict=True):
        beaten = any(
            other[2] == first and other[0] >= qps and other[1] >= kept and other[:2] != (qps, kept) for other in points
        )
        assert marked.on_frontier is not beaten


def test_p_values_are_corrected_within_a_dataset() -> None:
    """Among many settings one looks lossy by chance: what is told of it depends on how many there are."""
    alone = [factory.make_joint_row(p_value=0.03, dataset="alone")]
    many = [factory.make_joint_row(p_value=0.03 if i == 0 else 0.5) for i in range(4)]
    found = together([*alone, *many])
    assert [row.p_value for row in found] == pytest.approx([0.03, 0.12, 1.0, 1.0, 1.0])
    assert [row.measurable for row in found] == [True, False, False, False, False]


def test_where_the_loss_begins() -> None:
    """The highest recall of a measurable loss, and the lowest above that; each dataset by itself, NaN for neither."""

    def row(recall: float, ndcg: float = 0.5, p_value: float = 1.0, dataset: str = "some-data") -> JointRow:
        return factory.make_joint_row(recall=recall, loss=0.6 - ndcg, p_value=p_value, dataset=dataset)  # type: ignore[no-any-return]

    rows = [
        row(0.5, ndcg=0.3, p_value=0.001),
        row(0.8, ndcg=0.55, p_value=0.04),
        row(0.7, ndcg=0.5, p_value=0.3),
        row(0.9, ndcg=0.59, p_value=0.2),
        row(0.95, ndcg=0.61, p_value=0.01),  # better than exact search: no loss
        row(0.6, dataset="clean"),
        row(0.4, ndcg=0.1, p_value=0.001, dataset="lossy"),
    ]
    found = {one.dataset: one for one in onsets(rows)}
    assert (found["some-data"].recall, found["some-data"].clean) == (0.8, 0.9)
    assert found["some-data"].loss == pytest.approx(0.05)
    assert math.isnan(found["clean"].recall)
    assert found["clean"].clean == 0.6
    assert found["lossy"].recall == 0.4
    assert math.isnan(found["lossy"].clean)

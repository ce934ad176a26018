"""Measures of rankings: equal to pytrec_eval's for any run, ties included, and right where it has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import AnnbenchError
from harness.embedding.measures.ranking import (
    Judgements,
    average_precision,
    ndcg,
    precision,
    rank,
    ranked_run,
    recall,
    reciprocal_rank,
)

pytrec_eval = pytest.importorskip("pytrec_eval")

# Names whose order is that of characters, not of numbers or of an alphabet with accents.
DOCUMENTS = ["d1", "d10", "d2", "D2", "", "é", "z", "zz", "\uffff", "\U0001f600"]
MEASURES = {"ndcg_cut": ndcg, "recall": recall, "P": precision, "map_cut": average_precision}

grades = st.dictionaries(st.sampled_from([*DOCUMENTS, "not in the corpus"]), st.integers(-1, 3), max_size=6)
# Few different scores, so that many are equal; two that differ by less than float32 tells.
found = st.dictionaries(st.sampled_from(DOCUMENTS), st.sampled_from([-1.0, 0.0, 1.0, 1.0 + 1e-9, 2.5]), min_size=1)
queries = st.sampled_from(["q1", "q2", "q3", "q4"])


@given(st.dictionaries(queries, grades, min_size=1), st.dictionaries(queries, found), st.sampled_from([1, 2, 3, 5, 20]))
def test_values_are_those_of_pytrec_eval(judgements, run, k):
    """Each query's value is pytrec_eval's to the last digits, and 0 where the run lacks the query."""
    ours = Judgements.build(judgements, DOCUMENTS, keep_unanswerable=True)
    assert set(ours.queries) == {query for query, judged in judgements.items() if judged}
    theirs = pytrec_eval.RelevanceEvaluator(judgements, {f"{name}.{k}" for name in MEASURES}).evaluate(run)
    ids = ranked_run(ours, run, k)
    for name, measure in MEASURES.items():
        expected = [theirs.get(query, {f"{name}_{k}": 0.0})[f"{name}_{k}"] for query in ours.queries]
        assert measure(ours, ids, k) == pytest.approx(expected, abs=1e-9)


@given(st.dictionaries(queries, grades, min_size=1), st.dictionaries(queries, found), st.sampled_from([1, 2, 3, 20]))
def test_reciprocal_ranks_are_those_of_pytrec_eval(judgements, run, k):
    """pytrec_eval's recip_rank has no cut: ours is the same where the first relevant document is within k, else 0."""
    ours = Judgements.build(judgements, DOCUMENTS, keep_unanswerable=True)
    theirs = pytrec_eval.RelevanceEvaluator(judgements, {"recip_rank"}).evaluate(run)
    whole = np.array([theirs.get(query, {"recip_rank": 0.0})["recip_rank"] for query in ours.queries])
    assert reciprocal_rank(ours, ranked_run(ours, run, k), k) == pytest.approx(np.where(whole >= 1 / k, whole, 0.0))


@given(st.dictionaries(queries, grades))
def test_a_perfect_ranking_has_a_gain_of_1(judgements):
    """Queries that nobody can answer are left out, and documents in order of their relevance give 1 for the rest."""
    ours = Judgements.build(judgements, DOCUMENTS)
    assert list(ours.queries) == [query for query, judged in judgements.items() if max(judged.values(), default=0) > 0]
    best = ranked_run(ours, judgements, 20)
    assert ndcg(ours, best, 20) == pytest.approx(1.0)
    assert recall(ours, best, 20) == pytest.approx(1.0)
    assert reciprocal_rank(ours, best, 20) == pytest.approx(1.0)


def test_figures_by_hand():
    """A ranking whose values can be checked on paper: relevant at ranks 2 and 4, and one that wasn't found."""
    ours = Judgements.build({"q": {"b": 2, "d": 1, "x": 1, "a": 0}}, "abcdx")
    ids = np.array([[0, 1, 2, 3]])
    ideal = 2 + 1 / np.log2(3) + 1 / np.log2(4)
    assert ndcg(ours, ids, 10) == pytest.approx((2 / np.log2(3) + 1 / np.log2(5)) / ideal)
    assert reciprocal_rank(ours, ids, 10) == pytest.approx(0.5)
    assert reciprocal_rank(ours, ids, 1) == 0.0
    assert recall(ours, ids, 10) == pytest.approx(2 / 3)
    assert precision(ours, ids, 10) == pytest.approx(0.2)
    assert average_precision(ours, ids, 10) == pytest.approx((1 / 2 + 2 / 4) / 3)


@pytest.mark.parametrize("k", [1, 3, 40])
def test_rank_is_a_sort_of_all(k):
    """Picking the best of many, with ties across the cut, gives the head of the whole order."""
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 6, (50, 30)).astype(np.float64)
    precedence = rng.permutation(30)
    whole = [sorted(range(30), key=lambda d, row=row: (-row[d], precedence[d]))[:k] for row in scores]
    ranked = rank(scores, precedence, k)
    assert ranked[:, :30].tolist() == whole
    assert (ranked[:, 30:] == -1).all()
    shuffled = np.argsort(rng.random((50, 30)), axis=1)
    assert np.array_equal(rank(np.take_along_axis(scores, shuffled, axis=1), precedence, k, shuffled), ranked)


def test_padding_is_never_ranked():
    """A candidate of -1 is none, whatever its score, and a row of them finds nothing."""
    ids = np.array([[2, -1, 0], [-1, -1, -1]])
    assert rank(np.array([[1.0, 9.0, 2.0]] * 2), np.arange(3), 2, ids).tolist() == [[0, 2], [-1, -1]]


def test_empty_judgements_and_empty_runs():
    """Nothing judged gives no values; nothing found gives zeros."""
    nothing = Judgements.build({"q": {}, "r": {"a": 0}}, ["a"])
    assert ndcg(nothing, np.empty((0, 3), np.int64), 10).shape == (0,)
    ours = Judgements.build({"q": {"a": 1}}, ["a"])
    for measure in (*MEASURES.values(), reciprocal_rank):
        for ids in (np.empty((1, 0), np.int64), np.full((1, 4), -1)):
            assert measure(ours, ids, 10).tolist() == [0.0]
    unjudged = Judgements(("q",), ("a",), 1, np.array([0, 0]), np.empty(0, np.int64), np.empty(0, np.int64))
    assert ndcg(unjudged, np.array([[0]]), 1).tolist() == [0.0]


def test_bad_judgements_and_runs_are_refused():
    """Each error names the query or document that is wrong."""
    ours = Judgements.build({"q": {"a": 1}}, ["a", "b"])
    with pytest.raises(AnnbenchError, match="'a' twice"):
        Judgements.build({}, ["a", "b", "a"])
    with pytest.raises(AnnbenchError, match=r"'a' to 'q' must be whole: given 0\.5"):
        Judgements.build({"q": {"a": 0.5}}, ["a"])
    with pytest.raises(AnnbenchError, match=r"needs whole numbers \(1, depth\).*float64 \(1, 1\)"):
        ndcg(ours, np.array([[0.0]]), 10)
    with pytest.raises(AnnbenchError, match=r"\(2, 1\)"):
        ndcg(ours, np.array([[0], [1]]), 10)
    with pytest.raises(AnnbenchError, match="'q' holds 2 of 2"):
        ndcg(ours, np.array([[2]]), 10)
    with pytest.raises(AnnbenchError, match="'q' holds document 'b' twice"):
        ndcg(ours, np.array([[1, -1, -1, 1]]), 10)
    with pytest.raises(AnnbenchError, match="'q' holds document 'c', which the corpus lacks"):
        ranked_run(ours, {"q": {"c": 1.0}}, 10)
    with pytest.raises(AnnbenchError, match=r"scores\[1, 0\] is nan"):
        rank(np.array([[1.0, 2.0], [np.nan, 1.0]]), np.arange(2), 1)
    with pytest.raises(AnnbenchError, match="k >= 1: given 0"):
        precision(ours, np.array([[0]]), 0)

"""Rankings against plain Python's, with many ties, and against what a variant stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch")

from harness.embedding import retrieval
from harness.embedding.measures.ranking import Judgements, rank
from harness.embedding.retrieval import bm25_ranking, exact_ranking
from harness.embedding.variants import Variant


def tied(rows: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Return rows of length 1 with four entries of half: products are exact, and often equal."""
    rng = np.random.default_rng(seed)
    found = np.zeros((rows, dim), np.float32)
    for row in found:
        row[rng.permutation(dim)[:4]] = rng.choice([-0.5, 0.5], 4)
    return found


def in_python(scores: Any, names: list[str], k: int, own: Any = None) -> list[list[int]]:
    """Rank by score, then by name from the last, row by row."""
    ranked = []
    for row, values in enumerate(scores):
        order = sorted(range(len(names)), key=lambda i: (float(values[i]), names[i]), reverse=True)
        order = [i for i in order if own is None or i != own[row]][:k]
        ranked.append(order + [-1] * (k - len(order)))
    return ranked


def precedence(names: list[str]) -> NDArray[np.int64]:
    """Return the order of equals of documents of these names."""
    return Judgements.build({"q": {names[0]: 1}}, names).precedence


@settings(max_examples=40, deadline=None)
@given(
    queries=st.integers(1, 5), documents=st.integers(1, 30), dim=st.integers(4, 9), k=st.integers(1, 40),
    seed=st.integers(0, 999), with_own=st.booleans(), text=st.sampled_from(["full", "prefix-4", "binary"]),
)  # fmt: skip
def test_rankings_are_those_of_plain_python(
    queries: int, documents: int, dim: int, k: int, seed: int, with_own: bool, text: str
) -> None:
    """Ties go to the last name, a query's own document is left out, and what isn't there is -1."""
    rng = np.random.default_rng(seed)
    names = [str(number) for number in rng.permutation(documents)]
    asked, stored = tied(queries, dim, seed), tied(documents, dim, seed + 1)
    own = rng.integers(-1, documents, queries) if with_own else None
    codec = Variant.parse(text).fit(stored)
    if text == "binary":
        scores = -((asked > 0)[:, None] != (stored > 0)[None]).sum(axis=2)
    else:
        scores = codec.reduce(asked) @ codec.reduce(stored).T
    found = exact_ranking(asked, stored, codec, k, precedence(names), own)
    assert found.tolist() == in_python(scores, names, k, own)


@settings(max_examples=30, deadline=None)
@given(dim=st.integers(1, 400), seed=st.integers(0, 99))
def test_binary_codes_rank_as_hamming_distances(dim: int, seed: int) -> None:
    """Equal distances are equal, whatever the dimension: rounding breaks no tie."""
    rng = np.random.default_rng(seed)
    documents, queries = (rng.standard_normal((rows, dim)).astype(np.float32) for rows in (40, 3))
    names = [str(number) for number in rng.permutation(40)]
    codec = Variant.parse("binary").fit(documents)
    differ = ((queries > 0)[:, None] != (documents > 0)[None]).sum(axis=2)
    found = exact_ranking(queries, documents, codec, 10, precedence(names))
    assert found.tolist() == in_python(-differ, names, 10)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries ranked a few at a time rank as all together do, rescored or not."""
    rng = np.random.default_rng(3)
    documents, queries = (rng.standard_normal((rows, 32)).astype(np.float32) for rows in (60, 9))
    order = np.arange(60)
    own = np.array([-1, 3, 5, -1, 0, 0, 59, 2, -1])
    for text in ("full", "binary", "binary+rescore"):
        codec = Variant.parse(text).fit(documents)
        monkeypatch.setattr(retrieval, "_BLOCK", 1 << 26)
        whole = exact_ranking(queries, documents, codec, 5, order, own)
        for block in (1, 130, 1300):
            monkeypatch.setattr(retrieval, "_BLOCK", block)
            np.testing.assert_array_equal(exact_ranking(queries, documents, codec, 5, order, own), whole)


def test_rescoring_gathers_no_more_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidates' vectors of a block of queries fit in it, however small the corpus."""
    documents = np.random.default_rng(6).standard_normal((20, 16)).astype(np.float32)
    held: list[int] = []

    def watched(scores: Any, *arguments: Any) -> Any:
        held.append(len(scores) * 20 * 16)
        return rank(scores, *arguments)

    monkeypatch.setattr(retrieval, "rank", watched)
    monkeypatch.setattr(retrieval, "_BLOCK", 1000)
    exact_ranking(documents, documents, Variant.parse("binary+rescore").fit(documents), 5, np.arange(20))
    assert max(held) <= 1000


def test_rescoring_finds_at_least_as_much() -> None:
    """Ranked again by float32 queries, binary codes agree better with the exact ranking than by Hamming distances."""
    rng = np.random.default_rng(4)
    documents, queries = (rng.standard_normal((rows, 64)).astype(np.float32) for rows in (500, 50))
    order = np.arange(500)
    exact, plain, rescored = (
        exact_ranking(queries, documents, Variant.parse(text).fit(documents), 10, order)
        for text in ("full", "binary", "binary+rescore")
    )
    share = [
        np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact, strict=True)]) for found in (plain, rescored)
    ]
    assert share[1] > share[0] + 0.05


def test_rescoring_everything_is_the_asymmetric_ranking() -> None:
    """Where all documents are candidates, the order is that of the float32 query with the documents' bits."""
    rng = np.random.default_rng(5)
    documents, queries = (rng.standard_normal((rows, 16)).astype(np.float32) for rows in (20, 6))
    own = np.array([0, -1, 2, -1, 4, 19])
    codec = Variant.parse("binary+rescore").fit(documents)
    names = [str(number) for number in range(20)]
    scores = np.einsum("qd,nd->qn", codec.reduce(queries), codec.documents(documents))
    found = exact_ranking(queries, documents, codec, 20, precedence(names), own)
    assert found.tolist() == in_python(scores, names, 20, own)


# --- BM25 ----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _bm25(request: pytest.FixtureRequest) -> None:
    if "bm25" in request.node.name:
        pytest.importorskip("bm25s")
        pytest.importorskip("Stemmer")


DOCUMENTS = ["The cats sat on the mat.", "Dogs ran.", "", "A cat, a dog and a mat", "coffee"]


def test_bm25_finds_the_obvious() -> None:
    """Documents that share a stem are found, the shorter and the more of them first; others are not."""
    found = bm25_ranking(["cat", "running dogs", "coffee mat"], DOCUMENTS, 4, np.arange(5))
    assert sorted(found[0].tolist()) == [-1, -1, 0, 3]
    assert found[1].tolist() == [1, 3, -1, -1]
    assert found[2][0] == 4
    assert sorted(found[2].tolist()) == [-1, 0, 3, 4]


@pytest.mark.parametrize("query", ["", "the", "zebra", "?"])
def test_bm25_of_no_known_word_finds_nothing(query: str) -> None:
    """An empty query, one of stop words and one of unknown words find nothing, which is no error."""
    assert bm25_ranking([query, "cat"], DOCUMENTS, 3, np.arange(5))[0].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("documents", [["", "the", "?"], []])
def test_bm25_of_a_corpus_without_words_finds_nothing(documents: list[str]) -> None:
    """A corpus of stop words alone can't be ranked, which is no error either."""
    assert bm25_ranking(["cat"], documents, 2, np.arange(3)).tolist() == [[-1, -1]]


def test_bm25_leaves_out_a_querys_own_document() -> None:
    """A query that is a document does not find itself."""
    found = bm25_ranking([DOCUMENTS[3], "dog"], DOCUMENTS, 5, np.arange(5), np.array([3, -1]))
    assert 3 not in found[0]
    assert {0, 1} <= set(found[0].tolist())
    assert 3 in found[1]


def test_bm25_scores_are_lucenes() -> None:
    """The order is that of Lucene's formula, computed by hand, ties by name."""
    documents = ["red red green", "red blue", "green green green blue", "blue", "red"]
    query = ["red", "green"]
    words = [document.split() for document in documents]
    mean = np.mean([len(one) for one in words])

    def score(one: list[str]) -> float:
        total = 0.0
        for word in query:
            holds = sum(word in other for other in words)
            idf = np.log(1 + (len(words) - holds + 0.5) / (holds + 0.5))
            count = one.count(word)
            total += idf * count / (count + 1.5 * (1 - 0.75 + 0.75 * len(one) / mean))
        return total

    expected = sorted((i for i in range(5) if score(words[i]) > 0), key=lambda i: -score(words[i]))
    assert bm25_ranking(["red green"], documents, 4, np.arange(5))[0].tolist() == expected

"""Hard negatives: never a known answer, from the ranks and below the scores that the recipe says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from harness.core.errors import ConfigError
from harness.embedding.training.examples import Examples
from harness.embedding.training.negatives import (
    Embedded,
    below_ceiling,
    draw_negatives,
    due,
    random_negatives,
    rank_by_index,
)
from harness.embedding.training.recipe import NegativesPart

QUERIES, DOCUMENTS = 12, 60


def part(**given_parts: Any) -> NegativesPart:
    """Return a part of a recipe."""
    return NegativesPart.model_validate(given_parts)


def unit(rng: np.random.Generator, n: int) -> Any:
    """Return vectors of length 1."""
    vectors = rng.normal(size=(n, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def world(seed: int, answers: int = 4) -> tuple[Examples, Embedded]:
    """Return queries with some answers each, and embeddings of all."""
    rng = np.random.default_rng(seed)
    rows = [(query, document) for query in range(QUERIES) for document in rng.permutation(DOCUMENTS)[:answers]]
    words = [f"w{i % 9} w{i % 7} w{i % 5}" for i in range(DOCUMENTS)]
    examples = Examples([f"w{i % 9} w{i % 7}" for i in range(QUERIES)], words, np.array(rows))
    return examples, Embedded(unit(rng, QUERIES), unit(rng, DOCUMENTS))


def never() -> Embedded:
    """Fail: what needs no embeddings asks for none."""
    raise AssertionError("embedded without need")


def ranking(examples: Examples, embedded: Embedded) -> list[list[int]]:
    """Rank all documents for each example, the highest inner product first."""
    return [
        sorted(range(DOCUMENTS), key=lambda d, q=query: -float(embedded.queries[q] @ embedded.documents[d]))
        for query in examples.pairs[:, 0]
    ]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 4),
    first=st.integers(1, 20),
    width=st.integers(0, 30),
    ceiling=st.one_of(st.none(), st.floats(0.2, 1.2)),
)
def test_mined_negatives_are_those_of_brute_force(seed: int, count: int, first: int, width: int, ceiling: Any) -> None:
    """All that may be taken stand within the window of a plain ranking, are unknown, and score below the ceiling.

    As many as there are of them are taken, each once; the rest is random, and still no known answer.
    """
    examples, embedded = world(seed)
    recipe = part(kind="mined", algorithm="brute_force", count=count, window=[first, first + width], ceiling=ceiling)
    found = draw_negatives(recipe, examples, lambda: embedded, seed=seed, epoch=1)
    known = {tuple(pair) for pair in examples.pairs.tolist()}
    assert found is not None
    assert found.shape == (len(examples), count)
    for (query, positive), ranked, drawn in zip(examples.pairs, ranking(examples, embedded), found, strict=True):
        own = float(embedded.queries[query] @ embedded.documents[positive])
        bound = np.inf if ceiling is None else ceiling * own if own > 0 else own
        allowed = {
            document
            for document in ranked[first - 1 : first + width]
            if (query, document) not in known and float(embedded.queries[query] @ embedded.documents[document]) < bound
        }
        taken = drawn[: min(count, len(allowed))].tolist()
        assert set(taken) <= allowed
        assert len(set(taken)) == len(taken)
        assert not {(query, document) for document in drawn.tolist()} & known


def test_an_index_of_the_registry_ranks() -> None:
    """HNSW's ranking of small data is brute force's; the queries it is asked for are the distinct ones."""
    examples, embedded = world(3)
    exact, graph = (
        rank_by_index(part(kind="mined", algorithm=name, window=[1, 20]), embedded.queries, embedded.documents)
        for name in ("brute_force", "hnsw")
    )
    assert exact.shape == (QUERIES, 20)
    assert np.mean(exact == graph) > 0.95
    wanted = np.argsort(-embedded.queries @ embedded.documents.T, axis=1)[:, :20]
    assert np.array_equal(exact, wanted)
    assert len(examples) == 4 * QUERIES


@pytest.mark.parametrize("kind", ["random", "bm25", "mined"])
def test_no_negative_is_known_even_where_nearly_all_are(kind: str) -> None:
    """With 58 answers of 60, the two others are all that is drawn; with 60, anything is."""
    examples, embedded = world(0, answers=DOCUMENTS - 2)
    if kind == "bm25":
        pytest.importorskip("bm25s")
    recipe = part(kind=kind, algorithm="brute_force", count=3, window=[1, 50], from_start=True)
    found = draw_negatives(recipe, examples, lambda: embedded, seed=0, epoch=0)
    assert found is not None
    assert not examples.known().contains(examples.pairs[:, :1], found).any()
    everything, _ = world(0, answers=DOCUMENTS)
    drawn = random_negatives(everything, everything.known(), 2, np.random.default_rng(0))
    assert drawn.shape == (len(everything), 2)


def test_random_negatives_are_uniform_over_what_is_allowed() -> None:
    """Each document that may be drawn is drawn as often, to four standard deviations."""
    pairs = np.array([[0, d] for d in range(0, 20, 2)] * 400)
    examples = Examples(["q"], ["d"] * 20, pairs)
    counts = np.bincount(random_negatives(examples, examples.known(), 1, np.random.default_rng(0))[:, 0], minlength=20)
    assert set(counts[::2]) == {0}
    assert np.abs(counts[1::2] - 400).max() < 4 * 400**0.5


def test_bm25_negatives_share_words() -> None:
    """They come from the head of the ranking by words, which a query's own words decide."""
    pytest.importorskip("bm25s")
    examples, _ = world(1, answers=1)
    recipe = part(kind="bm25", count=1, window=[1, 5])
    found = draw_negatives(recipe, examples, never, seed=0, epoch=0)
    assert found is not None
    shared = [
        bool(set(examples.queries[query].split()) & set(examples.documents[document].split()))
        for (query, _), (document,) in zip(examples.pairs, found, strict=True)
    ]
    assert all(shared)


@pytest.mark.parametrize(
    ("given_parts", "epochs"),
    [
        ({"kind": "random"}, [0, 1, 2, 3, 4, 5]),
        ({"kind": "bm25", "refresh": 2}, [0, 2, 4]),
        ({"kind": "mined"}, [0, 1, 2, 3, 4, 5]),
        ({"kind": "mined", "refresh": 3}, [0, 1, 4]),
        ({"kind": "mined", "refresh": 3, "from_start": True}, [0, 3]),
    ],
)
def test_when_negatives_are_drawn_anew(given_parts: dict[str, Any], epochs: list[int]) -> None:
    """A model that isn't trained yet ranks nothing: its first ranking is the second epoch's, and refreshes count on."""
    assert [epoch for epoch in range(6) if due(part(**given_parts), epoch)] == epochs


def test_the_first_epoch_needs_no_embeddings() -> None:
    """Random documents stand in until the model has learnt something, unless it is to rank from the start."""
    examples, embedded = world(0)
    asked: list[int] = []

    def embed() -> Embedded:
        asked.append(1)
        return embedded

    mined: Callable[..., Any] = lambda epoch, **more: draw_negatives(  # noqa: E731
        part(kind="mined", algorithm="brute_force", **more), examples, embed, seed=0, epoch=epoch
    )
    mined(0)
    assert not asked
    mined(1)
    mined(0, from_start=True)
    assert len(asked) == 2


def test_draws_depend_on_seed_and_epoch_alone() -> None:
    """The same seed and epoch draw the same; another of either doesn't."""
    examples, embedded = world(0)
    recipe = part(kind="mined", algorithm="brute_force", count=2, window=[1, 40])
    draws = [
        draw_negatives(recipe, examples, lambda: embedded, seed=seed, epoch=epoch)
        for seed, epoch in [(0, 1), (0, 1), (1, 1), (0, 2)]
    ]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(draws[0], draws[3])


def test_negatives_of_the_data_are_kept() -> None:
    """Without a kind, those that come with the data are used, and none where none come."""
    examples, _ = world(0)
    assert draw_negatives(part(), examples, never, seed=0, epoch=0) is None
    given_ones = np.zeros((len(examples), 2), np.int64)
    theirs = Examples(examples.queries, examples.documents, examples.pairs, negatives=given_ones)
    assert draw_negatives(part(), theirs, never, seed=0, epoch=0) is given_ones


def test_a_positive_that_scores_below_zero() -> None:
    """0.95 of a negative cosine would lie above it: a negative must score below the positive itself."""
    examples = Examples(["q"], ["a", "b", "c"], np.array([[0, 0]]))
    documents = np.array([[-0.5, 0.75**0.5], [-0.48, (1 - 0.48**2) ** 0.5], [-0.6, 0.8]], np.float32)
    embedded = Embedded(np.array([[1, 0]], np.float32), documents)
    assert below_ceiling(0.95, examples, np.array([[1, 2]]), embedded).tolist() == [[False, True]]


def test_labelled_texts_have_no_negatives() -> None:
    """Without documents there is nothing to draw."""
    texts = Examples(["x"], (), np.array([[0, -1]]), labels=np.array([0]))
    with pytest.raises(ConfigError, match="negatives: random needs documents"):
        draw_negatives(part(kind="random"), texts, never, seed=0, epoch=0)

"""What is learnt from: read from folders, each text once, known pairs kept, and drawn into batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import toy

pytest.importorskip("torch")

from harness.core.errors import ConfigError, DatasetError
from harness.embedding.losses.registry import LOSSES
from harness.embedding.training.examples import Examples, Known, read_examples
from harness.embedding.training.sampling import batches, labelled_batches

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=30)


def told(examples: Examples) -> list[tuple[str, str]]:
    """Return pairs of texts."""
    return [(examples.queries[query], examples.documents[document]) for query, document in examples.pairs]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_judgements_are_pairs_and_equal_documents_one(tmp_path: Path) -> None:
    """A BEIR folder gives its split train; a document whose text stands there twice is one, and answers once."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(
        "".join(
            f'{{"_id": "{i}", "title": "{t}", "text": "{x}"}}\n'
            for i, t, x in [(1, "", "a"), (2, "b", "c"), (3, "", "a")]
        )
    )
    (tmp_path / "queries.jsonl").write_text('{"_id": "p", "text": "x"}\n{"_id": "q", "text": "y"}\n')
    (tmp_path / "qrels" / "train.tsv").write_text("p\t1\t1\np\t3\t2\nq\t2\t1\nq\t3\t0\n")
    found = read_examples([tmp_path])
    assert told(found) == [("x", "a"), ("y", "b c")]
    assert list(found.documents) == ["a", "b c"]


def test_lines_of_pairs(tmp_path: Path) -> None:
    """Lines name a query, one positive or more and negatives; negatives are kept where each line has as many."""
    rows = [
        {"query": "x", "positive": ["a", "b"], "negatives": ["c", "d"]},
        {"anchor": "y", "pos": "a", "neg": "x"},
    ]
    found = read_examples([toy.write_pairs(tmp_path / "lines", rows)])
    assert told(found) == [("x", "a"), ("x", "b"), ("y", "a")]
    assert found.negatives is not None
    assert [found.documents[row] for row in found.negatives[:, 0]] == ["c", "c", "x"]
    assert found.negatives.shape == (3, 1)
    assert sorted(found.documents) == ["a", "b", "c", "d", "x"]


def test_tables_of_pairs_and_labels(tmp_path: Path) -> None:
    """Pairs keep their labels, STS pairs count from four fifths of the best score on, labelled texts stand alone."""
    pairs = [{"sentence1": "x", "sentence2": "a", "label": 1}, {"sentence1": "x", "sentence2": "b", "label": 0}]
    found = read_examples([toy.write_pairs(tmp_path / "pairs", pairs)])
    assert (told(found), found.labels.tolist()) == ([("x", "a"), ("x", "b")], [1, 0])
    scores = [{"sentence1": "x", "sentence2": t, "score": s} for t, s in [("a", 5), ("b", 4), ("c", 3.9)]]
    assert told(read_examples([toy.write_pairs(tmp_path / "sts", scores)])) == [("x", "a"), ("x", "b")]
    texts = [{"text": t, "label": n} for t, n in [("x", "red"), ("y", "blue"), ("z", "red")]]
    labelled = read_examples([toy.write_pairs(tmp_path / "labels", texts)])
    assert labelled.labels.tolist() == [1, 0, 1]
    assert labelled.pairs.tolist() == [[0, -1], [1, -1], [2, -1]]


def test_folders_are_joined_by_their_texts(tmp_path: Path) -> None:
    """A text that two folders hold is one; negatives are kept only where both have some."""
    one = toy.write_pairs(tmp_path / "one", [{"query": "x", "positive": "a", "negatives": ["b"]}])
    two = toy.write_pairs(tmp_path / "two", [{"query": "y", "positive": "b"}, {"query": "x", "positive": "c"}])
    found = read_examples([one, two])
    assert told(found) == [("x", "a"), ("y", "b"), ("x", "c")]
    assert (list(found.queries), sorted(found.documents), found.negatives) == (["x", "y"], ["a", "b", "c"], None)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"query": "x", "positive": "a"}, {"query": "y", "positive": []}], r"train\.jsonl:2: 'positive'"),
        ([{"query": "x", "positive": "a"}, {"query": 3, "positive": "b"}], r"train\.jsonl:2: 'query'"),
        (
            [{"query": "x", "positive": "a"}, {"query": "x", "positive": "b", "neg": [1]}],
            r"train\.jsonl:2: 'negatives'",
        ),
        ([{"title": "x"}], "columns should be"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, rows: list[dict[str, Any]], words: str) -> None:
    """File, line and key stand in the message."""
    with pytest.raises(DatasetError, match=words):
        read_examples([toy.write_pairs(tmp_path / "wrong", rows)])


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    """The message says what could have been there."""
    with pytest.raises(DatasetError, match=r"nothing to learn from: no corpus\.jsonl, train\.jsonl"):
        read_examples([tmp_path])


# --- what is known ---------------------------------------------------------------------------------------------------


@given(known=PAIRS, queries=st.lists(st.integers(0, 5), max_size=6), documents=st.lists(st.integers(0, 7), max_size=9))
def test_known_pairs_are_found(known: Any, queries: list[int], documents: list[int]) -> None:
    """Both ways to ask give what a set of pairs gives, documents twice among those asked for included."""
    examples = Examples(["q"] * 6, ["d"] * 8, np.array(known, np.int64).reshape(-1, 2))
    asked, offered = np.array(queries, np.int64), np.array(documents, np.int64)
    wanted = [[(query, document) in set(known) for document in documents] for query in queries]
    wanted_array = np.array(wanted, bool).reshape(len(queries), len(documents))
    found = examples.known()
    assert isinstance(found, Known)
    assert np.array_equal(found.contains(asked[:, None], offered[None]), wanted_array)
    assert np.array_equal(found.table(asked, offered), wanted_array)


@given(known=PAIRS, count=st.integers(1, 30), seed=st.integers(0, 5))
def test_cut_examples_know_what_they_knew(known: Any, count: int, seed: int) -> None:
    """The first examples are some of all, in their order, and no answer is forgotten."""
    pairs = np.array(known, np.int64).reshape(-1, 2)
    whole = Examples(["q"] * 6, ["d"] * 8, pairs, negatives=np.arange(len(pairs))[:, None])
    part = whole.first(count, seed)
    assert len(part) == min(count, len(whole))
    rows = part.negatives[:, 0]
    assert np.array_equal(part.pairs, pairs[rows])
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(part.known().keys, whole.known().keys)


def test_which_examples_a_cut_keeps_is_drawn() -> None:
    """Another seed keeps others, and labelled texts that are left out aren't kept at all."""
    numbers = np.arange(50)
    labelled = Examples([str(n) for n in numbers], (), np.stack([numbers, -np.ones(50, int)], 1), labels=numbers % 3)
    one, other = labelled.first(10, 0), labelled.first(10, 1)
    assert one.queries != other.queries
    assert len(one.queries) == 10
    assert [int(text) % 3 for text in one.queries] == one.labels.tolist()


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_gets_what_it_is_made_for(loss: str) -> None:
    """Pairs with label 0 are no positives; a loss without partners gets every text; others are refused."""
    needs = LOSSES[loss].needs
    labelled_pairs = Examples(["x", "y"], ["a", "b"], np.array([[0, 0], [1, 1], [0, 1]]), labels=np.array([1, 0, 1]))
    labelled_texts = Examples(["x", "y"], (), np.array([[0, -1], [1, -1]]), labels=np.array([0, 1]))
    if "positives" in needs:
        suited = labelled_pairs.suited(needs)
        if loss == "contrastive":
            assert suited is labelled_pairs
        else:
            assert suited.pairs.tolist() == [[0, 0], [0, 1]]
            assert suited.labels is None
        with pytest.raises(ConfigError, match="learns from pairs"):
            labelled_texts.suited(needs)
    elif "labels" in needs:
        assert labelled_texts.suited(needs) is labelled_texts
        with pytest.raises(ConfigError, match="these are pairs"):
            labelled_pairs.suited(needs)
    else:
        assert list(labelled_pairs.suited(needs).queries) == ["x", "y", "a", "b"]
        assert list(labelled_texts.suited(needs).queries) == ["x", "y"]


def test_the_hash_tells_examples_apart() -> None:
    """Any text, pair, label or negative that is another gives another hash; where a text ends counts."""
    pairs = np.array([[0, 0], [1, 1]])
    base = {"queries": ["x", "y"], "documents": ["a", "b"], "pairs": pairs}
    changes: list[dict[str, Any]] = [
        {},
        {"queries": ["xy", ""]},
        {"documents": ["a", "c"]},
        {"pairs": pairs[::-1].copy()},
        {"labels": np.array([1, 0])},
        {"negatives": np.array([[1], [0]])},
        {"others": np.array([[0, 1]])},
    ]
    hashes = [Examples(**{**base, **change}).content_hash() for change in changes]
    assert len(set(hashes)) == len(changes)
    assert hashes[0] == Examples(["x", "y"], ["a", "b"], pairs.copy()).content_hash()


# --- batches ---------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 200), batch=st.integers(1, 50), epoch=st.integers(0, 3))
def test_batches_hold_each_example_once(n: int, batch: int, epoch: int) -> None:
    """All batches are whole, but for an only one; what is left over is less than one, and each epoch draws anew."""
    sizes = np.random.default_rng(0).integers(1, 100, n)
    found = batches(sizes, batch, seed=1, epoch=epoch)
    rows = np.concatenate(found)
    assert len(set(rows.tolist())) == len(rows)
    assert {len(one) for one in found} == ({batch} if n >= batch else {n})
    assert n - len(rows) < batch
    again = batches(sizes, batch, seed=1, epoch=epoch)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_batches_are_alike_in_length_and_differ_by_epoch() -> None:
    """Lengths within a batch spread less than by chance, and batches don't come in order of length."""
    sizes = np.random.default_rng(0).integers(1, 100, 3200)
    first, second = (batches(sizes, 32, seed=0, epoch=epoch) for epoch in (0, 1))
    spread = np.mean([sizes[rows].std() for rows in first])
    assert spread < 0.2 * sizes.std()
    means = np.array([sizes[rows].mean() for rows in first])
    assert 0.3 < (np.diff(means) > 0).mean() < 0.7
    assert {frozenset(rows.tolist()) for rows in first}.isdisjoint({frozenset(rows.tolist()) for rows in second})


def test_labelled_batches_are_balanced() -> None:
    """Each batch has P labels and K examples of each; a label with fewer gives some twice, others none."""
    labels = np.repeat([0, 1, 2, 3], [40, 40, 40, 3])
    for rows in labelled_batches(labels, 12, 3, seed=0, epoch=0):
        names, counts = np.unique(labels[rows], return_counts=True)
        assert (len(names), set(counts)) == (3, {4})
        common = rows[labels[rows] < 3]
        assert len(set(common.tolist())) == len(common)


@pytest.mark.parametrize(("batch", "names"), [(5, 3), (12, 5)])
def test_labelled_batches_that_can_not_be(batch: int, names: int) -> None:
    """Fewer than two examples a label, or more labels than there are, are refused."""
    with pytest.raises(ConfigError, match=f"a batch of {batch} with {names} labels"):
        labelled_batches(np.arange(40) % 4, batch, names, seed=0, epoch=0)

"""Examples that a language model writes: what they hold, that they can be resumed, and that training reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.core.errors import ConfigError
from harness.embedding.cache import EmbeddingCache
from harness.embedding.journal import Journal
from harness.embedding.language_model import load_language_model
from harness.embedding.synthesis import (
    Corpus,
    LikelihoodTeacher,
    Settings,
    choose,
    find_candidates,
    prompt_for,
    read_query,
    synthesise,
)
from harness.embedding.training.examples import Examples, read_examples

TEXTS = [
    f"{a} {b} {c}"
    for a in ("the old", "a high", "the")
    for b in ("fox", "dog", "tree", "river")
    for c in ("runs by the river", "grows high", "is old")
]
CORPUS = Corpus("corpus", [f"d{i}" for i in range(len(TEXTS))], TEXTS)
SETTINGS = Settings(passages=6, queries=3, candidates=8, negatives=2, temperature=1.5)


@pytest.fixture
def writer(gpt2):
    """Return the tiny writer."""
    return load_language_model(str(gpt2))


def make(folder, writer, encoder, settings=SETTINGS, **options):
    return synthesise(CORPUS, writer, encoder, settings, folder, cache=EmbeddingCache(None), **options)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def test_examples_hold_what_they_should(tmp_path, writer, encoder):
    """Texts are those of the ids; the positive has the highest likelihood; the query's own passage is no negative."""
    about = make(tmp_path, writer, encoder)
    lines = lines_of(tmp_path)
    assert about["queries"] == len(lines) > 5
    assert about["tries"] == 18
    assert about["moved"] == sum(line["positive_id"] != line["passage_id"] for line in lines) > 0
    assert len({line["query"] for line in lines}) == len(lines)
    text = dict(zip(CORPUS.ids, CORPUS.texts, strict=True))
    for line in lines:
        assert line["positive"] == text[line["positive_id"]]
        assert line["negatives"] == [text[one] for one in line["negative_ids"]]
        assert len(set(line["negative_ids"])) == 2
        assert not {line["positive_id"], line["passage_id"]} & set(line["negative_ids"])
        found = [line["positive"], *line["negatives"], text[line["passage_id"]]]
        scores = writer.likelihood([prompt_for(one) for one in found], line["query"])
        assert scores[0] == max(scores)
        assert scores[0] >= scores[2] >= scores[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["synthesis.json", "train.jsonl"]


def test_training_reads_the_examples(tmp_path, writer, encoder):
    """What was written is read as pairs with hard negatives."""
    make(tmp_path, writer, encoder)
    examples, lines = read_examples([tmp_path]), lines_of(tmp_path)
    assert len(examples) == len(lines)
    assert examples.negatives.shape == (len(lines), 2)
    for row, line in zip(range(len(lines)), lines, strict=True):
        query, positive = examples.pairs[row]
        assert (examples.queries[query], examples.documents[positive]) == (line["query"], line["positive"])
        assert [examples.documents[one] for one in examples.negatives[row]] == line["negatives"]


@pytest.mark.parametrize(("event", "number"), [("written", 3), ("labelled", 1), ("labelled", 4)])
def test_an_interrupted_run_goes_on_to_the_same_examples(tmp_path, writer, encoder, event, number):
    """Interrupted anywhere, and a line cut off, the rest alone is done, and the file is as if nothing had happened."""
    make(tmp_path / "whole", writer, encoder)

    def stop(now, content):
        if now == event and content["done"] == number:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "stopped", writer, encoder, listener=stop)
    assert not (tmp_path / "stopped" / "train.jsonl").exists()
    journal = tmp_path / "stopped" / ".work" / ("queries.jsonl" if event == "written" else "labels.jsonl")
    journal.write_text(journal.read_text() + '{"passage": 3, "quer')

    class Counting:
        """The writer, and how often it was asked to write or to score."""

        name, asked = writer.name, 0

        def write(self, *args, **options):
            self.asked += 1
            return writer.write(*args, **options)

        def likelihood(self, *args):
            self.asked += 1
            return writer.likelihood(*args)

    counting = Counting()
    about = make(tmp_path / "stopped", counting, encoder)
    done = number if event == "written" else 6 + number
    assert counting.asked == 6 + about["queries"] - done
    whole, stopped = (tmp_path / name / "train.jsonl" for name in ("whole", "stopped"))
    assert stopped.read_bytes() == whole.read_bytes()


def test_what_is_done_is_not_done_again(tmp_path, writer, encoder):
    """The same settings find the examples made; others make them anew, another seed with other queries."""
    events = []
    first = make(tmp_path, writer, encoder)
    assert make(tmp_path, writer, encoder, listener=lambda event, _: events.append(event)) == first
    assert events == ["known"]
    assert not (tmp_path / ".work").exists()
    before = {line["query"] for line in lines_of(tmp_path)}
    make(tmp_path, writer, encoder, Settings(**{**vars(SETTINGS), "seed": 1}))
    assert {line["query"] for line in lines_of(tmp_path)} != before


def test_a_teacher_may_label(tmp_path, writer, encoder):
    """Where there is a teacher, its scores choose positive and negatives."""

    class Longest:
        """A teacher that likes documents by their number."""

        def scores(self, queries, documents):
            return documents.astype(np.float32)

    settings = Settings(**{**vars(SETTINGS), "teacher": "longest"})
    make(tmp_path, writer, encoder, settings, make_teacher=lambda _examples: Longest())
    for line in lines_of(tmp_path):
        positive, negatives = int(line["positive_id"][1:]), [int(one[1:]) for one in line["negative_ids"]]
        assert positive > negatives[1] > negatives[0]


def test_candidates_are_the_nearest_with_the_own_passage(encoder):
    """Candidates are those that brute force finds; the query's passage takes the last place where it isn't found."""
    queries, passages = ["old fox", "river"], np.array([35, 6])
    found = find_candidates(CORPUS, queries, passages, encoder, 5, EmbeddingCache(None))
    scores = encoder.encode(queries) @ encoder.encode(TEXTS).T
    for row in range(2):
        assert passages[row] in found[row]
        assert len(set(found[row])) == 5
        nearest = np.sort(scores[row])[::-1][:4]
        assert scores[row, found[row, :4]] == pytest.approx(nearest)


def test_likelihoods_label(writer):
    """The writer as teacher scores a query after the prompt for each document."""
    examples = Examples(["the fox", "who runs"], TEXTS, np.zeros((2, 2), np.int64))
    found = LikelihoodTeacher(writer, examples).scores(np.array([1, 0]), np.array([[3, 4], [5, 3]]))
    assert found.shape == (2, 2)
    assert found[1, 1] == pytest.approx(writer.likelihood([prompt_for(TEXTS[3])], " the fox")[0])


@given(st.lists(st.floats(-9, 0, width=32), min_size=4, max_size=9), st.integers(0, 3), st.integers(1, 2))
def test_the_choice_is_the_best_and_the_worst(scores, passage, negatives):
    """The positive scores highest; negatives score lowest of all others but the query's own passage."""
    candidates = np.arange(len(scores)) + 100
    values = np.array(scores, np.float32)
    positive, chosen = choose(candidates, values, passage + 100, negatives)
    assert values[positive - 100] == values.max()
    rest = [value for one, value in enumerate(values) if one not in (positive - 100, passage)]
    assert sorted(values[one - 100] for one in chosen) == sorted(rest)[:negatives]


@pytest.mark.parametrize(
    ("answer", "query"),
    [
        ("who built the ark?", "who built the ark?"),
        ('\n  Query: "who built the ark"\nIt was Noah.', "who built the ark"),
        ("1. **Search query:** who built", "who built"),
        ("- who   built it", "who built it"),
        ("Which way does the Nile flow?", None),
        ("ark", None),
        ("", None),
        ("Noah built the ark.", None),
        ("word " * 25, None),
    ],
)
def test_queries_are_read_from_answers(answer, query):
    """Marks and quotes go; one word, a long text and a copy of the passage are no query."""
    assert read_query(answer, "In those days Noah built the ark. It was large.") == query


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passages": 0}, "passages: should be 1 or more; it is 0"),
        ({"candidates": 3, "negatives": 2}, "take 4 or more"),
        ({"temperature": -1.0}, "temperature: should be 0 or more"),
    ],
)
def test_settings_that_make_no_examples_are_refused(options, message):
    """Errors name the setting and what it should be."""
    with pytest.raises(ConfigError, match=message):
        Settings(**options)


def test_a_corpus_that_is_too_small_and_a_writer_of_nothing_are_refused(tmp_path, writer, encoder):
    """More candidates than documents, and answers of which none is a query, give one line."""
    with pytest.raises(ConfigError, match="has only 36 documents"):
        make(tmp_path, writer, encoder, Settings(candidates=37))

    class Silent:
        """A writer that has nothing to say."""

        name = "silent"

        def write(self, *_args, **_options):
            return [""]

    with pytest.raises(ConfigError, match="silent: wrote no query that could be used"):
        make(tmp_path, Silent(), encoder)


def test_a_journal_of_other_work_is_begun_anew(tmp_path):
    """Lines are kept under the same key only, and what follows a broken line is not read."""
    path = tmp_path / "journal.jsonl"
    with Journal(path, "a") as journal:
        journal.add({"n": 1})
        journal.add({"n": "\N{LEFT DOUBLE QUOTATION MARK}\N{LINE SEPARATOR}"})
    with Journal(path, "a") as journal:
        assert [line["n"] for line in journal.done] == [1, "\N{LEFT DOUBLE QUOTATION MARK}\N{LINE SEPARATOR}"]
    path.write_text(path.read_text() + '{"n": 3}\n{"n"\n{"n": 5}\n')
    with Journal(path, "a") as journal:
        assert [line["n"] for line in journal.done][2:] == [3]
    with Journal(path, "b") as journal:
        assert journal.done == []

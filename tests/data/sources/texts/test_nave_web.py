"""The retrieval task and the training pairs, made of a few verses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.data.sources.texts.jsonl import split_of
from harness.data.sources.texts.nave import Topic
from harness.data.sources.texts.nave_web import (
    MOST_ALIKE,
    choose_topics,
    is_held_out,
    judge,
    judge_heldout,
    relevant,
    write_nave_web,
    write_nave_web_heldout,
    write_verse_pairs,
)
from harness.data.sources.texts.references import Canon


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_which_topics_become_queries():
    """Too few or many verses, whole chapters and too few words are left out and counted; the same topic is merged."""
    canon = Canon([f"Gen.{chapter}.{verse}" for chapter in range(1, 5) for verse in range(1, 41)])
    good = Topic("A", "A: of what", ("Gen.1.1", "Gen.1.2"))
    given = [
        good,
        Topic("A", "A: of what", ("Gen.1.2", "Gen.1.3-Gen.1.4", "Gen.9.9")),
        Topic("B", "B: of what", ("Gen.1.1", "Gen.1.2", "Gen.9.9")),
        Topic("C", "C: of what", ("Gen.2", "Gen.1.1")),
        Topic("D", "D: of what", ("Gen.1.1-Gen.3.40",)),
        Topic("E", "E: what", ("Gen.1.1-Gen.1.3",)),
    ]
    chosen, left_out = choose_topics(given, canon)
    assert chosen == (Topic("A", "A: of what", ("Gen.1.1", "Gen.1.2", "Gen.1.3-Gen.1.4", "Gen.9.9")),)
    assert relevant(chosen[0], canon) == ("Gen.1.1", "Gen.1.2", "Gen.1.3", "Gen.1.4")
    assert left_out == {
        "fewer than 3 verses": 1,
        "names a whole chapter": 1,
        "more than 100 verses": 1,
        "fewer than 3 words": 1,
    }


def test_training_sees_no_held_out_verse_and_no_like_of_a_test_query(scripture):
    """Judgements for train are of other books, and share less than half with each query of dev and test."""
    judgements = judge(scripture)
    assert {split for split, queries in judgements.items() if queries} == {"train", "dev", "test"}
    assert any(is_held_out(verse) for verses in judgements["test"].values() for verse in verses)
    others = [set(verses) for split in ("dev", "test") for verses in judgements[split].values()]
    for verses in judgements["train"].values():
        assert not any(is_held_out(verse) for verse in verses)
        assert all(len(other & set(verses)) < MOST_ALIKE * len(other | set(verses)) for other in others)


def test_a_like_of_a_test_query_is_left_out(scripture):
    """A query for train goes when one for test lists the same verses, and stays when it lists others."""
    heads = {split_of(f"HEAD {i}", dev=0.1, test=0.1): f"HEAD {i}" for i in range(60)}
    same = ("Gen.1.1-Gen.1.3",)
    trained = Topic(heads["train"], "Train: of what", same)
    for verses, stays in ((same, False), (("Gen.1.3-Gen.1.9",), True)):
        topics = (trained, Topic(heads["test"], "Test: of what", verses))
        assert bool(judge(replace(scripture, topics=topics))["train"]) == stays


def test_held_out_task_has_held_out_books_only(scripture):
    """It judges the queries of dev and test, by verses of held-out books."""
    whole, part = judge(scripture), judge_heldout(scripture)
    assert set(part) == {"dev", "test"}
    for split, queries in part.items():
        for query, verses in queries.items():
            assert set(verses) == set(filter(is_held_out, whole[split][query]))


@pytest.mark.parametrize("write", [write_nave_web, write_nave_web_heldout])
def test_beir_layout(scripture, tmp_path, write):
    """Documents, queries and judgements refer to each other; a verse that WEB lacks is no document."""
    write(scripture, tmp_path)
    documents = {line["_id"]: line for line in read(tmp_path / "corpus.jsonl")}
    queries = {line["_id"]: line for line in read(tmp_path / "queries.jsonl")}
    assert "Gen.1.10" not in documents
    assert documents["Job.1.1"] == {"_id": "Job.1.1", "title": "", "text": "you Job 1 1"}
    judged = set()
    for path in (tmp_path / "qrels").iterdir():
        header, *rows = path.read_text().splitlines()
        assert header == "query-id\tcorpus-id\tscore"
        for query, document, score in (row.split("\t") for row in rows):
            assert score == "1"
            assert document in documents
            judged.add(query)
    assert judged == set(queries)
    assert (tmp_path / "README.md").read_text() == "# About\n"


def test_pairs(scripture, tmp_path):
    """Pairs hold both versions, held-out books apart; a verse of one version only is none."""
    write_verse_pairs(scripture, tmp_path)
    train, heldout = read(tmp_path / "train.jsonl"), read(tmp_path / "heldout.jsonl")
    assert train[0] == {"id": "Gen.1.1", "query": "thou Gen 1 1", "positive": "you Gen 1 1"}
    assert (len(train), len(heldout)) == (19, 20)
    assert not any(is_held_out(pair["id"]) for pair in train)
    assert all(is_held_out(pair["id"]) for pair in heldout)


def test_shares_of_splits():
    """Splits have about the shares asked for, and a larger test takes nothing from elsewhere into train."""
    keys = [f"key {i}" for i in range(4000)]
    splits = [split_of(key, dev=0.1, test=0.2) for key in keys]
    assert abs(splits.count("dev") - 400) < 80
    assert abs(splits.count("test") - 800) < 110
    assert {split_of(key, dev=0.0) for key in keys} == {"train"}

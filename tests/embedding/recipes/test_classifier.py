"""Classifiers by recipe: what they reach, what is compared, what is saved, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from sklearn.linear_model import LogisticRegression

from harness.core.errors import AnnbenchError, ConfigError
from harness.embedding.formats.images import read_image_classes
from harness.embedding.formats.pairs import read_pairs
from harness.embedding.models import load_model
from harness.embedding.tasks import Classification
from harness.embedding.training.classifier import Summary, draw_examples, load_classifier
from harness.report.classifiers import render_classifiers

FAST = {"epochs": 6, "batch": 16, "rate": 0.01}


def classify(train, source, **parts):
    return train(kind="classifier", data={"train": str(source)}, optimiser=FAST, **parts)


@pytest.mark.parametrize("body", ["conv", "vit"])
def test_images_are_told_apart(train, squares, body):
    """Colours are learnt, and the classifier that is loaded guesses as the figures say."""
    folder = classify(train, squares, image={"body": body, "width": 32, "depth": 2, "patch": 8})
    frozen, tuned = Summary.read(folder).outcomes
    assert (frozen.way, tuned.way) == ("frozen", "tuned")
    assert tuned.accuracy.value == tuned.macro_f1.value == 1.0
    assert frozen.learnt < tuned.learnt
    task = read_image_classes(squares)
    loaded = load_classifier(folder)
    assert loaded.predict(task.test) == task.test_labels
    assert loaded.names == ("blue", "green", "grey", "red")


def test_two_labels_of_texts_are_told_apart_as_scikit_learn_does(train, texts, bert):
    """The frozen way is a logistic regression on the tower's embeddings: its guesses are scikit-learn's."""
    folder = classify(
        train, texts, tower={"kind": "transformer", "checkpoint": str(bert)}, classifier={"ways": ["frozen"]}
    )
    task = read_pairs(texts)
    encoder = load_model(str(bert), folder.parent)
    theirs = LogisticRegression(C=10, max_iter=1000).fit(encoder.encode(task.train), task.train_labels)
    guesses = load_classifier(folder).predict(task.test)
    assert guesses == theirs.predict(encoder.encode(task.test)).tolist()
    (outcome,) = Summary.read(folder).outcomes
    assert outcome.accuracy.value == pytest.approx(np.mean(np.array(guesses) == task.test_labels))
    # The tower is untouched.
    assert load_model(str(folder), folder.parent).fingerprint == encoder.fingerprint


def test_fine_tuning_moves_the_tower_and_beats_the_probe(train, texts, bert):
    """A tower of random weights learns what its frozen embeddings don't show as well."""
    folder = classify(train, texts, tower={"kind": "transformer", "checkpoint": str(bert)})
    frozen, tuned = Summary.read(folder).outcomes
    assert tuned.accuracy.value == 1.0
    assert tuned.accuracy.value >= frozen.accuracy.value
    encoder = load_model(str(bert), folder.parent)
    assert load_model(str(folder), folder.parent).fingerprint != encoder.fingerprint


def test_the_same_seed_gives_the_same_classifier(train, squares):
    """Two runs of a recipe give the same weights; a finished one leaves no work, and is done again only if forced."""
    parts = {"image": {"width": 16, "depth": 2}}
    folder = classify(train, squares, **parts)
    first = load_classifier(folder).state_dict()
    events = []
    classify(train, squares, **parts, listener=lambda event, _: events.append(event))
    assert events == ["data", "known"]
    assert not list(folder.parent.glob(".*.run"))
    classify(train, squares, **parts, force=True)
    again = load_classifier(folder).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_table_names_both_ways(train, squares):
    """The table has a row a way, with intervals, and takes nothing in a name as markup."""
    summary = Summary.read(classify(train, squares, image={"width": 16, "depth": 2}))
    table = render_classifiers([replace(summary, task="squares|of*colour*")])
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| mine")]
    assert [row[1] for row in rows] == [r"squares\|of\*colour\*"] * 2
    assert [row[2] for row in rows] == ["frozen", "tuned"]
    assert rows[1][3] == "1.000 (1.000-1.000)"


def test_examples_are_drawn_and_counted(train, squares):
    """So many examples are learnt from as the recipe says, and all of test are judged."""
    folder = train(
        kind="classifier",
        data={"train": str(squares), "examples": 40},
        image={"width": 16, "depth": 2},
        classifier={"ways": ["frozen"]},
    )
    summary = Summary.read(folder)
    assert (summary.train, summary.test, summary.labels) == (40, 32, 4)


def test_rare_labels_are_drawn():
    """A draw has one item of each label, no item twice, and depends on the seed."""
    task = Classification("t", list(range(500)), ["rare", "rarer", *["common"] * 498], [0], ["rare"])
    found = [draw_examples(task, 20, seed) for seed in (0, 0, 1)]
    for one in found:
        assert len(set(one.train)) == 20
        assert set(one.train_labels) == {"rare", "rarer", "common"}
        assert [task.train_labels[item] for item in one.train] == one.train_labels
    assert found[0].train == found[1].train != found[2].train


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "a classifier needs a tower, for texts, or an image"),
        ({"image": {"widht": 3}}, "widht"),
        ({"image": {}, "optimiser": {"chunk": 2}}, "chunk and labels_a_batch are for losses over pairs"),
        ({"image": {}, "kind": "classifer"}, "classifer"),
        ({"tower": {"kind": "static", "tokenizer": "x", "max_length": 9}}, "max_length is for transformers"),
        ({"image": {}, "classifier": {"ways": ["thawed"]}}, "thawed"),
    ],
)
def test_recipes_that_make_no_classifier_are_refused(train, squares, parts, message):
    """Errors name the file and what is wrong."""
    with pytest.raises(ConfigError, match=rf"mine.yml: .*{message}"):
        train(**{"kind": "classifier", "data": {"train": str(squares)}, **parts})


def test_data_that_does_not_fit_is_refused(train, squares, texts, tmp_path):
    """Texts for an image tower, one label, a label that train lacks, and no labels at all are refused."""
    with pytest.raises(ConfigError, match="its tower is for images"):
        classify(train, texts, image={})
    one = tmp_path / "one"
    one.mkdir()
    for split in ("train", "test"):
        (one / f"{split}.jsonl").write_text(json.dumps({"text": "red", "label": "x"}) + "\n")
    static = {"kind": "static", "tokenizer": "none-such"}
    with pytest.raises(AnnbenchError, match="none-such"):
        classify(train, one, tower=static)
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    (pairs / "test.csv").write_text("sentence1,sentence2,score\na,b,1\n")
    with pytest.raises(ConfigError, match=r"labelled texts or images, and .*pairs holds none"):
        classify(train, pairs, tower=static)


def test_fewer_than_two_labels_are_refused(train, bert, tmp_path):
    """With one label there is nothing to tell apart."""
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"text": "red", "label": "x"}) + "\n")
    with pytest.raises(AnnbenchError, match="two labels or more apart"):
        classify(train, tmp_path, tower={"kind": "transformer", "checkpoint": str(bert)})


def test_a_folder_without_a_classifier_is_refused(bert):
    """Loading a model that is no classifier says how to make one."""
    with pytest.raises(ConfigError, match="holds no classifier"):
        load_classifier(bert)

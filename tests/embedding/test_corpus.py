"""A retrieval task as a dataset: its vectors, its true neighbours, and the judgements that are read beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from support import toy

pytest.importorskip("torch")

from harness.core.errors import ConfigError, DatasetError
from harness.data.dataset import read_dataset
from harness.data.metric import Metric
from harness.embedding.cache import EmbeddingCache
from harness.embedding.corpus import dataset_name, embed_corpus
from harness.embedding.encoder import TowerEncoder
from harness.embedding.evaluation import evaluate, hash_task
from harness.embedding.formats.beir import read_beir
from harness.embedding.judged import read_judged
from harness.embedding.measures.ranking import ndcg
from harness.embedding.tasks import Retrieval
from harness.embedding.variants import Variant

VARIANTS = ["full", "prefix-8", "pca-8", "float16", "int8", "pca-8/int8"]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Retrieval:
    """Return the task's split test."""
    return read_beir(toy.write_beir(tmp_path_factory.mktemp("corpus") / "toy"), "test")


@pytest.fixture(scope="module")
def encoder() -> TowerEncoder:
    """Return a bag of random vectors."""
    tower = toy.static_tower()
    return TowerEncoder("a bag", {"query": tower, "document": tower})


def embed(task: Retrieval, encoder: TowerEncoder, folder: Path, variant: str = "full", **options: Any) -> Path:
    """Embed without a cache."""
    return embed_corpus(task, encoder, EmbeddingCache(None), folder, variant=Variant.parse(variant), **options)


@pytest.mark.parametrize("variant", VARIANTS)
def test_vectors_and_neighbours(task: Retrieval, encoder: TowerEncoder, tmp_path: Path, variant: str) -> None:
    """Vectors are what the variant's codes stand for, and neighbours those of their cosine."""
    dataset = read_dataset(embed(task, encoder, tmp_path, variant))
    codec = Variant.parse(variant).fit(encoder.encode(task.documents))
    documents = codec.documents(encoder.encode(task.documents))
    queries = codec.queries(encoder.encode(task.queries, "query"))
    assert (dataset.metric, dataset.dimension) == (Metric.ANGULAR, documents.shape[1])
    assert np.array_equal(dataset.train, documents)
    assert np.array_equal(dataset.test, queries)
    lengths = np.linalg.norm(documents.astype(float), axis=1)
    cosines = queries.astype(float) @ documents.T.astype(float) / lengths
    found = np.take_along_axis(cosines, dataset.neighbors.astype(int), axis=1)
    assert found == pytest.approx(-np.sort(-cosines, axis=1)[:, : found.shape[1]], abs=1e-5)


def test_binary_codes(task: Retrieval, encoder: TowerEncoder, tmp_path: Path) -> None:
    """Binary embeddings are a Hamming dataset of their signs."""
    path = embed(task, encoder, tmp_path, "binary")
    dataset = read_dataset(path)
    signs = encoder.encode(task.documents) > 0
    asked = encoder.encode(task.queries, "query") > 0
    assert (dataset.metric, dataset.dimension) == (Metric.HAMMING, 16)
    assert np.array_equal(np.unpackbits(dataset.train, axis=1).astype(bool), signs)
    distances = (asked[:, None] != signs[None]).mean(axis=2)
    found = np.take_along_axis(distances, dataset.neighbors.astype(int), axis=1)
    assert found == pytest.approx(np.sort(distances, axis=1)[:, : found.shape[1]])
    judged = read_judged(path)
    assert judged is not None
    assert (judged.variant, judged.dimension) == ("binary", 16)


@pytest.mark.parametrize("variant", VARIANTS)
def test_exact_neighbours_are_worth_what_evaluation_says(
    task: Retrieval, encoder: TowerEncoder, tmp_path: Path, variant: str
) -> None:
    """The nDCG of the true neighbours is that of `evaluate` for the same variant, query by query."""
    judged = read_judged(embed(task, encoder, tmp_path, variant))
    assert judged is not None
    variants = [Variant.parse(variant)]
    record = evaluate(task, encoder, EmbeddingCache(None), variants=variants, geometry=False)[0]
    assert ndcg(judged.judgements, judged.exact, 10) == pytest.approx(np.array(record.values), abs=1e-6)
    assert 0 < record.quality.value < 1


def test_judgements_are_read_back(encoder: TowerEncoder, tmp_path: Path) -> None:
    """Queries, documents, grades and which document a query is come back, and what the vectors were made by."""
    task = read_beir(toy.write_beir(tmp_path / "asking", asks_documents=True), "test")
    path = embed(task, encoder, tmp_path, name="mine")
    judged = read_judged(path)
    assert judged is not None
    assert (path.name, judged.dataset, judged.model, judged.variant) == ("mine.hdf5", "mine", "a bag", "full")
    assert judged.sha256 == read_dataset(path).sha256
    assert list(judged.judgements.queries) == list(task.query_ids)
    assert list(judged.judgements.documents) == list(task.document_ids)
    assert [task.document_ids[own] for own in judged.own] == list(task.query_ids)
    with h5py.File(path) as file:
        assert file.attrs["task_hash"] == hash_task(task)
        assert file.attrs["fingerprint"] == encoder.fingerprint
        rows = file["judgements"][:].tolist()
    said = {(task.query_ids[q], task.document_ids[d]): grade for q, d, grade in rows}
    assert said == {(q, d): grade for q, by in task.judgements.items() for d, grade in by.items()}


def test_a_document_without_words_is_told(task: Retrieval, encoder: TowerEncoder, tmp_path: Path) -> None:
    """A text that is embedded as zeros has no direction to search in: its source is named, and no file is left."""
    empty = replace(task, documents=["", *task.documents[1:]])
    with pytest.raises(DatasetError, match="a bag"):
        embed(empty, encoder, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a/b", "../up", ".hidden", "x.hdf5", "a b", "-x"])
def test_a_name_that_can_not_be_a_file_is_refused_at_once(
    task: Retrieval, encoder: TowerEncoder, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is embedded."""
    monkeypatch.setattr(EmbeddingCache, "embed", lambda *_, **__: pytest.fail("embedded"))
    with pytest.raises(ConfigError, match="can't be that of a dataset"):
        embed(task, encoder, tmp_path, name=name)


def test_what_no_index_searches_is_refused(task: Retrieval, encoder: TowerEncoder, tmp_path: Path) -> None:
    """Rescoring is no index's, and dimensions that the model hasn't are nobody's."""
    with pytest.raises(ConfigError, match="an index can't rescore"):
        embed(task, encoder, tmp_path, "binary+rescore")
    with pytest.raises(ConfigError, match="only 16 dimensions"):
        embed(task, encoder, tmp_path, "prefix-32")


def test_names_say_what_a_dataset_is_made_of() -> None:
    """Task, model, variant, dimension and metric, in letters that a file may have."""
    assert dataset_name("nave-web", "all-MiniLM-L6-v2", Variant(), 384, Metric.ANGULAR) == (
        "nave-web-all-MiniLM-L6-v2-384-angular"
    )
    odd = dataset_name("t/dev", "../<b>'s model", Variant.parse("pca-8/binary"), 8, Metric.HAMMING)
    assert odd == "t-dev-b-s-model-pca-8-binary-8-hamming"


def test_a_dataset_without_judgements_has_none(tmp_path: Path, task: Retrieval, encoder: TowerEncoder) -> None:
    """Any other dataset isn't judged."""
    path = embed(task, encoder, tmp_path)
    with h5py.File(path, "a") as file:
        del file["judgements"]
    assert read_judged(path) is None


def drop(file: Any) -> None:
    """Lose the documents' ids."""
    del file["train_ids"]


def beyond(file: Any) -> None:
    """Judge a document that isn't there."""
    file["judgements"][0, 1] = 10_000


def silent(file: Any) -> None:
    """Lose all judgements of the first query."""
    rows = file["judgements"][:]
    del file["judgements"]
    file["judgements"] = rows[rows[:, 0] > 0]


def flat(file: Any) -> None:
    """Keep judgements in another shape."""
    del file["judgements"]
    file["judgements"] = np.arange(5)


@pytest.mark.parametrize("damage", [drop, beyond, silent, flat])
def test_judgements_that_can_not_be_read(tmp_path: Path, task: Retrieval, encoder: TowerEncoder, damage: Any) -> None:
    """One line names the file and says to embed it again."""
    path = embed(task, encoder, tmp_path)
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(DatasetError, match=r"\.hdf5: .*embed it again") as told:
        read_judged(path)
    assert "\n" not in str(told.value)

"""Image-text retrieval: figures against pytrec_eval and against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import evaluate, hash_task, own_documents
from harness.embedding.image_text import measure_image_text
from harness.embedding.measures.ranking import Judgements
from harness.embedding.tasks import ImageText
from harness.embedding.variants import Variant


def unit(rng, rows):
    vectors = rng.standard_normal((rows, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def drawn(captions=15, images=40):
    """Draw a task in which captions have several images, and embeddings of both."""
    rng = np.random.default_rng(3)
    pairs = np.unique(np.stack([rng.integers(0, captions, 60), rng.integers(0, images, 60)], 1), axis=0)
    task = ImageText("t", [f"c{i}" for i in range(captions)], np.zeros((images, 2, 2, 1), np.uint8), pairs)
    return task, unit(rng, images), unit(rng, captions)


def test_figures_are_those_of_pytrec_eval():
    """nDCG@10 is pytrec_eval's query by query, and recall@k its success@k."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    task, images, captions = drawn()
    found = measure_image_text(task, images, captions, Variant())
    for name, half, scores in (
        ("caption_to_image", task.by_caption(), captions @ images.T),
        ("image_to_caption", task.by_image(), images @ captions.T),
    ):
        judged = {query: by for query, by in half.judgements.items() if by}
        rows = dict(zip(half.query_ids, scores, strict=True))
        run = {query: dict(zip(half.document_ids, map(float, rows[query]), strict=True)) for query in judged}
        theirs = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "success.1,5,10"}).evaluate(run)
        order = list(judged)
        assert found[f"{name}_ndcg@10"] == pytest.approx([theirs[q]["ndcg_cut_10"] for q in order], abs=1e-6)
        for k in (1, 5, 10):
            assert found[f"{name}_recall@{k}"].tolist() == [theirs[q][f"success_{k}"] for q in order]


@pytest.mark.parametrize("way", ["by_caption", "by_image"])
def test_no_query_is_one_of_the_documents(way):
    """A caption and an image of one number are different things: neither is left out as the query's own document."""
    half = getattr(drawn()[0], way)()
    assert own_documents(half, Judgements.build(half.judgements, half.document_ids)) is None


class Known:
    """An encoder that knows the embeddings of both sides."""

    name, dimension, parameter_count, fingerprint, minutes = "known", 6, 0, "known", None

    def __init__(self, images, captions):
        self.of = {"document": images, "query": captions}

    def encode(self, items, role="document", *, progress=None):
        """Return what is known of the role."""
        assert len(items) == len(self.of[role])
        return self.of[role]


def test_a_record_has_both_directions():
    """An evaluation gives figures with intervals for both directions; perfect embeddings find all."""
    rng = np.random.default_rng(0)
    vectors = unit(rng, 20)
    pairs = np.stack([np.arange(20)] * 2, axis=1)
    task = ImageText("t", [f"c{i}" for i in range(20)], np.zeros((20, 2, 2, 1), np.uint8), pairs)
    (record,) = evaluate(task, Known(vectors, vectors), EmbeddingCache(None), geometry=False)
    assert record.kind == "image-text"
    assert record.quality.value == 1.0
    assert set(record.figures) == {
        f"{way}_{figure}"
        for way in ("caption_to_image", "image_to_caption")
        for figure in ("recall@1", "recall@5", "recall@10", "ndcg@10")
    }
    (other,) = evaluate(task, Known(vectors, unit(rng, 20)), EmbeddingCache(None), geometry=False)
    assert other.quality.low <= other.quality.value <= other.quality.high < 1


def test_the_hash_of_a_task_sees_its_pixels():
    """Tasks that differ in a pixel have different hashes; equal ones, as arrays or lists, the same."""
    task, _, _ = drawn()
    before = hash_task(task)
    assert before == hash_task(drawn()[0])
    task.images[3, 1, 1, 0] = 1
    assert hash_task(task) != before

"""One step: each loss trains, chunks change nothing, and what is known to be an answer is no negative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import toy

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.core.errors import AnnbenchError  # noqa: E402
from harness.embedding.cache import EmbeddingCache  # noqa: E402
from harness.embedding.evaluation import evaluate  # noqa: E402
from harness.embedding.formats.beir import read_beir  # noqa: E402
from harness.embedding.losses.registry import LOSSES  # noqa: E402
from harness.embedding.models import load_model  # noqa: E402
from harness.embedding.training.examples import Examples  # noqa: E402
from harness.embedding.variants import Variant  # noqa: E402

BERT = {"kind": "transformer", "checkpoint": "toy-bert"}
EXACT = {"kind": "mined", "from_start": True, "algorithm": "brute_force"}
STATIC = {"kind": "static", "tokenizer": "toy-static", "dimension": 16}

FITTING: dict[str, dict[str, Any]] = {
    "contrastive": {"negatives": {"kind": "random"}},
    "triplet": {"negatives": {"kind": "random", "count": 2}},
    "info_nce": {"negatives": {"kind": "random"}},
    "siglip": {},
    "batch_all": {"data": {"train": "labelled"}},
    "semi_hard": {"data": {"train": "labelled"}},
    "batch_hard": {"data": {"train": "labelled"}},
    "sup_con": {"data": {"train": "labelled"}},
    "margin_mse": {"negatives": {"kind": "random"}, "teacher": {"model": "toy-bert"}},
    "list_kl": {"negatives": {"kind": "random", "count": 3}, "teacher": {"model": "toy-bert"}},
    "embedding_mse": {"teacher": {"model": "toy-bert"}},
    "embedding_cosine": {"teacher": {"model": "toy-bert"}},
}


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains(world: Any, name: str) -> None:
    """With the examples, negatives or teacher that it needs, each loss falls over a few epochs."""
    epochs = 8
    world.train(toy.recipe(**{**FITTING[name], "loss": {"name": name}, "optimiser": {"epochs": epochs}}))
    losses = np.array([content["loss"] for content in world.said("step")]).reshape(epochs, -1).mean(axis=1)
    assert losses[-1] < 0.9 * losses[0]


def test_matryoshka_trains_prefixes(worlds: Any) -> None:
    """A loss over prefixes makes the first 2 of 16 dimensions far better than the loss over all does."""
    task = read_beir(worlds("data").data / "toy", "test")
    found = []
    for dims in ([16], [2, 16]):
        world = worlds(str(dims))
        folder = world.train(toy.recipe(loss={"name": "info_nce", "matryoshka": dims}, optimiser={"epochs": 10}))
        variants = [Variant(), Variant.parse("prefix-2")]
        records = evaluate(
            task, load_model(str(folder), folder), EmbeddingCache(None), variants=variants, geometry=False
        )
        found.append([record.quality.value for record in records])
    (_, without), (full, prefix) = found
    assert prefix > without + 0.2
    assert full > 0.9


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(
    "loss",
    [
        {"name": "info_nce", "learn": ["temperature"], "settings": {"symmetric": True}},
        {"name": "triplet", "settings": {"distance": "euclidean"}},
        {"name": "contrastive"},
        {"name": "info_nce", "matryoshka": [4, 16]},
    ],
    ids=["learnt temperature", "triplet", "contrastive", "matryoshka"],
)
def test_chunks_give_the_plain_steps_gradient(trainer: Any, loss: dict[str, Any], asymmetric: bool) -> None:
    """By GradCache, a step has the loss and the gradient of a plain one, to 1e-5, scalars of the loss included."""
    found = []
    for chunk in (None, 5):
        recipe = toy.recipe(
            tower=BERT,
            loss=loss,
            asymmetric=asymmetric,
            negatives={"kind": "random", "count": 2},
            optimiser={"chunk": chunk, "clip": 1e6},
        )
        made = trainer(recipe)
        made._begin_epoch(0)
        value = made._step(made._batches(0)[0])
        learning = {**dict(made.model.named_parameters()), **made._scalars}
        found.append((value, {name: weight.grad for name, weight in learning.items() if weight.grad is not None}))
    (plain, gradients), (chunked, others) = found
    assert chunked == pytest.approx(plain, abs=1e-5)
    assert gradients.keys() == others.keys()
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-2
    assert all(torch.allclose(gradients[name], others[name], atol=1e-5) for name in gradients)


def test_a_padded_batch_embeds_as_each_text_alone(trainer: Any) -> None:
    """Texts of a batch are embedded in parts of like length, and come back in their order, with their gradients."""
    made = trainer(toy.recipe(tower=BERT))
    tower = made.model.query
    tower.budget = 12  # so that a batch has many parts
    texts = ["d0a", "d1a d1b d1c d1d d1a d1b", "q0a q0b", "d2a d2b d2c", "q1a", "q1b q1c q1d q0d"]
    prepared = tower.prepare(texts)
    together = made.model.embed(prepared, "query")
    alone = torch.cat([made.model.embed([one], "query") for one in prepared])
    assert len(tower.pieces(prepared)) > 2
    assert torch.allclose(together, alone, atol=1e-6)
    goal = torch.randn(together.shape, generator=torch.Generator().manual_seed(0))
    gradients = []
    for embedded in (together, alone):
        made.model.zero_grad()
        (embedded * goal).sum().backward()
        gradients.append(tower.model.embeddings.word_embeddings.weight.grad.clone())
    assert torch.allclose(*gradients, atol=1e-6)


def test_known_positives_and_duplicates_are_no_negatives(trainer: Any) -> None:
    """The mask is true exactly where a candidate is known to answer the query, or is its positive again."""
    #  query 0 answers 0 and 1, query 1 answers 1, query 2 answers 2
    pairs = np.array([[0, 0], [0, 1], [1, 1], [2, 2], [1, 0]])
    examples = Examples(["q0a", "q1a", "q2a"], ["d0a", "d1a", "d2a", "d3a"], pairs)
    made = trainer(toy.recipe(data={"dev": None}, optimiser={"batch": 3}), examples.first(4, 4))
    learnt = made.examples.pairs.tolist()
    assert [1, 0] in [*learnt, *made.examples.others.tolist()]
    rows = np.array([learnt.index([0, 0]), learnt.index([2, 2])])
    made._negatives = np.array([[3]] * 4)
    made._negatives[rows] = [[1], [0]]
    #  candidates: documents 0, 2, then the negatives 1 and 0; query 0 knows 0 and 1, query 2 only 2
    assert made._false_negatives(rows).tolist() == [[True, False, True, True], [False, True, False, False]]


def test_masking_changes_the_loss(trainer: Any) -> None:
    """Two pairs of one query don't push each other's documents away: their loss is 0, where nothing else is left."""
    examples = Examples(["q0a"], ["d0a", "d0b"], np.array([[0, 0], [0, 1]]))
    made = trainer(toy.recipe(data={"dev": None}, optimiser={"batch": 2}), examples)
    assert made._step(np.array([0, 1])) == pytest.approx(0, abs=1e-6)
    others = Examples(["q0a", "q1a"], ["d0a", "d0b"], np.array([[0, 0], [1, 1]]))
    assert trainer(toy.recipe(data={"dev": None}), others)._step(np.array([0, 1])) > 0.01


def test_gradients_are_clipped(trainer: Any) -> None:
    """Their norm over all weights and scalars together is at most the recipe's."""
    loss = {"name": "info_nce", "learn": ["temperature"]}
    norms = []
    for clip in (1e6, 0.01):
        made = trainer(toy.recipe(loss=loss, optimiser={"clip": clip}))
        made._step(made._batches(0)[0])
        learning = [*made.model.parameters(), *made._scalars.values()]
        norms.append(sum(float(weight.grad.square().sum()) for weight in learning) ** 0.5)
    assert norms[0] > 0.02
    assert norms[1] == pytest.approx(0.01, rel=1e-3)


def test_a_learnt_temperature_stays_within_its_bounds(trainer: Any) -> None:
    """However high the rate, similarities are never multiplied by more than 100."""
    loss = {"name": "info_nce", "learn": ["temperature"]}
    made = trainer(toy.recipe(loss=loss, optimiser={"rate": 5.0}))
    for rows in made._batches(0)[:4]:
        made._step(rows)
        assert 0 <= float(made._scalars["temperature"].detach()) <= np.log(100) + 1e-6


def test_a_loss_that_is_not_finite_ends_the_run(trainer: Any) -> None:
    """One line names the recipe and the step, before any weight is spoilt."""
    made = trainer(toy.recipe())
    with torch.no_grad():
        made.model.query.embedding.weight[:] = float("nan")
    with pytest.raises(AnnbenchError, match="toy-model: the loss is nan at step 0; use a lower rate"):
        made._step(np.arange(4))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"loss": {"name": "triplet"}}, "negatives missing"),
        ({"loss": {"name": "contrastive"}}, "add a part `negatives`"),
        ({"tower": {**BERT, "max_length": 16}, "loss": {"matryoshka": [8, 32]}}, "than the tower's 16"),
        ({"data": {"train": "labelled"}}, "learns from pairs"),
        ({"data": {"train": "labelled"}, "loss": {"name": "sup_con"}, "optimiser": {"batch": 9, "labels_a_batch": 8}},
         "a batch of 9 with 8 labels"),
        ({"loss": {"name": "sup_con"}}, "learns from labelled texts"),
        ({"data": {"train": ["labelled", "toy"]}}, "can't be joined"),
        ({"data": {"dev": "labelled"}}, "no task is recognised"),
        ({"data": {"dev_split": "later"}}, "no judgements for the split 'later'"),
        ({"tower": {**BERT, "checkpoint": "toy-static"}}, "is no transformer"),
        ({"tower": {**STATIC, "tokenizer": "toy"}}, "holds no model"),
        ({"negatives": {"kind": "mined", "algorithm": "hnws", "from_start": True}}, "did you mean hnsw"),
        ({"negatives": {"kind": "mined", "from_start": True, "build": {"m": 3}}}, "hnsw: .*'m'"),
        ({"negatives": {**EXACT, "search": {"efs": 3}}}, "brute_force has no search parameters; got efs"),
        ({"negatives": {"kind": "mined", "from_start": True, "build": {"M": 0}}}, "M"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("labels")
def test_what_does_not_fit_is_told_in_one_line(world: Any, parts: dict[str, Any], words: str) -> None:
    """Data, models and settings that a recipe can't know of before it runs are named when it does."""
    with pytest.raises(AnnbenchError, match=words) as told:
        world.train(toy.recipe(**parts))
    assert "\n" not in str(told.value)
    assert not (world.results / "models" / "toy-model").exists()

"""What a run learns: the loss falls, nDCG on dev rises, the best model is what is kept, and others read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import toy

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.core.errors import StoreError  # noqa: E402
from harness.embedding.cache import EmbeddingCache  # noqa: E402
from harness.embedding.curve import CURVE, Step, read_curve, write_curve  # noqa: E402
from harness.embedding.evaluation import evaluate  # noqa: E402
from harness.embedding.formats.beir import read_beir  # noqa: E402
from harness.embedding.models import load_model  # noqa: E402
from harness.embedding.training import dual_encoder  # noqa: E402
from harness.embedding.training.build import build  # noqa: E402
from harness.embedding.training.examples import read_examples  # noqa: E402
from harness.embedding.training.judge import Judge  # noqa: E402
from harness.embedding.training.loop import Trainer  # noqa: E402

BERT = {"kind": "transformer", "checkpoint": "toy-bert"}
STATIC = {"kind": "static", "tokenizer": "toy-static", "dimension": 16}


def manifest(folder: Path) -> dict[str, Any]:
    """Return what a run wrote last."""
    content: dict[str, Any] = json.loads((folder / "dual_encoder.json").read_text())
    return content


@pytest.mark.parametrize(("tower", "rate", "least"), [(STATIC, 0.02, 0.95), (BERT, 0.003, 0.6)])
def test_a_model_learns(world: Any, tower: dict[str, Any], rate: float, least: float) -> None:
    """The loss falls to less than half, and queries of dev and test find documents with which they share no word."""
    recipe = toy.recipe(tower=tower, optimiser={"rate": rate, "epochs": 6})
    untrained = world.train(toy.recipe(name="untrained", tower=tower, optimiser={"epochs": 0}))
    folder = world.train(recipe)
    losses = [content["loss"] for content in world.said("step")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) / 2
    task = read_beir(world.data / "toy", "test")
    found = [
        evaluate(task, load_model(str(one), one.parent), EmbeddingCache(None), geometry=False)[0].quality.value
        for one in (untrained, folder)
    ]
    assert found[0] < 0.4
    assert found[1] > least


def test_the_best_model_is_kept_not_the_last(world: Any) -> None:
    """What is saved has the weights of the step that was best on dev, and evaluates to that figure."""
    wrong = [
        {"query": f"q{t}{x}", "positive": f"d{(t + 1) % 10}{y}"} for t in range(10) for x in "abcd" for y in "abcd"
    ]
    toy.write_pairs(world.data / "wrong", wrong)  # so that it gets worse from some step on
    recipe = toy.recipe(data={"train": "wrong"}, optimiser={"rate": 0.05, "epochs": 2}, evaluate_every=1)
    folder = world.train(recipe)
    said = manifest(folder)
    history = {entry["step"]: entry["ndcg@10"] for entry in said["history"]}
    assert len(history) == len(said["history"])
    assert said["best_dev"] == max(history.values()) > history[max(history)]
    assert history[said["best_step"]] == said["best_dev"]
    record = evaluate(
        read_beir(world.data / "toy", "dev"), load_model(str(folder), folder), EmbeddingCache(None), geometry=False
    )[0]
    assert record.quality.value == pytest.approx(said["best_dev"], abs=1e-6)


def test_the_curve_of_a_run_is_kept_beside_its_model(world: Any) -> None:
    """It holds the loss of every step and what was found on dev, as the run told them."""
    folder = world.train(toy.recipe(optimiser={"epochs": 2}, evaluate_every=3))
    curve = read_curve(folder)
    assert curve is not None
    told = [(content["step"], content["loss"]) for content in world.said("step")]
    assert [step for step, _ in curve.losses] == [step for step, _ in told]
    assert [loss for _, loss in curve.losses] == pytest.approx([loss for _, loss in told], abs=1e-6)
    assert curve.dev == [(content["step"], content["ndcg@10"]) for content in world.said("dev")]


def test_a_long_curve_is_of_means(tmp_path: Path) -> None:
    """Beyond a thousand points a line stands for several steps, all of which are in its mean."""
    write_curve(tmp_path, [Step(0.1, float(step)) for step in range(1, 2502)], first=11)
    curve = read_curve(tmp_path)
    assert curve is not None
    assert (curve.losses[0], curve.losses[-1]) == ((13, 2.0), (2511, 2500.5))
    assert read_curve(tmp_path / "no such model") is None
    (tmp_path / CURVE).write_text("{cut", encoding="utf-8")
    with pytest.raises(StoreError, match="train the model again"):
        read_curve(tmp_path)


def test_without_dev_the_last_model_is_kept(world: Any) -> None:
    """Nothing is judged then, and the manifest says so."""
    said = manifest(world.train(toy.recipe(data={"dev": None})))
    assert (said["best_dev"], said["history"]) == (None, [])
    assert said["best_step"] == said["steps"] == world.said("start")[0]["steps"]


def test_the_manifest_says_what_was_trained(world: Any) -> None:
    """Recipe, data, steps, what was learnt beside the weights, and versions stand in it."""
    recipe = toy.recipe(loss={"name": "info_nce", "learn": ["temperature"]})
    said = manifest(world.train(recipe))
    assert said["recipe"] == recipe.model_dump(mode="json")
    examples = read_examples([world.data / "toy"])
    assert (said["data"], said["examples"]) == (examples.content_hash(), len(examples))
    assert said["towers"] == 1
    assert said["learnt"]["temperature"] != pytest.approx(np.log(1 / 0.07), abs=1e-3)
    assert said["minutes"] > 0
    assert said["versions"]["torch"] == torch.__version__


def test_the_manifest_is_written_last(materials: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """When it is written, the rest of the folder is there; where it fails, no folder appears."""
    monkeypatch.chdir(materials)
    model = build(toy.recipe(), tmp_path, None)
    write, seen = dual_encoder.write_text, []

    def watch(path: Path, text: str) -> None:
        seen.append(sorted(file.name for file in path.parent.iterdir()))
        if not text:
            raise OSError("no")
        write(path, text)

    monkeypatch.setattr(dual_encoder, "write_text", watch)
    dual_encoder.save_dual_encoder(model, tmp_path / "model", {})
    assert {"model.safetensors", "modules.json", "tokenizer.json"} <= set(seen[0])
    assert set(seen[0]) | {"dual_encoder.json"} == {file.name for file in (tmp_path / "model").iterdir()}
    monkeypatch.setattr(dual_encoder.json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dual_encoder.save_dual_encoder(model, tmp_path / "other", {})
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "parts",
    [
        {"tower": STATIC},
        {
            "tower": {**BERT, "projection": 8, "pooling": "cls", "prompts": {"query": "qa0 "}},
            "optimiser": {"rate": 3e-3},
        },
        {"tower": {**BERT, "projection": 8}, "adapt": {"kind": "lora", "rank": 2}, "optimiser": {"rate": 3e-3}},
    ],
    ids=["static", "transformer", "LoRA"],
)
def test_a_saved_model_embeds_as_the_trained_one(world: Any, parts: dict[str, Any], monkeypatch: Any) -> None:
    """`load_model` and sentence-transformers embed with the folder what the model in memory embeds."""
    trained = []
    run = Trainer.run

    def watched(self: Trainer) -> dict[str, Any]:
        trained.append(self.model)
        return run(self)

    monkeypatch.setattr(Trainer, "run", watched)
    folder = world.train(toy.recipe(**{**parts, "data": {"dev": None}}))
    texts = ["d0a d1b", "q3c", "d2a d2b d2c d2d"]
    wanted = trained[0].encoder("it").encode(texts, "query")
    loaded = load_model("toy-model", world.results / "models")
    assert loaded.encode(texts, "query") == pytest.approx(wanted, abs=1e-5)
    sentence_transformers = pytest.importorskip("sentence_transformers")
    theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert theirs.encode_query(texts) == pytest.approx(wanted, abs=1e-5)


def test_two_towers_are_saved_and_loaded_apart(world: Any) -> None:
    """Queries and documents have a tower each, which start alike and end different."""
    recipe = toy.recipe(tower={**STATIC, "dimension": 8}, asymmetric=True)
    folder = world.train(recipe)
    assert manifest(folder)["towers"] == 2
    loaded = load_model("toy-model", world.results / "models")
    assert loaded.towers["query"] is not loaded.towers["document"]
    words = ["d0a d1b", "q1c"]
    assert not np.allclose(loaded.encode(words, "query"), loaded.encode(words, "document"), atol=0.1)
    untrained = world.train(toy.recipe(name="start", tower=recipe.tower, asymmetric=True, optimiser={"epochs": 0}))
    start = load_model(str(untrained), untrained)
    assert np.array_equal(start.encode(words, "query"), start.encode(words, "document"))


def test_a_collapsing_run_raises_the_alarm(world: Any) -> None:
    """Only pairs that should be alike draw all together; the alarm says so, and doesn't for a run that learns."""
    toy.write_pairs(
        world.data / "alike",
        [
            {"sentence1": f"q{t}a q{t}b", "sentence2": f"d{(t + 1) % 10}{x}", "label": 1}
            for t in range(10)
            for x in "abcd"
        ],
    )
    recipe = toy.recipe(
        name="falling",
        data={"train": "alike"},
        tower=BERT,
        loss={"name": "contrastive"},
        optimiser={"rate": 0.01, "epochs": 12, "batch": 10},
    )
    world.train(recipe)
    last = world.said("dev")[-1]
    assert last["collapsed"] == 1
    assert last["mean_cosine"] > 0.9
    world.train(toy.recipe())
    assert world.said("dev")[-1]["collapsed"] == 0


def test_dev_is_judged_as_evaluation_does(materials: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The nDCG of a judge is that of `evaluate`, where queries are documents themselves, too."""
    monkeypatch.chdir(materials)
    task = read_beir(toy.write_beir(tmp_path / "asking", asks_documents=True), "test")
    model = build(toy.recipe(), tmp_path, None)
    judged = Judge(task, model).judge(model)
    record = evaluate(task, model.encoder("it"), EmbeddingCache(None), geometry=False)[0]
    assert judged["ndcg@10"] == pytest.approx(record.quality.value, abs=1e-9)
    assert 0.05 < judged["ndcg@10"] < 0.95

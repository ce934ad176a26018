"""Pre-training on texts, and fine-tuning from what it gave: masked tokens, SimCSE, two stages."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers as hf

from harness.core.errors import ConfigError
from harness.embedding.layout import load_tower
from harness.embedding.models import load_model, manifest
from harness.embedding.training.dual_encoder import DualEncoder
from harness.embedding.training.examples import read_texts
from harness.embedding.training.objectives import MaskedTokens
from harness.embedding.training.recipe import find_recipes, recipe_names, recipe_sets

CONFIG = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
CONFIG |= {"intermediate_size": 32, "max_position_embeddings": 32}
COLOURS = ("red", "green", "blue", "grey")


def tower(bert, **more):
    return {"kind": "transformer", "tokenizer": str(bert), "config": {**CONFIG, **more}}


@pytest.fixture
def verses(tmp_path):
    """Return a folder of pairs, in which every text says a colour twice, so that a masked one can be guessed."""
    folder = tmp_path / "verses"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(128):
        colour = COLOURS[rng.integers(4)]
        query, positive = f"{colour} {colour} {colour}", f"the square is {colour} {colour} {colour}"
        lines.append(json.dumps({"query": query, "positive": positive}) + "\n")
    (folder / "train.jsonl").write_text("".join(lines))
    return folder


def test_a_transformer_is_made_of_its_configuration(train, verses, bert):
    """The tower has the configuration's layers, random weights by seed, and the tokens of the model that is named."""
    parts = {"data": {"train": str(verses)}, "optimiser": {"batch": 16, "rate": 1e-9}}
    folder = train("made", tower=tower(bert, num_hidden_layers=3), **parts)
    made = load_tower(folder)
    assert made.model.config.num_hidden_layers == 3
    assert made.tokenizer.get_vocab() == load_tower(bert).tokenizer.get_vocab()
    again, other = (
        train(f"seed-{seed}", tower=tower(bert, num_hidden_layers=3), seed=seed, **parts) for seed in (0, 1)
    )
    fingerprints = [load_tower(one).fingerprint() for one in (folder, again, other)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_masked_tokens_are_guessed(train, verses, bert):
    """The loss falls below what guessing by frequency gives, and what is saved is a plain tower."""
    losses = []
    folder = train(
        data={"train": str(verses)},
        tower=tower(bert, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        objective={"kind": "mlm", "masked": 0.15},
        optimiser={"epochs": 200, "batch": 8, "rate": 0.01},
        listener=lambda event, content: losses.append(content["loss"]) if event == "step" else None,
    )
    assert losses[0] > 2.0
    # Of the 36 words of the distinct texts 6 are each colour, and 4 each other word.
    by_frequency = 4 * np.log(6) / 6 + 3 * np.log(9) / 9
    assert np.mean(losses[-50:]) < 0.7 * by_frequency
    # The weights of the head aren't saved.
    assert {name.partition(".")[0] for name in load_tower(folder).state_dict()} == {"model"}


def masked(bert, share=0.3):
    made = load_tower(bert)
    return made, MaskedTokens(made, share)


def test_masks_are_drawn_as_bert_does(bert):
    """Of the share drawn 80% are masked, 10% any token, 10% as they are; special tokens and padding never."""
    torch.manual_seed(0)
    made, objective = masked(bert)
    ids = torch.randint(5, objective.vocabulary, (400, 60))
    ids[:, 0], ids[:, 50] = 2, 3
    mask = torch.ones_like(ids)
    ids[:, 51:], mask[:, 51:] = 0, 0
    replaced, drawn = objective.draw(ids, mask)
    assert not drawn[:, [0, 50]].any()
    assert not drawn[:, 51:].any()
    assert torch.equal(replaced[~drawn], ids[~drawn])
    assert drawn[:, 1:50].float().mean().item() == pytest.approx(0.3, abs=0.02)
    became, was = replaced[drawn], ids[drawn]
    assert (became == made.tokenizer.mask_token_id).float().mean().item() == pytest.approx(0.8, abs=0.03)
    # A token that is drawn anew may come out as it was.
    kept = 0.1 + 0.1 / objective.vocabulary
    assert (became == was).float().mean().item() == pytest.approx(kept, abs=0.02)


def test_the_loss_is_that_of_transformers_with_the_same_weights(bert):
    """A BertForMaskedLM with the weights of tower and head gives the same loss on the same masks."""
    torch.manual_seed(0)
    made, objective = masked(bert)
    theirs = hf.BertForMaskedLM(made.model.config).eval()
    theirs.bert.load_state_dict(made.model.state_dict(), strict=False)
    head = theirs.cls.predictions
    head.transform.dense.load_state_dict(objective.layer[0].state_dict())
    head.transform.LayerNorm.load_state_dict(objective.layer[2].state_dict())
    head.transform.LayerNorm.eps = objective.layer[2].eps
    torch.nn.init.normal_(objective.bias)
    head.bias.data.copy_(objective.bias)
    head.decoder.bias = head.bias
    prepared = made.prepare(["the red square is seen", "a dark colour", "blue green grey red"])
    state = torch.get_rng_state()
    ours = objective(DualEncoder(made, made), [prepared], None)
    torch.set_rng_state(state)
    inputs = made.collate(prepared)
    replaced, drawn = objective.draw(inputs["input_ids"], inputs["attention_mask"])
    assert drawn.any()
    labels = torch.where(drawn, inputs["input_ids"], -100)
    expected = theirs(input_ids=replaced, attention_mask=inputs["attention_mask"], labels=labels).loss
    assert ours.item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_batch_without_a_drawn_token_has_the_loss_0(bert):
    """Where chance draws nothing the step changes nothing, and isn't nan."""
    made, objective = masked(bert, share=1e-9)
    loss = objective(DualEncoder(made, made), [made.prepare(["red", "green"])], None)
    loss.backward()
    assert loss.item() == 0.0


def test_simcse_tells_texts_apart(train, verses, bert):
    """Every text of either side is its own partner, once, and its two embeddings differ by dropout alone."""
    losses = []
    folder = train(
        data={"train": str(verses)},
        tower=tower(bert, hidden_dropout_prob=0.2),
        objective="simcse",
        optimiser={"epochs": 20, "batch": 8, "rate": 0.005},
        listener=lambda event, content: losses.append(content["loss"]) if event == "step" else None,
    )
    assert manifest(folder)["examples"] == 8  # four queries, four positives
    # Without dropout both embeddings are one, and the loss of distinct texts is small from the start.
    assert losses[-1] < losses[0]
    vectors = load_model(str(folder), folder.parent).encode([f"{colour} {colour} {colour}" for colour in COLOURS])
    assert (vectors @ vectors.T - 2 * np.eye(4)).max() < 0.9


def test_the_second_stage_starts_where_the_first_ended(train, verses, bert):
    """Fine-tuning takes the first stage's weights by name, and is done again after another first stage."""
    data, short = {"train": str(verses)}, {"epochs": 1, "batch": 8, "rate": 0.001}
    first = train("first", data=data, tower=tower(bert), objective="mlm", optimiser=short)
    second = {"data": data, "tower": {"kind": "transformer", "checkpoint": "first"}}
    still = train("still", optimiser={**short, "rate": 1e-12}, **second)
    assert np.allclose(
        load_model("still", first.parent).encode(["a red square"]),
        load_model("first", first.parent).encode(["a red square"]),
        atol=1e-4,
    )
    events = []
    train("still", optimiser={**short, "rate": 1e-12}, listener=lambda event, _: events.append(event), **second)
    assert events[-1] == "known"
    train("first", data=data, tower=tower(bert), objective="mlm", optimiser={**short, "rate": 0.01})
    train("still", optimiser={**short, "rate": 1e-12}, listener=lambda event, _: events.append(event), **second)
    assert events[-1] == "done"
    assert still.is_dir()


def test_an_interrupted_first_stage_goes_on_to_the_same_weights(train, verses, bert):
    """Masks are drawn from the generator that checkpoints keep."""
    parts = {"data": {"train": str(verses)}, "tower": tower(bert), "objective": {"kind": "mlm", "masked": 0.3}}
    parts |= {"optimiser": {"epochs": 4, "batch": 4, "rate": 0.01}, "save_every": 1}

    def stop(event, content):
        if event == "step" and content["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("stopped", listener=stop, **parts)
    stopped, whole = train("stopped", **parts), train("whole", **parts)
    assert load_tower(stopped).fingerprint() == load_tower(whole).fingerprint()


def test_texts_of_a_corpus_are_its_documents(tmp_path):
    """Of a BEIR folder pre-training reads the documents, each once, and no query, whatever judgements there are."""
    (tmp_path / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": str(i), "text": text}) + "\n" for i, text in enumerate(["x", "y", "x"]))
    )
    examples = read_texts([tmp_path])
    assert (examples.queries, len(examples), list(examples.documents)) == (["x", "y"], 2, [])
    twice = examples.twice()
    assert (twice.queries, twice.documents, twice.pairs.tolist()) == (["x", "y"], ["x", "y"], [[0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"tower": {"kind": "transformer"}}, "a checkpoint, a model by name or folder, or else a config"),
        ({"tower": {"kind": "transformer", "config": CONFIG}}, "needs a tokenizer"),
        ({"tower": {"kind": "transformer", "tokenizer": "x", "config": {}}}, "config needs a model_type"),
        ({"objective": "mlm", "asymmetric": True}, "mlm trains one tower by itself"),
        ({"objective": "mlm", "loss": {"learn": ["temperature"]}}, "mlm looks at tokens"),
        ({"objective": "mlm", "adapt": {"kind": "head"}}, "mlm looks at tokens"),
        ({"tower": {"kind": "static", "tokenizer": "x", "config": CONFIG}}, "config is for transformers"),
        ({"objective": "simcse", "loss": {"name": "sup_con"}}, "use info_nce, and no negatives"),
        ({"objective": "simcse", "negatives": {"kind": "random"}}, "use info_nce, and no negatives"),
        ({"objective": "coca"}, "add a part image"),
        ({"objective": {"kind": "mlm", "masked": 1.0}}, "masked"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(train, verses, bert, parts, message):
    """Errors name the file and what doesn't fit."""
    with pytest.raises(ConfigError, match=rf"mine.yml: .*{message}"):
        train(**{"data": {"train": str(verses)}, "tower": tower(bert), **parts})


def test_models_without_a_mask_or_of_no_known_type_are_refused(train, verses, bert, tmp_path):
    """A decoder's tokenizer has no mask; a type of model that transformers doesn't know is named."""
    decoder = tmp_path / "decoder"
    tokenizer = hf.AutoTokenizer.from_pretrained(bert)
    tokenizer.mask_token = None
    load_tower(bert).model.save_pretrained(decoder)
    tokenizer.save_pretrained(decoder)
    with pytest.raises(ConfigError, match="the tokenizer has no mask"):
        train(
            data={"train": str(verses)},
            tower={"kind": "transformer", "checkpoint": str(decoder)},
            objective="mlm",
        )
    with pytest.raises(ConfigError, match="bertt"):
        train(data={"train": str(verses)}, tower=tower(bert, model_type="bertt"))


def test_recipes_that_come_with_annbench_hold_their_sets(bert):
    """Every recipe of a set is there, and one that starts from another comes after it."""
    sets = recipe_sets()
    assert {"classifier", "image-text", "two-stage", "full"} <= set(sets)
    for name in ("classifier", "image-text", "two-stage", "full"):
        done: set[str] = set()
        for recipe in find_recipes(name):
            part = recipe.tower if recipe.image is None else recipe.image
            assert part.checkpoint not in set(recipe_names()) - done
            done.add(recipe.name)
        assert done == set(sets[name])
    assert set(sets["full"]) == {*sets["classifier"], *sets["image-text"], *sets["two-stage"]}

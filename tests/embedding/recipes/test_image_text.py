"""Dual encoders of images and captions by recipe: CLIP, SigLIP and CoCa, and what is refused."""

from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from harness.core.errors import AnnbenchError, ConfigError, PluginError
from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import evaluate
from harness.embedding.formats.images import read_image_text
from harness.embedding.losses.info_nce import info_nce
from harness.embedding.models import load_model, manifest
from harness.embedding.towers.image import ImageConfig, ImageShape, ImageTower
from harness.embedding.training.dual_encoder import DualEncoder
from harness.embedding.training.objectives import Captioning

FAST = {"epochs": 8, "batch": 16, "rate": 0.01}
CLIP = {"name": "info_nce", "settings": {"symmetric": True}, "learn": ["temperature"]}


def pair(train, source, bert, **parts):
    tower = {"kind": "static", "tokenizer": str(bert), "dimension": 16}
    image = {"body": "conv", "width": 16, "depth": 2, **parts.pop("image", {})}
    data = {"train": str(source), **parts.pop("data", {})}
    return train(**{"data": data, "tower": tower, "image": image, "optimiser": FAST, "loss": CLIP, **parts})


def quality(folder, source):
    (record,) = evaluate(
        read_image_text(source), load_model(str(folder), folder.parent), EmbeddingCache(None), geometry=False
    )
    return record.figures


@pytest.mark.parametrize(
    ("loss", "image", "objective"),
    [
        (CLIP, {}, "contrastive"),
        (CLIP, {"body": "vit", "patch": 4}, "contrastive"),
        ({"name": "siglip", "learn": ["log_scale", "bias"]}, {}, "contrastive"),
        (CLIP, {}, "coca"),
    ],
    ids=["clip", "vit", "siglip", "coca"],
)
def test_captions_and_images_find_each_other(train, squares, bert, loss, image, objective):
    """Each objective learns which colour is which, both ways, though a batch holds a caption many times."""
    folder = pair(train, squares, bert, loss=loss, image=image, objective=objective)
    figures = quality(folder, squares)
    assert figures["caption_to_image_ndcg@10"].value > 0.95
    assert figures["image_to_caption_recall@1"].value > 0.95
    assert figures["image_to_caption_recall@5"].value == 1.0
    assert (folder / "document" / "image_tower.json").is_file()
    assert manifest(folder)["towers"] == 2


def test_the_best_on_dev_is_kept(train, squares, bert):
    """A dev task of images judges progress; chunks of GradCache train as the whole batch does."""
    folder = pair(train, squares, bert, data={"dev": str(squares)}, optimiser={**FAST, "chunk": 8})
    assert manifest(folder)["best_dev"] > 0.95
    assert quality(folder, squares)["image_to_caption_recall@1"].value > 0.95


def test_an_interrupted_run_of_coca_goes_on_to_the_same_weights(train, squares, bert):
    """The decoder's weights, too, come back from a checkpoint."""
    parts = {"objective": {"kind": "coca", "heads": 2}, "optimiser": {**FAST, "epochs": 2}, "save_every": 1}

    def stop(event, content):
        if event == "step" and content["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pair(train, squares, bert, name="stopped", listener=stop, **parts)
    steps = []
    stopped = pair(train, squares, bert, name="stopped", listener=lambda e, c: steps.append((e, c)), **parts)
    assert next(content["done"] for event, content in steps if event == "start") == 3
    whole = pair(train, squares, bert, name="whole", **parts)
    prints = [load_model(str(folder), folder.parent).fingerprint for folder in (stopped, whole)]
    assert prints[0] == prints[1]


def captioning(weight=0.5, seed=0):
    """Make a model whose captions are lists of tokens already, and its captioning objective."""
    torch.manual_seed(seed)
    image = ImageTower.projected(ImageConfig("conv", 16, 2), ImageShape(16, 16, 3), 8)

    class Bag(torch.nn.Module):
        dimension, device, padded = 8, torch.device("cpu"), False

        def __init__(self):
            super().__init__()
            self.bag = torch.nn.EmbeddingBag(30, 8)

        def collate(self, prepared):
            starts = torch.tensor([0, *map(len, prepared[:-1])]).cumsum(0)
            return {"ids": torch.tensor(list(chain.from_iterable(prepared))), "starts": starts}

        def forward(self, inputs):
            return self.bag(inputs["ids"], inputs["starts"])

    objective = Captioning(30, image, layers=2, heads=4, weight=weight)
    return DualEncoder(Bag(), image, objective=objective), objective


def batch(count=12):
    rng = np.random.default_rng(0)
    captions = [rng.integers(0, 30, rng.integers(1, 7)).tolist() for _ in range(count)]
    return captions, list(rng.integers(0, 256, (count, 16, 16, 3), np.uint8))


def test_the_contrastive_part_of_coca_is_that_of_clip():
    """What is left of CoCa's loss without the captions is CLIP's, and so is its gradient."""
    captions, images = batch()
    model, objective = captioning()

    def clip(queries, documents):
        return info_nce(queries, documents, symmetric=True)

    both = objective(model, [captions, images], clip)
    tokens = model.document.tokens(model.document.collate(images))
    words = objective.caption_loss(captions, tokens)
    alone = clip(model.embed(captions, "query"), model.embed(images, "document"))
    assert both.item() == pytest.approx((alone + 0.5 * words).item(), rel=1e-6)
    weight = model.query.bag.weight  # captions' tower: the decoder doesn't touch it
    assert torch.allclose(*(torch.autograd.grad(loss, weight)[0] for loss in (both, alone)), atol=1e-6)


def test_logits_have_their_shape_and_see_no_later_token():
    """There are logits for each token and the end; what comes later in a caption changes none before it."""
    captions, images = batch()
    model, objective = captioning()
    tokens = model.document.tokens(model.document.collate(images))
    read, wanted = objective.shifted(captions)
    longest = max(map(len, captions)) + 1
    assert read.shape == wanted.shape == (12, longest)
    assert read[:, 0].tolist() == [30] * 12
    for row, caption in enumerate(captions):
        assert wanted[row, : len(caption) + 1].tolist() == [*caption, 31]
        assert (wanted[row, len(caption) + 1 :] == -100).all()
    logits = objective.logits(read, tokens)
    assert logits.shape == (12, longest, 32)
    changed = read.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % 30
    again = objective.logits(changed, tokens)
    assert torch.allclose(again[:, :3], logits[:, :3], atol=1e-5)
    assert not torch.allclose(again[:, 3:], logits[:, 3:], atol=1e-3)


def test_captions_depend_on_the_image_and_not_on_padding():
    """Another image gives another loss; a longer caption beside it gives the same."""
    captions, images = batch()
    model, objective = captioning()
    tokens = model.document.tokens(model.document.collate(images))
    first = objective.caption_loss(captions[:1], tokens[:1])
    assert objective.caption_loss(captions[:1], tokens[1:2]).item() != pytest.approx(first.item(), abs=1e-4)
    counts = [len(caption) + 1 for caption in captions]
    each = [objective.caption_loss([caption], tokens[i : i + 1]).item() for i, caption in enumerate(captions)]
    assert objective.caption_loss(captions, tokens).item() == pytest.approx(np.average(each, weights=counts), rel=1e-4)


def test_the_captioning_loss_falls():
    """Captions that the image tells are learnt: the loss falls to a small part of a blind guess's."""
    captions, images = batch()
    model, objective = captioning()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        tokens = model.document.tokens(model.document.collate(images))
        loss = objective.caption_loss(captions, tokens)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(32), abs=0.5)
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"asymmetric": True}, "image makes two towers"),
        ({"negatives": {"kind": "bm25"}}, "bm25 ranks documents by their words"),
        ({"objective": "mlm"}, "objective mlm is for transformers over texts"),
        ({"objective": "coca", "optimiser": {"chunk": 2}}, "coca does not go by chunks"),
        ({"objective": "clip"}, "clip"),
        ({"teacher": {"model": "x"}}, "a teacher reads texts"),
        ({"loss": {"name": "sup_con"}}, "images are learnt from with their captions, and sup_con takes no pairs"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(train, squares, bert, parts, message):
    """Errors name the file and what doesn't fit."""
    with pytest.raises(ConfigError, match=rf"mine.yml: .*{message}"):
        pair(train, squares, bert, **parts)


def test_data_that_does_not_fit_is_refused(train, squares, bert, tmp_path):
    """Images without an image tower, or alone, texts with one, and dimensions that don't fit are refused."""
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    (pairs / "train.jsonl").write_text(json.dumps({"query": "red", "positive": "a red square"}) + "\n")
    tower = {"kind": "static", "tokenizer": str(bert), "dimension": 16}
    with pytest.raises(ConfigError, match="documents of its data are images; add a part image"):
        train(data={"train": str(squares)}, tower=tower)
    with pytest.raises(ConfigError, match="image is for images"):
        pair(train, pairs, bert)
    with pytest.raises(ConfigError, match="learnt from with their captions, not alone"):
        train(data={"train": str(squares)}, tower={"kind": "transformer", "checkpoint": str(bert)}, objective="simcse")
    with pytest.raises(ConfigError, match="images have 8 dimensions, captions 16"):
        pair(train, squares, bert, image={"dimension": 8})
    with pytest.raises(ConfigError, match="embeds no images"):
        pair(train, squares, bert, image={"checkpoint": str(bert)})


def test_an_encoder_of_texts_can_not_be_asked_for_images(squares, bert, tmp_path):
    """Evaluating a model of texts on images gives one line."""
    with pytest.raises(PluginError, match="this tower embeds texts; given ndarray"):
        evaluate(read_image_text(squares), load_model(str(bert), tmp_path), EmbeddingCache(None))


def test_a_classifier_starts_from_a_trained_image_tower(train, squares, bert):
    """A classifier takes the image tower of a model that was trained here, by name, and is done again after it is."""
    pair(train, squares, bert, name="clip")
    parts = {"kind": "classifier", "data": {"train": str(squares)}, "classifier": {"ways": ["frozen"]}}
    folder = train("told", image={"checkpoint": "clip"}, **parts)
    clip = load_model("clip", folder.parent)
    assert load_model("told", folder.parent).towers["document"].fingerprint() == clip.towers["document"].fingerprint()
    pair(train, squares, bert, name="clip", optimiser={**FAST, "epochs": 1})
    events = []
    train("told", image={"checkpoint": "clip"}, listener=lambda event, _: events.append(event), **parts)
    assert "known" not in events
    with pytest.raises(AnnbenchError, match="clyp"):
        train("told", image={"checkpoint": "clyp"}, **parts)

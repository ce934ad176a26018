"""Which weights of a transformer learn, and what becomes of LoRA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import toy

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.core.errors import ConfigError  # noqa: E402
from harness.embedding.training.adapt import _freeze, merged  # noqa: E402
from harness.embedding.training.loop import Trainer  # noqa: E402
from harness.embedding.training.recipe import AdaptPart  # noqa: E402

BERT = {"kind": "transformer", "checkpoint": "toy-bert"}


def changed(trainer: Trainer) -> set[str]:
    """Take two steps, and return the names of weights that they changed."""
    before = {name: weight.clone() for name, weight in trainer.model.named_parameters()}
    for rows in trainer._batches(0)[:2]:
        trainer._step(rows)
    return {name for name, weight in trainer.model.named_parameters() if not torch.equal(weight, before[name])}


@pytest.mark.parametrize(
    ("adapt", "learnt", "still"),
    [
        ({"kind": "full"}, ("embeddings.word", "layer.0.", "layer.1.", "projections"), ()),
        ({"kind": "upper"}, ("layer.0.", "layer.1.", "projections"), ("embeddings.",)),
        ({"kind": "upper", "layers": 1}, ("layer.1.", "projections"), ("embeddings.", "layer.0.")),
        ({"kind": "head"}, ("projections",), ("embeddings.", "layer.")),
        ({"kind": "lora", "rank": 2}, ("lora_B", "projections"), ("base_layer", "embeddings.word", "LayerNorm")),
    ],
    ids=["full", "upper", "upper but one layer", "head", "LoRA"],
)
def test_only_what_adapts_learns(
    trainer: Any, adapt: dict[str, Any], learnt: tuple[str, ...], still: tuple[str, ...]
) -> None:
    """Frozen weights are bit for bit what they were, decay included, and the others have changed."""
    recipe = toy.recipe(tower={**BERT, "projection": 8}, adapt=adapt, optimiser={"rate": 0.01, "decay": 0.1})
    names = changed(trainer(recipe))
    assert all(any(part in name for name in names) for part in learnt)
    assert not [name for name in names if any(part in name for part in still)]


def test_a_norm_after_the_last_layer_learns() -> None:
    """What follows the layers is none of the embeddings: GPT-2's last norm stays, with its upper layer."""
    import transformers

    body = transformers.GPT2Model(transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2, vocab_size=20, n_positions=8))
    tower: Any = type("Stand", (), {"model": body})()
    _freeze(tower, AdaptPart(kind="upper", layers=1))
    free = {name for name, weight in body.named_parameters() if weight.requires_grad}
    assert {"ln_f.weight", "ln_f.bias"} <= free
    assert not [name for name in free if name.startswith(("wte", "wpe", "h.0."))]
    assert [name for name in free if name.startswith("h.1.")]


@pytest.mark.parametrize(
    ("adapt", "words"),
    [
        ({"kind": "upper", "layers": 2}, "leave one or more to learn"),
        ({"kind": "head"}, "add `projection`"),
        ({"kind": "lora", "targets": ["nothing"]}, "lora can't be put in"),
    ],
)
def test_an_adaptation_that_the_model_has_not(world: Any, adapt: dict[str, Any], words: str) -> None:
    """Freezing everything, a head that isn't there and LoRA on no module are told in one line."""
    with pytest.raises(ConfigError, match=words):
        world.train(toy.recipe(tower=BERT, adapt=adapt))


def test_lora_merged_embeds_as_lora_beside(trainer: Any) -> None:
    """The copy that is saved has no LoRA left and embeds the same; the trained one keeps its own."""
    recipe = toy.recipe(tower=BERT, adapt={"kind": "lora", "rank": 4, "alpha": 32}, optimiser={"rate": 0.05})
    made = trainer(recipe)
    texts = ["d0a d1b", "q3c"]
    start = made.model.encoder("it").encode(texts)
    for rows in made._batches(0)[:3]:
        made._step(rows)
    beside = made.model.encoder("it").encode(texts)
    copy = merged(made.model, recipe.adapt)
    assert not np.allclose(start, beside, atol=1e-2)
    assert copy.encoder("it").encode(texts) == pytest.approx(beside, abs=1e-5)
    assert not [name for name, _ in copy.named_parameters() if "lora" in name]
    assert [name for name, _ in made.model.named_parameters() if "lora" in name]

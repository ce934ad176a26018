"""A tiny BERT of random weights, and small data of images and texts, which recipes are trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

COLOURS = {"red": (230, 20, 20), "green": (20, 200, 30), "blue": (20, 40, 220), "grey": (120, 120, 120)}
WORDS = ["the", "a", "square", "of", "colour", "is", "seen", *COLOURS, "dark", "light"]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny BERT, whose tokens are whole words."""
    torch, hf = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    wrapped = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=32, **{f"{name}_token": token for name, token in names.items()}
    )
    folder = tmp_path_factory.mktemp("bert")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    hf.BertModel(hf.BertConfig(vocab_size=len(wrapped), max_position_embeddings=32, **sizes)).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of noisy squares of four colours, with captions that name the colour, and it as label."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    images, lines = [], []
    for number in range(160):
        name = list(COLOURS)[number % 4]
        noise = rng.integers(-20, 20, (16, 16, 3))
        images.append(np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8))
        split = ("train", "train", "train", "dev", "test")[number // 4 % 5]
        lines.append({"image": number, "text": f"a square of colour {name}", "label": name, "split": split})
    np.save(folder / "images.npy", np.stack(images), allow_pickle=False)
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of labelled texts: whether a text names a bright colour tells its label."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(1)
    for split, count in (("train", 96), ("test", 48)):
        lines = []
        for _ in range(count):
            colour = list(COLOURS)[rng.integers(4)]
            text = f"the {('dark', 'light')[rng.integers(2)]} square is {colour}"
            lines.append(json.dumps({"text": text, "label": "no" if colour == "grey" else "yes"}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that trains the recipe with the given parts in a folder of its own, and returns the model."""
    pytest.importorskip("torch")
    from harness.embedding.training.recipe import read_recipe
    from harness.embedding.training.session import train_recipe

    def run(name: str = "mine", *, force: bool = False, listener: Any = None, **parts: Any) -> Path:
        path = tmp_path / f"{name}.yml"
        path.write_text(yaml.safe_dump(parts))
        return train_recipe(
            read_recipe(path), data=tmp_path / "data", results=tmp_path / "results", force=force, listener=listener
        )

    return run

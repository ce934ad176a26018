"""A task that a small model learns in a second, small models, and recipes that train them.

Queries of a topic share no word with its documents: only who learns which words go together finds any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

TOPICS, EACH, ASKED = 10, 3, 6
"""Topics, documents of each, and queries of each and split."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = [f"{kind}{topic}{letter}" for topic in range(TOPICS) for kind in "qd" for letter in "abcd"]
WIDTH = 16


def query(topic: int, rng: np.random.Generator) -> str:
    """Return two to four of the words in which queries name a topic."""
    return " ".join(f"q{topic}{letter}" for letter in rng.permutation(list("abcd"))[: rng.integers(2, 5)])


def document(topic: int, lacking: str, rng: np.random.Generator) -> str:
    """Return the other words of a topic, but for one of them, so that no two documents hold the same words."""
    return " ".join(f"d{topic}{letter}" for letter in rng.permutation([x for x in "abcd" if x != lacking]))


def write_beir(folder: Path, *, asks_documents: bool = False) -> Path:
    """Write the task as a BEIR folder with splits train, dev and test; return the folder.

    With `asks_documents` each topic's first document is a query of the split test, too, by the same id.
    """
    rng = np.random.default_rng(0)
    documents = {f"t{t}n{i}": document(t, "abcd"[i], rng) for t in range(TOPICS) for i in range(EACH)}
    splits = {
        split: {f"{split}-{t}-{i}": query(t, rng) for t in range(TOPICS) for i in range(ASKED)}
        for split in ("train", "dev", "test")
    }
    judged = {
        split: [(query, f"t{query.split('-')[1]}n{i}", 1) for query in queries for i in range(EACH)]
        for split, queries in splits.items()
    }
    if asks_documents:
        splits["test"] = {f"t{t}n0": documents[f"t{t}n0"] for t in range(TOPICS)}
        judged["test"] = [(f"t{t}n0", f"t{t}n{i}", i) for t in range(TOPICS) for i in range(EACH)]
    (folder / "qrels").mkdir(parents=True)
    _write_jsonl(folder / "corpus.jsonl", [{"_id": k, "title": "", "text": v} for k, v in documents.items()])
    queries = [{"_id": k, "text": v} for part in splits.values() for k, v in part.items()]
    _write_jsonl(folder / "queries.jsonl", queries)
    for split, rows in judged.items():
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def write_pairs(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write `train.jsonl`; return the folder."""
    folder.mkdir(parents=True)
    _write_jsonl(folder / "train.jsonl", rows)
    return folder


def labelled(count: int = 40) -> list[dict[str, Any]]:
    """Return texts with their topic as the label."""
    rng = np.random.default_rng(1)
    return [{"text": document(i % 4, rng.choice(list("abcd")), rng), "label": f"topic {i % 4}"} for i in range(count)]


def _write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def tokenizer() -> Any:
    """Return a tokenizer of the task's words, which puts [CLS] and [SEP] around a text where it is asked to."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    found = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return found


def static_tower(dimension: int = WIDTH, seed: int = 0) -> Any:
    """Return a bag of random vectors."""
    from harness.embedding.towers.static import StaticTower

    return StaticTower.random(tokenizer(), dimension, seed=seed)


def save_static(folder: Path, dimension: int = WIDTH, seed: int = 0) -> Path:
    """Save a bag of random vectors; return its folder."""
    from harness.embedding.layout import save_tower

    save_tower(static_tower(dimension, seed), folder)
    return folder


def save_bert(folder: Path, *, head: str = "AutoModel", seed: int = 0, **settings: Any) -> Path:
    """Save a BERT of two narrow layers with random weights, under transformers' own layout; return its folder."""
    import torch
    import transformers

    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), SPECIAL, strict=True))
    wrap: Any = transformers.PreTrainedTokenizerFast  # which has no types
    wrapped = wrap(tokenizer_object=tokenizer(), model_max_length=32, **names)
    config = transformers.BertConfig(
        **{
            "vocab_size": len(wrapped),
            "hidden_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "max_position_embeddings": 32,
            "initializer_range": 0.2,
            **settings,
        }
    )
    torch.manual_seed(seed)
    getattr(transformers, head).from_config(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


BASE: Mapping[str, Any] = {
    "name": "toy-model",
    "data": {"train": "toy", "dev": "toy"},
    "tower": {"kind": "static", "tokenizer": "toy-static", "dimension": WIDTH},
    "loss": {"name": "info_nce", "settings": {"temperature": 0.1}},
    "optimiser": {"epochs": 3, "batch": 12, "rate": 0.02, "decay": 0.0},
}


def recipe(**parts: Any) -> Any:
    """Return the base recipe with other parts; a mapping changes only its keys, but for `loss` and `tower`."""
    from harness.embedding.training.recipe import Recipe

    content = {key: dict(value) if isinstance(value, Mapping) else value for key, value in BASE.items()}
    for key, value in parts.items():
        merge = isinstance(value, Mapping) and key in ("data", "optimiser")
        content[key] = {**content[key], **value} if merge else value
    return Recipe.model_validate(content)


class World:
    """A folder of data with the task, a folder of results, and what trains there."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.data, self.results = data, folder / "results"
        self.events: list[tuple[str, dict[str, Any]]] = []

    def train(self, recipe: Any, listener: Callable[[str, dict[str, Any]], None] | None = None, **options: Any) -> Path:
        """Train a recipe, and keep what it says; `listener` is told, too."""
        from harness.embedding.training.session import train_recipe

        def listen(event: str, content: dict[str, Any]) -> None:
            self.events.append((event, content))
            if listener is not None:
                listener(event, content)

        found: Path = train_recipe(recipe, data=self.data, results=self.results, listener=listen, **options)
        return found

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return what was told of an event."""
        return [content for name, content in self.events if name == event]


def weights(folder: Path) -> dict[str, Any]:
    """Return all weights in a model's folder, by file and name."""
    from safetensors.numpy import load_file

    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        found |= {f"{path.relative_to(folder)} {name}": array for name, array in load_file(path).items()}
    return found


def same_weights(first: Path, second: Path) -> bool:
    """Tell whether two folders hold the same weights, bit for bit."""
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)

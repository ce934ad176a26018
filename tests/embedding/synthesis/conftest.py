"""A tiny GPT-2 of random weights that writes, and a corpus that it writes for."""

from __future__ import annotations

from pathlib import Path

import pytest

WORDS = ["what", "is", "the", "a", "of", "fox", "dog", "river", "tree", "runs", "grows", "by", "high", "old", "who"]


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny GPT-2, whose tokens are whole words."""
    torch, hf = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(["<end>", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="[UNK]")  # noqa: S106
    config = hf.GPT2Config(
        vocab_size=len(wrapped), n_positions=96, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    model = hf.GPT2LMHeadModel(config)
    for weight in model.parameters():  # larger weights: what stands before a token matters
        weight.data *= 5
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


class WordCounts:
    """An encoder that counts words."""

    name, dimension, parameter_count, fingerprint = "counts", len(WORDS), 0, "counts"

    def encode(self, items, role="document", *, progress=None):
        """Return the counts of WORDS in each text, of length 1."""
        import numpy as np

        counts = np.array([[text.split().count(word) for word in WORDS] for text in items], np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def encoder() -> WordCounts:
    """Return an encoder that counts words."""
    return WordCounts()

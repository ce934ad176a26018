"""Tiny models with random weights, of each family that towers are made from, and the texts that they embed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.core.cores import usable_cores

# Of differing lengths, with capitals, accents, blanks at the ends, unknown letters, and nothing at all.
TEXTS = [
    "the cat sat on the mat",
    "A dog ran after the cat, and the cat ran up a tree.",
    "Naïve café owners sell coffee",
    "  blanks at both ends ",
    "x",
    "the mat is red; the tree is green; the dog is brown; the cat is grey; the coffee is black; all of them are here",
    "日本 \N{SNOWMAN}",
]
_WIDTH = 16
_UNKNOWN = {"unk_token": "[UNK]"}
_WORD_PIECES = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", **_UNKNOWN}


def _word_piece() -> Any:
    """Return a tokenizer of word pieces, the same each time: training breaks its ties by chance."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(_trained_word_pieces())


@cache
def _trained_word_pieces() -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(**_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    text: str = tokenizer.to_str()
    return text


def _byte_level(start: str, end: str) -> Any:
    """Train a byte-level tokenizer, in which a blank is a token's part, that puts special tokens around a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    if start or end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}".strip(), special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    return tokenizer


def _family(name: str) -> tuple[Any, Any]:
    """Return a small configuration and a tokenizer as transformers wraps them."""
    import transformers as hf

    layers = {"hidden_size": _WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    if name == "bert":
        wrapped = hf.PreTrainedTokenizerFast(tokenizer_object=_word_piece(), model_max_length=64, **_WORD_PIECES)
        return hf.BertConfig(vocab_size=len(wrapped), max_position_embeddings=64, **layers), wrapped
    around = {"roberta": ("<s>", "</s>"), "t5": ("", "</s>"), "gpt2": ("", ""), "llama": ("<s>", "")}[name]
    names = {"bos_token": "<s>", "eos_token": "</s>"} | ({} if name == "gpt2" else {"pad_token": "<pad>"})
    wrapped = hf.PreTrainedTokenizerFast(tokenizer_object=_byte_level(*around), model_max_length=62, **names)
    tokens = {"vocab_size": len(wrapped), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    if name == "roberta":
        return hf.RobertaConfig(max_position_embeddings=64, **layers, **tokens), wrapped
    if name == "t5":
        sizes = {"d_model": _WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
        return hf.T5Config(decoder_start_token_id=1, **sizes, **tokens), wrapped
    if name == "gpt2":
        del tokens["pad_token_id"]
        return hf.GPT2Config(n_positions=64, n_embd=_WIDTH, n_layer=2, n_head=2, **tokens), wrapped
    return hf.LlamaConfig(max_position_embeddings=64, num_key_value_heads=1, **layers, **tokens), wrapped


Checkpoint = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def fixed_threads() -> Iterator[None]:
    """Let torch keep its number of threads, which sets the order of sums: some tests compare weights bit for bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", str(len(usable_cores()))))
        yield


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Return texts of differing lengths."""
    return TEXTS


@pytest.fixture(scope="session")
def word_tokenizer() -> Callable[[], Any]:
    """Return a function that gives a tokenizer of the library tokenizers, a new one each time."""
    pytest.importorskip("tokenizers")
    return _word_piece


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return a function that gives the folder of a plain checkpoint of a family, saved by transformers."""
    torch = pytest.importorskip("torch")
    hf = pytest.importorskip("transformers")
    made: dict[tuple[str, str], Path] = {}

    def make(name: str, head: str = "AutoModel") -> Path:
        if (name, head) not in made:
            config, tokenizer = _family(name)
            torch.manual_seed(0)
            folder = tmp_path_factory.mktemp(f"{name}-{head}")
            getattr(hf, head).from_config(config).eval().save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[name, head] = folder
        return made[name, head]

    return make

"""Towers in folders, against sentence-transformers: what it saves we embed alike, and the other way round."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
published = pytest.importorskip("sentence_transformers")

from harness.embedding.encoder import encode  # noqa: E402
from harness.embedding.layout import load_tower, save_tower  # noqa: E402
from harness.embedding.towers.heads import Dense, Head  # noqa: E402
from harness.embedding.towers.pooling import POOLINGS  # noqa: E402
from harness.embedding.towers.static import StaticTower  # noqa: E402
from harness.embedding.towers.transformer import TransformerTower  # noqa: E402

# sentence-transformers, and transformers beneath it, warn about their own ways.
pytestmark = pytest.mark.filterwarnings("ignore")

FAMILIES = ("bert", "roberta", "t5", "gpt2", "llama")
PROMPTS = {"query": "ask: ", "document": "tell: "}
TOLERANCE = 1e-5


def theirs(folder: Path) -> Any:
    """Load a folder with sentence-transformers; a model without padding gets some, which no embedding depends on."""
    model = published.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    tokenizer = model.tokenizer
    if hasattr(tokenizer, "pad_token") and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model


def save_theirs(folder: Path, *modules: Any, **options: Any) -> Path:
    """Save modules with sentence-transformers."""
    torch.manual_seed(1)
    published.SentenceTransformer(modules=list(modules), device="cpu", **options).save(str(folder))
    return folder


def parts() -> Any:
    """Return the module that holds sentence-transformers' parts."""
    return pytest.importorskip("sentence_transformers.models")


def assert_alike(folder: Path, texts: list[str]) -> None:
    """Assert that a folder's embeddings are the same to us and to sentence-transformers, in both roles."""
    tower, model = load_tower(folder), theirs(folder)
    for role, expected in (("query", model.encode_query(texts)), ("document", model.encode_document(texts))):
        found = encode(tower, texts, role, batch=3)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_each_family_and_pooling_embeds_alike(
    checkpoint: Callable[..., Path], texts: list[str], tmp_path: Path, family: str, pooling: str
) -> None:
    """What sentence-transformers saves embeds alike, for each family of models and each pooling."""
    modules = parts().Transformer(str(checkpoint(family))), parts().Pooling(16, pooling)
    assert_alike(save_theirs(tmp_path / "saved", *modules), texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_projections_length_prompts_and_cuts_embed_alike(
    checkpoint: Callable[..., Path], texts: list[str], tmp_path: Path, family: str
) -> None:
    """Dense layers, Normalize, prompts by role and a short limit of tokens act alike."""
    transformer = parts().Transformer(str(checkpoint(family)), max_seq_length=9)
    dense = parts().Dense(16, 12), parts().Dense(12, 5, bias=False, activation_function=torch.nn.GELU())
    folder = save_theirs(
        tmp_path / "saved", transformer, parts().Pooling(16, "mean"), *dense, parts().Normalize(), prompts=PROMPTS
    )
    tower = load_tower(folder)
    assert tower.prompts == PROMPTS
    assert max(map(len, tower.prepare(texts))) == 9
    assert tower.dimension == 5
    assert_alike(folder, texts)


def test_older_settings_are_read(checkpoint: Callable[..., Path], texts: list[str], tmp_path: Path) -> None:
    """The layout of older versions, with its names for pooling, lower case, and a file named after the family."""
    modules = parts().Transformer(str(checkpoint("roberta"))), parts().Pooling(16, "max")
    folder = save_theirs(tmp_path / "saved", *modules)
    (folder / "sentence_bert_config.json").unlink()
    settings = {"max_seq_length": 11, "do_lower_case": True}
    (folder / "sentence_roberta_config.json").write_text(json.dumps(settings))
    pooling = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    tower = load_tower(folder)
    assert isinstance(tower, TransformerTower)
    assert (tower.max_length, tower.lower_case, tower.pooling) == (11, True, "max")
    assert tower.prepare(["Cat"]) == tower.prepare(["cat"])
    assert_alike(folder, texts)


def test_a_published_limit_is_believed_and_a_plain_one_is_not(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    """A tokenizer's limit above 512 holds where it was set for embedding; a plain checkpoint is cut at 512."""
    modules = parts().Transformer(str(checkpoint("t5")), max_seq_length=700), parts().Pooling(16, "mean")
    folder = save_theirs(tmp_path / "saved", *modules)
    assert len(load_tower(folder).prepare(["cat " * 2000])[0]) == theirs(folder).max_seq_length == 700
    (folder / "modules.json").unlink()
    assert len(load_tower(folder).prepare(["cat " * 2000])[0]) == 512


@pytest.mark.parametrize(("head", "pooling"), [("AutoModel", "mean"), ("AutoModelForCausalLM", "lasttoken")])
def test_a_plain_checkpoint_embeds_alike(
    checkpoint: Callable[..., Path], texts: list[str], head: str, pooling: str
) -> None:
    """A folder without modules is pooled by the mean, one of a language model by its last token; we add length 1."""
    folder = checkpoint("llama", head)
    tower = load_tower(folder)
    assert isinstance(tower, TransformerTower)
    assert tower.pooling == pooling
    expected = theirs(folder).encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(encode(tower, texts), expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prompts": {"query": "q: ", "passage": "p: "}}, {"query": "q: ", "document": "p: "}),
        ({"prompts": {"query": "q: "}, "default_prompt_name": "query"}, {"query": "q: "}),
        ({"prompts": {"all": "a: "}, "default_prompt_name": "all"}, {"query": "a: ", "document": "a: "}),
        ({"prompts": {"query": "", "document": None}}, {}),
        ({"prompts": None}, {}),
        ({}, {}),
    ],
)
def test_prompts_go_to_their_roles(
    checkpoint: Callable[..., Path], tmp_path: Path, given: dict[str, Any], expected: dict[str, str]
) -> None:
    """Prompts are found under the names that publishers use; the usual one is not taken from one role for the other."""
    modules = parts().Transformer(str(checkpoint("bert"))), parts().Pooling(16, "mean")
    folder = save_theirs(tmp_path / "saved", *modules)
    (folder / "config_sentence_transformers.json").write_text(json.dumps(given))
    assert load_tower(folder).prompts == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_what_we_save_is_read_alike(
    checkpoint: Callable[..., Path], texts: list[str], tmp_path: Path, family: str
) -> None:
    """A tower of ours is the same after saving and loading, to us and to sentence-transformers."""
    plain = load_tower(checkpoint(family))
    assert isinstance(plain, TransformerTower)
    torch.manual_seed(2)
    tower = TransformerTower(
        plain.model,
        plain.tokenizer,
        pooling="weightedmean",
        head=Head([Dense(16, 8, activation="Tanh"), Dense(8, 6, bias=False)], normalised=family != "t5"),
        max_length=12,
        prompts=PROMPTS,
        lower_case=True,
    )
    folder = tmp_path / "saved"
    save_tower(tower, folder)
    np.testing.assert_array_equal(encode(load_tower(folder), texts, "query"), encode(tower, texts, "query"))
    assert load_tower(folder).settings() == tower.settings()
    assert_alike(folder, texts)


@pytest.mark.parametrize("normalised", [True, False])
def test_static_towers_embed_alike(
    word_tokenizer: Callable[[], Any], texts: list[str], tmp_path: Path, normalised: bool
) -> None:
    """A bag of vectors is read and written as sentence-transformers does, a text without tokens included."""
    vectors = torch.randn(200, 6, generator=torch.Generator().manual_seed(3))
    modules = [parts().StaticEmbedding(word_tokenizer(), embedding_weights=vectors), parts().Dense(6, 4)]
    modules += [parts().Normalize()] if normalised else []
    folder = save_theirs(tmp_path / "theirs", *modules, prompts=PROMPTS)
    assert_alike(folder, [*texts, ""])
    tower = load_tower(folder)
    save_tower(tower, tmp_path / "ours")
    assert load_tower(tmp_path / "ours").fingerprint() == tower.fingerprint()
    assert_alike(tmp_path / "ours", [*texts, ""])


def test_a_static_tower_is_cut_where_its_tokenizer_says(
    word_tokenizer: Callable[[], Any], texts: list[str], tmp_path: Path
) -> None:
    """A tokenizer that was saved with a limit keeps it; a tower made at random reads texts to their ends."""
    tokenizer = word_tokenizer()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding()
    folder = save_theirs(tmp_path / "theirs", parts().StaticEmbedding(tokenizer, embedding_dim=4))
    assert max(map(len, load_tower(folder).prepare(texts))) == 3
    assert_alike(folder, texts)
    assert max(map(len, StaticTower.random(tokenizer, 4).prepare(texts))) > 3


def test_model2vec_vectors_are_folded(word_tokenizer: Callable[[], Any], texts: list[str], tmp_path: Path) -> None:
    """Tokens that share a vector, each with a weight of its own, embed as sentence-transformers reads them."""
    from safetensors.torch import save_file

    tokenizer = word_tokenizer()
    folder = save_theirs(tmp_path / "theirs", parts().StaticEmbedding(tokenizer, embedding_dim=4), parts().Normalize())
    generator = torch.Generator().manual_seed(4)
    size = tokenizer.get_vocab_size()
    content = {
        "embeddings": torch.randn(10, 4, generator=generator).half(),
        "mapping": torch.randint(0, 10, (size,), generator=generator),
        "weights": torch.rand(size, generator=generator),
    }
    save_file(content, folder / "model.safetensors")
    tower, model = load_tower(folder), theirs(folder)
    np.testing.assert_allclose(encode(tower, texts), model.encode(texts), atol=2e-3)  # theirs stays in half precision

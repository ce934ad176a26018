"""Towers: padding changes nothing, fingerprints change with whatever embeddings depend on and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.core.errors import ConfigError, UnknownNameError  # noqa: E402
from harness.embedding.encoder import encode  # noqa: E402
from harness.embedding.layout import load_tower, save_tower  # noqa: E402
from harness.embedding.towers.heads import ACTIVATIONS, Dense, Head  # noqa: E402
from harness.embedding.towers.pooling import POOLINGS, Pooling, check_pooling, pool  # noqa: E402
from harness.embedding.towers.static import StaticTower  # noqa: E402
from harness.embedding.towers.tower import Tower  # noqa: E402
from harness.embedding.towers.transformer import TransformerTower, longest  # noqa: E402

FAMILIES = ("bert", "roberta", "t5", "gpt2", "llama")


def remade(tower: Tower, **changes: Any) -> TransformerTower:
    """Return a tower of the same model with other settings."""
    assert isinstance(tower, TransformerTower)
    return TransformerTower(tower.model, tower.tokenizer, **changes)


# --- pooling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_of_a_list_of_vectors(pooling: Pooling) -> None:
    """Each pooling is what it says of the vectors under the mask, one text at a time, in plain NumPy."""
    generator = torch.Generator().manual_seed(5)
    states = torch.randn(4, 6, 3, generator=generator)
    lengths = (6, 1, 4, 3)
    mask = torch.tensor([[int(i < length) for i in range(6)] for length in lengths])
    found = pool(states, mask, pooling).numpy()
    for row, length in enumerate(lengths):
        seen = states[row, :length].numpy().astype(np.float64)
        weights = np.arange(1, length + 1)[:, None]
        expected = {
            "cls": seen[0],
            "lasttoken": seen[-1],
            "mean": seen.mean(axis=0),
            "max": seen.max(axis=0),
            "mean_sqrt_len_tokens": seen.sum(axis=0) / np.sqrt(length),
            "weightedmean": (seen * weights).sum(axis=0) / weights.sum(),
        }
        np.testing.assert_allclose(found[row], expected[pooling], atol=1e-6)


def test_unknown_poolings_are_refused() -> None:
    """A name that is near one is suggested; several together are refused."""
    with pytest.raises(UnknownNameError, match="did you mean lasttoken"):
        check_pooling("last_token")
    with pytest.raises(ConfigError, match="joins several"):
        check_pooling(["cls", "mean"])


# --- padding and limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "lasttoken", "max", "weightedmean"])
def test_padding_changes_no_embedding(
    checkpoint: Callable[..., Path], texts: list[str], family: str, pooling: str
) -> None:
    """A text alone is embedded as in a batch with longer ones, an empty text included."""
    tower = remade(load_tower(checkpoint(family)), pooling=pooling, head=Head(normalised=False))
    together = encode(tower, [*texts, ""], batch=len(texts) + 1)
    alone = np.concatenate([encode(tower, [text]) for text in [*texts, ""]])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_text_that_is_allowed_can_be_embedded(checkpoint: Callable[..., Path], family: str) -> None:
    """The limit that we read off a model is one that it can take: RoBERTa's positions begin after its padding's."""
    tower = load_tower(checkpoint(family))
    assert isinstance(tower, TransformerTower)
    most = 62 if family in ("roberta", "t5", "gpt2", "llama") else 64
    tower.tokenizer.model_max_length = 10**30
    limit = longest(tower.model.config, tower.tokenizer)
    assert limit == {"roberta": 62, "t5": 512}.get(family, 64)
    assert tower.max_length == most
    text = "cat " * 1000
    assert np.isfinite(encode(remade(tower), [text])).all()


def test_prompts_and_blanks_are_kept(checkpoint: Callable[..., Path]) -> None:
    """A byte-level tokenizer reads blanks: those of prompts and texts reach it as they are."""
    tower = remade(load_tower(checkpoint("gpt2")), prompts={"query": "  ask: "})
    (asked,), (told,) = tower.prepare([" cat "], "query"), tower.prepare([" cat "], "document")
    assert tower.tokenizer.decode(asked) == "  ask:  cat "
    assert tower.tokenizer.decode(told) == " cat "
    assert tower.prepare([]) == []


# --- fingerprints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_fingerprints_stay_through_use_and_saving(
    checkpoint: Callable[..., Path], texts: list[str], tmp_path: Path, family: str
) -> None:
    """Embedding, saving and loading, an empty prompt, and the order of prompts leave the fingerprint as it was."""
    plain = load_tower(checkpoint(family))
    assert remade(plain, prompts={"query": ""}).fingerprint() == remade(plain).fingerprint()
    tower = remade(plain, prompts={"document": "tell: ", "query": "ask: "}, pooling="cls")
    first = tower.fingerprint()
    encode(tower, texts)
    tower.train()
    assert tower.fingerprint() == first
    save_tower(tower, tmp_path / "once")
    again = load_tower(tmp_path / "once")
    save_tower(again, tmp_path / "twice")
    assert again.fingerprint() == load_tower(tmp_path / "twice").fingerprint() == first


def test_a_model_that_was_never_saved_has_its_fingerprint(tmp_path: Path, checkpoint: Callable[..., Path]) -> None:
    """What saving adds to a configuration, such as the class and its precision, is no part of the fingerprint."""
    import transformers

    folder = checkpoint("llama")
    config = transformers.AutoConfig.from_pretrained(folder)
    for name in ("architectures", "dtype"):
        setattr(config, name, None)
    torch.manual_seed(6)
    tower = TransformerTower(
        transformers.AutoModel.from_config(config), transformers.AutoTokenizer.from_pretrained(folder)
    )
    first = tower.fingerprint()
    save_tower(tower, tmp_path / "saved")
    assert load_tower(tmp_path / "saved").fingerprint() == first


def test_fingerprints_change_with_every_setting(checkpoint: Callable[..., Path]) -> None:
    """Whatever changes an embedding changes the fingerprint: no two of these are alike."""
    base = load_tower(checkpoint("bert"))
    torch.manual_seed(7)
    dense = Dense(16, 16)
    other = Dense(16, 16, activation="Tanh")
    other.load_state_dict(dense.state_dict())
    towers = [
        remade(base),
        *(remade(base, pooling=pooling) for pooling in POOLINGS if pooling != "mean"),
        remade(base, max_length=5),
        remade(base, lower_case=True),
        remade(base, prompts={"query": "a"}),
        remade(base, prompts={"document": "a"}),
        remade(base, prompts={"query": "b"}),
        remade(base, head=Head(normalised=False)),
        remade(base, head=Head([dense])),
        remade(base, head=Head([other])),
        load_tower(checkpoint("roberta")),
    ]
    prints = [tower.fingerprint() for tower in towers]
    assert len(set(prints)) == len(prints)


def test_fingerprints_change_with_any_weight(checkpoint: Callable[..., Path]) -> None:
    """The least change of any one weight changes the fingerprint."""
    tower = load_tower(checkpoint("bert"))
    seen = {tower.fingerprint()}
    for parameter in tower.parameters():
        flat = parameter.data.view(-1)
        flat[-1] = torch.nextafter(flat[-1], torch.tensor(torch.inf))
        seen.add(tower.fingerprint())
    assert len(seen) == 1 + len(list(tower.parameters()))


def test_fingerprints_change_with_the_tokenizer(
    word_tokenizer: Callable[[], Any], checkpoint: Callable[..., Path]
) -> None:
    """Tokens cut elsewhere are another model, static or not."""
    one, other = word_tokenizer(), word_tokenizer()
    other.normalizer = None
    static = [StaticTower.random(tokenizer, 4).fingerprint() for tokenizer in (one, one, other)]
    assert static[0] == static[1] != static[2]
    tower = load_tower(checkpoint("bert"))
    assert isinstance(tower, TransformerTower)
    before = tower.fingerprint()
    tower.tokenizer.backend_tokenizer.normalizer = None
    assert tower.fingerprint() != before


# --- static towers and heads ---------------------------------------------------------------------------------------


def test_a_static_tower_is_the_mean_of_its_tokens_vectors(word_tokenizer: Callable[[], Any], texts: list[str]) -> None:
    """Each embedding is the mean of the vectors of the text's tokens; a text without any is zeros."""
    tokenizer = word_tokenizer()
    tower = StaticTower.random(tokenizer, 5, seed=8, head=Head(normalised=False))
    vectors = tower.embedding.weight.detach().numpy()
    found = encode(tower, [*texts, ""], batch=3)
    for text, embedding in zip(texts, found, strict=False):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        np.testing.assert_allclose(embedding, vectors[ids].mean(axis=0), atol=1e-6)
    assert not found[-1].any()
    assert tower.parameter_count == vectors.size


def test_random_towers_depend_on_their_seed_alone(word_tokenizer: Callable[[], Any]) -> None:
    """The same seed makes the same tower, whatever torch has drawn before."""
    one = StaticTower.random(word_tokenizer(), 4, seed=1).fingerprint()
    torch.manual_seed(99)
    assert StaticTower.random(word_tokenizer(), 4, seed=1).fingerprint() == one
    assert StaticTower.random(word_tokenizer(), 4, seed=2).fingerprint() != one


def test_heads_map_in_turn() -> None:
    """Projections follow one another, then comes length 1; dimensions are those that come out."""
    torch.manual_seed(9)
    first, second = Dense(4, 3, activation="Tanh"), Dense(3, 2, bias=False)
    head = Head([first, second])
    vectors = torch.randn(5, 4)
    expected = torch.tanh(vectors @ first.linear.weight.T + first.linear.bias) @ second.linear.weight.T
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head(vectors), expected)
    assert head.outputs(4) == 2
    assert Head().outputs(7) == 7
    with pytest.raises(UnknownNameError, match="GELU"):
        Dense(2, 2, activation="GeLU")
    assert set(ACTIVATIONS) == {"Identity", "Tanh", "ReLU", "GELU", "SiLU"}

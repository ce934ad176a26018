"""Folders that hold no model, half of one, or one that may not be opened: each is refused in one line that says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from harness.core.errors import AnnbenchError, ConfigError, UnknownNameError  # noqa: E402
from harness.embedding.layout import is_tower, load_tower, save_tower  # noqa: E402
from harness.embedding.towers.heads import Dense, Head  # noqa: E402
from harness.embedding.towers.static import StaticTower  # noqa: E402
from harness.embedding.towers.tower import Tower  # noqa: E402
from harness.embedding.towers.transformer import TransformerTower  # noqa: E402


@pytest.fixture
def saved(checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """Return the folder of a whole tower: a transformer, pooling, a projection and the length of 1."""
    plain = load_tower(checkpoint("bert"))
    assert isinstance(plain, TransformerTower)
    save_tower(TransformerTower(plain.model, plain.tokenizer, head=Head([Dense(16, 4)])), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def static(word_tokenizer: Callable[[], Any], tmp_path: Path) -> Path:
    """Return the folder of a whole static tower."""
    save_tower(StaticTower.random(word_tokenizer(), 4), tmp_path / "static")
    return tmp_path / "static"


def refusal(folder: Path, kind: type[AnnbenchError] = ConfigError) -> str:
    """Return the one line with which loading a folder is refused."""
    with pytest.raises(kind) as refused:
        load_tower(folder)
    line = str(refused.value)
    assert "\n" not in line
    return line


def edit(path: Path, **changes: Any) -> None:
    """Change settings in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def as_modules(folder: Path, *kinds: str) -> None:
    """Let `modules.json` list parts of these kinds."""
    entries = [{"idx": i, "name": str(i), "path": "", "type": f"a.b.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(entries))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """An empty folder, and one that isn't there, are no tower."""
    assert not is_tower(tmp_path)
    assert "holds neither modules.json nor config.json" in refusal(tmp_path)
    assert "holds neither" in refusal(tmp_path / "missing")


@pytest.mark.parametrize(
    "name", ["modules.json", "config.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json"]
)
@pytest.mark.parametrize("content", ["{", "[1]", "null", "\xff"])
def test_broken_settings_are_refused(saved: Path, name: str, content: str) -> None:
    """JSON that is cut short, or another thing than it should be, is refused whatever file it stands in."""
    (saved / name).write_bytes(content.encode("latin-1"))
    assert str(saved) in refusal(saved)


@pytest.mark.parametrize("name", ["config.json", "1_Pooling/config.json", "2_Dense/config.json"])
def test_missing_settings_are_named(saved: Path, name: str) -> None:
    """Settings that aren't there are named."""
    (saved / name).unlink()
    assert "config.json" in refusal(saved)


@pytest.mark.parametrize("part", ["", "2_Dense"])
def test_missing_weights_are_named(saved: Path, part: str) -> None:
    """Weights that aren't there are named."""
    (saved / part / "model.safetensors").unlink()
    assert "model.safetensors" in refusal(saved)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "2_Dense/model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      ", b"garbage" * 10])
def test_damaged_weights_and_tokenizers_are_refused(saved: Path, name: str, content: bytes) -> None:
    """What the libraries in Rust raise, which is Exception itself, ends in one line, too."""
    (saved / name).write_bytes(content)
    assert str(saved) in refusal(saved)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors"])
def test_damaged_static_towers_are_refused(static: Path, name: str) -> None:
    """The same of static towers."""
    (static / name).write_bytes(b"{")
    assert "can't be loaded" in refusal(static)


@pytest.mark.parametrize("part", ["", "2_Dense"])
def test_pickles_are_never_opened(saved: Path, part: str) -> None:
    """Weights that are there as a pickle only are refused before anything of it is run."""
    (saved / part / "model.safetensors").unlink()
    (saved / part / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert "as a pickle only" in refusal(saved)


def test_a_pickle_beside_foreign_safetensors_is_not_opened(saved: Path) -> None:
    """Safetensors of another name don't let the pickle beside them in."""
    (saved / "model.safetensors").rename(saved / "adapter.safetensors")
    torch.save({}, saved / "pytorch_model.bin")
    assert "model.safetensors" in refusal(saved)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["Transformer", "Pooling", "WordWeights"], "'WordWeights' isn't supported"),
        (["Transformer", "Pooling", "Normalize", "Dense"], "Transformer Pooling Normalize Dense"),
        (["Transformer", "Dense", "Pooling"], "then Pooling, Dense and Normalize"),
        (["Pooling", "Transformer"], "then Pooling, Dense and Normalize"),
        (["StaticEmbedding", "Pooling"], "then Pooling, Dense and Normalize"),
        (["Transformer", "Pooling", "Pooling"], "then Pooling, Dense and Normalize"),
        ([], "its modules are none"),
    ],
)
def test_unknown_parts_and_orders_are_refused(saved: Path, kinds: list[str], words: str) -> None:
    """A part that we don't know, or parts in an order that we would not compute in, are refused by name."""
    as_modules(saved, *kinds)
    assert words in refusal(saved)


def test_settings_that_we_would_not_follow_are_refused(saved: Path) -> None:
    """Poolings that are joined, prompts that aren't pooled, and projections of tokens are refused, not ignored."""
    pooling, dense = saved / "1_Pooling" / "config.json", saved / "2_Dense" / "config.json"
    kept = pooling.read_text()
    edit(pooling, pooling_mode_cls_token=True)
    assert "joins several" in refusal(saved)
    pooling.write_text(json.dumps({"pooling_mode": ["mean", "max"]}))
    assert "joins several" in refusal(saved)
    pooling.write_text(json.dumps({"pooling_mode": ["max"]}))
    assert getattr(load_tower(saved), "pooling", "") == "max"
    pooling.write_text(json.dumps({"pooling_mode": "attentive"}))
    assert "no pooling is called 'attentive'" in refusal(saved, UnknownNameError)
    pooling.write_text(kept)
    edit(pooling, include_prompt=False)
    assert "prompt" in refusal(saved)
    pooling.write_text(kept)
    edit(dense, module_input_name="token_embeddings")
    assert "'token_embeddings'" in refusal(saved)
    edit(dense, module_input_name="sentence_embedding", activation_function="torch.nn.modules.activation.Softsign")
    assert "no activation is called 'Softsign'" in refusal(saved, UnknownNameError)


def test_weights_that_do_not_fit_are_refused(saved: Path) -> None:
    """A projection of another shape is refused, and the reason is in the line."""
    edit(saved / "2_Dense" / "config.json", out_features=5)
    assert "size mismatch for linear.weight" in refusal(saved)


def test_missing_weights_are_not_drawn_at_random(saved: Path) -> None:
    """Transformers would fill in what is missing by chance; only a pooler, which isn't used, may be missing."""
    path = saved / "model.safetensors"
    weights = load_file(path)
    save_file({name: value for name, value in weights.items() if "pooler" not in name}, path, {"format": "pt"})
    assert load_tower(saved).fingerprint() == load_tower(saved).fingerprint()
    lost = "encoder.layer.1.output.dense.weight"
    save_file({name: value for name, value in weights.items() if name != lost}, path, {"format": "pt"})
    assert lost in refusal(saved)


def test_static_weights_of_another_name_are_refused(static: Path) -> None:
    """Weights without vectors are refused, and what they hold is said."""
    save_file({"other": torch.zeros(2, 2)}, static / "model.safetensors")
    assert "it has other" in refusal(static)


def test_what_can_not_be_saved_leaves_what_was_there(saved: Path) -> None:
    """A tower of an unknown kind is refused, and the folder stays as it was, with nothing beside it."""

    class Other(Tower):
        """A tower that has no layout."""

    before = {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="a Other has no layout"):
        save_tower(Other(), saved)
    assert {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()} == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_saving_replaces_a_whole_folder(saved: Path, static: Path) -> None:
    """What was in the folder before is gone: parts of two towers never mix."""
    tower = load_tower(static)
    save_tower(tower, saved)
    names = {str(path.relative_to(saved)) for path in saved.rglob("*")}
    assert "2_Dense" not in names
    assert load_tower(saved).fingerprint() == tower.fingerprint()
    shutil.rmtree(saved)

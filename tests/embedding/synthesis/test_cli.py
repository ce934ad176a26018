"""`annbench synthesise`, with a tiny writer and a tiny embedding model."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tokenizers import Tokenizer
from typer.testing import CliRunner

from harness.cli.main import app
from harness.core.errors import ConfigError
from harness.embedding.layout import save_tower
from harness.embedding.towers.static import StaticTower

TEXTS = ["the old fox runs", "a dog by the river", "the high tree grows", "who is old", "the river", "a fox"]


@pytest.fixture
def arguments(gpt2, tmp_path):
    """Return the arguments of the command, but for its options."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lines = [json.dumps({"_id": f"d{number}", "text": text}) + "\n" for number, text in enumerate(TEXTS)]
    (corpus / "corpus.jsonl").write_text("".join(lines))
    tower = StaticTower.random(Tokenizer.from_file(str(gpt2 / "tokenizer.json")), 8)
    save_tower(tower, tmp_path / "model")
    options = {"out": "out", "model": "model", "results": "results"}
    return ["synthesise", str(corpus), *(f"--{name}={tmp_path / value}" for name, value in options.items())]


@pytest.mark.parametrize("by_teacher", [False, True])
def test_examples_are_written(arguments, gpt2, tmp_path, by_teacher):
    """The command writes examples, says where, and how many positives moved; the teacher is a model by folder."""
    arguments += [f"--writer={gpt2}", "--queries=4", "--candidates=4", "--temperature=1.5"]
    if by_teacher:
        arguments += [f"--teacher={tmp_path / 'model'}"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out" / "train.jsonl")
    about = json.loads((tmp_path / "out" / "synthesis.json").read_text())
    assert about["settings"]["teacher"] == (str(tmp_path / "model") if by_teacher else "")
    assert f"{about['queries']} queries of 24 tries; the positive of {about['moved']} is another" in done.stderr
    again = CliRunner().invoke(app, arguments)
    assert "made before" in again.stderr


def test_mistakes_are_told(arguments, gpt2):
    """A cross-encoder without a name, and too few documents, are refused before anything is written."""
    with pytest.raises(ConfigError, match="add --teacher MODEL"):
        CliRunner().invoke(app, [*arguments, "--cross"], catch_exceptions=False)
    with pytest.raises(ConfigError, match="corpus: has only 6 documents"):
        CliRunner().invoke(app, [*arguments, f"--writer={gpt2}"], catch_exceptions=False)

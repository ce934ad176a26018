"""`annbench choose`, with real children: a decision on vectors of one's own, kept, and gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import harness
from harness.choosing.journal import read_journal
from harness.core.errors import ConfigError

Annbench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("harness.choosing.finals._MAX_ROUNDS", 5)
    monkeypatch.setattr("harness.choosing.session._REFINED", 0)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "mine.npy", rng.normal(size=(2_200, 12)).astype(np.float32))
    return tmp_path / "mine.npy"


def test_a_file_of_vectors_gets_an_index(annbench: Annbench, vectors: Path, tmp_path: Path) -> None:
    """One call prepares, scouts, measures in turns and tells; a second one tells the same without measuring."""
    command = ("choose", str(vectors), "--minutes", "5", "-a", "brute_force", "-a", "hnswlib", "--queries", "200")
    status, out, err = annbench(*command)
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("mine-12-euclidean: 2,000 x 12, euclidean; recall 0.95 at k = 10")
    assert any(line.startswith(("take", "fastest")) for line in lines)  # fastest: most passes were disturbed
    assert len(lines) <= 40
    assert "metric: euclidean, since nothing says another" in err
    assert "hnswlib" in out + err  # on a busy machine there may have been no time for it, which is said
    page = tmp_path / "plots" / "choose-mine-12-euclidean" / "report.html"
    assert f"all that was measured: {page}" in out
    assert page.exists()
    kept = sorted((tmp_path / "results").rglob("*.hdf5"))
    stamps = [file.stat().st_mtime_ns for file in kept]
    assert annbench(*command)[:2] == (0, out)
    assert [file.stat().st_mtime_ns for file in kept] == stamps


def test_what_an_interrupted_choice_tried_is_kept(vectors: Path, tmp_path: Path) -> None:
    """After an interruption the same call tries no build again that it had tried; limits leave out what breaks them."""

    def interrupt(event: str, content: dict[str, object]) -> None:
        if event == "tried":
            raise KeyboardInterrupt

    def choose(**options: object) -> harness.report.choice.Choice:
        return harness.choose(
            vectors, minutes=5, algorithm=["brute_force"], queries=200,
            data=tmp_path / "d", results=tmp_path / "r", plots=tmp_path / "p", **options,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        choose(listener=interrupt)
    (journal,) = (tmp_path / "r").rglob("journal.jsonl")
    before = read_journal(journal)
    assert [tried.algorithm for tried in before.tried] == ["brute_force"]
    assert before.tried[0].points
    choice = choose()
    compile(choice.snippet, "snippet", "exec")
    assert "'brute_force'" in choice.snippet
    assert choice.best is not None
    assert choice.best.algorithm == "brute_force"
    assert choice.best.recall == 1.0
    assert read_journal(journal).tried == before.tried
    assert list(choice.table["algorithm"]) == ["brute_force"] * len(choice.table)
    assert "brute_force" in choice._repr_html_()
    small = choose(memory=1000)
    assert small.best is None
    assert "--memory" in str(small)


def test_every_engine_is_scouted_on_a_sample(vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is far behind on a few rows isn't built on all, which is said; a plug-in's lines name its path."""
    monkeypatch.setattr("harness.choosing.session.MIN_KEPT", 1)
    monkeypatch.setattr("harness.choosing.standings.MIN_KEPT", 1)
    monkeypatch.setattr("harness.choosing.sample._MIN_ROWS", 100)
    plugin = Path(__file__).parents[1] / "plugins" / "contest"
    names = ["contest-slow", "contest-scan", "contest-broken", "contest-bits"]
    choice = harness.choose(
        vectors, minutes=5, algorithm=names, queries=200, plugins=[plugin],
        data=tmp_path / "d", results=tmp_path / "r", plots=tmp_path / "p",
    )  # fmt: skip
    assert choice.best is not None
    assert choice.best.algorithm == "contest-scan"
    decision = choice.decision
    assert decision.not_tried["contest-slow"] == "far behind on a sample of 250 rows"
    assert "no room for the rows" in decision.not_tried["contest-broken"]
    assert decision.left_out == {"contest-bits": "knows hamming, not euclidean"}
    for why in (*decision.not_tried.values(), *decision.left_out.values()):
        assert f"({why})" in str(choice)
    (journal,) = (tmp_path / "r").rglob("journal.jsonl")
    rows = {(tried.algorithm, tried.rows) for tried in read_journal(journal).tried}
    assert rows == {
        *((name, 250) for name in ("contest-slow", "contest-scan", "contest-broken")),
        ("contest-scan", 0),
        ("contest-broken", 0),
    }
    assert not (journal.parent / "sample").exists()
    assert f"load_registry([Path({str(plugin)!r})])" in choice.snippet
    monkeypatch.chdir(tmp_path)
    rows = np.load(vectors)[:300]
    np.save(tmp_path / "vectors.npy", rows)
    np.save(tmp_path / "queries.npy", rows[:1])
    space: dict[str, Any] = {}
    exec(compile(choice.snippet, "snippet", "exec"), space)  # noqa: S102 - the lines are made to be run
    assert space["ids"][0, 0] == 0


def test_a_damaged_journal_costs_time_only(tmp_path: Path) -> None:
    """What can't be read is an empty journal."""
    path = tmp_path / "journal.jsonl"
    for text in ("", "[]", "{", json.dumps({"spent": {}}), json.dumps({"spent": {}, "decided": {}}) + "\n{}"):
        path.write_text(text, encoding="utf-8")
        assert read_journal(path).tried == []


@pytest.mark.parametrize("wrong", [{"recall": 0.0}, {"recall": 1.2}, {"minutes": 0.1}])
def test_wishes_that_cannot_be_met_are_refused(vectors: Path, tmp_path: Path, wrong: dict[str, float]) -> None:
    """A recall outside 0 to 1, or no time, is refused before anything is prepared."""
    with pytest.raises(ConfigError):
        harness.choose(vectors, data=tmp_path / "d", **wrong)
    assert not (tmp_path / "d").exists()

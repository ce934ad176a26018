"""`annbench tune` as a person meets it: builds really run, on data that is always there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.plan.suites import read_suites
from harness.store.results import ResultStore
from harness.tune import session

_CONFIG = """
part:
  constructor: part:Part
  origin: library
  metrics: [euclidean]
  groups:
    quick: {build: {seed: [0, 4]}, search: {rows: [40, 1597]}}
"""

_SOURCE = """
import numpy as np

from harness.engines.contract import Algorithm


class Part(Algorithm):
    '''Looks at some of the rows, drawn once: the more, the better and the slower.'''

    def __init__(self, metric, *, seed):
        self.seed = seed

    def fit(self, train, *, threads=1):
        self.order = np.random.default_rng(self.seed).permutation(len(train))
        self.rows = train[self.order]

    def searcher(self, *, threads=1, rows):
        part = self.rows[:rows]

        def search(queries, k):
            away = ((queries[:, None, :] - part[None, :, :]) ** 2).sum(axis=2)
            return self.order[np.argsort(away, axis=1, kind="stable")[:, :k]]

        return search
"""


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Write a plug-in that trades recall for time."""
    folder = tmp_path / "part"
    folder.mkdir()
    (folder / "config.yml").write_text(_CONFIG, encoding="utf-8")
    (folder / "__init__.py").write_text(_SOURCE, encoding="utf-8")
    return folder


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a build and its first searches have the time that they need, however busy the machine is."""
    monkeypatch.setattr(session, "_MIN_LIMIT", 60.0)
    monkeypatch.setattr(session, "_MIN_SETTINGS", 16)


@pytest.mark.usefixtures("patient")
def test_what_is_chosen_reaches_the_recall_and_goes_on(annbench: Any, part: Path, tmp_path: Path) -> None:
    """Chosen on one half, told on the other, written as a suite; a second call with the same budget tries nothing."""
    command = (
        *("tune", "part", "--plugin", str(part), "--budget", "0.1", "-d", "digits-64-euclidean"),
        *("--recall", "0.8", "--queries", "50", "--out", "kept/tuned.yml"),
    )
    status, out, err = annbench(*command)
    assert status == 0, err
    assert "0.8" in out
    (suite,) = read_suites(tmp_path / "kept" / "tuned.yml").values()
    (grid,) = suite.grids["part"]
    (search,) = grid.search if isinstance(grid.search, list) else [grid.search]
    assert 1597 * 0.7 < search["rows"] <= 1597  # how near to the least depends on how many there was time for
    (kept,) = (tmp_path / "results" / ".tune").glob("part-*")
    trials = [json.loads(line) for line in (kept / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(0 < trial["build_seconds"] < trial["seconds"] for trial in trials)
    used = json.loads((kept / "time.json").read_text(encoding="utf-8"))["seconds"]
    assert used > sum(trial["seconds"] for trial in trials)  # for it holds what came before and after them, too
    (again,) = ResultStore(kept / ".compare" / "alone").results()
    assert again.spec["half"] == "odd"
    assert 1 <= len(again.document.processes) <= 3  # as many as the budget had time for
    status, _, err = annbench(*command)
    assert status == 0, err
    assert len((kept / "trials.jsonl").read_text(encoding="utf-8").splitlines()) == len(trials)
    status, _, err = annbench(
        *("run", "kept/tuned.yml", "--plugin", str(part), "--passes", "1", "--queries", "10"),
    )
    assert status == 0, err


def test_a_build_that_takes_longer_than_the_budget_is_cut(annbench: Any, part: Path) -> None:
    """A line says so, and the end says what to do."""
    slow = _SOURCE.replace("import numpy", "import time\n\nimport numpy", 1).replace(
        "        self.order", "        time.sleep(600 if len(train) > 1000 else 0)\n        self.order", 1
    )
    (part / "__init__.py").write_text(slow, encoding="utf-8")
    status, _, err = annbench(
        *("tune", "part", "--plugin", str(part), "--budget", "0.05", "-d", "digits-64-euclidean", "--recall", "0.8")
    )
    assert status == 2
    assert "s, all that the budget had left for it" in " ".join(err.split())
    assert "part: no build was ready and searched within 0.05 minutes; give a larger --budget" in err


@pytest.mark.usefixtures("patient")
def test_what_one_algorithm_lacks_keeps_no_other_from_being_tuned(annbench: Any, part: Path, tmp_path: Path) -> None:
    """It is said in a line and by the exit status; the others are tuned and written."""
    blind = "\n\nclass Blind(Part):\n    def fit(self, train, *, threads=1):\n        raise ValueError('blind')\n"
    (part / "__init__.py").write_text(_SOURCE + blind, encoding="utf-8")
    second = _CONFIG.replace("part:", "blind:", 1).replace("part:Part", "part:Blind")
    (part / "config.yml").write_text(_CONFIG + second, encoding="utf-8")
    status, _, err = annbench(
        *("tune", "blind", "part", "--plugin", str(part), "--budget", "0.05", "-d", "digits-64-euclidean"),
        *("--recall", "0.5", "--queries", "50", "--out", "tuned.yml"),
    )
    assert status == 1, err
    assert "blind: not conforming" in err
    (suite,) = read_suites(tmp_path / "tuned.yml").values()
    assert list(suite.grids) == ["part"]


@pytest.mark.usefixtures("patient")
def test_an_odd_number_of_queries_is_halved(annbench: Any, part: Path, tmp_path: Path) -> None:
    """What was chosen is told of the half that has one query less."""
    np.save(tmp_path / "odd.npy", np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32))
    assert annbench("prepare", "odd.npy", "--metric", "euclidean", "--queries", "31")[0] == 0
    command = ("tune", "part", "--plugin", str(part), "--budget", "0.05", "-d", "odd-8-euclidean", "--recall", "0.05")
    status, _, err = annbench(*command)
    assert status == 0, err
    (kept,) = (tmp_path / "results" / ".tune").glob("part-*")
    (again,) = ResultStore(kept / ".compare" / "alone").results()
    assert (again.spec["half"], again.spec["queries"], again.queries) == ("odd", 15, 15)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hnws", "--budget", "1"), "did you mean hnsw"),
        (("brute_force", "--budget", "1"), "brute_force has nothing to tune"),
        (("hnsw", "--budget", "1", "--recall", "2"), "'2' is no recall"),
    ],
)
def test_mistakes_are_told_in_a_line(annbench: Any, arguments: tuple[str, ...], said: str) -> None:
    """Nothing is measured before a mistake is found."""
    status, _, err = annbench("tune", *arguments, "-d", "digits-64-euclidean")
    assert status == 2
    assert said in err
    assert "Traceback" not in err

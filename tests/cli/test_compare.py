"""`annbench compare` as a person meets it: children really run, on data that is always there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.store.results import ResultStore
from support import factory

FAULTY = Path(__file__).parents[1] / "plugins" / "faulty"
DIGITS = ("-d", "digits-64-euclidean", "--queries", "20", "--passes", "2", "--pairs", "2", "--most-pairs", "2")


def rows(out: str) -> list[dict[str, Any]]:
    """Return the rows of a comparison that was printed as JSON."""
    found: list[dict[str, Any]] = json.loads(out)["rows"]
    return found


def pairs(folder: Path) -> list[Path]:
    """List the pairs of children that a comparison kept."""
    return sorted((folder / "results" / ".compare" / "pairs").glob("*/*"))


def test_two_settings_meet_in_turns(annbench: Any, tmp_path: Path) -> None:
    """Both are measured in every pair, each with its own children; more pairs are added to those that are there."""
    sides = (f"{FAULTY}::exact(setting=1)", f"{FAULTY}::exact(setting=2)")
    status, out, _ = annbench("compare", *sides, *DIGITS, "--format", "json")
    assert status == 0
    (row,) = rows(out)
    assert row["passes"] >= 4
    assert row["a"]["settings"] == {"setting=1": 1.0}
    assert row["b"]["settings"] == {"setting=2": 1.0}
    assert 0.3 < row["verdict"]["ratio"] < 3
    # The same pairs by the other clock: nothing is measured anew.
    status, out, _ = annbench("compare", *sides, *DIGITS, "--format", "json", "--clock", "cpu")
    assert (status, json.loads(out)["clock"]) == (0, "cpu")
    assert rows(out)[0]["passes"] == row["passes"]
    assert rows(out)[0]["a"]["qps"] != row["a"]["qps"]
    first = pairs(tmp_path)
    assert [folder.name for folder in first] == ["000", "001"]
    children = {
        result.document.processes[0].pid
        for folder in first
        for side in ("A", "B")
        for result in ResultStore(folder / side).results()
    }
    assert len(children) == 4
    shutil.rmtree(first[0])  # as an interruption would leave it
    (first[1] / "done.json").touch()
    before = (first[1] / "done.json").stat().st_ino
    more = (*DIGITS[:-4], "--pairs", "3", "--most-pairs", "3")
    status, out, _ = annbench("compare", *sides, *more, "--format", "json")
    assert status == 0
    assert rows(out)[0]["passes"] >= 6
    assert [folder.name for folder in pairs(tmp_path)] == ["000", "001", "002"]
    assert (first[1] / "done.json").stat().st_ino == before


def test_a_frontier_is_compared_at_equal_recall(annbench: Any, tmp_path: Path) -> None:
    """Grids are tried once, and what encloses the recall is compared; a recall out of reach has no verdict."""
    status, out, err = annbench(
        "compare", "annoy", "hnswlib", *DIGITS, "--recall", "0.9,1", "--holdout", "--format", "json"
    )
    assert status == 0, err
    low, high = rows(out)
    assert (low["target"], high["target"]) == (0.9, 1.0)
    assert low["half"] == "odd"
    assert low["b"]["relation"] == ">="
    assert len(low["a"]["settings"]) <= 4  # two, and those next to them that are hardly slower
    assert "settings tried once" in err
    halves = {result.spec["half"] for result in ResultStore(tmp_path / "results" / ".compare" / "probe").results()}
    assert halves == {"even"}


def test_halves_of_an_odd_number_of_queries(annbench: Any, tmp_path: Path) -> None:
    """The half that is compared on has one query less, live and beside a baseline; one query can't be halved."""
    np.save(tmp_path / "odd.npy", np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32))
    for name, queries in (("odd-8-euclidean", "51"), ("one-8-euclidean", "1")):
        assert annbench("prepare", "odd.npy", "--metric", "euclidean", "--queries", queries, "--name", name)[0] == 0
    sides = (f"{FAULTY}::exact(setting=1)", f"{FAULTY}::exact(setting=2)")
    common = ("--holdout", "--pairs", "1", "--most-pairs", "1", "--passes", "2")
    status, out, err = annbench(
        "compare", *sides, "-d", "odd-8-euclidean", *common, "--format", "json", "--save-baseline", "base.json"
    )
    assert status == 0, err
    assert [(row["queries"], row["half"]) for row in rows(out)] == [(25, "odd")]
    status, out, err = annbench("compare", "base.json", sides[0], *common, "--format", "json")
    assert status == 0, err
    assert [(row["queries"], row["half"]) for row in rows(out)] == [(25, "odd")]
    status, _, err = annbench("compare", *sides, "-d", "one-8-euclidean", *common)
    assert status == 2
    assert "annbench: one-8-euclidean has 1 query, which can't be halved" in err


def write_plug_in(folder: Path, grid: str, code: str) -> None:
    """Write a version of the plug-in `mine`, class `Mine`, with a grid for the group `quick`."""
    (folder / "mine").mkdir(parents=True)
    config = "mine:\n  constructor: mine:Mine\n  origin: library\n  metrics: [euclidean]\n  groups: {quick: GRID}\n"
    (folder / "mine" / "config.yml").write_text(config.replace("GRID", grid), encoding="utf-8")
    (folder / "mine" / "__init__.py").write_text(code, encoding="utf-8")


def test_two_versions_of_a_plug_in_meet(annbench: Any, tmp_path: Path) -> None:
    """Each side imports its own folder, although both have one name."""
    for version, wait in (("old", "0.0"), ("new", "0.02")):
        write_plug_in(
            tmp_path / version,
            "{}",
            f"""
import time

import numpy as np

from harness.engines.contract import Algorithm


class Mine(Algorithm):
    def __init__(self, metric):
        pass

    def fit(self, train, *, threads=1):
        self.train = train

    def searcher(self, *, threads=1):
        def search(queries, k):
            time.sleep({wait})
            away = ((queries[:, None, :] - self.train[None, :, :]) ** 2).sum(axis=2)
            return np.argsort(away, axis=1, kind="stable")[:, :k]

        return search
""",
        )
    status, out, err = annbench(
        *("compare", "old/mine", "new/mine", *DIGITS, "--format", "json", "--fail-if-slower", "10%"),
        *("--save-baseline", "kept/base.json"),
    )
    assert rows(out)[0]["text"] == "A faster", err
    assert status == 1
    assert "slower than A on digits-64-euclidean" in err
    baseline = json.loads((tmp_path / "kept" / "base.json").read_text(encoding="utf-8"))
    assert set(baseline["settings"][0]["process"]) == {0, 1}
    status, out, err = annbench(
        *(
            "compare",
            "kept/base.json",
            "old/mine",
            *DIGITS[2:],
            "--format",
            "json",
            "--save-baseline",
            "kept/next.json",
        ),
    )
    assert status == 0, err
    saved = json.loads((tmp_path / "kept" / "next.json").read_text(encoding="utf-8"))
    assert saved["terms"] == baseline["terms"]
    assert len(saved["settings"][0]["qps"]) >= 4
    assert rows(out)[0]["text"] == "B faster"
    assert any("not measured in turns" in note for note in json.loads(out)["notes"])


def test_a_side_that_crashes_is_named(annbench: Any) -> None:
    """The comparison ends in one line that says which side, what happened and where."""
    status, _, err = annbench(
        "compare", f"{FAULTY}::exact(setting=1)", f"{FAULTY}::segfault-in-search(setting=2)", *DIGITS
    )
    assert status == 2
    assert "annbench: B (segfault-in-search): crashed (SIGSEGV) during search" in err


def test_a_side_that_breaks_the_contract_is_not_timed(annbench: Any) -> None:
    """Its figures would not hold."""
    status, _, err = annbench("compare", f"{FAULTY}::exact(setting=1)", f"{FAULTY}::duplicate-ids(setting=1)", *DIGITS)
    assert status == 2
    assert "duplicate-ids(setting=1): not conforming" in err


def test_a_baseline_of_another_machine_is_refused(
    annbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is asked for: then the table says so."""
    from harness.measure import machine

    side = f"{FAULTY}::exact(setting=1)"
    status, _, err = annbench("compare", side, *DIGITS, "--save-baseline", "base.json")
    assert status == 0, err
    monkeypatch.setenv(machine.NAME_VARIABLE, "elsewhere")
    machine.describe_machine.cache_clear()
    try:
        status, _, err = annbench("compare", "base.json", side, *DIGITS[2:])
        assert status == 2
        assert "different machines" in err
        assert "--other-machine" in err
        status, out, err = annbench(
            "compare", "base.json", side, *DIGITS[2:], "--other-machine", "--format", "markdown"
        )
    finally:
        machine.describe_machine.cache_clear()
    assert status == 0, err
    assert "measured on different machines" in out


@pytest.mark.slow
def test_a_gate_sees_recall_that_was_lost(annbench: Any, tmp_path: Path) -> None:
    """A version that looks at half of what the old one did takes other settings to a recall: the same ones count."""
    shares = {
        "old": "share",
        "new": "share / 2 if share < 1 else 1.0",
        "broken": "share if share < 0.7 or len(self.train) < 1000 else share / 0",
    }
    for version, share in shares.items():
        write_plug_in(
            tmp_path / version,
            "{search: {share: [0.2, 0.4, 0.6, 0.8, 1.0]}}",
            f"""
import numpy as np

from harness.engines.contract import Algorithm


class Mine(Algorithm):
    def __init__(self, metric):
        pass

    def fit(self, train, *, threads=1):
        self.train = train[np.random.default_rng(0).permutation(len(train))]
        self.ids = np.random.default_rng(0).permutation(len(train))

    def searcher(self, *, threads=1, share):
        count = int(({share}) * len(self.train))

        def search(queries, k):
            away = ((queries[:, None, :] - self.train[None, :count, :]) ** 2).sum(axis=2)
            return self.ids[np.argsort(away, axis=1, kind="stable")[:, :k]]

        return search
""",
        )
    gate = ("--recall", "0.5", "--fail-if-recall-drops", "0.05")
    status, _, err = annbench("compare", "old/mine", "new/mine", *DIGITS, *gate)
    assert status == 1, err
    assert "B's recall is 0." in err
    assert annbench("compare", "old/mine", "old/mine", *DIGITS, *gate)[0] == 0
    status, _, err = annbench("compare", "old/mine", "broken/mine", *DIGITS, *gate)
    assert status == 1, err
    assert "B: a setting failed, search raised ZeroDivisionError" in err
    assert "B failed with share=0.8, which A was measured with" in err
    assert annbench("compare", "old/mine", *DIGITS, "--recall", "0.5", "--save-baseline", "base.json")[0] == 0
    status, _, err = annbench("compare", "base.json", "new/mine", *DIGITS[2:], *gate)
    assert status == 1, err
    assert "B's recall is 0." in err


def stores(tmp_path: Path) -> tuple[str, str]:
    """Write two stores of the same index, the second one slower and with less recall."""
    for name, qps, recall in (("old", 1000.0, 0.95), ("new", 500.0, 0.9)):
        store = ResultStore(tmp_path / name)
        for ef, factor in ((10, 1.0), (40, 0.5)):
            result = factory.make_result(
                search={"ef": ef}, qps=qps * factor, recall=recall + 0.02 * (ef == 40), processes=5, passes=15
            )
            store.write(store.path("digits-64-euclidean/10/hnsw", f"ef-{ef}"), result)
    return str(tmp_path / "old"), str(tmp_path / "new")


def test_result_folders_are_compared(annbench: Any, tmp_path: Path) -> None:
    """What both hold of an algorithm is judged, with the setting or the recall that was asked for."""
    old, new = stores(tmp_path)
    status, out, err = annbench("compare", f"{old}::hnsw(ef=10)", f"{new}::hnsw(ef=10)", "--format", "json")
    assert status == 0, err
    assert rows(out)[0]["text"] == "A faster"
    assert rows(out)[0]["verdict"]["ratio"] == pytest.approx(2.0, rel=0.1)
    status, _, err = annbench("compare", old, new, "--save-baseline", "none.json")
    assert status == 2
    assert "no baseline to save" in err
    status, _, err = annbench("compare", old, new, "-d", "elsewhere")
    assert status == 2
    assert "no result there is of elsewhere" in err
    status, out, _ = annbench("compare", old, new, "--recall", "0.9,0.96", "--format", "csv")
    assert status == 0
    assert "B not there: B up to 0.9200" in out


def test_figures_stay_whole_where_the_table_is_narrow(
    annbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the 80 columns of a log neither a name, the interval nor a speed is cut."""
    for name, qps in (("anisotropic_vq", 1234567.0), ("sklearn-ball-tree", 98765.0)):
        store = ResultStore(tmp_path / name)
        result = factory.make_result(algorithm=name, search={"ef": 10}, qps=qps, recall=0.95, processes=5, passes=15)
        store.write(store.path(f"digits-64-euclidean/10/{name}", "ef-10"), result)
    sides = (str(tmp_path / "anisotropic_vq"), str(tmp_path / "sklearn-ball-tree"))
    (row,) = rows(annbench("compare", *sides, "--format", "json")[1])
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = annbench("compare", *sides)
    assert status == 0, err
    assert "…" not in out
    verdict = row["verdict"]
    for figure in (
        f"{verdict['low']:.3f}-{verdict['high']:.3f}",
        *(f"{verdict['ratio']:.3f}", f"{row['a']['qps']:,.0f}", f"{row['b']['qps']:,.0f}"),
    ):
        assert figure in out
    assert "anisotropic_vq / sklearn-ball-tree" in out


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (("--fail-if-slower", "60%"), ""),
        (("--fail-if-slower", "0.4"), "B is 5"),
        (("--fail-if-recall-drops", "0.1"), ""),
        (("--fail-if-recall-drops", "0.04"), "B's recall is 0.0500 below A's"),
    ],
)
def test_gates_give_a_status(annbench: Any, tmp_path: Path, gate: tuple[str, str], said: str) -> None:
    """CI reads 0 or 1: B is half as fast, and finds 5 in 100 less."""
    old, new = stores(tmp_path)
    status, _, err = annbench("compare", f"{old}::hnsw(ef=10)", f"{new}::hnsw(ef=10)", *gate)
    assert (status == 1) == bool(said), err
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hnws", "hnsw"), "no algorithm is called 'hnws'; did you mean hnsw"),
        (("hnsw",), "two sides"),
        (("hnsw(unheard=3)", "hnsw"), "semicolon"),
        (("no/such", "hnsw"), "there is no no/such"),
        (("hnsw", "lsh", "--recall", "1.5"), "'1.5' is no recall"),
        (("hnsw", "lsh", "--recall", "high"), "'high' is no recall"),
        (("hnsw", "lsh", "--fail-if-slower", "fast"), "'fast' is no share"),
        (("hnsw", "lsh", "--format", "html"), "choose from table"),
        (
            ("hnsw", "lsh", *DIGITS[:2], "--pairs", "4", "--most-pairs", "2"),
            "--most-pairs 2 is less than the 4 of --pairs",
        ),
        (
            ("hnsw", "lsh", *DIGITS[:2], "--most-pairs", "4"),
            "--most-pairs 4 is less than the 5 of --pairs; give --pairs 4 too",
        ),
        (("hnsw", "lsh", "-d", "digits-64-euclidean", "-k", "101"), "k = 101"),
        (("hnsw", "lsh", "-d", "digits-64-euclidean", "--mode", "batch", "--threads", "999"), "threads: 999, but"),
        (("broken.json", "hnsw"), "broken.json: is no baseline"),
        (("empty", "hnsw"), "no result there fits"),
    ],
)
def test_mistakes_are_told_in_a_line(annbench: Any, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Every mistake names the value and the way out; none is a traceback."""
    (tmp_path / "broken.json").write_text('{"terms": 1}', encoding="utf-8")
    (tmp_path / "empty").mkdir()
    status, _, err = annbench("compare", *arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err

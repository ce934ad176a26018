"""Sides of `annbench compare` that are results already: folders and baseline files, made up and not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.compare.stored import write_baseline
from harness.data.dataset import Header
from harness.data.metric import Metric
from harness.measure.job import Job
from harness.store.results import ResultStore
from harness.store.spec import thaw
from support import factory

FAULTY = Path(__file__).parents[1] / "plugins" / "faulty"


def baseline(path: Path, **changes: Any) -> dict[str, Any]:
    """Write a baseline of hnsw on digits, 50 queries at k = 10, and return what it holds."""
    terms = {"queries": 50, "processes": 5, "passes": 15, **changes}
    write_baseline(path, [factory.make_result(search={"ef": 10}, **terms)])
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"qps": [1000.0, 1010.0]}, "qps holds 2 passes, process 15: one child for each pass"),
        ({"process": [0]}, "qps holds 15 passes, process 1"),
        ({"qps": [-1000.0] * 15}, "settings.0.qps.0: should be more than 0"),
        ({"qps": [0.0] * 15}, "settings.0.qps.0: should be more than 0"),
        ({"qps": [float("inf")] * 15}, "settings.0.qps.0: should be a finite number"),
        ({"qps": [float("nan")] * 15}, "settings.0.qps.0: should be a finite number"),
        ({"process": [10**30] * 15}, "settings.0.process.0: should be "),
        ({"recall": float("nan")}, "settings.0.recall: should be a finite number"),
    ],
)
def test_a_baseline_edited_by_hand_is_refused_in_a_line(
    annbench: Any, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """A traceback would end in status 1, which a gate reads as slower."""
    document = baseline(tmp_path / "base.json")
    document["settings"][0] |= change
    (tmp_path / "edited.json").write_text(json.dumps(document), encoding="utf-8")
    status, _, err = annbench("compare", "base.json", "edited.json", "--fail-if-slower", "10%")
    assert status == 2
    assert "edited.json: is no baseline of annbench" in err
    assert said in err
    assert "Traceback" not in err


def test_a_baseline_of_a_later_version_is_told_by_its_version(annbench: Any, tmp_path: Path) -> None:
    """Whatever else it holds that this version doesn't know."""
    document = baseline(tmp_path / "base.json")
    later = {**document, "schema_version": 3, "weather": "fine"}
    (tmp_path / "later.json").write_text(json.dumps(later), encoding="utf-8")
    status, _, err = annbench("compare", "base.json", "later.json")
    assert status == 2
    assert "later.json: schema 3, but this annbench reads 1 to 2; upgrade with" in err


def with_passes(document: dict[str, Any], qps: float) -> dict[str, Any]:
    """Give the setting of a baseline passes of such a QPS by CPU time."""
    for setting in document["settings"]:
        setting["qps_cpu"] = [qps + i for i, _ in enumerate(setting["qps"])]
    return document


def test_baselines_are_compared_by_cpu_time(annbench: Any, tmp_path: Path) -> None:
    """What B took longer by the wall clock is a neighbour's; the table, JSON and the gate say by which clock it is."""
    fast, slow = (baseline(tmp_path / f"{name}.json", qps=qps) for name, qps in (("a", 1000.0), ("b", 800.0)))
    for name, document in (("a", with_passes(fast, 1100.0)), ("b", with_passes(slow, 1100.0))):
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    gate = ("--fail-if-slower", "10%", "--format", "json")
    status, out, err = annbench("compare", "a.json", "b.json", *gate)
    assert (status, json.loads(out)["clock"]) == (1, "wall")
    assert "slower than A on digits" in err
    status, out, err = annbench("compare", "a.json", "b.json", "--clock", "cpu", *gate)
    assert (status, json.loads(out)["clock"], err.strip()) == (0, "cpu", "")
    assert any(note.startswith("by CPU time") for note in json.loads(out)["notes"])
    assert rows(out)[0]["verdict"]["ratio"] == pytest.approx(1.0)
    (tmp_path / "b.json").write_text(json.dumps(with_passes(slow, 500.0)), encoding="utf-8")
    status, out, err = annbench("compare", "a.json", "b.json", "--clock", "cpu", *gate[:2], "--format", "csv")
    assert (status, "A QPS (CPU),B QPS (CPU)" in out) == (1, True)
    assert "slower than A by CPU time on digits" in err


def test_a_baseline_without_cpu_time_is_told(annbench: Any, tmp_path: Path) -> None:
    """One of an older version can be compared by the wall clock alone; half of the passes is a mistake."""
    document = baseline(tmp_path / "old.json")
    del document["settings"][0]["qps_cpu"]
    (tmp_path / "old.json").write_text(json.dumps(document), encoding="utf-8")
    assert annbench("compare", "old.json", "old.json")[0] == 0
    status, _, err = annbench("compare", "old.json", "old.json", "--clock", "cpu")
    assert status == 2
    assert "hnsw (ef=10): what is stored of it doesn't say how much CPU time" in err
    document["settings"][0]["qps_cpu"] = [5.0]
    (tmp_path / "old.json").write_text(json.dumps(document), encoding="utf-8")
    status, _, err = annbench("compare", "old.json", "old.json")
    assert status == 2
    assert "qps_cpu holds 1 passes, qps 15: the same, or none" in err


@pytest.mark.parametrize("side", ["", " ", "::hnsw"])
def test_an_empty_side_is_not_the_current_folder(annbench: Any, tmp_path: Path, side: str) -> None:
    """It is what an unset variable leaves in a script."""
    factory.write_store(tmp_path, [factory.make_result(search={"ef": 10})])
    for sides in ((".", side), (side, ".")):
        status, _, err = annbench("compare", *sides)
        assert status == 2
        assert f"{side!r} names no algorithm and no path" in err


def rows(out: str) -> list[dict[str, Any]]:
    """Return the rows of a comparison that was printed as JSON."""
    found: list[dict[str, Any]] = json.loads(out)["rows"]
    return found


def store(folder: Path, *terms: dict[str, Any]) -> str:
    """Write a result of each of these terms, each of five children, into one store."""
    results = [factory.make_result(**{"search": {"ef": 10}, "processes": 5, "passes": 15, **one}) for one in terms]
    factory.write_store(folder, results)
    return str(folder)


@pytest.mark.parametrize(
    ("other", "key", "told"),
    [
        ({"queries": 50}, "queries", ", 50 queries"),
        ({"machine": {"key": "elsewhere", "cpu": "another"}}, "machine", "on another"),
        ({"dataset_sha256": "e" * 64}, "dataset_sha256", "version eeeeeeee"),
        ({"half": "odd"}, "half", "odd half"),
    ],
)
def test_each_is_compared_with_its_like(
    annbench: Any, tmp_path: Path, other: dict[str, Any], key: str, told: str
) -> None:
    """Two stores that hold the same two terms give two verdicts, and say which is of which."""
    folder = store(tmp_path / "both", {}, other)
    status, out, err = annbench("compare", folder, folder, "--format", "json")
    assert status == 0, err
    found = rows(out)
    assert len({row[key] for row in found}) == 2
    assert all(row["verdict"]["ratio"] == 1.0 for row in found)
    assert told in annbench("compare", folder, folder, "--format", "csv")[1]


def ran(result: Any, architecture: str) -> Any:
    """Let the child of a result say which kernels its numpy ran."""
    for process in result.document.processes:
        process.kernels = [{"library": "numpy", "runs": "openblas", "version": "1", "architecture": architecture}]
    return result


def test_unlike_kernels_are_another_machine(annbench: Any, tmp_path: Path) -> None:
    """A BLAS that took other kernels on one side is refused, and told where that is allowed; so is a variable."""
    for name, architecture, set_for_all in (
        ("old", "Barcelona", {}),
        ("new", "Haswell", {}),
        ("same", "Haswell", {}),
        ("set", "Haswell", {"kernels": {"OPENBLAS_CORETYPE": "Haswell"}}),
    ):
        result = factory.make_result(search={"ef": 10}, processes=5, passes=15, **set_for_all)
        factory.write_store(tmp_path / name, [ran(result, architecture)])
        if name != "set":
            write_baseline(tmp_path / f"{name}.json", [result])
    for sides in (("old", "new"), ("old.json", "new"), ("old.json", "new.json")):
        status, _, err = annbench("compare", *sides)
        assert status == 2
        assert "libraries ran other kernels on one side than on the other (numpy openblas ran Barcelona and Has" in err
    status, out, err = annbench("compare", "old", "new", "--other-machine", "--format", "json")
    assert status == 0, err
    assert "libraries ran unlike kernels: numpy openblas ran Barcelona and Haswell" in json.loads(out)["notes"]
    assert annbench("compare", "new", "same.json")[0] == 0
    status, _, err = annbench("compare", "new", "set")
    assert status == 2
    assert "OPENBLAS_CORETYPE=Haswell" in err


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--queries", "50"), [(10, "single", 50)]),
        (("--k", "5"), [(5, "single", 100)]),
        (("--mode", "batch", "--threads", "2"), [(10, "batch", 100)]),
        (("--mode", "single", "--threads", "2", "-k", "10"), [(10, "single", 100), (10, "single", 50)]),
        (("--holdout",), [(10, "single", 30)]),
    ],
)
def test_options_choose_among_results(
    annbench: Any, tmp_path: Path, options: tuple[str, ...], left: list[tuple[int, str, int]]
) -> None:
    """Those that are given; a thread more or less is nothing to results of one query a call."""
    folder = store(
        tmp_path / "many",
        *({}, {"queries": 50}, {"k": 5}, {"mode": "batch", "threads": 2}, {"queries": 30, "half": "odd"}),
    )
    status, out, err = annbench("compare", folder, folder, "--format", "json", *options)
    assert status == 0, err
    found = [(row["k"], row["mode"], row["queries"]) for row in rows(out)]
    assert sorted(found) == sorted(left + [(10, "single", 30)] * (options[0] == "--mode" and options[1] == "single"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--k", "5", "--queries", "20"), "no result there was measured with --k 5 --queries 20"),
        (
            ("--queries", "60"),
            "no result there was measured with --queries 60; what is there has k=10, single, 50 queries: ask for that",
        ),
        (("--mode", "batch"), "no result there was measured with --mode batch"),
        (("--holdout",), "no result there was measured with --holdout"),
    ],
)
def test_terms_that_contradict_a_baseline_are_refused(
    annbench: Any, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    """They were replaced by the baseline's without a word; nothing is measured before it is said."""
    baseline(tmp_path / "base.json")
    for sides in (("base.json", "hnswlib(M=16, ef=40)"), ("hnswlib(M=16, ef=40)", "base.json")):
        status, _, err = annbench("compare", *sides, *options)
        assert status == 2
        assert f"base.json: {said}" in err
    assert not (tmp_path / "results").exists()


def test_more_queries_than_there_are_is_all_of_them(
    annbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the same --queries serves for a baseline and for what is compared with it."""
    baseline(tmp_path / "base.json")
    header = type("Header", (), {"queries": 50, "sha256": "d" * 64})
    monkeypatch.setattr("harness.compare.meet.read_header", lambda folder, name: header)
    assert annbench("compare", "base.json", "base.json", "--queries", "1000")[0] == 0
    assert annbench("compare", "base.json", "base.json", "--queries", "20")[0] == 2
    header.queries = 60
    assert annbench("compare", "base.json", "base.json", "--queries", "1000")[0] == 2


def test_an_algorithm_is_measured_under_one_of_the_terms(annbench: Any, tmp_path: Path) -> None:
    """Where the other side has several the message lists them, and with what they are chosen."""
    folder = store(tmp_path / "both", {}, {"queries": 50})
    status, _, err = annbench("compare", folder, "hnsw(M=16, ef=10)")
    assert status == 2
    assert "k=10, single, 100 queries; digits-64-euclidean, k=10, single, 50 queries" in err
    assert "--queries or FOLDER::ALGORITHM" in err
    folder = store(tmp_path / "two", {"algorithm": "lsh"}, {"algorithm": "annoy"})
    status, _, err = annbench("compare", folder, "hnsw(M=16, ef=10)")
    assert status == 2
    assert "holds several algorithms, and none is hnsw" in err


def test_unlike_queries_are_refused(annbench: Any, tmp_path: Path) -> None:
    """Where no pair is alike, what differs least is named."""
    old, new = store(tmp_path / "old", {}), store(tmp_path / "new", {"queries": 50})
    status, _, err = annbench("compare", old, new)
    assert status == 2
    assert "100 queries on one side, 50 queries on the other" in err


@pytest.mark.parametrize("gate", [("--fail-if-slower", "10%"), ("--fail-if-recall-drops", "0.01")])
def test_what_is_missing_is_told_and_fails_a_gate(annbench: Any, tmp_path: Path, gate: tuple[str, str]) -> None:
    """An index that crashed left no result: green would be wrong."""
    lsh = {"algorithm": "lsh"}
    old, new = store(tmp_path / "old", {}, lsh), store(tmp_path / "new", {})
    told = "A's lsh on digits-64-euclidean (k=10, single, 100 queries) has no counterpart in B"
    status, out, err = annbench("compare", old, new, "--format", "json")
    assert status == 0, err
    assert json.loads(out)["missing"] == [told]
    assert f"not compared: {told}" in json.loads(out)["notes"]
    status, _, err = annbench("compare", old, new, *gate)
    assert status == 1
    assert f"annbench compare: {told}" in err
    # What is new in B is told, and no regression.
    status, out, _ = annbench("compare", new, old, *gate, "--format", "json")
    assert status == 0
    assert any("B's lsh" in note for note in json.loads(out)["notes"])
    # Nor is what nobody asked for: the side names its algorithm.
    for side in (f"{old}::hnsw", f"{new}::hnsw"):
        status, out, _ = annbench("compare", old, side, *gate, "--format", "json")
        assert (status, json.loads(out)["missing"]) == (0, [])
    # A baseline is of one algorithm on one data set.
    baseline(tmp_path / "base.json", queries=100)
    store(tmp_path / "more", {}, {"dataset": "elsewhere"})
    for side in (old, "more"):
        status, out, _ = annbench("compare", side, "base.json", *gate, "--format", "json")
        assert (status, json.loads(out)["missing"]) == (0, [])


@pytest.mark.parametrize(
    ("theirs", "status", "told"),
    [
        ([{"dataset": "elsewhere"}], 1, "A's hnsw on digits-64-euclidean (k=10, single, 100 queries) has no"),
        ([{"queries": 50}, {"dataset": "elsewhere"}], 1, "100 queries on one side, 50 queries on the other"),
        # A slow setting is asked less: how much differs from run to run.
        ([{}, {"queries": 37}, {"dataset": "elsewhere"}], 0, "B's hnsw on digits-64-euclidean (k=10, single, 37 que"),
    ],
)
def test_one_algorithm_may_lack_a_dataset(
    annbench: Any, tmp_path: Path, theirs: list[dict[str, Any]], status: int, told: str
) -> None:
    """A data set is missed like an algorithm; queries that differ on one don't hide what else is compared."""
    old = store(tmp_path / "old", {}, {"dataset": "elsewhere"})
    new = store(tmp_path / "new", *theirs)
    found, out, _ = annbench("compare", old, new, "--fail-if-slower", "10%", "--format", "json")
    assert found == status
    assert any(told in note for note in json.loads(out)["notes"])


class Machine:
    """Stands for the children: makes up what they would measure, slower each time, or is interrupted first."""

    def __init__(self) -> None:
        self.builds = 0
        self.interrupted_at = 0

    def __call__(self, job: Job, *_: object) -> int:
        self.builds += 1
        if self.builds == self.interrupted_at:
            raise KeyboardInterrupt
        store = ResultStore(Path(job.results))
        (search,) = job.build.searches
        spec = {**job.build.identity(search), "build": thaw(job.build.params), "search": thaw(search.params)}
        for name in ("metric", "build_threads", "versions", "plugin_hash"):
            spec.pop(name)
        spec["machine"] = {"key": spec["machine"]}
        result = factory.make_result(**spec, qps=1000 / self.builds, passes=job.passes, processes=1)
        store.write(store.path(job.build.folder, job.build.stem(search)), result)
        return 0


def test_the_rival_of_a_baseline_is_measured_anew(
    annbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same source gave the baseline's own passes again, a ratio of exactly 1, and nothing was measured."""
    machine = Machine()
    monkeypatch.setattr("harness.compare.live.run_build", machine)
    monkeypatch.setattr("harness.compare.apart.check", lambda *_: None)
    header = Header("digits-64-euclidean", Metric.EUCLIDEAN, 1697, 100, 100, 64, "d" * 64)
    monkeypatch.setattr("harness.compare.turns.read_header", lambda *_: header)
    monkeypatch.setattr("harness.compare.live.read_header", lambda *_: header)
    monkeypatch.setattr("harness.data.sources.prepare.prepare", lambda *_, **__: None)
    side = f"{FAULTY}::exact(setting=1)"
    few = ("-d", "digits-64-euclidean", "--passes", "4", "--pairs", "2")
    status, _, err = annbench("compare", side, "--save-baseline", "base.json", "--queries", "20", *few)
    assert status == 0, err
    assert machine.builds == 2
    status, out, err = annbench("compare", "base.json", side, *few, "--format", "json", "--save-baseline", "next.json")
    assert status == 0, err
    assert machine.builds == 4
    assert rows(out)[0]["verdict"]["ratio"] == pytest.approx(2.0, rel=0.1)
    # The same again goes on where it stopped, which is at the end, and so does one that was interrupted.
    status, again, _ = annbench("compare", "base.json", side, *few, "--format", "json")
    assert (status, machine.builds, rows(again)) == (0, 4, rows(out))
    machine.interrupted_at = 6
    assert annbench("compare", "next.json", side, *few)[0] == 130
    assert annbench("compare", "next.json", side, *few)[0] == 0
    assert machine.builds == 7

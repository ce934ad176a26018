"""Results as tables of ann-benchmarks and VIBE, and tables of ann-benchmarks as rows of ours."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from harness import api
from harness.analyse.measures import MEASURES
from harness.cli.main import main
from harness.core.errors import StoreError
from harness.data.dataset import Dataset
from harness.interop.ann_benchmarks import MACHINE
from harness.interop.tables import (
    ANNB_COLUMNS,
    VIBE_COLUMNS,
    annb_table,
    export_folder,
    foreign_rows,
    import_csv,
    vibe_table,
)  # fmt: skip
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.workloads.knn.companion import companion

Maker = Callable[..., tuple[Path, Result]]


@pytest.fixture
def store(tmp_path: Path, measured: Maker) -> ResultStore:
    """Return a store with results of two algorithms, a batch and the floor among them."""
    made = ResultStore(tmp_path / "store")
    for setting in ({"ef": 2}, {"ef": 10}, {"ef": 5, "algorithm": "pq", "k": 50}, {"mode": "batch"}, {"ef": 3}):
        relative, result = measured(**setting)
        if setting == {"ef": 3}:
            result.document.purpose = "floor"
        made.write(made.folder / relative, result, companion(result))
    return made


def _annbench(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["annbench", *arguments])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_columns_of_ann_benchmarks_mean_what_they_mean_there(store: ResultStore, digits: Dataset) -> None:
    """Each figure follows from our file, read as their script reads it; what no file tells is null."""
    table = annb_table(store.results())
    assert tuple(table.columns) == ANNB_COLUMNS
    assert sorted(zip(table["algorithm"], table["count"], strict=True)) == [("hnsw", 10), ("hnsw", 10), ("pq", 50)]
    files = {}
    for path in (path for path in store.paths() if not path.parent.name.endswith("-batch")):
        with h5py.File(path) as file:
            files[file.attrs["name"], int(file.attrs["count"])] = {
                key: file[key][:] for key in ("times", "distances")
            } | dict(file.attrs)
    for row in table.to_dict("records"):
        file, k = files[row["parameters"], row["count"]], row["count"]
        bound = digits.distances[:, k - 1]
        for name, limit in (("k-nn", bound + 1e-3), ("epsilon", bound * 1.01), ("largeepsilon", bound * 1.1)):
            hits = (file["distances"][:, :k] <= limit[:, None]).sum(axis=1)
            assert row[name] == pytest.approx(hits.mean() / k, abs=1e-9)
        assert row["qps"] == pytest.approx(1 / file["best_search_time"], rel=1e-12)
        for name, share in (("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("p999", 99.9)):
            assert row[name] == pytest.approx(np.percentile(file["times"], share) * 1000, rel=1e-12)
        assert row["distcomps"] == file["dist_comps"] / (file["run_count"] * len(digits.test)) == 30
        assert (row["build"], row["indexsize"], row["dataset"]) == (2.5, 4000.0, digits.name)
        assert row["candidates"] == file["candidates"]
        assert row["queriessize"] == pytest.approx(4000 / row["qps"])
        assert np.isnan(row["rel"])


def test_what_is_not_known_is_null(tmp_path: Path, measured: Maker) -> None:
    """Without a count, a size or true distances, cells are empty: neither 0 nor a guess."""
    _, result = measured()
    result.document.counters.clear()
    result.document.processes[0].index_bytes = None
    result = replace(result, arrays={**result.arrays, "kth_distance_file": np.full(result.queries, np.nan)})
    (row,) = annb_table([result]).to_dict("records")
    assert all(np.isnan(row[name]) for name in ("distcomps", "indexsize", "queriessize", "k-nn", "rel"))
    path = tmp_path / "summary.parquet"
    vibe_table([result]).to_parquet(path, index=False)
    (row,) = pq.read_table(path).to_pylist()
    assert row["recall"] is None
    assert row["index_size"] is None
    assert row["build_time"] == 2.5


def test_columns_of_vibe(store: ResultStore, tmp_path: Path, measured: Maker) -> None:
    """The summary has VIBE's columns and types; its index size is the growth of the process in kB."""
    path = tmp_path / "summary.parquet"
    _, result = measured()
    process = result.document.processes[0]
    process.uss_before_fit, process.uss_after_fit = 1024, 4096
    vibe_table([*store.results(), result]).to_parquet(path, index=False)
    schema = pq.read_schema(path)
    kinds = {field.name: str(field.type).removeprefix("large_") for field in schema}
    assert kinds == {
        "k": "int64", "dataset": "string", "algorithm": "string", "params": "string",
        "qps": "double", "recall": "double", "build_time": "double", "index_size": "double",
    }  # fmt: skip
    assert tuple(kinds) == VIBE_COLUMNS
    rows = pq.read_table(path).to_pylist()
    assert [row["index_size"] for row in rows] == [None, None, None, 3.0]
    assert rows[-1]["params"] == "M=16|ef=10"
    assert rows[-1]["recall"] == MEASURES["recall_annb"](result)
    assert rows[-1]["qps"] == pytest.approx(MEASURES["qps_annb"](result), rel=1e-12)


def test_a_table_of_theirs_comes_in_and_is_reported(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CSV keeps its figures on the way into a store; it stands in table and report by itself, marked as theirs."""
    exported, home = tmp_path / "their.csv", tmp_path / "home"
    monkeypatch.setenv("ANNBENCH_HOME", str(home))
    assert _annbench(monkeypatch, "export", str(exported), "--results", str(store.folder), "--format", "annb-csv") == 0
    assert _annbench(monkeypatch, "results", "merge", "--foreign", str(exported)) == 0
    assert "3 imported, 0 were here already" in capsys.readouterr().out
    assert _annbench(monkeypatch, "results", "merge", "--foreign", str(exported)) == 0
    assert "0 imported, 3 were here already" in capsys.readouterr().out
    with exported.open() as stream:
        rows = list(csv.DictReader(stream))
    table = api.load_results().sort_values(["algorithm", "qps"]).to_dict("records")
    assert len(table) == 3
    for row, known in zip(table, sorted(rows, key=lambda r: (r["algorithm"], float(r["qps"]))), strict=True):
        assert (row["algorithm"], row["k"], row["metric"], row["machine"]) == (
            known["algorithm"], int(known["count"]), "euclidean", MACHINE,
        )  # fmt: skip
        assert row["build"] == {"M": 16}
        assert row["search"].keys() == {"ef"}
        assert row["recall"] == row["recall_annb"] == float(known["k-nn"])
        assert row["qps"] == float(known["qps"])
        assert row["p99.9"] == pytest.approx(float(known["p999"]) * 1000)
        assert np.isnan(row["qps_low"])
    assert _annbench(monkeypatch, "report", "--plots", str(tmp_path / "plots")) == 0
    text = (tmp_path / "plots" / "index.md").read_text()
    assert "2 of 2 settings come from another tool's table" in text
    assert "hnsw" in text
    assert _annbench(monkeypatch, "report", "--plots", str(tmp_path / "plots"), "--dataset", "no-such") == 2


def test_a_table_joins_results_of_ours(store: ResultStore, tmp_path: Path) -> None:
    """Rows of theirs stand beside ours, of another machine; a row that two tables have counts once."""
    table = annb_table(store.results())
    for name, rows in (("all.csv", table), ("more.csv", table[:2]), ("last.csv", table.assign(qps=1.0))):
        rows.to_csv(tmp_path / name, index=False)
    counts = [str(import_csv(tmp_path / name, store)).split(",")[0] for name in ("all.csv", "more.csv", "last.csv")]
    assert counts == ["3 imported", "0 imported", "3 imported"]
    assert len(foreign_rows(store)) == 6
    every = api.load_results(store.folder)
    assert len(every) == 5 + 6
    assert set(every["machine"]) == {"here", MACHINE}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("k-nn", "knn"), "data_export.py writes, k-nn missing"),
        (lambda text: "", "algorithm and parameters and count and k-nn and qps and dataset missing"),
        (lambda text: text.splitlines(keepends=True)[0], "the table has no row to import"),
        (lambda text: text.replace(",10,", ",ten,", 1), "line 2: count is 'ten', not a number"),
        (lambda text: text.replace(",10,", ",1.5,", 1), "line 2: count is '1.5', not a number of neighbours"),
        (lambda text: text.replace(",10,", ",,", 1), "line 2: count is '', not a number of neighbours"),
        (lambda text: text.replace("\nhnsw,", "\n,", 1), "line 2: has no algorithm or no dataset"),
    ],
)
def test_what_is_no_table_of_theirs_is_refused(
    store: ResultStore, tmp_path: Path, change: Callable[[str], str], complaint: str
) -> None:
    """A mistake is one line with the file, the line and the value, and nothing gets into the store."""
    path = tmp_path / "their.csv"
    path.write_text(change(annb_table(store.results()).to_csv(index=False)))
    with pytest.raises(StoreError) as caught:
        import_csv(path, store)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert foreign_rows(store).empty


def test_rows_whose_figures_cannot_be_are_refused(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told with its line and value, the others come in; a table of nothing else is no success."""
    good = annb_table(store.results()).astype({"algorithm": str})[:1]
    wrong = [("k-nn", "1.2"), ("k-nn", "-0.1"), ("k-nn", "inf"), ("k-nn", "nan")]
    wrong += [("qps", "0"), ("qps", "-5"), ("qps", "inf"), ("qps", "nan"), ("qps", "")]
    bad = pd.concat([good.astype(object).assign(**{column: value}) for column, value in wrong])
    unknown = good.astype(object).assign(**{"k-nn": ""})
    (tmp_path / "mixed.csv").write_text(pd.concat([good, bad, unknown]).to_csv(index=False))
    (tmp_path / "bad.csv").write_text(pd.concat([bad] * 3).to_csv(index=False))
    command = ("results", "merge", "--results", str(tmp_path / "mine"), "--foreign")
    for imported, known in ((2, 0), (0, 2)):
        assert _annbench(monkeypatch, *command, str(tmp_path / "mixed.csv")) == 0
        out = capsys.readouterr().out
        assert f"{imported} imported, {known} were here already, 9 refused" in out
        assert "mixed.csv: line 3: the recall k-nn is '1.2', not between 0 and 1" in out
        assert "mixed.csv: line 9: qps is 'inf', not a number above 0" in out
    assert _annbench(monkeypatch, *command, str(tmp_path / "bad.csv"), str(tmp_path / "mixed.csv")) == 1
    told = capsys.readouterr()
    assert "0 imported, 0 were here already, 27 refused" in told.out
    assert told.out.splitlines()[21].endswith("and 7 more")
    assert f"annbench results merge: nothing of {tmp_path / 'bad.csv'} was imported" in told.err
    assert len(foreign_rows(ResultStore(tmp_path / "mine"))) == 2
    assert len(list((tmp_path / "mine").glob("*.csv"))) == 1


def test_bytes_that_are_no_table_are_refused(store: ResultStore, tmp_path: Path) -> None:
    """A file that isn't text, or isn't there, is refused in one line."""
    path = tmp_path / "their.csv"
    path.write_bytes(b"\xff\xfe\x00")
    for wrong in (path, tmp_path / "nowhere.csv"):
        with pytest.raises(StoreError, match="can't be read as a table"):
            import_csv(wrong, store)


def test_a_folder_for_their_scripts(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy in their layout holds every index, and what their scripts add to it stays out of the store."""
    target = tmp_path / "results"
    command = ("export", str(target), "--results", str(store.folder), "--format", "annb-results")
    assert _annbench(monkeypatch, *command) == 0
    assert f"{target}: 4 results" in capsys.readouterr().out
    copies = sorted(path.relative_to(target) for path in target.rglob("*.hdf5"))
    assert len(copies) == 4
    for path in copies:
        assert (target / path).read_bytes() == (store.folder / path).read_bytes()
        with h5py.File(target / path, "r+") as file:
            file.create_group("metrics")
            dataset, count, algorithm = path.parts[:3]
            assert (file.attrs["dataset"], str(file.attrs["count"])) == (dataset, count)
            assert algorithm == file.attrs["algo"] + ("-batch" if file.attrs["batch_mode"] else "")
    for result in store.results():
        with h5py.File(str(result.path)) as file:
            assert "metrics" not in file
    assert export_folder(store, tmp_path / "other", "no-such") == 0
    for wrong, complaint in (
        (("export", str(store.folder), *command[2:]), "is the folder of results itself"),
        ((*command, "--dataset", "no-such"), "holds no result of no-such of an index to export"),
        (("export", *command[2:]), "a folder can't go to standard output"),
        (("export", "--results", str(store.folder), "--format", "vibe-parquet"), "can't go to standard output"),
        (("export", "t.parquet", "--format", "csv"), "t.parquet: its suffix says parquet, but --format says csv"),
        (("export", "t.csv", "--format", "vibe-parquet"), "its suffix says csv, but --format says vibe-parquet"),
        (("export", "t.csv", "--format", "annb-results"), "its suffix says csv, but --format says annb-results"),
        (("export", "t.xlsx", "--results", str(store.folder)), "t.xlsx: its suffix is none of .csv, .json, .parquet"),
        (("export", "t", "--results", str(store.folder)), "t: its suffix is none of .csv, .json, .parquet"),
        (("export", "--results", str(tmp_path / "no"), "--format", "annb-csv"), "no result of an index in single mode"),
        (
            ("export", *command[2:4], "--format", "annb-csv", "--dataset", "fashion-mnist-78"),
            "did you mean fashion-mnist",
        ),
    ):
        assert _annbench(monkeypatch, *wrong) == 2
        assert complaint in capsys.readouterr().err


def test_a_suffix_says_the_format(store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --format a file is what its name says; one that says nothing is written in the format asked for."""
    readers: dict[str, tuple[Callable[[Path], pd.DataFrame], tuple[str, ...], str]] = {
        "t.parquet": (pd.read_parquet, (), "recall"),
        "T.CSV": (pd.read_csv, (), "recall"),
        "t.json": (pd.read_json, (), "recall"),
        "vibe.parquet": (pd.read_parquet, ("--format", "vibe-parquet"), "build_time"),
        "annb.csv": (pd.read_csv, ("--format", "annb-csv"), "k-nn"),
        "table": (pd.read_csv, ("--format", "csv"), "recall"),
    }
    for name, (read, said, column) in readers.items():
        assert _annbench(monkeypatch, "export", str(tmp_path / name), "--results", str(store.folder), *said) == 0
        assert column in read(tmp_path / name).columns


def test_exports_go_to_standard_output(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text formats can be piped: the CSV of ann-benchmarks as well as ours."""
    for form, columns in (("annb-csv", set(ANNB_COLUMNS)), ("csv", {"recall", "qps_low"}), ("json", set())):
        assert _annbench(monkeypatch, "export", "--results", str(store.folder), "--format", form) == 0
        text = capsys.readouterr().out
        if form == "json":
            assert len(pd.read_json(io.StringIO(text))) == 5
        else:
            found: Any = csv.DictReader(text.splitlines())
            assert columns <= set(found.fieldnames)

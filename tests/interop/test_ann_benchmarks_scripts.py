"""The unmodified scripts of ann-benchmarks over our result files, and our reader over theirs.

They run where `ANNBENCH_ANN_BENCHMARKS` is `CHECKOUT:PYTHON`: a checkout of ann-benchmarks, and an interpreter that has
what its scripts import (ansicolors docker h5py matplotlib numpy psutil pyyaml scikit-learn requests).
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness.analyse.measures import MEASURES
from harness.data.dataset import Dataset
from harness.interop.ann_benchmarks import MACHINE, import_folder, read_foreign
from harness.interop.tables import annb_table, export_folder, import_csv
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.workloads.knn.companion import companion

VARIABLE = "ANNBENCH_ANN_BENCHMARKS"
CHECKOUT, _, PYTHON = os.environ.get(VARIABLE, "").partition(os.pathsep)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason=f"{VARIABLE} doesn't name a checkout and an interpreter"),
]
Maker = Callable[..., tuple[Path, Result]]


@pytest.fixture
def checkout(tmp_path: Path, digits: Dataset) -> Path:
    """Copy their checkout, with our dataset where they would have downloaded one of that name."""
    copy = tmp_path / "ann-benchmarks"
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns("results", "data", ".git"))
    (copy / "data").mkdir()
    assert digits.path is not None
    shutil.copy(digits.path, copy / "data")
    return copy


@pytest.fixture
def ours(checkout: Path, measured: Maker) -> dict[str, Result]:
    """Write results of ours into their `results/`; return them by their names there."""
    store = ResultStore(checkout / "results")
    settings = [{"ef": ef, "algorithm": name} for name in ("hnsw", "pq") for ef in (2, 10, 80)]
    settings += [{"k": 50, "ef": 3}, {"queries": 50, "ef": 7}, {"mode": "batch", "ef": 10}]
    written = {}
    for setting in settings:
        path, result = measured(**setting)
        store.write(store.folder / path, result, companion(result))
        written[f"{path.parent.name} {result.name} {result.spec['k']}"] = result
    return written


def _run(checkout: Path, *arguments: str) -> str:
    done = subprocess.run([PYTHON, *arguments], cwd=checkout, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Was unable to read" not in done.stdout
    return done.stdout


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as stream:
        yield from csv.DictReader(stream)


def test_their_export_agrees_with_our_measures(checkout: Path, ours: dict[str, Result], digits: Dataset) -> None:
    """Their CSV over our files has our recall, to 1e-9, our QPS, percentiles, build time and index size."""
    _run(checkout, "data_export.py", "--output", "out.csv")
    rows = list(_rows(checkout / "out.csv"))
    single = {name: result for name, result in ours.items() if result.spec["mode"] == "single"}
    assert len(rows) == len(single) == 8
    pairs = {"k-nn": "recall_annb", "epsilon": "eps0.01", "largeepsilon": "eps0.1", "qps": "qps_annb"}
    for row in rows:
        result = single[f"{row['algorithm']} {row['parameters']} {row['count']}"]
        for theirs, mine in pairs.items():
            value = MEASURES[mine].function(result)
            assert float(row[theirs]) == pytest.approx(value, rel=1e-9, abs=1e-9)
        assert float(row["build"]) == 2.5
        assert float(row["indexsize"]) == 4000.0
        assert row["dataset"] == digits.name
    # Their scripts opened our files to write, and left their `metrics` in them.
    store = ResultStore(checkout / "results")
    for path in store.paths():
        with h5py.File(path) as file:
            assert ("metrics" in file) is (not path.parent.name.endswith("-batch"))
    again = {f"{r.path.parent.name} {r.name} {r.spec['k']}": r for r in store.results() if r.path}
    assert again.keys() == ours.keys()
    for name, result in again.items():
        assert result.document == ours[name].document
        assert (result.latencies_ns == ours[name].latencies_ns).all()
        assert (result.arrays["distances"] == ours[name].distances).all()


def test_our_tables_are_theirs(checkout: Path, ours: dict[str, Result], tmp_path: Path) -> None:
    """Their CSV over an exported folder is ours, but for what no result holds, and comes back as rows of ours."""
    store = ResultStore(checkout / "results")
    mine = annb_table(store.results())
    (checkout / "results").rename(tmp_path / "store")
    assert export_folder(ResultStore(tmp_path / "store"), checkout / "results") == len(ours)
    _run(checkout, "data_export.py", "--output", "out.csv")
    theirs = list(_rows(checkout / "out.csv"))
    assert list(theirs[0]) == list(mine.columns)
    key = ["algorithm", "parameters", "count"]
    rows = {tuple(str(row[name]) for name in key): row for row in mine.to_dict("records")}
    for row in theirs:
        own = rows.pop(tuple(row[name] for name in key))
        for name in set(own) - {*key, "dataset", "rel", "distcomps"}:
            assert float(row[name]) == pytest.approx(own[name], rel=1e-9), name
        # Theirs divides by all queries of the dataset, of which one of these results asked 50.
        asked = 50 if "ef=7" in row["parameters"] else 200
        assert float(row["distcomps"]) == pytest.approx(own["distcomps"] * asked / 200)
    assert not rows
    assert str(import_csv(checkout / "out.csv", ResultStore(tmp_path / "new"))).startswith("8 imported")


@pytest.mark.parametrize("batch", [False, True])
def test_their_plot_draws_our_results(checkout: Path, ours: dict[str, Result], digits: Dataset, batch: bool) -> None:
    """Their plot script draws a picture of our files, in both modes, and prints our recall and QPS."""
    flags = ["--batch"] if batch else []
    said = _run(checkout, "plot.py", "--dataset", digits.name, "-o", "p.png", "-X", "logit", "-Y", "log", *flags)
    assert (checkout / "p.png").read_bytes().startswith(b"\x89PNG")
    mode = "batch" if batch else "single"
    lines = [line for line in said.splitlines() if "hnsw (M=16, ef=10)" in line]
    assert len(lines) == 1
    recall, qps = map(float, lines[0].split()[-2:])
    (result,) = [r for r in ours.values() if r.spec["mode"] == mode and r.name == "hnsw (M=16, ef=10)"]
    assert recall == pytest.approx(MEASURES["recall_annb"].function(result), abs=5e-4)
    assert qps == pytest.approx(MEASURES["qps_annb"].function(result), abs=5e-4)


@pytest.mark.parametrize("batch", [False, True])
def test_what_they_measure_is_read(checkout: Path, tmp_path: Path, digits: Dataset, batch: bool) -> None:
    """A real run of theirs, with plug-ins of theirs, imports with the recall and QPS that their export gives."""
    flags = ["--batch"] if batch else []
    for algorithm, module, constructor, build in (
        ("bruteforce-blas", "bruteforce", "BruteForceBLAS", '["euclidean"]'),
        ("kd", "kdtree", "KDTree", '["euclidean", 20]'),
        ("ball", "balltree", "BallTree", '["euclidean", 30]'),
    ):
        _run(
            checkout, "run_algorithm.py", "--dataset", digits.name, "--algorithm", algorithm,
            "--module", f"ann_benchmarks.algorithms.{module}", "--constructor", constructor,
            "--count", "10", "--runs", "2", *flags, build,
        )  # fmt: skip
    folder = checkout / "results"
    (path,) = (folder / digits.name / "10" / ("bruteforce-blas-batch" if batch else "bruteforce-blas")).iterdir()
    result = read_foreign(path, digits)
    assert MEASURES["recall"].function(result) == 1.0
    assert result.spec["machine"] == MACHINE
    assert result.spec["mode"] == ("batch" if batch else "single")
    assert np.isnan(read_foreign(path, None).arrays["kth_distance"]).all()
    store = ResultStore(tmp_path / "store")
    assert str(import_folder(folder, store, checkout / "data")) == "3 imported, 0 were here already"
    if batch:
        return
    _run(checkout, "data_export.py", "--output", "out.csv")
    for row in _rows(checkout / "out.csv"):
        (found,) = [r for r in store.results() if r.spec["algorithm"] == row["algorithm"]]
        assert MEASURES["recall_annb"].function(found) == pytest.approx(float(row["k-nn"]), abs=1e-9)
        seconds = found.document.environment["ann_benchmarks"]["best_search_time"]
        assert 1 / seconds == pytest.approx(float(row["qps"]), rel=1e-12)
        assert found.latencies_ns.sum() / 1e9 / 200 >= seconds * (1 - 1e-3)  # the last run is no faster than the best
    assert str(import_folder(folder, store, checkout / "data")) == "0 imported, 3 were here already"

"""Files of ann-benchmarks read by us, and ours read by a small reader that follows their layout and definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from harness.core.errors import StoreError
from harness.data.dataset import Dataset
from harness.data.metric import Metric
from harness.interop.ann_benchmarks import MACHINE, ORIGIN, Counts, import_folder, parameters, read_foreign
from harness.store.envelope import read_result
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.workloads.knn.companion import companion

measures = pytest.importorskip("harness.analyse.measures").MEASURES

Maker = Callable[..., tuple[Path, Result]]


def _write_theirs(path: Path, digits: Dataset, k: int = 10, queries: int = 200, seed: int = 0, **changed: Any) -> Path:
    """Write a file as their runner does: float32 times and distances, int32 ids, attributes; parts changed."""
    rng = np.random.default_rng(seed)
    ids = digits.neighbors[:queries, :k].astype(np.int32)
    ids[::7, -1] = digits.neighbors[:queries:7, 60]
    ids[::11, -1] = -1
    arrays: dict[str, Any] = {
        "times": rng.random(queries).astype("f") * 1e-3,
        "neighbors": ids,
        "distances": digits.distances_to(ids).astype("f"),
    }
    attributes: dict[str, Any] = {
        "batch_mode": False, "best_search_time": 4e-4, "candidates": 10.0, "expect_extra": False,
        "name": "hnswlib ({'M': 12, 'efConstruction': 500}, 'efQuery': 40)", "run_count": 5, "distance": "euclidean",
        "count": k, "build_time": 12.5, "index_size": 2048.0, "algo": "hnswlib", "dataset": digits.name,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            kept = changed.pop(key, value)
            if kept is not None:
                file[key] = kept
        file.attrs.update({key: value for key, value in {**attributes, **changed}.items() if value is not None})
    return path


def _their_figures(path: Path, dataset: Path) -> dict[str, float]:
    """Compute k-nn recall, epsilon recalls and QPS from a result file by their definitions."""
    with h5py.File(path, "r+") as run, h5py.File(dataset) as data:
        count = int(run.attrs["count"])
        true, found = data["distances"][:], run["distances"][:]
        bound = true[: len(found), count - 1]
        hits = {
            "recall_annb": found[:, :count] <= (bound + 1e-3)[:, None],
            "eps0.01": found[:, :count] <= (bound * (1 + 0.01))[:, None],
            "eps0.1": found[:, :count] <= (bound * (1 + 0.1))[:, None],
        }
        figures = {name: float(hit.sum(axis=1).mean() / count) for name, hit in hits.items()}
        run.require_group("metrics").require_group("knn").attrs["mean"] = figures["recall_annb"]
        return {**figures, "qps_annb": 1.0 / run.attrs["best_search_time"], "mean": float(run["times"][:].mean())}


@pytest.mark.parametrize("mode", ["single", "batch"])
@pytest.mark.parametrize("setting", [{"ef": 2}, {"ef": 30, "k": 1}, {"ef": 5, "k": 50}, {"ef": 9, "queries": 40}])
def test_their_definitions_give_our_figures(
    tmp_path: Path, digits: Dataset, measured: Maker, setting: dict[str, int], mode: str
) -> None:
    """By their definitions our files hold our recall to 1e-9 and our QPS, and stay readable with their `metrics`."""
    relative, result = measured(mode=mode, **setting)
    store = ResultStore(tmp_path)
    store.write(store.folder / relative, result, companion(result))
    assert digits.path is not None
    theirs = _their_figures(store.folder / relative, digits.path)
    assert theirs.pop("mean") == pytest.approx(1 / theirs["qps_annb"], rel=1e-9)
    for name, value in theirs.items():
        assert value == pytest.approx(measures[name].function(result), rel=1e-9, abs=1e-9)
    again = store.read(store.folder / relative)
    assert again.document == result.document
    np.testing.assert_array_equal(again.arrays["distances"], result.arrays["distances"])


def test_a_file_of_theirs_becomes_a_result(tmp_path: Path, digits: Dataset) -> None:
    """What the file says is kept, distances are computed anew, and what it doesn't say is noted."""
    path = _write_theirs(tmp_path / "M_12.hdf5", digits)
    result = read_foreign(path, digits)
    spec, document = result.spec, result.document
    assert (spec["algorithm"], spec["dataset"], spec["k"], spec["mode"]) == ("hnswlib", digits.name, 10, "single")
    assert (spec["build"], spec["search"]) == ({"M": 12, "efConstruction": 500}, {"efQuery": 40})
    assert spec["machine"] == document.machine["key"] == MACHINE
    assert spec["dataset_sha256"] == digits.sha256
    assert document.origin == ORIGIN
    assert (document.processes[0].build_seconds, document.processes[0].index_bytes) == (12.5, None)
    assert "imported from ann-benchmarks (M_12.hdf5)" in document.notes[0]
    assert "last of 5 runs" in document.notes[1]
    assert (result.passes, result.latencies_ns.shape) == (1, (1, 200))
    with h5py.File(path) as file:
        np.testing.assert_allclose(result.latencies_ns[0] / 1e9, file["times"][:], rtol=0, atol=5.1e-10)
        np.testing.assert_allclose(result.arrays["distances"], file["distances"][:], rtol=1e-6)
        share = (file["distances"][:] <= (digits.distances[:, 9] + 1e-3)[:, None]).sum() / 2000
    assert measures["recall_annb"].function(result) == pytest.approx(share, abs=1e-12)
    assert 0.9 < measures["recall"].function(result) < 1.0
    assert result.name == "hnswlib (M=12, efConstruction=500, efQuery=40)"


def test_a_batch_of_theirs_is_one_call(tmp_path: Path, digits: Dataset) -> None:
    """In batch mode their equal shares of one call's time become that call's time."""
    path = _write_theirs(tmp_path / "b.hdf5", digits, batch_mode=True, times=np.full(200, 2e-5, "f"))
    result = read_foreign(path, digits)
    assert result.spec["mode"] == "batch"
    assert result.latencies_ns.shape == (1, 1)
    assert measures["qps"].function(result) == pytest.approx(50_000, rel=1e-6)
    assert any("number of threads is not known" in note for note in result.document.notes)


def test_without_the_dataset_recall_is_unknown(tmp_path: Path, digits: Dataset) -> None:
    """Without its dataset a file keeps its own distances, and the true ones are NaN with a note that says why."""
    result = read_foreign(_write_theirs(tmp_path / "a.hdf5", digits), None)
    assert np.isnan(result.arrays["kth_distance"]).all()
    assert np.isnan(result.arrays["kth_distance_file"]).all()
    assert result.spec["dataset_sha256"] == "unknown"
    assert f"annbench prepare {digits.name}" in result.document.notes[-1]
    assert np.isfinite(result.arrays["distances"][result.arrays["neighbors"] >= 0]).all()
    shallow = replace(digits, neighbors=digits.neighbors[:, :5], distances=digits.distances[:, :5])
    result = read_foreign(tmp_path / "a.hdf5", shallow)
    assert np.isnan(result.arrays["kth_distance"]).all()
    assert "5 true neighbours a query, fewer than k = 10" in result.document.notes[-1]


def test_a_clock_that_was_set_back_counts_as_nothing(tmp_path: Path, digits: Dataset) -> None:
    """Negative times, which `time.time()` can give, count as 0 and are noted."""
    times = np.full(200, 1e-3, "f")
    times[3] = -5.0
    result = read_foreign(_write_theirs(tmp_path / "a.hdf5", digits, times=times), digits)
    assert result.latencies_ns.min() == 0
    assert any("1 times were negative" in note for note in result.document.notes)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"times": None}, "not in the result layout of ann-benchmarks, times missing"),
        ({"algo": None, "distance": None}, "algo and distance missing"),
        ({"distance": "euclidian"}, "did you mean euclidean"),
        ({"distance": "angular"}, "measured with angular, but fashion-mnist-784-euclidean is euclidean"),
        ({"neighbors": np.zeros((200, 9), "i")}, "don't fit together"),
        ({"neighbors": np.zeros((200, 10), "f")}, "don't fit together"),
        ({"times": np.zeros(3, "f")}, "times (3,), neighbors (200, 10)"),
        ({"times": np.full(200, np.nan, "f")}, "times[0] is no number"),
        ({"neighbors": np.full((200, 10), 1597, "i")}, "neighbors[0, 0] is 1597, but"),
        ({"neighbors": np.full((200, 10), -7, "i")}, "neighbors[0, 0] is -7, but"),
        ({"distances": np.full((200, 10), 3.0, "f")}, "it was measured on other data"),
        ({"algo": "../../x"}, "can't be a folder's name"),
        ({"dataset": ""}, "can't be a folder's name"),
        ({"annbench": "{}"}, "written by annbench itself; merge it without --foreign"),
    ],
)
def test_what_is_not_of_theirs_is_refused(tmp_path: Path, digits: Dataset, changed: Any, complaint: str) -> None:
    """Missing parts, other layouts and other data are StoreErrors in one line that names the file."""
    path = _write_theirs(tmp_path / "x.hdf5", digits, **changed)
    with pytest.raises(StoreError) as caught:
        read_foreign(path, digits)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_queries_than_the_dataset_has_are_refused(tmp_path: Path, digits: Dataset) -> None:
    """A file that answers more queries than there are was made for other data."""
    path = _write_theirs(tmp_path / "x.hdf5", digits)
    with pytest.raises(StoreError, match=r"answers 200 queries, but .* has 150"):
        read_foreign(path, replace(digits, test=digits.test[:150]))
    with pytest.raises(StoreError, match="no such file"):
        read_foreign(tmp_path / "none.hdf5", digits)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_run_of_theirs_that_was_killed_is_refused(tmp_path: Path, digits: Dataset, share: float) -> None:
    """They write under the final name, so a killed run leaves half a file: one line says so."""
    path = _write_theirs(tmp_path / "x.hdf5", digits)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(StoreError, match="truncated, or not an HDF5 file"):
        read_foreign(path, digits)


@pytest.mark.parametrize(
    ("name", "build", "search"),
    [
        ("FaissIVF(n_list=512, n_probe=10)", {"n_list": 512}, {"n_probe": 10}),
        ("faiss ({'M': 8, 'efConstruction': 5}, ef: 20)", {"M": 8, "efConstruction": 5}, {"ef": 20}),
        ("Annoy(n_trees=100, search_k=-1)", {"n_trees": 100}, {"search_k": -1}),
        ("MilvusHNSW metric:L2, index_M:4, search_ef=9", {"metric": "L2", "index_M": 4}, {"search_ef": 9}),
        ("scann n_leaves=9 threshold=0.20 x=None y=True", {"n_leaves": 9, "threshold": 0.2, "x": None, "y": True}, {}),
        ("vsag ({'use_int8': 'sq8_uniform', 'rs': 0.5})", {"use_int8": "sq8_uniform", "rs": 0.5}, {}),
        ("Vamana-100-64-1.2", {"name": "Vamana-100-64-1.2"}, {}),
        ("BruteForceBLAS()", {"name": "BruteForceBLAS()"}, {}),
        ("", {"name": ""}, {}),
    ],
)  # fmt: skip
def test_parameters_are_read_from_their_names(name: str, build: dict[str, Any], search: dict[str, Any]) -> None:
    """Pairs of name and value are split into build and search; a name without any is kept whole."""
    assert parameters(name) == (build, search)


def test_a_folder_of_theirs_is_imported_once(tmp_path: Path, digits: Dataset) -> None:
    """Importing copies what is new, says why the rest was refused, and is the same the second time."""
    theirs, store = tmp_path / "theirs", ResultStore(tmp_path / "ours")
    assert digits.path is not None
    for i in range(3):
        _write_theirs(theirs / digits.name / "10" / "hnswlib" / f"{i}.hdf5", digits, seed=i)
    _write_theirs(theirs / digits.name / "10" / "hnswlib-batch" / "0.hdf5", digits, batch_mode=True)
    _write_theirs(theirs / digits.name / "10" / "odd" / "0.hdf5", digits, distance="manhattan")
    (theirs / "notes.hdf5").write_text("hello")
    counts = import_folder(theirs, store, digits.path.parent)
    assert (counts.imported, counts.known, len(counts.refused)) == (4, 0, 2)
    assert str(counts).startswith("4 imported, 0 were here already, 2 refused\n")
    assert "no metric is called 'manhattan'" in str(counts)
    folders = {p.parent.relative_to(store.folder).as_posix() for p in store.paths()}
    assert folders == {f"{digits.name}/10/hnswlib", f"{digits.name}/10/hnswlib-batch"}
    assert all(measures["recall"].function(r) > 0.9 for r in store.results())
    with h5py.File(theirs / digits.name / "10" / "hnswlib" / "0.hdf5", "r+") as file:
        file.create_group("metrics")  # their plot script was here in between
    assert import_folder(theirs, store, digits.path.parent).known == 4


def test_a_dataset_that_comes_later_completes_an_import(tmp_path: Path, digits: Dataset) -> None:
    """What was imported without its dataset is replaced once it is there, and isn't made poorer again."""
    theirs, store = tmp_path / "theirs", ResultStore(tmp_path / "ours")
    assert digits.path is not None
    _write_theirs(theirs / "a.hdf5", digits)
    assert import_folder(theirs, store, tmp_path) == Counts(1, 0)
    assert np.isnan(read_result(store.paths()[0]).arrays["kth_distance"]).all()
    assert import_folder(theirs, store, digits.path.parent) == Counts(1, 0)
    assert import_folder(theirs, store, tmp_path) == Counts(0, 1)
    (path,) = store.paths()
    assert np.isfinite(read_result(path).arrays["kth_distance"]).all()


def test_a_folder_of_which_all_is_refused_is_no_success(annbench: Any, tmp_path: Path, digits: Dataset) -> None:
    """The reasons are told, and the exit status says that nothing came in."""
    _write_theirs(tmp_path / "theirs" / "a.hdf5", digits, distance="manhattan")
    status, out, err = annbench("results", "merge", "--foreign", "theirs")
    assert status == 1
    assert "theirs: 0 imported, 0 were here already, 1 refused" in out
    assert "no metric is called 'manhattan'" in out
    assert "annbench results merge: nothing of theirs was imported" in err


def test_nothing_to_import_is_an_error(tmp_path: Path) -> None:
    """A folder that isn't there, and one without results, are errors that name it."""
    with pytest.raises(StoreError, match="no such folder"):
        import_folder(tmp_path / "x", ResultStore(tmp_path), tmp_path)
    with pytest.raises(StoreError, match=r"holds no \.hdf5 file"):
        import_folder(tmp_path, ResultStore(tmp_path), tmp_path)


@pytest.mark.parametrize("metric", [Metric.ANGULAR, Metric.HAMMING])
def test_other_metrics_are_recomputed_too(tmp_path: Path, digits: Dataset, metric: Metric) -> None:
    """Angular and hamming files are read with distances recomputed by our metric, names of theirs understood."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (60, 2)).astype(np.uint8) if metric is Metric.HAMMING else rng.normal(size=(60, 9))
    ids = np.argsort(rng.random((5, 60)), axis=1)[:, :10].astype(np.int32)
    data = replace(digits, metric=metric, train=rows, test=rows[:5], neighbors=ids, dimension=16)
    distances = data.distances_to(ids)
    data = replace(data, distances=distances)
    name = "cosine" if metric is Metric.ANGULAR else "hamming"
    path = _write_theirs(
        tmp_path / "x.hdf5", digits, queries=5, neighbors=ids, distances=distances.astype("f"), distance=name
    )
    result = read_foreign(path, data)
    assert result.spec["metric"] == str(metric)
    np.testing.assert_array_equal(result.arrays["distances"], distances)
    np.testing.assert_array_equal(result.arrays["kth_distance"], distances[:, -1])

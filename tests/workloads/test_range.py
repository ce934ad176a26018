"""Range search: the truth, the measures, the engines, and a run from data to the page's table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analyse.measures import MEASURES
from harness.analyse.table import groups, indexes, tidy
from harness.api import run
from harness.core.errors import ConfigError, PluginError
from harness.data.dataset import open_dataset, read_header, write_dataset
from harness.data.metric import Metric, neighbour_distances, pack_bits
from harness.data.truth import exact_neighbors
from harness.engines.ranges import as_ranges
from harness.engines.registry import load_registry
from harness.interop.tables import export_folder
from harness.store.results import ResultStore
from harness.workloads.catalogue import find_workload
from harness.workloads.range.measures import query_recall
from harness.workloads.range.truth import count_within, radius_of, true_counts
from support import factory

REGISTRY = load_registry()
RANGING = [
    (name, metric)
    for name, entry in REGISTRY.items()
    if "range" in entry.config.workloads and not entry.missing()
    for metric in entry.config.metrics
]


def small(folder: Path, metric: Metric, n: int = 700, q: int = 40) -> Any:
    """Write a small dataset with 20 true neighbours a query, and open it."""
    rng = np.random.default_rng(3)
    dim = 64 if metric is Metric.HAMMING else 8
    rows = (rng.integers(0, 5, (n + q, 1)) + rng.standard_normal((n + q, dim))).astype(np.float32)
    if metric is Metric.HAMMING:
        rows = pack_bits(rows > 2)
    train, test = rows[:n], rows[n:]
    ids, distances = exact_neighbors(metric, train, test, 20, dimension=dim, progress=False)
    name = f"small-{dim}-{metric}"
    fields = {"neighbors": ids, "distances": distances, "dimension": dim, "source": "tests"}
    write_dataset(folder / f"{name}.hdf5", metric=metric, train=train, test=test, **fields)
    return open_dataset(folder, name)


def every_distance(data: Any) -> Any:
    """Return the distances of all pairs, (q, n) float64."""
    every = np.tile(np.arange(len(data.train)), (len(data.test), 1))
    return neighbour_distances(data.metric, data.test, data.train, every) * data.bit_scale


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP, Metric.HAMMING])
def test_the_truth_is_what_all_distances_say(tmp_path: Path, metric: Metric) -> None:
    """Counts within a radius, that of a pair included, equal those of every distance; they are kept and read again."""
    data = small(tmp_path, metric)
    away = every_distance(data)
    for quantile in (0.0, 0.5, 1.0):
        radius = radius_of(data, 10, quantile)
        expected = (away <= radius).sum(axis=1)
        np.testing.assert_array_equal(count_within(data, radius, len(data.test)), expected)
        np.testing.assert_array_equal(true_counts(data, radius, 7), expected[:7])
        np.testing.assert_array_equal(true_counts(data, radius, 7), expected[:7])
    assert len(list(tmp_path.glob(".*.range-*.json"))) == 3


@pytest.mark.parametrize(("name", "metric"), RANGING)
def test_engines_find_the_rows_within_the_radius(tmp_path: Path, name: str, metric: Metric) -> None:
    """Exact engines find all rows and none beyond, others many; one query as in a batch; nothing where nothing is."""
    if metric is Metric.JACCARD:
        pytest.skip("range search knows no truth under jaccard")
    data = small(tmp_path, metric)
    away = every_distance(data)
    build, setting = ({"n_lists": 16}, {"nprobe": 8}) if "ivf" in name else ({}, {})
    index = REGISTRY[name].load()(metric, **build)
    index.fit(data.train)
    search = index.range_searcher(**setting)
    m, n = away.shape
    exact = not any(word in name for word in ("hnsw", "ivf"))
    for quantile in (0.05, 0.9):
        radius = radius_of(data, 10, quantile)
        truly = away <= radius
        indptr, ids = as_ranges(search(data.test, radius), m, n)
        found = np.zeros((m, n), np.bool_)
        found[np.repeat(np.arange(m), np.diff(indptr)), ids] = True
        clear = np.abs(away - radius) > 1e-5 * max(abs(radius), 1e-5)
        if exact:
            np.testing.assert_array_equal(found & clear, truly & clear)
        # An inverted file looks into half of its lists, and faiss's graph no farther than its beam.
        assert (found & truly).sum() >= (0.3 if name == "faiss-hnsw" else 0.6) * truly.sum()
        one = as_ranges(search(data.test[:1], radius), 1, n)[1]
        assert set(one) == set(ids[: indptr[1]])
    lowest = float(away.min())
    assert as_ranges(search(data.test, lowest - abs(lowest) / 2 - 1e-3), m, n)[0][-1] == 0


def test_recall_precision_and_average_precision() -> None:
    """Of 2, 1 and 0 true rows two queries find one each, one with a row beyond; the third is right to be empty."""
    base = factory.make_result(queries=3)
    arrays = {
        "indptr": np.array([0, 2, 3, 3]),
        "ids": np.array([4, 9, 1]),
        "distances": np.array([0.5, 2.0, 0.2]),
        "radius": np.array([1.0]),
        "true_counts": np.array([2, 1, 0]),
    }
    document = base.document.model_copy(update={"workload": "range", "spec": {**base.spec, "quantile": 0.5}})
    result = replace(base, document=document, arrays=arrays)
    assert query_recall(result).tolist() == [0.5, 1.0, 1.0]
    assert MEASURES["precision"](result) == pytest.approx(2 / 3)
    # By hand: precision is 1 up to recall 1/3 and 2/3; the row beyond comes last and is never counted.
    assert MEASURES["average_precision"](result) == pytest.approx(2 / 3)
    assert MEASURES["returned_rows"](result) == 1.0
    assert np.isnan(MEASURES["recall_annb"](result))
    assert np.isnan(MEASURES["precision"](base))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1, 2, 3], "must return"),
        (([0, 1], [5]), "outside 0..4"),
        (([0, 2], [3, 3]), "query 0 got id 3 twice"),
        (([0, 2, 1], [3, 2]), "don't ascend"),
        (([0, 1], [0.5]), "must return"),
    ],
)
def test_answers_that_cannot_be_are_refused(answer: Any, said: str) -> None:
    """Each breach is told in a line."""
    with pytest.raises(PluginError, match=said):
        as_ranges(answer, 1, 5)


def test_a_run_of_range_search_gives_a_frontier(tmp_path: Path) -> None:
    """Indexes are measured and told apart from nearest neighbours; what can't search by radius is left out."""
    data = tmp_path / "datasets"
    data.mkdir()
    name = small(data, Metric.EUCLIDEAN).name
    asked = {
        "dataset": name, "algorithm": ["brute_force", "kd_tree", "annoy"], "workload": "range", "quantile": 0.8,
        "group": "quick", "passes": 1, "least_pass_seconds": 0.01, "progress": False,
        "data": data, "results": tmp_path / "results",
    }  # fmt: skip
    table = run(**asked)
    assert set(table["algorithm"]) == {"brute_force", "kd_tree"}
    assert set(table["status"]) == {"measured"}
    assert (table["workload"] == "range").all()
    assert (table["terms"] == "quantile=0.8").all()
    exact = table[table["algorithm"] == "brute_force"].iloc[0]
    assert (exact["recall"], exact["precision"], exact["average_precision"]) == (1.0, 1.0, pytest.approx(1.0, abs=0.02))
    run(**{**asked, "workload": "knn", "quantile": None, "algorithm": "brute_force"})
    store = ResultStore(tmp_path / "results")
    assert {group.key.workload for group in groups(indexes(tidy(store.results())))} == {"range", "knn"}
    assert (tmp_path / "results" / name / "range-10-0.8" / "brute_force").is_dir()
    # ann-benchmarks' scripts know nearest neighbours only: of the results those alone are copied for them.
    assert export_folder(store, tmp_path / "theirs") == 1
    assert not list((tmp_path / "theirs").rglob("range-*"))


def test_terms_that_cannot_be_are_refused(tmp_path: Path) -> None:
    """A k beyond the truth names the dataset; a field of another workload, and one out of its bounds, their names."""
    small(tmp_path, Metric.EUCLIDEAN)
    workload = find_workload("range")
    header = read_header(tmp_path, "small-8-euclidean")
    with pytest.raises(ConfigError, match="small-8-euclidean has 20 true neighbours"):
        workload.check(workload.terms(k=50), header)
    with pytest.raises(ConfigError, match="quantile"):
        run(dataset="small-8-euclidean", workload="range", quantile=1.5, data=tmp_path)
    with pytest.raises(ConfigError, match="quantile"):
        run(dataset="small-8-euclidean", quantile=0.5, data=tmp_path)

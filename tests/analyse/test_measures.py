"""Measures against plain loops, numpy and the literal text of ann-benchmarks."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse import measures
from harness.analyse.figures import pass_qps, query_recall, sorted_latencies, sorted_quantiles
from harness.analyse.measures import MEASURES, break_even_queries, measure
from harness.core.errors import UnknownNameError
from harness.store.results import ResultStore
from harness.workloads.knn.companion import companion
from support import factory


def messy(seed: int, *, sign: float = 1.0, width: type = np.float32) -> Any:
    """Make a result with ties, padding, zero and negative distances."""
    rng = np.random.default_rng(seed)
    q, k = 60, 7
    result = factory.make_result(queries=q, k=k)
    kth = sign * rng.choice([0.0, 1e-9, 0.5, 3.0, 200.0], q)
    offsets = rng.choice([0.0, 1e-13, 5e-7, 5e-6, 9e-4, 2e-3, 0.05, -0.1], (q, k))
    distances = kth[:, None] + offsets * np.maximum(np.abs(kth[:, None]), rng.choice([0.0, 1.0], (q, k)))
    neighbors = result.arrays["neighbors"].copy()
    padding = rng.random((q, k)) < 0.1
    neighbors[padding], distances[padding] = -1, np.inf
    return factory.with_arrays(
        result, neighbors=neighbors, distances=distances, kth_distance=kth, kth_distance_file=kth.astype(width)
    )


def plain_recall(result: Any, slack: float) -> list[float]:
    """Recall by the definition, one id at a time."""
    k = result.spec["k"]
    shares = []
    for row in range(result.queries):
        bound = result.arrays["kth_distance"][row]
        limit = bound + max(slack * abs(bound), 1e-12)
        ids, distances = result.arrays["neighbors"][row], result.arrays["distances"][row]
        hits = sum(1 for i in range(k) if ids[i] >= 0 and distances[i] <= limit)
        shares.append(hits / k)
    return shares


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_recall_is_what_a_plain_loop_counts(seed: int, sign: float) -> None:
    """Recall and both eps measures equal a loop over ids, with ties, padding and negative distances."""
    result = messy(seed, sign=sign)
    for name, slack in (("recall", 1e-6), ("eps0.01", 0.01), ("eps0.1", 0.1)):
        assert MEASURES[name](result) == pytest.approx(np.mean(plain_recall(result, slack)), abs=1e-12)


def test_recall_slack_is_the_designs_formula() -> None:
    """max(1e-6 |d|, 1e-12) is 1e-6 max(|d|, 1e-6)."""
    result = factory.make_result(queries=4, k=1)
    kth = np.array([0.0, 1e-8, 1.0, -5.0])
    inside = kth + 0.99e-6 * np.maximum(np.abs(kth), 1e-6)
    outside = kth + 1.01e-6 * np.maximum(np.abs(kth), 1e-6)
    for distances, expected in ((inside, 1.0), (outside, 0.0)):
        changed = factory.with_arrays(result, distances=distances[:, None], kth_distance=kth)
        assert MEASURES["recall"](changed) == expected


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [np.float32, np.float64])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_recall_annb_is_ann_benchmarks_own(seed: int, width: type, sign: float) -> None:
    """`recall_annb` agrees with a literal copy of their loop, dtype arithmetic included."""
    result = messy(seed, sign=sign, width=width)
    count, epsilon = result.spec["k"], 1e-3
    dataset_distances = np.repeat(result.arrays["kth_distance_file"][:, None], count, axis=1)
    run_distances = result.arrays["distances"]
    recalls = np.zeros(len(run_distances))
    for i in range(len(run_distances)):
        t = dataset_distances[i][count - 1] + epsilon
        actual = 0
        for d in run_distances[i][:count]:
            if d <= t:
                actual += 1
        recalls[i] = actual
    expected = np.mean(recalls) / float(count)
    assert MEASURES["recall_annb"](result) == pytest.approx(expected, abs=1e-9)


def test_recall_with_fewer_rows_than_k() -> None:
    """Where only 3 rows exist, finding all 3 is recall 1, and a padded id is a miss only in front of the third."""
    result = factory.make_result(queries=2, k=5, environment={"train_rows": 3})
    neighbors = np.array([[0, 1, 2, -1, -1], [0, -1, -1, -1, -1]])
    distances = np.where(neighbors >= 0, 0.5, np.inf)
    small = factory.with_arrays(result, neighbors=neighbors, distances=distances, kth_distance=np.full(2, np.inf))
    assert query_recall(small).tolist() == [1.0, pytest.approx(1 / 3)]
    unknown = factory.make_result(queries=2, k=5, environment={})
    small = factory.with_arrays(unknown, neighbors=neighbors, distances=distances, kth_distance=np.full(2, np.inf))
    assert query_recall(small).tolist() == [pytest.approx(0.6), pytest.approx(0.2)]


def test_recall_of_the_worst_queries() -> None:
    """The worst 5% of 100 queries are the five with the fewest hits."""
    result = factory.make_result(recall=0.8, queries=100)
    expected = np.mean(sorted(plain_recall(result, 1e-6))[:5])
    assert MEASURES["recall_worst5"](result) == pytest.approx(expected)


def plain_qps(result: Any) -> list[float]:
    """QPS of each pass by the definition."""
    out = []
    for number in range(result.passes):
        rows = result.latencies_ns[result.repetition_pass == number]
        out.append(len(rows) * result.queries / (rows.sum() / 1e9))
    return out


@pytest.mark.parametrize("mode", ["single", "batch"])
@pytest.mark.parametrize("repetitions", [1, 3])
def test_qps_is_the_median_over_passes(mode: str, repetitions: int) -> None:
    """QPS of a pass is queries over summed latency, also with several rows a pass and with one call a batch."""
    result = factory.make_result(mode=mode, repetitions=repetitions, pass_spread=0.3)
    assert pass_qps(result) == pytest.approx(plain_qps(result))
    assert MEASURES["qps"](result) == pytest.approx(np.median(plain_qps(result)))


def test_disturbed_passes_count_only_where_few_others_are() -> None:
    """Three quiet passes are enough to stand alone; two are not."""
    result = factory.make_result(passes=6, disturbed=(0, 1, 2), pass_spread=0.3)
    assert MEASURES["qps"](result) == pytest.approx(np.median(plain_qps(result)[3:]))
    result = factory.make_result(passes=6, disturbed=(0, 1, 2, 3), pass_spread=0.3)
    assert MEASURES["qps"](result) == pytest.approx(np.median(plain_qps(result)))


def test_qps_annb_is_what_the_file_says(tmp_path: Any) -> None:
    """The interop figure is 1 / best_search_time of the written file."""
    import h5py

    result = factory.make_result(repetitions=2, pass_spread=0.2)
    ResultStore(tmp_path).write(tmp_path / "a.hdf5", result, companion(result))
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert MEASURES["qps_annb"](result) == pytest.approx(1 / file.attrs["best_search_time"], rel=1e-12)


def test_latency_percentiles() -> None:
    """Percentiles are numpy's over all quoted passes, in microseconds; a batch has none."""
    result = factory.make_result(passes=5, disturbed=(4,), repetitions=2)
    quiet = result.latencies_ns[result.repetition_pass != 4]
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99), ("p99.9", 99.9)):
        assert MEASURES[name](result) == pytest.approx(np.percentile(quiet, share) / 1000)
        assert math.isnan(MEASURES[name](factory.make_result(mode="batch")))


@given(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=50),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_sorted_quantiles_are_numpys(values: list[int], shares: list[float]) -> None:
    ordered = np.sort(np.array(values))
    np.testing.assert_allclose(sorted_quantiles(ordered, shares), np.quantile(ordered, shares), rtol=1e-12)


@pytest.mark.parametrize("longest", [2**31 - 1, 2**31])
def test_latencies_of_any_length_are_sorted(longest: int) -> None:
    result = factory.make_result("a", queries=20, passes=3)
    result.latencies_ns[1, 7] = longest
    assert np.array_equal(sorted_latencies(result), np.sort(result.latencies_ns, axis=None))


def test_build_and_memory() -> None:
    """Times are medians over processes, peaks are maxima, growth is after less before."""
    result = factory.make_result(processes=3, build_seconds=10.0)
    assert MEASURES["build_seconds"](result) == pytest.approx(11.0)
    assert MEASURES["uss_growth"](result) == 2_500_000
    assert MEASURES["peak_build"](result) == 60_000_002
    assert MEASURES["index_bytes"](result) == 1_000_000
    assert MEASURES["bytes_per_vector"](result) == pytest.approx(1_000_000 / 60_000)
    assert math.isnan(MEASURES["save_seconds"](result))
    bare = factory.make_result(processes=0, environment={})
    for name in ("build_seconds", "index_bytes", "uss_growth", "peak_search", "bytes_per_vector"):
        assert math.isnan(MEASURES[name](bare)), name


def test_distance_computations_are_per_query() -> None:
    """A count is over the queries of one repetition; without a count there is no figure."""
    result = factory.make_result(queries=50)
    assert math.isnan(MEASURES["distance_computations"](result))
    result.document.counters["distance_computations"] = 5000
    assert MEASURES["distance_computations"](result) == 100


def test_break_even() -> None:
    """An index of 8 s that saves 0.9 ms a query pays off after 8,889 queries; one that is slower never does."""
    fast = factory.make_result(qps=10_000.0, mode="batch", pass_spread=0.0, build_seconds=8.0)
    slow = factory.make_result(qps=1_000.0, mode="batch", pass_spread=0.0)
    assert break_even_queries(fast, slow) == pytest.approx(8 / 0.0009, rel=1e-3)
    assert break_even_queries(slow, fast) == math.inf
    assert math.isnan(break_even_queries(factory.make_result(processes=0), slow))


def test_nothing_measured_is_nan_not_an_error() -> None:
    """A result without queries or passes gives nan for every figure of time and recall."""
    whole = factory.make_result(passes=0)
    empty = replace(
        whole,
        document=whole.document.model_copy(update={"queries": 0}),
        arrays={
            "neighbors": np.empty((0, 10), np.int64),
            "distances": np.empty((0, 10)),
            "kth_distance": np.empty(0),
            "kth_distance_file": np.empty(0, np.float32),
        },
        latencies_ns=np.empty((0, 0), np.int64),
    )
    for name in ("recall", "recall_annb", "recall_worst5", "qps", "qps_annb", "p50", "distance_computations"):
        assert math.isnan(MEASURES[name](empty)), name


def test_every_measure_is_described() -> None:
    """The table names, formats and explains each measure, and computes it for an ordinary result."""
    for name, what in MEASURES.items():
        assert what.name == name
        assert what.title
        assert what.about
        assert what.format(math.nan) == "-"
        assert what.format(what(factory.make_result()))


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (measures.format_count, 12345.6, "12,346"),
        (measures.format_count, 99.97, "100"),
        (measures.format_count, 12.34, "12.3"),
        (measures.format_count, 0.0, "0"),
        (measures.format_count, math.inf, "inf"),
        (measures.format_seconds, 0.00421, "0.00421"),
        (measures.format_bytes, 512, "512 B"),
        (measures.format_bytes, 1023.9 * 1024, "1 MiB"),
        (measures.format_bytes, 183 * 1024**2, "183 MiB"),
        (measures.format_bytes, 5e15, "4547 TiB"),
        (measures.format_share, 0.99942, "0.9994"),
    ],
)
def test_how_figures_are_written(write: Any, value: float, text: str) -> None:
    """Figures are rounded to what a reader needs."""
    assert write(value) == text


def test_unknown_measure_suggests() -> None:
    """A slip in a measure's name is answered with the nearest."""
    with pytest.raises(UnknownNameError, match="build_seconds"):
        measure("build_second")


def test_imports_stay_light() -> None:
    """Importing the measures, the tables and the report loads neither matplotlib, pandas nor scipy."""
    code = (
        "import sys, harness.analyse.table, harness.report.write, harness.report.tables;"
        "print([m for m in ('matplotlib', 'pandas', 'scipy', 'h5py', 'numba') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"

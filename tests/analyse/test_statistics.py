"""Intervals: their coverage by simulation, and what they must do at the edges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.analyse.measures import MEASURES
from harness.analyse.resampling import query_counts, redrawn_means
from harness.analyse.statistics import Intervals, interval, mean_range
from harness.core.errors import AnnbenchError
from support import factory

K = 10


def experiment(
    rng: np.random.Generator, *, passes: int, processes: int, pass_sigma: float, process_sigma: float
) -> tuple[Any, float, float]:
    """Draw a result from a known truth; return it with the true QPS and recall.

    A query has a difficulty (gamma, mean 1) that sets both its latency and how many of its ids are found; a pass and a
    process are slow or quick as a whole (log-normal, median 1).
    """
    q = 250
    difficulty = rng.gamma(4.0, 0.25, q)
    process = np.arange(passes) * processes // passes
    effect = np.exp(rng.normal(0, process_sigma, processes)[process] + rng.normal(0, pass_sigma, passes))
    latencies = 1e6 * effect[:, None] * difficulty * rng.gamma(20.0, 0.05, (passes, q))
    found = rng.random((q, K)) < np.exp(-0.1 * difficulty)[:, None]
    base = factory.make_result(queries=q, k=K, passes=passes)
    result = replace(
        base,
        latencies_ns=latencies.round().astype(np.int64),
        pass_process=process.astype(np.int32),
        arrays={**base.arrays, "distances": np.where(found, 0.5, 2.0)},
    )
    return result, 1000.0, (1 + 0.1 * 0.25) ** -4.0  # E[exp(-0.1 d)] of a gamma


def coverage(runs: int, *, replicates: int = 400, **truth: Any) -> tuple[float, float]:
    """Return the share of simulated experiments whose intervals hold the truth, for QPS and for recall."""
    rng = np.random.default_rng(7)
    hits = np.zeros(2)
    for _ in range(runs):
        result, qps, recall = experiment(rng, **truth)
        found = interval(result, replicates=replicates)
        hits += [found.qps.low <= qps <= found.qps.high, found.recall.low <= recall <= found.recall.high]
    return float(hits[0] / runs), float(hits[1] / runs)


ONE_PROCESS = {"passes": 7, "processes": 1, "pass_sigma": 0.05, "process_sigma": 0.0}


def test_intervals_cover_roughly() -> None:
    """Of 80 experiments at least 69 hold the truth: fewer has a chance below 1 in 1,000 at a coverage of 95%."""
    qps, recall = coverage(80, **ONE_PROCESS)
    assert qps >= 69 / 80
    assert recall >= 69 / 80


@pytest.mark.slow
@pytest.mark.parametrize(
    "truth",
    [
        ONE_PROCESS,
        ONE_PROCESS | {"pass_sigma": 0.15},
        ONE_PROCESS | {"pass_sigma": 0.01},
        ONE_PROCESS | {"passes": 3},
        {"passes": 15, "processes": 3, "pass_sigma": 0.03, "process_sigma": 0.03},
        {"passes": 14, "processes": 2, "pass_sigma": 0.03, "process_sigma": 0.03},
        {"passes": 25, "processes": 5, "pass_sigma": 0.05, "process_sigma": 0.05},
    ],
    ids=["usual", "noisy", "quiet", "three passes", "three builds", "two builds", "five builds"],
)
def test_intervals_cover(truth: dict[str, Any]) -> None:
    """Over 400 experiments the coverage is 95% less at most 4 for QPS (wider is let pass) and 3.5 for recall."""
    qps, recall = coverage(400, **truth)
    assert qps >= 0.91
    assert 0.915 <= recall <= 0.985


def test_intervals_hold_the_estimate_and_repeat() -> None:
    """The interval lies around the figure that is quoted, and the same call gives the same numbers."""
    result = factory.make_result(passes=7, pass_spread=0.05, recall=0.93)
    first, again = interval(result), interval(result)
    assert first.qps.low < MEASURES["qps"](result) < first.qps.high
    assert first.recall.low < MEASURES["recall"](result) < first.recall.high
    assert first.qps == again.qps
    assert np.array_equal(first.qps_samples, again.qps_samples)
    assert interval(result, seed=1).qps != first.qps
    assert interval(result, level=0.5).qps.high < first.qps.high


def test_recall_and_qps_are_drawn_jointly() -> None:
    """Where hard queries are both slow and badly answered, replicates with more of them are lower in both."""
    result = factory.make_result(queries=200, passes=5, pass_spread=0.0)
    hard = np.arange(200) % 4 == 0
    latencies = np.where(hard, 5_000_000, 1_000_000) * np.ones((5, 1), np.int64)
    distances = np.where(hard[:, None], 2.0, 0.5) * np.ones((1, 10))
    found = interval(replace(result, latencies_ns=latencies, arrays={**result.arrays, "distances": distances}))
    assert np.corrcoef(found.qps_samples, found.recall_samples)[0, 1] > 0.95


def test_batch_results_have_intervals() -> None:
    """In batch mode passes are drawn for QPS and queries for recall."""
    result = factory.make_result(mode="batch", passes=7, pass_spread=0.05, recall=0.9)
    found = interval(result)
    assert found.qps.low < MEASURES["qps"](result) < found.qps.high
    assert found.recall.low < 0.9 < found.recall.high


def test_a_single_pass_gives_no_interval() -> None:
    """One pass says nothing of the spread between passes, but its queries still do for recall."""
    result = factory.make_result(passes=1)
    found = interval(result)
    assert math.isnan(found.qps.low)
    assert math.isnan(found.qps.high)
    assert np.allclose(found.qps_samples, MEASURES["qps"](result))
    assert found.recall.low < 0.9 < found.recall.high


def test_two_passes_give_a_wide_one() -> None:
    """With one degree of freedom the interval is many times wider than the passes lie apart, and finite."""
    result = factory.make_result(passes=2, mode="batch", pass_spread=0.02)
    found = interval(result)
    assert 0 < found.qps.low < found.qps.high < math.inf
    values = np.log([found.qps.low, found.qps.high])
    apart = np.ptp(np.log(result.latencies_ns[:, 0]))
    assert np.ptp(values) > 5 * apart


def test_uneven_processes() -> None:
    """Processes with 1, 2 and 4 passes, in any order, are drawn without error."""
    result = factory.make_result(passes=7, pass_spread=0.05)
    mixed = replace(result, pass_process=np.array([2, 0, 1, 2, 1, 2, 2], np.int32))
    found = interval(mixed)
    assert found.qps.low < MEASURES["qps"](mixed) < found.qps.high


def test_equal_passes_and_perfect_recall() -> None:
    """Where nothing varies the interval is the figure itself."""
    result = factory.make_result(mode="batch", pass_spread=0.0, recall=1.0)
    found = interval(result)
    assert found.recall == (1.0, 1.0)
    assert found.qps == pytest.approx((MEASURES["qps"](result),) * 2)


def test_disturbed_passes_are_left_out() -> None:
    """A disturbed pass that was ten times slower doesn't widen the interval."""
    result = factory.make_result(passes=7, pass_spread=0.0, disturbed=(3,), mode="batch")
    latencies = result.latencies_ns.copy()
    latencies[3] *= 10
    found = interval(replace(result, latencies_ns=latencies))
    assert found.qps.high / found.qps.low < 1.001


def test_nothing_measured() -> None:
    """Without a pass the interval is nan and not an error."""
    result = factory.make_result(passes=0)
    found: Intervals = interval(replace(result, latencies_ns=np.empty((0, 100), np.int64)))
    assert math.isnan(found.qps.low)


def test_bad_settings_are_refused() -> None:
    """A level in percent and a lone replicate are answered with what was expected."""
    with pytest.raises(AnnbenchError, match=r"0\.95: given 95"):
        interval(factory.make_result(), level=95)
    with pytest.raises(AnnbenchError, match="at least 2"):
        interval(factory.make_result(), replicates=1)


def test_the_range_of_a_mean_is_that_of_its_standard_error():
    """For many values the interval is the mean, plus or minus 1.96 standard errors; equal values leave no doubt."""
    values = np.random.default_rng(0).normal(3.0, 2.0, 4000)
    low, high = mean_range(values, replicates=2000)
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.15 * error)
    assert mean_range(np.full(50, 0.25)) == pytest.approx((0.25, 0.25))


def test_redrawn_means_do_not_depend_on_the_order_of_their_sums() -> None:
    """Queries in another order, in parts, and one replicate at a time give the same means, bit for bit."""
    rng = np.random.default_rng(0)
    values = np.vstack([rng.integers(0, 11, 3000) / 10, rng.lognormal(-9, 2, 3000), np.zeros(3000), np.ones(3000)])
    counts = query_counts(3000, 50, 0)
    means = redrawn_means(values, counts)
    order = rng.permutation(3000)
    assert np.array_equal(redrawn_means(values[:, order], counts[order]), means)
    alone = [redrawn_means(values, np.ascontiguousarray(counts[:, [column]])) for column in range(50)]
    assert np.array_equal(np.hstack(alone), means)
    exactly = [[math.fsum(row * column) / 3000 for column in counts.T] for row in values]
    np.testing.assert_allclose(means, exactly, rtol=1e-11)
    assert not means[2].any()
    assert (means[3] == 1).all()


def test_no_interval_of_a_share_leaves_its_range() -> None:
    """Ends of intervals of shares lie in 0..1, and those of a mean among its values, to the last digit."""
    values = np.full(997, 1.0)
    values[:3] = 0.9999999999
    found = mean_range(values, replicates=200)
    assert found.high <= 1.0
    assert found.low >= values.min()

"""Verdicts from passes made in turns: right where the truth is known, and sure only where they can be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.analyse.paired import Comparison, Pair, compare_pairs
from harness.analyse.statistics import Range
from harness.analyse.trimmed import looks_between
from harness.analyse.unpaired import BUILD_SPREAD, compare_speeds, speeds_of
from harness.analyse.verdict import TIE, judge, more_children
from harness.core.errors import AnnbenchError
from harness.store.result import Result
from support import factory

QUERIES, K, ROUNDS = 60, 10, 7


def simulate(
    rng: np.random.Generator,
    *,
    slower: float = 1.0,
    pairs: int = 5,
    layout: float = 0.01,
    own: float = 0.02,
    shared: float = 0.1,
) -> list[Pair]:
    """Make pairs in which B takes `slower` times A's time.

    `shared` is the spread of what falls on both sides of a round (a slow minute), `own` that of what falls on one pass
    alone, with heavy tails, and `layout` that of a child: standard deviations of logs.
    """
    difficulty = rng.gamma(4.0, 0.25, QUERIES)
    found = rng.random((QUERIES, K)) < np.exp(-0.05 * difficulty)[:, None]
    made = []
    for _ in range(pairs):
        minute = rng.normal(0, shared, ROUNDS)
        sides = []
        for factor in (1.0, slower):
            level = rng.normal(0, layout) + minute + own * rng.standard_t(4, ROUNDS) / math.sqrt(2)
            latencies = (
                1e5 * factor * np.exp(level)[:, None] * difficulty * rng.gamma(400.0, 1 / 400, (ROUNDS, QUERIES))
            )
            result = factory.make_result(queries=QUERIES, k=K, passes=ROUNDS)
            sides.append(
                replace(
                    result,
                    latencies_ns=latencies.round().astype(np.int64),
                    arrays={**result.arrays, "distances": np.where(found, 0.5, 2.0)},
                )
            )
        made.append(Pair([sides[0]], [sides[1]]))
    return made


def kinds(runs: int, **truth: Any) -> dict[str, float]:
    """Return how often each verdict is given over simulated comparisons."""
    rng = np.random.default_rng(11)
    counts = dict.fromkeys(("faster", "slower", "tied", "unsure"), 0)
    for _ in range(runs):
        verdict = compare_pairs(simulate(rng, **truth), None, replicates=200).verdict
        assert verdict is not None
        counts[verdict.kind] += 1
    return {kind: count / runs for kind, count in counts.items()}


def test_the_same_against_itself_is_not_called_faster() -> None:
    """Noise of a shared machine, alike on both sides, gives ties for the most part and next to no winner."""
    found = kinds(60, layout=0.006)
    assert found["faster"] + found["slower"] <= 0.05
    assert found["tied"] >= 0.8


def test_five_per_cent_are_seen() -> None:
    """A side that takes 5% longer is called slower, although minutes differ by 10%."""
    assert kinds(60, slower=1.05, layout=0.006)["faster"] >= 0.8


def test_builds_that_differ_a_lot_leave_it_open() -> None:
    """Where one child is 5% off the next, five pairs can't tell 2%, and say so."""
    assert kinds(40, slower=1.02, layout=0.05)["unsure"] >= 0.8


def test_one_pair_with_a_neighbour_is_not_believed() -> None:
    """Of ten pairs one is off by a quarter, on one side alone: still a tie, and not by much wider."""
    rng = np.random.default_rng(3)
    pairs = simulate(rng, pairs=10, layout=0.006)
    hit = pairs[4].b[0]
    pairs[4] = Pair(pairs[4].a, [replace(hit, latencies_ns=hit.latencies_ns * 5 // 4)])
    verdict = compare_pairs(pairs, None).verdict
    assert verdict is not None
    assert verdict.kind == "tied"


@pytest.mark.slow
def test_looking_again_finds_no_more_winners() -> None:
    """Equals whose children differ by 6%, with five pairs and up to ten: a winner in 5% of comparisons, not in 14%."""
    rng = np.random.default_rng(8)
    looks, winners = looks_between(5, 10), 0
    for _ in range(300):
        pairs = simulate(rng, pairs=10, layout=0.045, own=0.0)
        for count in looks:
            verdict = compare_pairs(pairs[:count], None, looks=looks, replicates=50).verdict
            assert verdict is not None
            if verdict.kind != "unsure":
                winners += verdict.kind != "tied"
                break
    assert winners / 300 <= 0.05 + 0.03


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [3, 5, 6, 10])
@pytest.mark.parametrize("layout", [0.0, 0.02])
@pytest.mark.parametrize("own", [0.01, 0.05])
def test_intervals_of_ratios_cover(layout: float, own: float, pairs: int) -> None:
    """Over 400 comparisons the interval holds the true ratio in 95% less at most 4, whatever the noise is made of."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        verdict = compare_pairs(
            simulate(rng, slower=1.1, layout=layout, own=own, pairs=pairs), None, replicates=400
        ).verdict
        assert verdict is not None
        hits += verdict.interval.low <= 1.1 <= verdict.interval.high
    assert hits / 400 >= 0.91


@pytest.mark.slow
def test_the_choice_of_queries_is_in_the_interval() -> None:
    """Builds alike to the hair, but each query's ratio differs by 30%: of other queries the ratio holds as well."""
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(300):
        ratio = rng.gamma(1 / 0.09, 0.09, QUERIES)  # of mean 1 over all the queries that there could be
        pairs = []
        for _ in range(3):
            a, b = (factory.make_result(queries=QUERIES, k=K, passes=ROUNDS) for _ in range(2))
            noise = rng.gamma(400.0, 1 / 400, (2, ROUNDS, QUERIES))
            times = (1e5 * noise * np.stack([np.ones(QUERIES), ratio])[:, None, :]).round().astype(np.int64)
            pairs.append(Pair([replace(a, latencies_ns=times[0])], [replace(b, latencies_ns=times[1])]))
        verdict = compare_pairs(pairs, None, replicates=400).verdict
        assert verdict is not None
        hits += verdict.interval.low <= 1 <= verdict.interval.high
    assert hits / 300 >= 0.91


def test_interrupts_are_no_doubt_about_queries() -> None:
    """In each round another query takes 30 times as long, on either side: all are alike, and any choice of them is."""
    rng = np.random.default_rng(7)
    pairs = []
    for _ in range(3):
        sides = []
        for _ in range(2):
            result = factory.make_result(queries=QUERIES, k=K, passes=ROUNDS)
            latencies = np.full((ROUNDS, QUERIES), 100_000)
            latencies[np.arange(ROUNDS), rng.choice(QUERIES, ROUNDS, replace=False)] *= 30
            sides.append([replace(result, latencies_ns=latencies)])
        pairs.append(Pair(sides[0], sides[1]))
    verdict = compare_pairs(pairs, None).verdict
    assert verdict is not None
    assert tuple(verdict.interval) == pytest.approx((1.0, 1.0), abs=1e-6)


def _lines(qps: dict[float, float], *, queries: int = 4000, passes: int = 5, algorithm: str = "hnsw") -> list[Result]:
    """Make settings of a side, {recall: QPS}, whose every query takes the same time in every pass."""
    made = []
    for i, (recall, speed) in enumerate(qps.items()):
        result = factory.make_result(algorithm, search={"ef": i}, recall=recall, queries=queries, passes=passes)
        made.append(replace(result, latencies_ns=np.full_like(result.latencies_ns, round(1e9 / speed))))
    return made


def _compare(a: dict[float, float], b: dict[float, float], target: float | None) -> Comparison:
    pair = Pair(_lines(a), _lines(b, algorithm="other"))
    return compare_pairs([pair] * 3, target, replicates=200)


def test_the_ratio_is_taken_at_equal_recall() -> None:
    """Between two settings log QPS is linear in recall: A has 1,000 and B 500 at 0.9, whatever they were run with."""
    found = _compare({0.88: 2000.0, 0.92: 500.0}, {0.85: 1000.0, 0.95: 250.0}, 0.9)
    assert found.verdict is not None
    assert found.verdict.ratio == pytest.approx(2.0, rel=1e-3)
    assert found.verdict.kind == "faster"
    assert (found.a.relation, found.b.relation) == ("=", "=")


def test_a_recall_that_a_side_lacks_gives_no_verdict() -> None:
    """A side that stops at 0.8 is not slower at 0.9: it isn't there."""
    found = _compare({0.88: 2000.0, 0.92: 500.0}, {0.7: 9000.0, 0.8: 5000.0}, 0.9)
    assert found.verdict is None
    assert found.b.relation == "not reached"


def test_a_side_that_lies_above_is_quoted_as_it_is() -> None:
    """Where every setting is beyond the recall, the fastest stands, marked as a lower bound."""
    found = _compare({0.88: 2000.0, 0.92: 500.0}, {0.97: 900.0, 0.99: 700.0}, 0.9)
    assert found.b.relation == ">="
    assert found.b.qps == pytest.approx(900, rel=1e-3)


def test_a_disturbed_round_is_left_out_whole() -> None:
    """A pass that was disturbed on one side takes its partner out as well."""
    a, b = _lines({0.9: 1000.0}), _lines({0.9: 1000.0}, algorithm="other")
    slow = a[0].latencies_ns.copy()
    slow[1] *= 3
    marked = replace(a[0], latencies_ns=slow, pass_disturbed=np.array([False, True, False, False, False]))
    found = compare_pairs([Pair([marked], b)] * 3, None, replicates=200)
    assert found.verdict is not None
    assert (found.passes, found.disturbed) == (15, 3)
    assert found.verdict.ratio == pytest.approx(1.0)


def test_marks_are_counted_where_they_could_not_be_left_out() -> None:
    """Where all rounds were disturbed all of them count, and a reader is told."""
    (a,), (b,) = _lines({0.9: 1000.0}), _lines({0.9: 1000.0}, algorithm="other")
    marked = replace(a, pass_disturbed=np.ones(5, bool))
    assert compare_pairs([Pair([marked], [b])] * 3, None, replicates=200).disturbed == 15
    apart = compare_speeds([speeds_of(marked)], [speeds_of(b)], None)
    assert (apart.passes, apart.disturbed) == (5, 5)


def test_a_side_is_where_its_mean_recall_over_the_pairs_is() -> None:
    """Three pairs just above a recall and three below it: the mean decides, in whatever order they come."""
    above, below = ({0.86: 2000.0, recall: 500.0} for recall in (0.93, 0.88))
    pairs = [Pair(_lines(side), _lines({0.85: 1000.0, 0.95: 500.0})) for side in (above, below)]
    for order in (pairs * 3, pairs[::-1] * 3):
        assert compare_pairs(order, 0.9, replicates=200).a.relation == "="
        assert compare_pairs(order, 0.91, replicates=200).a.relation == "not reached"


def test_a_setting_that_another_beats_is_not_read() -> None:
    """Between two settings of a line stands one that is slower than the more thorough: the line passes it by."""
    line = {0.88: 2000.0, 0.92: 500.0}
    plain = _compare(line, {0.85: 1000.0, 0.95: 250.0}, 0.9)
    worse = _compare({0.88: 2000.0, 0.905: 400.0, 0.92: 500.0}, {0.85: 1000.0, 0.95: 250.0}, 0.9)
    better = _compare({0.88: 2000.0, 0.905: 1500.0, 0.92: 500.0}, {0.85: 1000.0, 0.95: 250.0}, 0.9)
    assert plain.verdict is not None
    assert worse.verdict is not None
    assert better.verdict is not None
    assert worse.verdict.ratio == pytest.approx(plain.verdict.ratio)
    assert better.verdict.ratio > 1.2 * plain.verdict.ratio


def test_a_side_is_not_slowed_by_a_worse_setting() -> None:
    """Beside the setting of the other side it has one of less recall and less speed: that makes it no slower."""
    for a in ({0.85: 850.0, 0.95: 1000.0}, {0.95: 1000.0, 0.85: 850.0}):
        found = _compare(a, {0.95: 1000.0}, 0.9)
        assert found.a.relation == ">="
        assert found.verdict is not None
        assert found.verdict.ratio == pytest.approx(1.0, rel=1e-6)
    for a in ({0.85: 2000.0, 0.95: 500.0, 0.951: 800.0}, {0.85: 2000.0, 0.951: 800.0, 0.95: 500.0}):
        found = _compare(a, {0.85: 2000.0, 0.951: 800.0}, 0.94)
        assert found.verdict is not None
        assert found.verdict.ratio == pytest.approx(1.0, rel=1e-6)


def test_one_query_says_nothing_of_others() -> None:
    """The spread over queries can't be had from one: no interval, and no verdict but that."""
    one = _lines({1.0: 1000.0}, queries=1)
    for pairs in (1, 3):
        verdict = compare_pairs([Pair(one, one)] * pairs, None, replicates=200).verdict
        assert verdict is not None
        assert verdict.kind == "unsure"
        assert math.isnan(verdict.interval.low)


def test_nothing_measured_is_an_error() -> None:
    """No pair, or one without results, is not compared."""
    with pytest.raises(AnnbenchError, match="nothing was measured"):
        compare_pairs([], 0.9)
    with pytest.raises(AnnbenchError, match="nothing was measured"):
        compare_pairs([Pair([], [])], 0.9)


@pytest.mark.parametrize(
    ("ratio", "interval", "kind"),
    [
        (1.0, (0.98, 1.02), "tied"),
        (1.02, (1.01, 1.029), "tied"),  # real, and of no consequence
        (1.02, (1.005, 1.04), "faster"),
        (0.95, (0.93, 0.97), "slower"),
        (1.0, (0.95, 1.05), "unsure"),
        (1.2, (0.9, 1.6), "unsure"),
        (1.0, (math.nan, math.nan), "unsure"),
    ],
)
def test_four_verdicts(ratio: float, interval: tuple[float, float], kind: str) -> None:
    """An interval within the zone is a tie before all else; one that excludes 1 is a difference."""
    assert judge(ratio, Range(*interval), 35, 5).kind == kind


def test_the_children_that_are_asked_for_would_settle_it() -> None:
    """With that many more the interval, as much narrower as a mean's, lies within the zone or excludes 1."""
    for ratio, spread in ((1.0, 0.05), (1.02, 0.06), (0.9, 0.2), (1.015, 0.04)):
        low, high = ratio * math.exp(-spread), ratio * math.exp(spread)
        more = more_children(ratio, Range(low, high), 5)
        verdict = judge(ratio, Range(low, high), 35, 5)
        assert (verdict.more, verdict.more_children) == (7 * more, more) or verdict.kind != "unsure"
        narrower = spread * math.sqrt(5 / (5 + more)) * 0.999
        low, high = ratio * math.exp(-narrower), ratio * math.exp(narrower)
        assert judge(ratio, Range(low, high), 7 * (5 + more), 5 + more).kind != "unsure"


def test_sides_that_never_met_are_trusted_less() -> None:
    """Two stores of one child each, equal to the hair: the spread of builds alone keeps that from being a tie."""
    one = [speeds_of(result) for result in _lines({0.9: 1000.0})]
    verdict = compare_speeds(one, one, None).verdict
    assert verdict is not None
    assert verdict.kind == "unsure"
    width = math.log(verdict.interval.high / verdict.interval.low)
    assert width == pytest.approx(2 * 1.96 * BUILD_SPREAD * math.sqrt(2), rel=0.15)
    many = [replace(speeds, process=np.arange(5)) for speeds in one]
    assert compare_speeds(many, many, None).verdict.kind == "tied"  # type: ignore[union-attr]


def test_the_zone_is_that_of_the_design() -> None:
    """Less than 3% is called a tie."""
    assert TIE == (0.97, 1.03)

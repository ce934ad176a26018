"""Drift between processes: pooled over builds, its intervals cover by simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.analyse.drift import (
    BUILD_SPREAD,
    Spread,
    inverse_trigamma,
    leverage,
    own_drift,
    pooled_drift,
    shrinkage,
)
from harness.analyse.statistics import percentile_range, with_drift
from harness.analyse.table import tidy
from harness.analyse.targets import targets_table
from harness.analyse.winners import winner
from support import factory

SIZES = (4, 3)
WITHIN = 0.01


def spread_of(passes: list[NDArray[np.float64]]) -> Spread:
    """Take the spread of logs of QPS, those of one process after the other; no queries."""
    together = np.concatenate(passes)
    freedom = len(together) - len(passes)
    within = sum(((one - one.mean()) ** 2).sum() for one in passes) / freedom
    # The variance of a median of normal values is about 1.45 times that of a mean, of seven.
    return Spread(
        centre=float(np.median(together)),
        sizes=[len(one) for one in passes],
        within=float(within),
        between=float(np.var([one.mean() for one in passes], ddof=1)) if len(passes) > 1 else 0.0,
        passes=float(within) * 1.45 / len(together),
        queries=0.0,
        asked=1000,
    )


def world(
    rng: np.random.Generator, builds: int, settings: int, drift: float, hit: int = 0
) -> tuple[list[Spread], list[int]]:
    """Draw the settings of builds whose true log QPS is 0; of the first `hit` builds a process was slower by 30%."""
    spreads, names = [], []
    for build in range(builds):
        effects = rng.normal(0, drift, len(SIZES))
        effects[0] -= 0.3 * (build < hit)
        for _ in range(settings):
            spreads.append(spread_of([e + rng.normal(0, WITHIN, n) for e, n in zip(effects, SIZES, strict=True)]))
            names.append(build)
    return spreads, names


def coverage(runs: int, *, hit: int = 0, **shape: Any) -> tuple[float, float, float]:
    """Return the share of intervals that hold the truth, that of the builds that were hit, and the median width."""
    rng = np.random.default_rng(3)
    held, of_hit, widths = [], [], []
    for _ in range(runs):
        spreads, names = world(rng, hit=hit, **shape)
        for spread, name, drift in zip(spreads, names, pooled_drift(spreads, names), strict=True):
            # Passes are drawn as normal here: what is tested is the process effect and the degrees of freedom.
            redrawn = np.exp(spread.centre + math.sqrt(spread.passes) * rng.permutation(_NORMAL))
            low, high = percentile_range(with_drift(redrawn, spread, drift, 0.95))
            held.append(low <= 1 <= high)
            of_hit += [held[-1]] * (name < hit)
            widths.append(math.log(high / low))
    return float(np.mean(held)), float(np.mean(of_hit or [1.0])), float(np.median(widths))


def _quantiles(count: int) -> NDArray[np.float64]:
    from scipy.special import ndtri

    values: NDArray[np.float64] = ndtri((np.arange(count) + 0.5) / count)
    return values


_NORMAL = _quantiles(400)


@pytest.mark.parametrize(
    ("drift", "builds", "settings", "runs"),
    [(0.0, 8, 3, 20), (0.01, 8, 3, 20), (0.03, 8, 3, 20), (0.03, 3, 1, 100), (0.01, 2, 1, 150)],
)
def test_intervals_cover_drift(drift: float, builds: int, settings: int, runs: int) -> None:
    """With two processes each, whatever the drift, 91% or more hold the truth, and no interval is absurdly wide."""
    held, _, width = coverage(runs, drift=drift, builds=builds, settings=settings)
    assert held >= 0.91
    # Of one result with one degree of freedom they would be 12.7 standard deviations to either side.
    assert width < 2 * 6 * math.hypot(drift, WITHIN)


def test_builds_that_were_hit_are_covered_and_widen_no_others() -> None:
    """Where a disturbance fell on 2 builds of 16, theirs are wide enough, and those of the others stay narrow."""
    held, of_hit, width = coverage(12, drift=0.01, builds=16, settings=3, hit=2)
    assert held >= 0.91
    assert of_hit >= 0.9
    assert width < 0.05


def test_without_second_processes_the_spread_is_put_in_by_hand() -> None:
    """A group of one-process results gets the spread that builds are known to have; one alone gets none."""
    one = spread_of([np.random.default_rng(0).normal(0, WITHIN, 7)])
    (drift,) = pooled_drift([one], ["a"])
    assert math.sqrt(drift.variance) == pytest.approx(BUILD_SPREAD)
    assert own_drift(one).variance == 0


def test_a_result_of_one_process_has_the_drift_of_the_others() -> None:
    """Passes of one process say nothing of drift, so the builds that have two lend theirs."""
    rng = np.random.default_rng(1)
    spreads, names = world(rng, builds=10, settings=1, drift=0.05)
    lone = spread_of([rng.normal(0, WITHIN, 7)])
    drift = pooled_drift([*spreads, lone], [*names, 99])[-1]
    assert 0.03 < math.sqrt(drift.variance) < 0.08


def test_the_prior_finds_how_variances_differ() -> None:
    """Variances drawn from s0^2 d0 / chi^2(d0), of 4 degrees of freedom each, give both back."""
    rng = np.random.default_rng(0)
    true = 2.0 * 6 / rng.chisquare(6, 4000)
    found = shrinkage(true * rng.chisquare(4, 4000) / 4, np.full(4000, 4.0))
    assert found.variance == pytest.approx(2.0, rel=0.1)
    assert found.freedom == pytest.approx(6, rel=0.2)
    alike = shrinkage(rng.chisquare(4, 30) / 4, np.full(30, 4.0))
    assert alike.freedom > 20


@pytest.mark.parametrize("x", [0.2, 1.0, 5.0, 400.0])
def test_trigamma_is_inverted(x: float) -> None:
    """What trigamma makes of a number is turned back into it."""
    from scipy.special import polygamma

    assert inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_the_median_follows_the_larger_process() -> None:
    """Of 4 and 3 passes far apart the median has the whole variance of a process effect, of 4 and 4 half of it."""
    far = own_drift(Spread(0.0, (4, 3), 1e-8, 1.0, 0.0, 0.0, 1))
    assert leverage(Spread(0.0, (4, 3), 1e-8, 1.0, 0.0, 0.0, 1), far) == pytest.approx(1, abs=0.15)
    assert leverage(Spread(0.0, (4, 4), 1e-8, 1.0, 0.0, 0.0, 1), far) == pytest.approx(0.5, abs=0.1)
    near = far._replace(variance=1e-12)
    assert leverage(Spread(0.0, (4, 3), 1e-8, 1.0, 0.0, 0.0, 1), near) == pytest.approx(25 / 49)


def drifted(name: str, slow: float, seed: int) -> Any:
    """Make a result of two processes, of which the first was slower by a factor."""
    result = factory.make_result(name, recall=0.97, processes=2, pass_spread=0.005, seed=seed)
    times = np.where(result.pass_process == 0, slow, 1.0)[:, None]
    return replace(result, latencies_ns=(result.latencies_ns * times).astype(np.int64))


def test_one_index_under_two_names_has_no_winner_in_a_run_that_drifted() -> None:
    """The first process of one name lay in the busy half, both of the other outside: it can't be told who is faster."""
    early, late = drifted("a", 1.6, 0), drifted("b", 1.0, 1)
    found = winner(targets_table(tidy([early, late])), 0.95)
    assert found is not None
    assert not found.alone


def test_a_clear_winner_stays_one() -> None:
    """A speed three times as high wins in spite of a drift of 2% that the interval holds."""
    fast = [factory.make_result("fast", qps=3000, recall=0.97, processes=2, pass_spread=0.02)]
    slow = [factory.make_result(n, qps=1000, recall=0.97, processes=2, pass_spread=0.02) for n in ("a", "b", "c")]
    found = winner(targets_table(tidy([*fast, *slow])), 0.95)
    assert found is not None
    assert (found.best.algorithm, found.alone) == ("fast", True)

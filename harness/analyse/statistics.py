"""How far a figure can be trusted: bootstrap intervals over process, pass and query.

The scheme. Queries are redrawn with replacement, the same for all passes, since all passes ask the same queries. Passes
are redrawn within their process; QPS is the median over them. A process is the cluster: its effect is drawn from a
normal distribution whose variance comes from `harness.analyse.drift`, pooled over all builds that are compared, because
the two processes of one result say too little (Davison and Hinkley 1997, "Bootstrap Methods and their Application",
3.8, on resampling with random effects). Recall is taken over the same drawn queries, so that recall and QPS of a
replicate belong together.

A bootstrap of seven passes is too narrow: a drawn variance is short by (n - 1) / n, and the normal quantile ignores
that the spread itself is estimated. Hesterberg (2015, "What Teachers Should Know About the Bootstrap", 3.2) expands the
percentiles by the t quantile for n - 1 degrees of freedom. We do so with one refinement: the degrees of freedom are
Welch and Satterthwaite's over the three parts (process, pass, query), because thousands of queries need no expansion
and two processes need much. The replicates themselves are stretched about the estimate, in logs, so that plain
percentiles of whatever is computed from them (QPS at a recall, a ratio) cover as the interval does.
`tests/analyse/test_statistics.py` checks the coverage by simulation.

`nested_samples` redraws processes as well: `compare` uses it, where a side has several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.analyse.drift import Drift, Spread, leverage, own_drift
from harness.analyse.figures import pass_latencies, query_recall, quoted_passes, sorted_quantiles
from harness.analyse.resampling import query_counts, redrawn_means
from harness.core.errors import AnnbenchError
from harness.store.result import Result

DEFAULT_LEVEL = 0.95
DEFAULT_REPLICATES = 1000

# Two passes have one degree of freedom, and a t quantile of 12.7: beyond this factor in logs (1e6) a bound is no news.
_WIDEST_LOG = 13.8
_MOST_LOG = 700.0  # exp of more than this is no float


class Range(NamedTuple):
    """An interval; nan on both sides where it can't be known."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Intervals:
    """Intervals of one result, with the joint replicates behind them.

    `qps_samples` and `recall_samples` (replicates,) float64 belong together row by row. One pass alone says nothing of
    the spread between passes: then `qps` is (nan, nan) and its samples all equal the estimate.
    """

    level: float
    qps: Range
    recall: Range
    qps_samples: NDArray[np.float64]
    recall_samples: NDArray[np.float64]


class _Layout(NamedTuple):
    """Passes in order of their process: `start[p]` and `size[p]` say where those of process p stand."""

    order: NDArray[np.intp]
    start: NDArray[np.int64]
    size: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A result under redrawn passes and queries; `spread` is None where it has no two passes.

    `qps_samples` and `recall_samples` (replicates,) are joint. They are no intervals yet: `with_drift` adds processes.
    """

    qps_samples: NDArray[np.float64]
    recall_samples: NDArray[np.float64]
    spread: Spread | None


def redraw(result: Result, *, replicates: int = DEFAULT_REPLICATES, seed: int = 0) -> Redrawn:
    """Draw passes and queries anew; raises AnnbenchError for fewer than 2 replicates.

    Results with the same number of queries draw the same queries under the same `seed`, so that settings can be
    compared replicate by replicate.
    """
    return redraw_all([result], replicates=replicates, seed=seed)[0]


def redraw_all(results: Sequence[Result], *, replicates: int = DEFAULT_REPLICATES, seed: int = 0) -> list[Redrawn]:
    """Draw passes and queries of several results anew: what `redraw` gives of each, bit for bit, since sums are exact.

    Results with the same number of queries share one product, as reading the counts is what takes its time.
    """
    check_bootstrap(DEFAULT_LEVEL, replicates)
    places: dict[int, list[int]] = {}
    for place, result in enumerate(results):
        places.setdefault(result.queries, []).append(place)
    found: dict[int, Redrawn] = {}
    for queries, mine in places.items():
        rows = [_figures_by_query(results[place]) for place in mine]
        means = redrawn_means(np.concatenate(rows), query_counts(queries, replicates, seed))
        for place, part in zip(mine, np.split(means, np.cumsum([len(one) for one in rows])[:-1]), strict=True):
            result, seconds = results[place], part[1:]
            if result.spec.get("mode") == "batch":
                seconds = np.repeat(pass_latencies(result), replicates, axis=1)
            samples, spread = _qps_samples(result, seconds, np.random.default_rng((seed, 1)))
            # A mean of shares is a share: rounding may put it beyond 0 or 1 by the last digit.
            found[place] = Redrawn(samples, np.clip(1.0 - part[0], 0.0, 1.0), spread)
    return [found[place] for place in range(len(results))]


def interval(
    result: Result, *, level: float = DEFAULT_LEVEL, replicates: int = DEFAULT_REPLICATES, seed: int = 0
) -> Intervals:
    """Estimate the interval of QPS and of recall by a bootstrap over process, pass and query, from one result alone.

    With one process the interval is that build's own: how much builds differ can't be seen. The tidy table pools that
    over all builds. Deterministic; raises AnnbenchError for a `level` outside 0..1 or fewer than 2 replicates.
    """
    check_bootstrap(level, replicates)
    found = redraw(result, replicates=replicates, seed=seed)
    qps, spread = found.qps_samples, found.spread
    if spread is not None:
        qps = with_drift(qps, spread, own_drift(spread), level)
    return Intervals(
        level=level,
        qps=Range(math.nan, math.nan) if spread is None else percentile_range(qps, level),
        recall=percentile_range(found.recall_samples, level),
        qps_samples=qps,
        recall_samples=found.recall_samples,
    )


def check_bootstrap(level: float, replicates: int) -> None:
    """Raise AnnbenchError for a `level` outside 0..1 or fewer than 2 replicates."""
    if not 0 < level < 1:
        raise AnnbenchError(f"the level of an interval must lie between 0 and 1, e.g. 0.95: given {level}")
    if replicates < 2:
        raise AnnbenchError(f"a bootstrap needs at least 2 replicates, and 1,000 for 95%: given {replicates}")


def percentile_range(samples: NDArray[np.float64], level: float = DEFAULT_LEVEL) -> Range:
    """Return the central interval that holds `level` of the samples; (nan, nan) for none or where one is nan."""
    if samples.size == 0 or np.isnan(samples).any():
        return Range(math.nan, math.nan)
    low, high = sorted_quantiles(np.sort(samples), [(1 - level) / 2, (1 + level) / 2])
    return Range(float(low), float(high))


def mean_range(
    values: NDArray[np.float64],
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> Range:
    """Return the interval of the mean of `values`, one a query, (q,), by a bootstrap over queries.

    That of the differences between two sides, query by query, is that of a paired comparison.
    """
    mean = values.mean() if len(values) else math.nan
    # About the mean, so that values that are all alike leave no doubt.
    moved = redrawn_means((values - mean)[None], query_counts(len(values), replicates, seed))[0]
    if not len(values):
        return percentile_range(mean + moved, level)
    # No redrawn mean lies beyond the values: rounding may put it there by the last digit.
    return percentile_range(np.clip(mean + moved, values.min(), values.max()), level)


def ratio_range(above: float, above_range: Range, below: float, below_range: Range) -> Range:
    """Return the interval of `above / below`, two positive figures measured independently of each other.

    From their own intervals, which need not be symmetric, in logs (MOVER: Zou and Donner 2008). A low end of 0 gives
    one without a bound on that side; (nan, nan) where a figure or an end is nan or not positive.
    """
    known = (above, above_range.high, below, below_range.high)
    if any(math.isnan(value) or value <= 0 for value in known) or not (above_range.low >= 0 and below_range.low >= 0):
        return Range(math.nan, math.nan)
    ratio = math.log(above / below)
    down = math.hypot(_log_ratio(above, above_range.low), _log_ratio(below_range.high, below))
    up = math.hypot(_log_ratio(above_range.high, above), _log_ratio(below, below_range.low))
    return Range(math.exp(ratio - down), math.exp(min(ratio + up, _MOST_LOG)) if math.isfinite(up) else math.inf)


def _log_ratio(larger: float, smaller: float) -> float:
    """Return how far apart two ends are in logs, 0 where rounding turned them about."""
    return math.inf if smaller == 0 else max(math.log(larger / smaller), 0.0)


def _figures_by_query(result: Result) -> NDArray[np.float64]:
    """Return 1 - recall of each query and, in single mode, its latency in each quoted pass: (1 + passes, q).

    Misses are summed, not hits: a recall of exactly 1 then stays exactly 1.
    """
    misses = 1.0 - query_recall(result)
    latencies = np.empty((0, 0)) if result.spec.get("mode") == "batch" else pass_latencies(result)
    return np.vstack([misses, latencies]) if latencies.size else misses[None]


def _qps_samples(
    result: Result, seconds: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], Spread | None]:
    """Return replicates of QPS, (replicates,), under redrawn passes and queries, and how the passes vary.

    `seconds` (passes, replicates) are each pass's mean over redrawn queries. Processes are not drawn: `with_drift` adds
    what they do. None in place of the spread where there are no two passes.
    """
    latencies, replicates = pass_latencies(result), seconds.shape[1]
    means = latencies.mean(axis=1) if latencies.size else np.empty(0)
    if not len(means) or not (means > 0).all():
        return np.full(replicates, np.nan), None
    by_pass = -np.log(means)  # (passes,) log QPS
    if len(means) == 1:
        return np.full(replicates, math.exp(by_pass[0])), None
    layout = _layout(result.pass_process[quoted_passes(result)])
    groups = np.split(by_pass[layout.order], layout.start[1:])
    n, processes = len(by_pass), len(groups)
    freedom = n - processes
    means_of = np.empty(n)
    means_of[layout.order] = np.concatenate([np.full(len(g), g.mean()) for g in groups])
    steady, by_query = by_pass - means_of, -np.log(seconds) - means_of[:, None]
    drawn = _passes_within(layout, replicates, rng)
    moved = _medians(by_query.ravel().take(drawn * replicates + np.arange(replicates))) - float(np.median(steady))
    query_variance = float(_medians(by_query).var(ddof=1))
    # A redrawn variance is short by (n - 1) / n in each process.
    drawn_variance = float(_medians(steady[drawn]).var(ddof=1))
    pass_variance = drawn_variance * n / freedom if freedom else 0.0
    whole = query_variance + drawn_variance
    if whole > 0:
        moved *= math.sqrt((query_variance + pass_variance) / whole)
    centre = float(np.median(by_pass))
    spread = Spread(
        centre=centre,
        sizes=[len(g) for g in groups],
        within=float((steady**2).sum()) / freedom if freedom else 0.0,
        between=float(np.var([g.mean() for g in groups], ddof=1)) if processes > 1 else 0.0,
        passes=pass_variance,
        queries=query_variance,
        asked=result.queries,
    )
    samples: NDArray[np.float64] = np.exp(centre + np.clip(moved, -_WIDEST_LOG, _WIDEST_LOG))
    return samples, spread


def with_drift(samples: NDArray[np.float64], spread: Spread, drift: Drift, level: float) -> NDArray[np.float64]:
    """Return replicates of QPS, (replicates,), that hold the process effect and are stretched so that they cover.

    `samples` are those under redrawn passes and queries. The process effect is drawn alike for all
    results, since the settings of a build share theirs.
    """
    from scipy.special import ndtri, stdtrit

    process = leverage(spread, drift) * drift.variance
    parts = [(process, drift.freedom), (spread.passes, spread.freedom), (spread.queries, spread.asked - 1)]
    squares = sum(variance**2 / df for variance, df in parts if df > 0)
    total = sum(variance for variance, _ in parts)
    freedom = max(total**2 / squares, 1.0) if squares > 0 else math.inf
    tail = (1 + level) / 2
    factor = float(stdtrit(freedom, tail) / ndtri(tail)) if math.isfinite(freedom) else 1.0
    moved = (np.log(samples) - spread.centre + math.sqrt(process) * _normal(len(samples))) * factor
    stretched: NDArray[np.float64] = np.exp(spread.centre + np.clip(moved, -_WIDEST_LOG, _WIDEST_LOG))
    return stretched


@lru_cache(maxsize=8)
def _normal(count: int) -> NDArray[np.float64]:
    """Return quantiles of the normal distribution in random order, (count,): a sample without a sampling error."""
    from scipy.special import ndtri

    values: NDArray[np.float64] = ndtri((np.random.default_rng(2).permutation(count) + 0.5) / count)
    values.flags.writeable = False
    return values


def nested_samples(
    by_pass: NDArray[np.float64],
    by_query: NDArray[np.float64],
    process: NDArray[np.integer[Any]],
    queries: int,
    *,
    level: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return replicates of the median over passes, (replicates,), stretched so that their percentiles cover.

    `by_pass` (passes,) are logs of what was measured, `by_query` (passes, replicates) the same over redrawn queries,
    `process` (passes,) says which child made a pass; `queries` counts those that were drawn from.
    """
    estimate = float(np.median(by_pass))
    layout = _layout(process)
    drawn = _drawn_passes(layout, by_query.shape[1], rng)
    samples = _medians(by_query.ravel().take(drawn * drawn.shape[1] + np.arange(drawn.shape[1])))
    query_variance = float(_medians(by_query).var(ddof=1))
    pass_variance = float(_medians(by_pass[drawn]).var(ddof=1))
    factor = _stretch(by_pass[layout.order], layout, query_variance, pass_variance, queries, level)
    moved: NDArray[np.float64] = np.clip((samples - estimate) * factor, -_WIDEST_LOG, _WIDEST_LOG)
    return estimate + moved


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column of (n, m), n > 0: as numpy's, which is slower where n is small."""
    ordered = np.sort(values, axis=0)
    middle, odd = divmod(len(values), 2)
    medians: NDArray[np.float64] = ordered[middle] if odd else (ordered[middle - 1] + ordered[middle]) / 2
    return medians


def _layout(process: NDArray[np.integer[Any]]) -> _Layout:
    order = np.argsort(process, kind="stable")
    _, start, size = np.unique(process[order], return_index=True, return_counts=True)
    return _Layout(order, start.astype(np.int64), size.astype(np.int64))


def _drawn_passes(layout: _Layout, replicates: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw processes, then passes within them: (passes, replicates) row numbers."""
    processes = len(layout.size)
    slot = np.repeat(np.arange(processes), layout.size)  # each process is replaced as a whole
    chosen = rng.integers(0, processes, (processes, replicates))[slot]
    within = rng.random(chosen.shape)
    if processes == 1:
        place = (within * layout.size[0]).astype(np.int64)
    else:
        place = layout.start[chosen] + (within * layout.size[chosen]).astype(np.int64)
    drawn: NDArray[np.intp] = layout.order[place]
    return drawn


def _passes_within(layout: _Layout, replicates: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw passes within each process: (passes, replicates) row numbers."""
    start, size = (np.repeat(values, layout.size)[:, None] for values in (layout.start, layout.size))
    place = start + (rng.random((len(layout.order), replicates)) * size).astype(np.int64)
    drawn: NDArray[np.intp] = layout.order[place]
    return drawn


def _stretch(
    by_pass: NDArray[np.float64],
    layout: _Layout,
    query_variance: float,
    drawn_variance: float,
    queries: int,
    level: float,
) -> float:
    """Return the factor by which replicates are spread: t over normal quantile, and what redrawing falls short of.

    `by_pass` (passes,) log QPS in the layout's order; the variances are those of the median under redrawn queries only
    and redrawn passes only.
    """
    from scipy.special import ndtri, stdtrit

    n, processes = len(by_pass), len(layout.size)
    groups = np.split(by_pass, layout.start[1:])
    within_df = n - processes
    within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups) / within_df if within_df else 0.0
    means = np.array([g.mean() for g in groups])
    between = max(0.0, float(means.var(ddof=1)) - within * processes / n) if processes > 1 else 0.0
    # (variance of the estimate, degrees of freedom) of process, pass and query
    parts = [(between / processes, processes - 1), (within / n, within_df), (query_variance, queries - 1)]
    total = sum(variance for variance, _ in parts)
    squares = sum(variance**2 / df for variance, df in parts if df > 0)
    if squares <= 0:
        return 1.0
    freedom = max(total**2 / squares, 1.0)
    tail = (1 + level) / 2
    expansion = float(stdtrit(freedom, tail) / ndtri(tail))
    # A nested bootstrap of means gives this for their variance, which is short by n / (n - 1) for one process.
    nested = float(means.var()) / processes + within * within_df / n**2
    short = (between / processes + within / n) / nested if nested > 0 else 1.0
    whole = query_variance + drawn_variance
    return (
        expansion * math.sqrt((query_variance + drawn_variance * max(short, 1.0)) / whole) if whole > 0 else expansion
    )

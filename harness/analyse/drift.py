"""Drift: how much the speed of an index differs from process to process, pooled over the builds that are compared.

Model, in logs of QPS: pass = setting + process effect + pass effect. `annbench run` goes over all builds in rounds that
lie far apart, so a process effect holds what changed in between (clock, neighbours) as well as memory layout and seed.
The process is the cluster: its passes say nothing of how another process would do.

Two processes give their variance one degree of freedom, and Student's t 12.7: each interval alone would be vague. Drift
is the machine's and common to all builds, so its variance is pooled, as is usual for many small experiments with a
common source of error:

1. Moment estimate of the common variance V between processes (Searle, Casella, McCulloch 1992, "Variance Components",
   3.6): the variance of process means, less what the passes within explain, over all builds.
2. Outliers: a build whose variance is beyond chance (F test at 0.5%) was hit by something that the others were not. It
   keeps its own variance, with its own few degrees of freedom, and the others are pooled without it (the idea of
   Phipson et al. 2016, "Robust hyperparameter estimation protects against hypervariable genes").
3. Empirical Bayes (Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression in
   microarray experiments", section 6): the variance of each other build is shrunk towards the common one. How far is
   estimated from how much the variances differ. Where they are alike they count as one estimate, with the degrees of
   freedom of all. As in limma, never with more than the builds have together.

Simulated coverage of 95% intervals, with drift from none to ten times the noise of a pass: 93% or more, from two builds
as from twenty (`python tests/benchmarks/drift_coverage.py`, and in small `tests/analyse/test_drift.py`). From the two
processes of a result alone it is 87% or more, with intervals up to four times as wide.

A result of one process has the common variance only. Where no build has a second process the variance can't be had
from the data: then it is `BUILD_SPREAD`, put in by hand.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# One build hides 1-3% of layout and seed: the standard deviation of a process effect, in logs, where none is measured.
BUILD_SPREAD = 0.015

# Process means that agree to within 1e-6 agree by chance: the logarithm of their variance must stay finite.
_LEAST_VARIANCE = 1e-12
_LEAST_RATIO = 1e-5
# Of fewer builds it can't be told which are outliers, nor how much their variances differ.
_LEAST_BUILDS = 4
_BEYOND_CHANCE = 0.005
_MOST_TURNS = 10
_MEDIAN_OF_CHI2 = 0.455  # with one degree of freedom
# The leverage of a process effect is simulated for ratios of variances between these.
_SMALL_RATIO = 1 / 16
_LARGE_RATIO = 64.0
_DRAWS = 4000


class Spread(NamedTuple):
    """How the quoted passes of one result vary: variances of log QPS. Plain values, so that it can be kept as JSON.

    `centre` is the log QPS that is quoted; `sizes` (processes,) counts the passes of each process; `within` is the
    variance of a pass about its process, with `freedom` degrees of freedom; `between` that of the process means, 0 for
    one process; `passes` and `queries` are those of the quoted median under redrawn passes and redrawn queries, of
    which there are `asked`.
    """

    centre: float
    sizes: Sequence[int]
    within: float
    between: float
    passes: float
    queries: float
    asked: int

    @property
    def freedom(self) -> int:
        """Return the degrees of freedom of `within`."""
        return sum(self.sizes) - len(self.sizes)

    @property
    def pass_share(self) -> float:
        """Return the variance that passes alone give to a process mean."""
        return self.within * float(np.mean([1 / size for size in self.sizes]))


class Drift(NamedTuple):
    """The variance of a process effect, and its degrees of freedom."""

    variance: float
    freedom: float


NO_DRIFT = Drift(0.0, math.inf)
BY_HAND = Drift(BUILD_SPREAD**2, math.inf)


def own_drift(spread: Spread) -> Drift:
    """Return the drift that one result shows by itself: none where it has one process."""
    processes = len(spread.sizes)
    return Drift(max(0.0, spread.between - spread.pass_share), processes - 1) if processes > 1 else NO_DRIFT


def pooled_drift(spreads: Sequence[Spread], builds: Sequence[Hashable]) -> list[Drift]:
    """Return the drift of each result, from all of a group; `builds` says which of them share processes."""
    grouped: dict[Hashable, list[Spread]] = {}
    for spread, build in zip(spreads, builds, strict=True):
        if len(spread.sizes) > 1:
            grouped.setdefault(build, []).append(spread)
    if not grouped:
        return [BY_HAND] * len(spreads)
    found = _pooled({build: _Build.of(mine) for build, mine in grouped.items()})
    return [found.of(spread, build) for spread, build in zip(spreads, builds, strict=True)]


@dataclass(frozen=True)
class _Build:
    """The settings of one build, and the degrees of freedom of its processes."""

    settings: list[Spread]
    freedom: float

    @classmethod
    def of(cls, settings: list[Spread]) -> _Build:
        """Take the settings of a build, each of two processes or more."""
        return cls(settings, float(np.mean([len(one.sizes) - 1 for one in settings])))

    @property
    def variance(self) -> float:
        """Return the variance between its processes less what passes explain; negative by chance."""
        return float(np.mean([one.between - one.pass_share for one in self.settings]))

    def ratio(self, common: float) -> float:
        """Return the variance of its process means over what is expected, 1 on the average."""
        return float(np.mean([one.between / _expected(one, common) for one in self.settings]))

    def effective(self, common: float) -> float:
        """Return the degrees of freedom of the ratio.

        Settings share the process effects, not the pass effects: two variances of correlated means correlate by rho^2.
        """
        count = len(self.settings)
        rho = float(np.mean([common / _expected(one, common) for one in self.settings]))
        return self.freedom * count / (1 + (count - 1) * rho**2)


@dataclass(frozen=True)
class _Pool:
    """What builds have in common: the variance, the prior of their ratios to it, and the ratios of those apart."""

    common: float
    prior: Drift
    most: float
    builds: Mapping[Hashable, Drift]  # ratio and degrees of freedom
    apart: Collection[Hashable]

    def of(self, spread: Spread, build: Hashable) -> Drift:
        """Return the drift of one result; one of a build that isn't in the pool has the prior alone."""
        ratio, count = self.builds.get(build, NO_DRIFT._replace(freedom=0.0))
        if build in self.apart:
            scale, df = ratio, count
        elif math.isinf(self.prior.freedom):
            scale, df = self.prior.variance, self.most
        else:
            df = self.prior.freedom + count
            scale = (self.prior.freedom * self.prior.variance + count * ratio) / df
        variance = max(0.0, scale * _expected(spread, self.common) - spread.pass_share)
        return Drift(variance, max(1.0, min(df, self.most)))


def _pooled(builds: Mapping[Hashable, _Build]) -> _Pool:
    """Fit the pool to all builds but outliers."""
    common, apart = _without_outliers(builds)
    inside = [build for name, build in builds.items() if name not in apart]
    counts = np.array([build.effective(common) for build in inside])
    prior = shrinkage(np.array([build.ratio(common) for build in inside]), counts)
    every = {name: Drift(build.ratio(common), build.effective(common)) for name, build in builds.items()}
    return _Pool(common, prior, float(counts.sum()), every, apart)


def _without_outliers(builds: Mapping[Hashable, _Build]) -> tuple[float, set[Hashable]]:
    """Return the common variance, and the builds that it was fitted without: in turns, until they stay the same."""
    from scipy.stats import f

    apart: set[Hashable] = set()
    if len(builds) < _LEAST_BUILDS:
        return _common(builds.values()), apart
    # Up to half of the builds may be off: begin with the median.
    common = max(0.0, float(np.median([build.variance for build in builds.values()])) / _MEDIAN_OF_CHI2)
    for _ in range(_MOST_TURNS):
        most = sum(build.effective(common) for name, build in builds.items() if name not in apart)
        beyond = {
            name
            for name, build in builds.items()
            if f.sf(build.ratio(common), build.effective(common), most) < _BEYOND_CHANCE
        }
        if len(beyond) > len(builds) // 2:  # they are no outliers
            return _common(builds.values()), set()
        after = _common([build for name, build in builds.items() if name not in beyond])
        if beyond == apart and after == common:
            break
        apart, common = beyond, after
    return common, apart


def _common(builds: Collection[_Build]) -> float:
    """Return the mean variance between processes, weighted by degrees of freedom; 0 where it came out negative."""
    total = sum(build.freedom * build.variance for build in builds)
    return max(0.0, total / sum(build.freedom for build in builds))


def _expected(spread: Spread, common: float) -> float:
    """Return the variance of process means where the variance between processes is the common one."""
    return max(common + spread.pass_share, _LEAST_VARIANCE)


def shrinkage(variances: NDArray[np.float64], freedom: NDArray[np.float64]) -> Drift:
    """Fit the prior s0^2 d0 / chi^2(d0) to variances, (n,), of some degrees of freedom, (n,): Smyth's moments of logs.

    Infinite degrees of freedom say that they differ no more than chance does, or that one variance alone is known.
    """
    from scipy.special import digamma, polygamma

    variances = np.maximum(variances, _LEAST_RATIO * max(float(np.median(variances)), _LEAST_RATIO))
    logs = np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean()) if len(logs) >= _LEAST_BUILDS else 0.0
    if excess <= 0:
        # They are alike: their mean is the better estimate.
        return Drift(float(np.average(variances, weights=freedom)), math.inf)
    half = inverse_trigamma(excess)
    return Drift(math.exp(float(logs.mean()) + float(digamma(half)) - math.log(half)), 2 * half)


def inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value for x > 0 by Newton's method on 1 / trigamma, as in Smyth's appendix."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x


def leverage(spread: Spread, drift: Drift) -> float:
    """Return how much of the variance of a process effect is in the quoted median over passes.

    The mean over passes would have the sum of squared shares. The median moves with the process that holds the middle:
    of 4 and 3 passes far apart it is one of the four.
    """
    ratio = drift.variance / spread.within if spread.within > 0 else _LARGE_RATIO
    if len(spread.sizes) == 1 or ratio < _SMALL_RATIO:
        shares = np.array(spread.sizes) / sum(spread.sizes)
        return float((shares**2).sum())
    return _simulated(tuple(sorted(spread.sizes)), min(4.0 ** round(math.log(ratio, 4)), _LARGE_RATIO))


@lru_cache(maxsize=256)
def _simulated(sizes: tuple[int, ...], ratio: float) -> float:
    rng = np.random.default_rng(0)
    passes = rng.standard_normal((_DRAWS, sum(sizes)))
    processes = np.repeat(rng.standard_normal((_DRAWS, len(sizes))), sizes, axis=1)
    both = np.median(passes + math.sqrt(ratio) * processes, axis=1)
    return float(max(both.var() - np.median(passes, axis=1).var(), 0.0)) / ratio

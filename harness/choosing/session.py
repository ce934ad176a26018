"""The search for an index: scout every engine, refine the best ones, and measure the finalists in turns.

Scouting builds each engine once and measures two settings of its quick grid. Those bound its QPS at the recall
(`model.bounds`): an engine whose upper bound is far below another's lower bound is dropped. The others are refined on
the build that is there. Then, while time is left, the best three engines try their other builds. In the finals the best
settings are built anew and measured pass by pass in turns, as `annbench compare` does it, with a reference workload
around each pass.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.choosing.candidates import Build, Candidate, candidates
from harness.choosing.finals import Finalist, hold_finals
from harness.choosing.journal import Tried, read_journal
from harness.choosing.model import next_setting, scouts
from harness.choosing.outcome import Decision, decide
from harness.choosing.request import Request, scouted_folder
from harness.core.errors import PluginError
from harness.measure.child import Limits
from harness.measure.session import alone, conformance, job_for
from harness.tune.probe import Prober, Told, prober

# Shares of the time: scouting ends here, refining there; the rest is for the finals and the page.
_SCOUTING, _REFINING = 0.55, 0.75
# An engine whose upper bound is below this share of the best lower bound is dropped: another build, or a pass that was
# disturbed, doesn't make up for more.
_HOPELESS = 0.7
_MAX_SETTINGS = 12
_REFINED = 3
# Finalists: no slower than this share of the best, by one pass each.
_CLOSE = 0.8
_MAX_FINALISTS = 3
# A build may take this share of the scouting time that is left, but is always given as long as the second figure.
_BUILD_SHARE, _MIN_BUILD_SECONDS = 0.35, 10.0
# What the finals need beside their builds.
_FINAL_SECONDS = 20.0


def choose(request: Request, told: Told, *, since: float | None = None) -> Decision:
    """Find the fastest index at a recall within the time; return what was found.

    The time counts from `since`, a reading of `time.monotonic`; None = now.

    What was measured is kept in the results folder: the same call goes on where an interrupted one stopped, and one
    with more time where a shorter one ended. Raises AnnbenchErrors where no engine can be measured on the dataset.
    """
    with alone(request.options.results):
        return _Search(request, told, time.monotonic() if since is None else since).run()


class _Search:
    def __init__(self, request: Request, told: Told, begun: float) -> None:
        self._request, self._wish, self._told = request, request.wish, told
        self._journal = read_journal(request.folder / "journal.jsonl")
        self._candidates, self._left_out = candidates(request)
        self._begun = begun
        # Another version of an engine is another choice.
        stamps = hashlib.sha256("".join(one.stamp for one in self._candidates).encode()).hexdigest()[:8]
        self._name = f"{self._wish.name} of {stamps}"
        self._before = self._journal.spent.get(self._name, 0.0)

    def run(self) -> Decision:
        """Do the stages that there is time for."""
        try:
            if self._journal.decided.get(self._name, 0.0) < self._wish.seconds:
                self._scout()
                self._refine()
                self._finals()
                self._journal.decided[self._name] = self._wish.seconds
        finally:
            self._keep()
        return decide(self._request, self._tried(), self._left_out, self._not_tried())

    # --- time -----------------------------------------------------------------------------------------------------

    def _spent(self) -> float:
        return self._before + time.monotonic() - self._begun

    def _left(self, share: float) -> float:
        """Return the seconds until this share of the time is used up."""
        return share * self._wish.seconds - self._spent()

    def _keep(self) -> None:
        self._journal.spent[self._name] = self._spent()
        self._journal.write()

    # --- stages ---------------------------------------------------------------------------------------------------

    def _scout(self) -> None:
        for number, candidate in enumerate(self._candidates, 1):
            build = candidate.builds[0]
            content = {"algorithm": candidate.entry.name, "number": number, "of": len(self._candidates)}
            self._told("candidate", content)
            if self._left(_SCOUTING) <= 0 and self._known(candidate, build) is None:
                continue  # no time is left
            seconds = max(self._left(_SCOUTING) * _BUILD_SHARE, _MIN_BUILD_SECONDS)
            self._try(candidate, build, seconds, _SCOUTING)

    def _refine(self) -> None:
        """Try other builds of the best engines, the best engine's first, in turns."""
        queues = [
            (candidate, [build for build in candidate.builds if self._known(candidate, build) is None])
            for candidate in self._ranked()[:_REFINED]
        ]
        while any(queue for _, queue in queues):
            for candidate, queue in queues:
                if not queue:
                    continue
                left = self._left(_REFINING) - self._finals_need()
                if left < min(_MIN_BUILD_SECONDS, 2 * self._best_of(candidate).build_seconds):
                    return
                self._told("refine", {"algorithm": candidate.entry.name, "build": queue[0].params})
                self._try(candidate, queue.pop(0), left, _REFINING)

    def _finals(self) -> None:
        """Measure the finalists in turns, those that keep the contract."""
        finalists: list[Finalist] = []
        for candidate, build, tried in self._finalists():
            if breaches := self._breaches(candidate, build):
                tried.failure, tried.points = f"not conforming ({breaches[0]})", []
                self._told("note", {"text": f"{tried.algorithm}: {tried.failure}"})
            else:
                finalists.append(Finalist(candidate.entry, build.spec, self._settings(tried)))
        if finalists:
            hold_finals(self._request, finalists, self._limits(self._wish.build_seconds), self._left, self._told)

    # --- one build ------------------------------------------------------------------------------------------------

    def _limits(self, seconds: float | None) -> Limits:
        """Return the limits of a child whose `fit` may take so long; compiling kernels, done once, doesn't count."""
        build = min(seconds or math.inf, self._wish.build_seconds or math.inf)
        return Limits(self._request.suite.timeout, self._request.options.limit, build)

    def _try(self, candidate: Candidate, build: Build, seconds: float, share: float) -> None:
        """Build, and measure settings for as long as they promise something; what is known already is gone on with."""
        entry, limits = candidate.entry, self._limits(seconds)
        tried = self._known(candidate, build)
        if tried is not None and (
            self._wish.recall in tried.settled or (tried.failure and tried.limit >= limits.build)
        ):
            self._told("tried", {"tried": tried, "recall": self._wish.recall})
            return
        if tried is None:
            tried = Tried(entry.name, build.params, candidate.stamp)
            self._journal.tried.append(tried)
        tried.failure = ""
        options = replace(self._request.options, results=scouted_folder(self._request))
        try:
            job = job_for("serve", entry, build.spec, self._request.suite, options)
            with prober(job, limits, self._told) as built:
                self._measure(built, build, tried, share)
        except PluginError as problem:
            # An index that is slow to build fails at the limit of its time, and may have more of it later.
            tried.failure, tried.limit = str(problem), limits.build
        finally:
            self._keep()
        self._told("tried", {"tried": tried, "recall": self._wish.recall})

    def _measure(self, built: Prober, build: Build, tried: Tried, share: float) -> None:
        wanted = self._wish.recall
        while len(tried.points) < _MAX_SETTINGS and (self._left(share) > 0 or not tried.points):
            setting = scouts(build.grid, tried.points, wanted)
            if setting is None and not self._hopeless(tried):
                setting = next_setting(tried.points, build.pool, wanted, tried.banned)
            if setting is None:
                break
            point = built.measure(setting)
            if point is None:
                tried.banned.append(setting)
                if len(tried.banned) > 2 or not tried.points:
                    raise PluginError(
                        f"{tried.algorithm}: its search settings fail; try: annbench check {tried.algorithm}"
                    )
                continue
            tried.points.append(point)
            if built.process is not None:
                tried.build_seconds = built.process.build_seconds or 0.0
                tried.index_bytes = built.process.index_bytes
            if self._too_large(tried):
                break
        else:
            return  # the time was up
        tried.settled.append(wanted)

    def _hopeless(self, tried: Tried) -> bool:
        best = max((one.bounds(self._wish.recall).low for one in self._tried() if one is not tried), default=0.0)
        return tried.bounds(self._wish.recall).high < _HOPELESS * best

    def _too_large(self, tried: Tried) -> bool:
        return self._wish.memory is not None and (tried.index_bytes or 0) > self._wish.memory

    def _too_slow(self, tried: Tried) -> bool:
        return self._wish.build_seconds is not None and tried.build_seconds > self._wish.build_seconds

    # --- what is known --------------------------------------------------------------------------------------------

    def _known(self, candidate: Candidate, build: Build) -> Tried | None:
        return self._journal.find(candidate.entry.name, build.params, candidate.stamp)

    def _each(self) -> Iterator[tuple[Candidate, Build, Tried]]:
        """Yield what was tried, by the present sources, and is within the limits."""
        for candidate in self._candidates:
            for build in candidate.builds:
                tried = self._known(candidate, build)
                if tried is not None and tried.points and not self._too_large(tried) and not self._too_slow(tried):
                    yield candidate, build, tried

    def _not_tried(self) -> list[str]:
        """Return the engines that there was no time for."""
        return [one.entry.name for one in self._candidates if self._known(one, one.builds[0]) is None]

    def _tried(self) -> list[Tried]:
        return [tried for _, _, tried in self._each()]

    def _ranked(self) -> list[Candidate]:
        """Return the engines that reach the recall, the fastest first."""
        best: dict[str, float] = {}
        for candidate, _, tried in self._each():
            name = candidate.entry.name
            best[name] = max(best.get(name, 0.0), tried.bounds(self._wish.recall).low)
        reaching = [candidate for candidate in self._candidates if best.get(candidate.entry.name, 0.0) > 0]
        return sorted(reaching, key=lambda candidate: -best[candidate.entry.name])

    def _best_of(self, candidate: Candidate) -> Tried:
        mine = [tried for one, _, tried in self._each() if one is candidate]
        return max(mine, key=lambda tried: tried.bounds(self._wish.recall).low)

    # --- finals ---------------------------------------------------------------------------------------------------

    def _finalists(self) -> list[tuple[Candidate, Build, Tried]]:
        """Return the best build of each of the fastest engines, and the fastest of half the winner's memory."""
        wanted = self._wish.recall
        ranked = sorted(self._each(), key=lambda one: -one[2].bounds(wanted).low)
        ranked = [one for one in ranked if one[2].bounds(wanted).low > 0]
        if not ranked:
            return []
        top = ranked[0][2]
        found: list[tuple[Candidate, Build, Tried]] = []
        for one in ranked:
            close = one[2].bounds(wanted).low >= _CLOSE * top.bounds(wanted).low
            if close and all(one[0] is not other[0] for other in found) and len(found) < _MAX_FINALISTS:
                found.append(one)
        half = (top.index_bytes or 0) / 2
        lean = next((one for one in ranked if one[2].index_bytes and one[2].index_bytes <= half), None)
        if lean is not None and all(lean[2] is not other[2] for other in found):
            found.append(lean)
        return found

    def _finals_need(self) -> float:
        """Return about how many seconds the finals take."""
        return _FINAL_SECONDS + sum(tried.build_seconds + 3.0 for _, _, tried in self._finalists())

    def _settings(self, tried: Tried) -> list[dict[str, Any]]:
        """Return the best setting of a build and the next more thorough one: recall may be lower when built anew."""
        wanted = self._wish.recall
        best = tried.at(wanted)
        assert best is not None  # noqa: S101 - finalists reach the recall
        safer = [point for point in tried.points if point.recall > best.recall and point.qps <= best.qps]
        next_up = min(safer, key=lambda point: point.recall, default=None)
        return [best.params, *([next_up.params] if next_up is not None else [])]

    def _breaches(self, candidate: Candidate, build: Build) -> Sequence[str]:
        self._told("check", {"algorithm": candidate.entry.name})
        suite = self._request.suite.model_copy(update={"group": "quick"})
        return conformance(candidate.entry, build.spec, suite, self._request.options, self._limits(None))

"""The search for an index: scout every engine, refine the best ones, and measure the finalists in turns.

Scouting is successive halving. Every engine is first built on a sample of the rows and measured with two settings of
its quick grid. The better half is then built on all rows, the best first. Two settings bound its QPS at the recall
(`model.bounds`): an engine whose upper bound is far below another's lower bound is dropped at once; the others are
refined on the build that is there. In both rounds an engine gets an equal share of the time that is left. Then, while
time is left, the best three engines try their other builds. In the finals the best settings are built anew and measured
pass by pass in turns, as `annbench compare` does it, with a reference workload around each pass.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.choosing.candidates import Build, Candidate, candidates
from harness.choosing.finals import Finalist, hold_finals
from harness.choosing.journal import Tried, read_journal
from harness.choosing.model import ladder, next_setting, scouts
from harness.choosing.outcome import Decision, decide
from harness.choosing.request import Request, scouted_folder
from harness.choosing.sample import sampled
from harness.choosing.standings import MIN_KEPT, Standings, hopeless
from harness.core.errors import PluginError
from harness.measure.child import Limits
from harness.measure.session import alone, conformance, job_for
from harness.tune.probe import Prober, Told, prober

# Shares of the time at whose end a stage begins no further build; the rest is for the finals and the page. On the
# sample the engines' shares add up to less than the stage may take, as some compile kernels first.
_SAMPLE_SHARED, _SAMPLE, _SCOUTING, _REFINING = 0.3, 0.45, 0.6, 0.75
_MAX_SETTINGS = 12
_REFINED = 3
# A build may take this share of the scouting time that is left, but is always given as long as the second figure. On
# the sample the figures are those below; there, what a library compiles is bounded, too.
_BUILD_SHARE, _MIN_BUILD_SECONDS = 0.35, 10.0
_SAMPLE_BUILD_SECONDS, _COMPILE_SHARE, _MIN_COMPILE_SECONDS = 5.0, 0.3, 20.0
# Searches of a build that is there have at least this long.
_MIN_SEARCH_SECONDS = 2.0
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
        self._standings = Standings(self._journal, self._candidates, self._wish, request.header.n)
        self._scouted = replace(request, options=replace(request.options, results=scouted_folder(request)))
        self._begun = begun
        # Another version of an engine is another choice.
        stamps = hashlib.sha256("".join(sorted(one.stamp for one in self._candidates)).encode()).hexdigest()[:8]
        self._name = f"{self._wish.name} of {stamps}"
        self._before = self._journal.spent.get(self._name, 0.0)

    def run(self) -> Decision:
        """Do the stages that there is time for."""
        try:
            if self._journal.decided.get(self._name, 0.0) < self._wish.seconds:
                self._scout_sample()
                self._scout()
                self._refine()
                self._finals()
                self._journal.decided[self._name] = self._wish.seconds
        finally:
            self._keep()
        return decide(self._request, self._standings.tried(), self._left_out, self._standings.not_tried())

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

    def _scout_sample(self) -> None:
        """Build every engine on a sample of the rows, and measure two settings of each."""
        standings = self._standings
        waiting = [one for one in self._candidates if standings.on_sample(one) is None]
        waiting = [one for one in waiting if standings.known(one, one.builds[0]) is None]
        if len(self._candidates) <= MIN_KEPT or not waiting or self._left(_SAMPLE) <= 0:
            return
        sample = sampled(self._request)
        by_name = {one.entry.name: one for one in candidates(sample)[0]}
        total = len(self._candidates)
        for number, candidate in enumerate(waiting):
            if self._left(_SAMPLE) <= 0:
                break
            found = by_name.get(candidate.entry.name)
            if found is None:
                continue  # it is built on all rows or not at all
            place = total - len(waiting) + number + 1
            self._told("sample", {"algorithm": found.entry.name, "number": place, "of": total, "rows": sample.header.n})
            tried = Tried(found.entry.name, found.builds[0].params, found.stamp, rows=sample.header.n)
            seconds = max(self._left(_SAMPLE_SHARED) / (len(waiting) - number), _MIN_SEARCH_SECONDS)
            limits = self._limits(max(seconds, _SAMPLE_BUILD_SECONDS))
            if found.entry.config.origin != "from-scratch":
                # Kernels from scratch stay compiled for the builds to come; what a library compiles is its own affair.
                compiling = max(self._left(_SAMPLE) * _COMPILE_SHARE, _MIN_COMPILE_SECONDS)
                limits = replace(limits, seconds=min(limits.seconds, compiling))
            self._try(sample, found, found.builds[0], tried, limits, seconds)
        # The journal keeps what came of it.
        shutil.rmtree(sample.options.data, ignore_errors=True)

    def _scout(self) -> None:
        """Build the better half of the sample on all rows, then, while time is left, others that aren't hopeless.

        Until one reaches the recall, it goes on in the time for refining, too.
        """
        first, later = self._standings.in_order()
        order = [*first, *later]
        for number, candidate in enumerate(order):
            build = candidate.builds[0]
            left = self._left(_SCOUTING)
            late = self._left(_REFINING) <= 0 or bool(self._standings.reaching())
            if left <= 0 and late and self._standings.known(candidate, build) is None:
                continue
            self._told("candidate", {"algorithm": candidate.entry.name, "number": number + 1, "of": len(order)})
            seconds = max(left / max(1, len(first) - number), _MIN_SEARCH_SECONDS)
            self._try_whole(candidate, build, max(left * _BUILD_SHARE, _MIN_BUILD_SECONDS), seconds)

    def _refine(self) -> None:
        """Try other builds of the best engines, the best engine's first, in turns."""
        standings, wanted = self._standings, self._wish.recall
        queues = []
        for candidate in standings.reaching()[:_REFINED]:
            known = [(build, standings.known(candidate, build)) for build in candidate.builds]
            # Scouting may have stopped before a build was settled.
            open_ = [build for build, tried in known if tried and not tried.failure and wanted not in tried.settled]
            queues.append((candidate, [*open_, *(build for build, tried in known if tried is None)]))
        while any(queue for _, queue in queues):
            for candidate, queue in queues:
                if not queue:
                    continue
                left = self._left(_REFINING) - self._finals_need()
                if left < min(_MIN_BUILD_SECONDS, 2 * standings.best_of(candidate).build_seconds):
                    return
                self._told("refine", {"algorithm": candidate.entry.name, "build": queue[0].params})
                self._try_whole(candidate, queue.pop(0), left, left)

    def _finals(self) -> None:
        """Measure the finalists in turns, those that keep the contract."""
        finalists: list[Finalist] = []
        for candidate, build, tried in self._standings.finalists():
            if breaches := self._breaches(candidate, build):
                tried.failure, tried.points = f"not conforming ({breaches[0]})", []
                self._told("note", {"text": f"{tried.algorithm}: {tried.failure}"})
            else:
                settings = ladder(tried.points, build.pool, self._wish.recall, tried.banned)
                finalists.append(Finalist(candidate.entry, build.spec, settings))
        if finalists:
            hold_finals(self._request, finalists, self._limits(self._wish.build_seconds), self._left, self._told)

    def _finals_need(self) -> float:
        """Return about how many seconds the finals take."""
        return _FINAL_SECONDS + sum(tried.build_seconds + 3.0 for _, _, tried in self._standings.finalists())

    def _breaches(self, candidate: Candidate, build: Build) -> Sequence[str]:
        self._told("check", {"algorithm": candidate.entry.name})
        suite = self._request.suite.model_copy(update={"group": "quick"})
        return conformance(candidate.entry, build.spec, suite, self._request.options, self._limits(None))

    # --- one build ------------------------------------------------------------------------------------------------

    def _limits(self, seconds: float | None) -> Limits:
        """Return the limits of a child whose `fit` may take so long; compiling kernels, done once, doesn't count."""
        build = min(seconds or math.inf, self._wish.build_seconds or math.inf)
        return Limits(self._request.suite.timeout, self._request.options.limit, build)

    def _try_whole(self, candidate: Candidate, build: Build, build_seconds: float, seconds: float) -> None:
        """Try a build on all rows; what is known of it already is gone on with."""
        tried, limits = self._standings.known(candidate, build), self._limits(build_seconds)
        if tried is not None and (
            self._wish.recall in tried.settled or (tried.failure and tried.limit >= limits.build)
        ):
            self._told("tried", {"tried": tried, "recall": self._wish.recall})
            return
        tried = tried or Tried(candidate.entry.name, build.params, candidate.stamp)
        self._try(self._scouted, candidate, build, tried, limits, seconds)

    def _try(
        self, terms: Request, candidate: Candidate, build: Build, tried: Tried, limits: Limits, seconds: float
    ) -> None:
        """Build under `terms`, and measure settings for so many seconds while they promise something."""
        if all(tried is not one for one in self._journal.tried):
            self._journal.tried.append(tried)
        tried.failure = ""
        with self._keeping(tried):
            try:
                job = job_for("serve", candidate.entry, build.spec, terms.suite, terms.options)
                with prober(job, limits, self._told) as built:
                    self._measure(built, build, tried, seconds)
            except PluginError as problem:
                # An index that is slow to build fails at the limit of its time, and may have more of it later.
                tried.failure, tried.limit = str(problem), limits.build
        self._told("tried", {"tried": tried, "recall": self._wish.recall})

    @contextlib.contextmanager
    def _keeping(self, tried: Tried) -> Iterator[None]:
        """Write the journal whatever happens; a build that was interrupted before its first figure was not tried."""
        try:
            yield
        finally:
            if not (tried.points or tried.failure):
                self._journal.tried = [one for one in self._journal.tried if one is not tried]
            self._keep()

    def _measure(self, built: Prober, build: Build, tried: Tried, seconds: float) -> None:
        wanted, end = self._wish.recall, self._spent() + seconds
        rivals = self._standings.sampled() if tried.rows else self._standings.tried()
        while len(tried.points) < _MAX_SETTINGS and (self._spent() < end or not tried.points):
            if hopeless(tried, rivals, wanted):
                break
            setting = scouts(build.grid, tried.points, wanted)
            if setting is None and not tried.rows:
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
            if self._standings.refusal(tried):
                break
        else:
            return  # the time was up
        tried.settled.append(wanted)

"""Tune algorithms: each has the same wall time, settings are chosen on half of the queries, told on the other half."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.compare.live import measure_alone
from harness.compare.request import CHOOSING, JUDGING
from harness.compare.sides import LiveSide
from harness.core.errors import ConfigError, PluginError
from harness.engines.registry import Entry
from harness.measure.child import Limits
from harness.measure.session import alone, conformance, job_for
from harness.plan.expand import builds_of, check_terms, unusable
from harness.store.spec import BuildSpec, SearchSpec, freeze, label
from harness.tune.clock import Clock
from harness.tune.outcome import Terms, Tuned, builds_chosen, choose
from harness.tune.probe import Point, Prober, Told, prober
from harness.tune.space import Space, defaults, spaces
from harness.tune.trials import Trial, read_trials, score, useful, worth, write_trials
from harness.workloads.catalogue import find_workload

if TYPE_CHECKING:
    import optuna

FOLDER = ".tune"

# Searches tried on a build: as many as fit into the time that it took, or into this.
_LEAST_SEARCH_SECONDS = 10.0
_MOST_SEARCHES = 24
_MOST_REPEATS = 30
# Children in which the chosen settings are measured again, as many as there is time for; and the share of the time
# that is kept for them at most.
_CHILDREN = 3
_MAX_SHARE = 0.5
# However little time there is: seconds for a build, and settings tried on the first one that is ready.
_MIN_LIMIT = 1.0
_MIN_SETTINGS = 3
_SEED = 0


def tune(entry: Entry, terms: Terms, told: Told) -> Tuned:
    """Search an algorithm's parameters, then measure what was chosen on the other queries: all within the time.

    The time is wall time, of builds, searches, and measuring what was chosen; the check of the contract comes before.
    Trials are kept, so that the same call goes on where an earlier one stopped. Raises ConfigError where it can't be
    measured on the dataset or has nothing to tune, PluginError where it breaks its contract, no setting works, or none
    could be built in the time.
    """
    search = _Search(entry, terms, told)
    with alone(terms.options.results / FOLDER):
        trials = search.run()
        found = choose(entry.name, trials, terms.targets)
        if not found.chosen:
            if not any(trial.points for trial in trials):
                raise PluginError(
                    f"{entry.name}: no build was ready and searched within {terms.seconds / 60:g} minutes; "
                    "give a larger --budget"
                )
            best = max(point.recall for trial in trials for point in trial.points)
            raise PluginError(f"{entry.name}: no setting reaches {min(terms.targets):g} (at best {best:.4f})")
        search.measure_again(found)
    return found


class _Search:
    """The search for one algorithm: a study over builds, and within each build one over its searches."""

    def __init__(self, entry: Entry, terms: Terms, told: Told) -> None:
        header, metric = terms.header, str(terms.header.metric)
        workload = find_workload(terms.suite.workload)
        variables = {"n": header.n, "dim": header.dimension, **workload.variables(terms.suite.terms)}
        self._entry, self._terms, self._told = entry, terms, told
        self._builds, self._searches = spaces(entry, metric, variables)
        self._first_builds = defaults(entry, metric, variables, "build")
        self._first_searches = defaults(entry, metric, variables, "search")
        group = next(name for name in ("default", "quick", "full") if name in entry.config.groups)
        suite = terms.suite.model_copy(update={"group": group})
        check_terms(suite, header)
        if why := unusable(entry, header, suite):
            raise ConfigError(f"{entry.name}: {why}")
        self._example = builds_of(suite, header, entry, replace(terms.settings, half=CHOOSING))[0]
        self._limits = Limits(suite.timeout, terms.options.limit)
        if breaches := conformance(entry, self._example, suite, terms.options, self._limits):
            raise PluginError(f"{entry.name}: not conforming ({breaches[0]}); see: annbench check {entry.name}")
        self._clock = Clock(terms.seconds)
        self._folder = terms.options.results / FOLDER / f"{entry.name}-{_key(entry, self._example, terms)}"

    def run(self) -> list[Trial]:
        """Try builds until what is left of the time is needed to measure what was chosen; one at least."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kept = self._folder / "trials.jsonl"
        trials = read_trials(kept)
        self._clock.go_on(self._folder / "time.json", sum(trial.seconds for trial in trials))
        study = optuna.create_study(direction="maximize", sampler=_sampler())
        for trial in trials:
            _tell(study, self._builds, trial)
        seen = {_name(trial.build): trial for trial in trials}
        for params in self._first_builds:
            drawn = self._builds.as_trial(params)
            if drawn is not None and _name(params) not in seen:
                study.enqueue_trial(drawn)
        repeats = 0
        while not trials or self._left(trials) > median(trial.build_seconds for trial in trials):
            asked = study.ask()
            params = self._builds.suggest(asked)
            known = seen.get(_name(params))
            if known is not None:
                study.tell(asked, known.score)
                repeats += 1
                if repeats > _MOST_REPEATS:
                    break  # a space of few builds: all of them were tried
                continue
            trial = self._try(params, trials)
            study.tell(asked, trial.score)
            trials.append(trial)
            seen[_name(params)] = trial
            write_trials(kept, trials)
            self._clock.keep()
            self._told("trial", {"trial": trial, "left": self._left(trials)})
        return trials

    def _left(self, trials: Sequence[Trial]) -> float:
        """Return the time left for trials: without what measuring the chosen settings will take."""
        found = choose(self._entry.name, trials, self._terms.targets)
        asked = sum(self._seconds_again(found, build, searches) for build, searches in builds_chosen(found))
        share = _MAX_SHARE * self._terms.seconds
        return self._clock.left - (min(_CHILDREN * asked, share) if asked else share)

    def _seconds_again(self, found: Tuned, build: Mapping[str, Any], searches: Sequence[Mapping[str, Any]]) -> float:
        """Estimate what one child takes to measure some searches of a build again."""
        suite = self._terms.suite
        trial = next(trial for trial in found.trials if trial.build == build)
        queries = min(suite.queries or self._terms.header.queries, self._terms.header.queries // 2)
        passes = sum(
            max(suite.least_pass_seconds, min(suite.pass_seconds, queries / point.qps))
            for point in trial.points
            if point.params in searches
        )
        return trial.build_seconds + (suite.passes + 1) * passes

    def _try(self, params: dict[str, Any], earlier: Sequence[Trial]) -> Trial:
        """Build once, and try search settings on it for as long as the build took, if there is time."""
        began = time.monotonic()
        build = replace(self._example, params=freeze(params), searches=())
        self._told("build", {"algorithm": self._entry.name, "params": params})
        scratch = Path(tempfile.mkdtemp(prefix="annbench-tune-"))
        points: list[Point] = []
        terms, build_seconds = self._terms, 0.0
        left = self._left(earlier)
        seconds = min(self._limits.seconds, max(left, _MIN_LIMIT))
        try:
            job = job_for("serve", self._entry, build, terms.suite, replace(terms.options, results=scratch))
            with prober(job, replace(self._limits, seconds=seconds), self._told) as built:
                build_seconds = built.build_seconds
                self._try_searches(built, earlier, points, began + left)
        except PluginError as problem:
            spent = time.monotonic() - began
            cut = not build_seconds and "timeout" in str(problem) and seconds < self._limits.seconds
            why = f"the build was cut after {spent:.0f} s, all that the budget had left for it" if cut else problem
            build_seconds = build_seconds or spent
            self._told("note", {"text": f"{label(params) or 'default'}: {why}"})
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return Trial(params, tuple(points), score(points, terms.targets), time.monotonic() - began, build_seconds)

    def _try_searches(self, built: Prober, earlier: Sequence[Trial], points: list[Point], end: float) -> None:
        """Try settings, `points` growing: those that were best before, then what a study of this build asks for.

        It stops at `end`, when the build has had as long as it took, or when there is nothing more to try.
        """
        import optuna

        study = optuna.create_study(direction="maximize", sampler=_sampler())
        ahead = sorted(earlier, key=lambda trial: -trial.score)[:2]
        best = [point.params for trial in ahead for point in useful(trial, self._terms.targets)]
        fewest = 1 if best else _MIN_SETTINGS
        until = min(end, time.monotonic() + max(built.build_seconds, _LEAST_SEARCH_SECONDS))
        for params in [*best, *self._first_searches]:
            if (drawn := self._searches.as_trial(params)) is not None:
                study.enqueue_trial(drawn, skip_if_exists=True)
        tried: dict[str, Point | None] = {}
        for _ in range(4 * _MOST_SEARCHES):
            asked = study.ask()
            params = self._searches.suggest(asked)
            if _name(params) not in tried:
                point = tried[_name(params)] = built.measure(params)
                points += [point] if point is not None else []
            study.tell(asked, worth(tried[_name(params)], self._terms.targets))
            over = time.monotonic() > until and len(tried) >= fewest
            if over or len(tried) >= _MOST_SEARCHES or self._searches.settled:
                return

    def measure_again(self, found: Tuned) -> None:
        """Measure what was chosen on the queries that weren't asked before, in children of its own."""
        side = LiveSide(self._entry.name, self._entry, ())
        options = replace(self._terms.options, results=self._folder)
        chosen = builds_chosen(found)
        asked = sum(self._seconds_again(found, build, searches) for build, searches in chosen)
        # One child is measured even where the time is over: a figure of the queries that chose it would be no figure.
        count = max(1, min(_CHILDREN, int(self._clock.left / max(asked, 1e-3))))
        for build, searches in chosen:
            specs = tuple(SearchSpec(freeze(search)) for search in searches)
            spec = replace(self._example, params=freeze(build), searches=specs)
            targets = [target for target, (its, _) in found.chosen.items() if its == build]
            self._told("again", {"targets": targets, "children": count})
            results = measure_alone(
                *(side, [spec], count, self._terms.suite, options),
                lambda _, event, content: self._told(event, content),
                half=JUDGING,
            )
            for target in targets:
                found.results[target] = results[searches.index(found.chosen[target][1])]
        self._clock.keep()


def _name(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _sampler() -> Any:
    import warnings

    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that `multivariate` is experimental
        return optuna.samplers.TPESampler(seed=_SEED, multivariate=True, n_startup_trials=8)


def _key(entry: Entry, example: BuildSpec, terms: Terms) -> str:
    identity = example.identity(None)
    del identity["build"]
    text = json.dumps([identity, terms.targets, entry.config.model_dump(mode="json")], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _tell(study: optuna.Study, space: Space, trial: Trial) -> None:
    """Give a kept trial back to a study."""
    drawn = space.as_trial(trial.build)
    if drawn is not None:
        study.enqueue_trial(drawn)
        asked = study.ask()
        space.suggest(asked)
        study.tell(asked, trial.score)

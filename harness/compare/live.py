"""Measure two sides in turns: pairs of children, each kept whole, so that a comparison goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.analyse.paired import Pair
from harness.compare.choose import Match
from harness.compare.sides import LiveSide
from harness.core.atomic import write_text
from harness.core.errors import PluginError
from harness.data.dataset import Half, dataset_path, read_header
from harness.data.sources.present import check_once
from harness.measure.child import Limits
from harness.measure.duel import SIDES, Told, duel
from harness.measure.runner import run_build
from harness.measure.session import Options, job_for
from harness.plan.expand import on_half
from harness.plan.suites import Suite
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec

FOLDER = ".compare"
_DONE = "done.json"


@dataclass(frozen=True)
class Measured:
    """What was measured of a match: a pair of results for each pair of children."""

    match: Match
    pairs: tuple[Pair, ...]


def measure_pairs(
    sides: Sequence[LiveSide],
    match: Match,
    count: int,
    suite: Suite,
    options: Options,
    told: Told,
    *,
    half: Half | None = None,
) -> Measured:
    """Measure a match in `count` pairs of children, those that an earlier run left included.

    Each pair builds anew, with a seed of its own, and asks the queries of `half`. Raises PluginError that names the
    side where a child fails.
    """
    kept = options.results / FOLDER / "pairs" / _key(match, suite, half)
    header = read_header(options.data, match.builds[0].dataset)
    check_once(dataset_path(options.data, header.name))
    pairs = []
    for number in range(count):
        folder = kept / f"{number:03}"
        builds = tuple(replace(on_half(build, header, half), seed=number) for build in match.builds)
        if not (folder / _DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            jobs = tuple(
                job_for("serve", side.entry, build, suite, replace(options, results=folder / name))
                for side, build, name in zip(sides, builds, SIDES, strict=True)
            )
            told("", "pair", {"number": number, "of": count})
            duel((jobs[0], jobs[1]), suite.passes, Limits(suite.timeout, options.limit), told, first=number)
            write_text(folder / _DONE, json.dumps({"pair": number}) + "\n")
        else:
            told("", "kept", {"number": number, "of": count})
        pairs.append(Pair(*(_results(folder / name, build) for name, build in zip(SIDES, builds, strict=True))))
    return Measured(match, tuple(pairs))


def measure_alone(
    side: LiveSide,
    builds: Sequence[BuildSpec],
    count: int,
    suite: Suite,
    options: Options,
    told: Told,
    *,
    half: Half | None = None,
    against: str = "",
) -> list[Result]:
    """Measure builds in `count` children each, one after the other: what a baseline, or a rival to one, is made of.

    `against` is the key of what they are compared with, empty for a baseline. What an earlier run left is taken if it
    was measured for the same: else a baseline would meet the very passes that it was written from.
    """
    store = ResultStore(options.results / FOLDER / (f"against-{against}" if against else "alone"))
    limits = Limits(suite.timeout, options.limit)
    found = []
    for spec in builds:
        build = on_half(spec, read_header(options.data, spec.dataset), half)
        for number in range(count):
            # The passes of every child are added to the same results.
            wanted = suite.model_copy(update={"passes": (number + 1) * suite.passes})
            missing = tuple(s for s in build.searches if not _enough(store, build.only((s,)), wanted.passes))
            if not missing:
                told("", "kept", {"number": number, "of": count})
                continue
            told("", "pair", {"number": number, "of": count})
            job = job_for("measure", side.entry, build.only(missing), wanted, replace(options, results=store.folder))
            if run_build(job, limits, lambda event, content: told("", event, content)):
                raise PluginError(
                    f"{side.text}: a setting of it failed; see: annbench results list --results {store.folder}"
                )
        found += _results(store.folder, build)
    return found


def _enough(store: ResultStore, build: BuildSpec, passes: int) -> bool:
    path = store.path(build.folder, build.stem(build.searches[0]))
    return path.exists() and store.read(path).enough(passes)


def _results(folder: Path, build: BuildSpec) -> list[Result]:
    store = ResultStore(folder)
    return [store.read(store.path(build.folder, build.stem(search))) for search in build.searches]


def _key(match: Match, suite: Suite, half: Half | None) -> str:
    """Name the folder of a match by all that its figures depend on; the number of pairs is not among it."""
    sides = [[build.identity(search) for search in build.searches] for build in match.builds]
    terms = [suite.passes, suite.pass_seconds, suite.least_pass_seconds, half]
    text = json.dumps([sides, terms], sort_keys=True, default=str)
    names = "-against-".join(build.algorithm for build in match.builds)
    return f"{names}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

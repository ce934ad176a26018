"""Check plug-ins in child processes: before they are timed, and on request, with a verdict on each rule."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.core.cores import usable_cores
from harness.core.errors import ConfigError, HarnessFault
from harness.core.places import place_printed
from harness.engines.config import GroupConfig
from harness.engines.conformance import CHECKS, Check, Verdict
from harness.engines.registry import Entry
from harness.measure.child import Limits, Outcome
from harness.measure.job import Job
from harness.measure.limits import memory_allowance
from harness.measure.runner import run_child
from harness.store.spec import FIRST_WORKLOAD, BuildSpec, Provenance, SearchSpec, freeze

# One check may take so long, and so may the build of the index that most of them look at.
CHECK_SECONDS = 300.0
_BEFORE_TIMING = tuple(check.name for check in CHECKS if check.before_timing)
# How what `faulthandler` prints begins: at a crash, and where it is asked.
_CRASH, _TRACE = "Fatal Python error:", "Stack (most recent call first):"
_RULES = Path(__file__).resolve().parents[1] / "engines" / "conformance"


def rules_source() -> bytes:
    """Return the source of all rules: what was found by others of them has to be found again."""
    return b"".join(file.read_bytes() for file in sorted(_RULES.glob("*.py")))


def breaches_before_timing(
    entry: Entry, metric: str, preferred: Sequence[GroupConfig], limits: Limits
) -> tuple[list[str], Literal["final", "limit", "open"]]:
    """Check, in one child, the rules on which figures rest; return sentences, and how the check ended.

    "final": all rules were checked; "limit": it took too long or too much memory; "open": it crashed, or the plug-in
    could not be imported, which may have been mended by the next time.
    `preferred` are the grids whose parameters are tried first. Raises ConfigError where the plug-in can't be used, and
    HarnessFault where annbench or its system failed.
    """
    bounded = dataclasses.replace(limits, seconds=min(limits.seconds, CHECK_SECONDS))
    outcome = run_child(check_job(entry, metric, preferred, _BEFORE_TIMING), bounded, lambda *_: None)
    _not_ours(entry, outcome)
    if outcome.finished:
        return outcome.findings, "final"
    limited = outcome.reason.startswith(("timeout", "out of memory"))
    return [*outcome.findings, _ending(outcome, entry)], "limit" if limited else "open"


def verdicts(
    entry: Entry, metric: str, limits: Limits, *, group: str = "quick", checks: Sequence[Check] = CHECKS
) -> Iterator[Verdict]:
    """Check every rule with the first build of a group, and yield a verdict on each.

    A crash is a breach of the rule at which it happened; another child goes on with those that come after it. A child
    that hangs or eats memory is ended, and no other is started. Raises ConfigError where the plug-in can't be used, and
    HarnessFault where annbench or its system failed.
    """
    groups: Mapping[str, Sequence[GroupConfig]] = {str(name): grids for name, grids in entry.config.groups.items()}
    left, failed = list(checks), set[str]()
    while left:
        found: list[Verdict] = []
        job = check_job(entry, metric, groups.get(group, ()), tuple(check.name for check in left))
        outcome = run_child(job, limits, _collecting(found))
        yield from found
        _not_ours(entry, outcome)
        failed |= {verdict.check for verdict in found if verdict.promised and not verdict.kept}
        left = left[len(found) :]
        if not left:
            return
        at = left.pop(0)
        yield Verdict(at.name, (f"{at.name}: {_ending(outcome, entry)}",))
        failed.add(at.name)
        going_on = outcome.stage == at.name and outcome.reason.startswith(("crashed", "exited"))
        lost = [check for check in left if not going_on or failed & {*check.needs}]
        # A plug-in that failed said why: that is told once.
        why = f"{at.name!r} failed" if outcome.reason.startswith("failed") else f"{outcome.reason} at {at.name!r}"
        yield from (Verdict(check.name, not_run=why) for check in lost)
        failed |= {check.name for check in lost}
        left = [check for check in left if check not in lost]


def _collecting(found: list[Verdict]) -> Callable[[str, dict[str, Any]], None]:
    def listen(event: str, content: dict[str, Any]) -> None:
        if event == "verdict":
            found.append(Verdict(**{**content, "breaches": tuple(content["breaches"])}))

    return listen


def _not_ours(entry: Entry, outcome: Outcome) -> None:
    """Raise HarnessFault where a check stopped for a reason that isn't the plug-in's."""
    if outcome.blameless:
        raise HarnessFault(f"{entry.name} could not be checked: {outcome.reason}")


def _ending(outcome: Outcome, entry: Entry) -> str:
    """Say how a child ended, what it printed last, and where in the plug-in it was."""
    if outcome.reason.startswith("failed"):
        return outcome.reason  # it said itself what and where
    printed, _, trace = outcome.detail.partition(_TRACE if _TRACE in outcome.detail else _CRASH)
    lines = [line for line in printed.splitlines() if line.strip()]
    words = f"last words: {lines[-1][:200]}" if lines else "it printed nothing"
    where = place_printed(trace, [entry.folder, *(path.parent for path in entry.beside)])
    return f"{outcome.reason} during the check; {words}" + (f" [{where}]" if where else "")


def check_job(entry: Entry, metric: str, preferred: Sequence[GroupConfig], checks: tuple[str, ...]) -> Job:
    """Make the job that checks a plug-in, by the rules of those names, under a metric.

    `preferred` are the grids whose parameters are tried first. Raises ConfigError where the plug-in can't be used.
    """
    if why := entry.why_not():
        raise ConfigError(f"{entry.name}: {why}")
    ordered = [*preferred, *(grid for grids in entry.config.groups.values() for grid in grids)]
    grids = [grid for grid in ordered if grid.metrics is None or metric in grid.metrics]
    if not grids:
        raise ConfigError(f"{entry.name}: no group has a grid for {metric}")
    build = BuildSpec(
        dataset="check",
        metric=metric,
        workload=FIRST_WORKLOAD,
        terms=(),
        folder="",
        threads=1,
        build_threads=1,
        queries=1,
        algorithm=entry.name,
        params=freeze(_firsts(grids[0].build)),
        provenance=Provenance("", "", (), ""),
        searches=tuple(SearchSpec(freeze(search)) for search in _ends(grids[0].search)),
    )
    cores = (usable_cores()[-1],)  # the last one: the first serves most interrupts
    return Job(
        kind="check",
        build=build,
        plugin=entry.to_json(),
        data="",  # a check brings its own data, and leaves no results
        results="",
        passes=1,
        pass_seconds=0.0,
        least_pass_seconds=0.0,
        cores=cores,
        search_cores=cores,
        parent=os.getpid(),
        checks=checks,
    )


def _firsts(grid: Any) -> dict[str, Any]:
    one = grid[0] if isinstance(grid, list) and grid else grid
    return {key: value[0] if isinstance(value, list) else value for key, value in dict(one or {}).items()}


def _ends(grid: Any) -> list[dict[str, Any]]:
    """Return the first and the last setting of a grid: the least and the most thorough, as grids are written."""
    grids = grid if isinstance(grid, list) else [grid]
    last = grids[-1] if grids else {}
    return [
        _firsts(grids),
        {key: value[-1] if isinstance(value, list) else value for key, value in dict(last or {}).items()},
    ]


def check_limits(seconds: float = CHECK_SECONDS) -> Limits:
    """Return the limits of a check on request: five minutes a rule, and nine tenths of the machine's memory."""
    return Limits(seconds, memory_allowance())

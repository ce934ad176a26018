"""What `annbench run` says before it starts: a plan that fits a screen, how long it will take, and what is shorter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.measure.progress import Plans, estimates

if TYPE_CHECKING:
    from rich.console import Console

    from harness.engines.registry import Registry
    from harness.measure.session import Options
    from harness.plan.estimate import Estimate
    from harness.plan.expand import Plan
    from harness.plan.suites import Suite

_ROWS, _WIDTH = 24, 80
# The command itself, the estimate with what else could be run, and the prompt.
_RESERVED = 6
# A shorter run is worth a line where the one that was asked for takes this long, and this much longer.
_LONG_SECONDS, _LONGER = 600.0, 2.0


def say_plans(console: Console, plans: Plans, found: Sequence[Estimate]) -> None:
    """Print the plans in at most a screen, and how long they will take."""
    from rich.markup import escape

    from harness.plan.estimate import in_words, together

    room = (_ROWS - _RESERVED) // max(1, len(plans))
    for (dataset, plan), mine in zip(plans, found, strict=True):
        console.print(
            f"[bold]{escape(dataset)}[/]: {len(plan.builds)} builds with {plan.searches} settings to measure, "
            f"{plan.done} done" + (f", {plan.failed_before} failed before" if plan.failed_before else "")
        )
        for line in _lines(plan, mine, room - 1):
            console.print(f"  {line}", markup=False)
    whole = together(found)
    if whole.builds:
        unknown = len(whole.builds) - whole.known
        basis = (
            f"an estimate; the algorithms of {_count(unknown, 'build')} were not measured here before"
            if unknown
            else "an estimate from earlier results"
        )
        console.print(f"takes {in_words(whole.seconds)} ({basis})")


def say_shorter(console: Console, registry: Registry, asked: Suite, options: Options, whole: Estimate) -> None:
    """Print how long the quick suite takes on the same data and algorithms, where that is much shorter."""
    from harness.api import suite_for
    from harness.measure.session import plan_run
    from harness.plan.estimate import in_words, together

    if whole.seconds < _LONG_SECONDS:
        return
    own = {"workload": asked.workload, **asked.terms.model_dump()}
    quick = suite_for("quick", dataset=asked.datasets, algorithm=asked.algorithms, **own)
    took = together(estimates(plan_run(quick, registry, options), quick, options)).seconds
    if took * _LONGER > whole.seconds:
        return
    named = "" if asked.algorithms == ("core",) else "".join(f" -a {name}" for name in asked.algorithms)
    terms = "".join(f" --{name} {value}" for name, value in asked.terms.model_dump(exclude_defaults=True).items())
    command = f"annbench run quick{''.join(f' -d {name}' for name in asked.datasets)}{named}{terms}"
    console.print(f"{command} takes {in_words(took)}", markup=False)


def _lines(plan: Plan, mine: Estimate, room: int) -> list[str]:
    """Return a line for each build and each algorithm left out; folded where they would take more than `room` rows."""
    builds = [f"{build.algorithm} {build.slug} x {len(build.searches)}" for build in plan.builds]
    absent = [f"left out {name}: {why}" for name, why in plan.skipped.items()]
    if _rows([*absent, *builds]) <= room:
        return [*absent, *builds]
    if _rows(absent) > max(1, room // 4):
        names = list(plan.skipped)
        absent = [f"left out {', '.join(_some(names, _WIDTH - 40))}; why: annbench list"]
    builds = _by_algorithm(plan, mine)
    if _rows([*absent, *builds]) > room:
        shown = max(0, room - _rows(absent) - 1)
        names = list(dict.fromkeys(build.algorithm for build in plan.builds))[shown:]
        builds = [*builds[:shown], f"and {len(names)} more: {', '.join(_some(names, _WIDTH - 30))}"]
    return [*absent, *builds]


def _by_algorithm(plan: Plan, mine: Estimate) -> list[str]:
    from harness.plan.estimate import in_words

    totals: dict[str, tuple[int, int, float]] = {}
    for build, seconds in zip(plan.builds, mine.builds, strict=True):
        builds, settings, spent = totals.get(build.algorithm, (0, 0, 0.0))
        totals[build.algorithm] = (builds + 1, settings + len(build.searches), spent + seconds)
    width = max(map(len, totals), default=0)
    return [
        f"{name:{width}}  {_count(builds, 'build')} with {_count(settings, 'setting')}, {in_words(spent)}"
        for name, (builds, settings, spent) in totals.items()
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _some(names: Sequence[str], width: int) -> list[str]:
    """Return the names that fit a width, and how many others there are."""
    shown: list[str] = []
    for name in names:
        if len(", ".join([*shown, name])) > width:
            return [*shown, f"{len(names) - len(shown)} others"]
        shown.append(name)
    return shown


def _rows(lines: Sequence[str]) -> int:
    """Count the rows that lines take on a terminal of the usual width, indented by two."""
    return sum(max(1, -(-(len(line) + 2) // _WIDTH)) for line in lines)

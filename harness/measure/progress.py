"""What a run shows while it works, on a terminal and in a notebook: a bar over its passes, and what is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from harness.measure.session import Options
    from harness.plan.estimate import Estimate
    from harness.plan.expand import Plan
    from harness.plan.suites import Suite

Plans = Sequence[tuple[str, "Plan"]]


def estimates(plans: Plans, suite: Suite, options: Options) -> list[Estimate]:
    """Estimate each plan."""
    from harness.data.dataset import read_header
    from harness.plan.estimate import estimate
    from harness.store.results import ResultStore

    store = ResultStore(options.results)
    return [
        estimate(plan, read_header(options.data, name), suite, store, rounds=_rounds(suite)) for name, plan in plans
    ]


def _rounds(suite: Suite) -> int:
    return min(suite.passes, suite.rounds)


class Remaining:
    """Follows the events of a run, and says how much of it is left."""

    def __init__(self, plans: Plans, found: Sequence[Estimate], passes: int) -> None:
        from harness.plan.estimate import Countdown, together

        builds = [build for _, plan in plans for build in plan.builds]
        self._parts = {build.only(()): part for part, build in enumerate(builds)}
        self._shares = [1.0 / max(1, len(build.searches)) for build in builds]
        self._passes = passes
        self._part = 0
        self._countdown = Countdown(together(found).builds)
        self._countdown.start()

    def __call__(self, event: str, content: dict[str, Any]) -> None:
        """Take note of an event."""
        if event == "build":
            self._part = self._parts[content["spec"].only(())]
        elif event == "pass":
            self._countdown.advance(self._part, self._shares[self._part] / self._passes)
        elif event == "search-failed":
            self._countdown.advance(self._part, self._shares[self._part])
        elif event == "build-failed":
            self._countdown.advance(self._part, 1.0)

    def words(self) -> str:
        """Say how much is left."""
        from harness.plan.estimate import in_words

        return f"{in_words(self._countdown.left())} left"


@contextlib.contextmanager
def watching(console: Console, plans: Plans, expected: Sequence[Estimate], passes: int) -> Iterator[RunDisplay]:
    """Show a run while the block measures it: yields the listener to be told of its events."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()),
        TextColumn("{task.fields[left]}"),
    )
    # Two updates a second: the bar must not become a neighbour that disturbs what it shows.
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        total = passes * sum(plan.searches for _, plan in plans)
        yield RunDisplay(console, progress, total, passes, Remaining(plans, expected, passes))


class RunDisplay:
    """Shows a run: a bar over all passes, and a line for each build and each failure."""

    def __init__(self, console: Console, progress: Progress, total: int, passes: int, remaining: Remaining) -> None:
        self._remaining = remaining
        self._console, self._progress, self._passes = console, progress, passes
        self._task = progress.add_task("starting", total=total, left=remaining.words())
        self._spec: Any = None
        self._seen: dict[int, int] = {}
        self._noted: set[str] = set()
        self.broken: dict[str, str] = {}
        """How each algorithm failed that did."""

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def __call__(self, event: str, content: dict[str, Any]) -> None:
        """Show an event."""
        from rich.markup import escape

        self._remaining(event, content)
        self._progress.update(self._task, left=self._remaining.words())
        if event == "build":
            self._spec = content["spec"]
            self._seen = dict(enumerate(min(done, self._passes) for done in content["passes"]))
            if content["first"]:  # what an earlier run had begun
                self._progress.advance(self._task, sum(self._seen.values()))
            self._describe("checking")
        elif event == "stage":
            self._describe(content["name"])
        elif event == "built":
            name = f"{self._spec.algorithm} {self._spec.slug}"
            self._console.print(f"{escape(name)}: built in {content['seconds']:.1f} s")
        elif event == "pass":
            count = self._seen[content["search"]] = self._seen[content["search"]] + 1
            if count <= self._passes:
                self._progress.advance(self._task)
        elif event == "search-failed":
            self._finish(content["search"])
            self.broken[self._spec.algorithm] = str(content["message"])
            self._console.print(f"  [red]a setting failed:[/] {escape(str(content['message']))}")
        elif event == "build-failed":
            for number in self._seen:
                self._finish(number)
            self.broken[self._spec.algorithm] = str(content["reason"])
            self._console.print(f"[red]{escape(self._spec.algorithm)} failed:[/] {escape(str(content['reason']))}")
        elif event == "note":
            text = str(content["text"])
            if text not in self._noted:  # every build of a library says the same of its kernels
                self._noted.add(text)
                self._console.print(f"  [dim]{escape(text)}[/]")

    def _finish(self, number: int) -> None:
        """Count the passes that a setting won't have as done."""
        self._progress.advance(self._task, max(0, self._passes - self._seen[number]))
        self._seen[number] = self._passes

    def _describe(self, stage: str) -> None:
        from rich.markup import escape

        self._progress.update(self._task, description=escape(f"{self._spec.algorithm}: {stage}"))

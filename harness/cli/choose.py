"""`annbench choose`: the index to take for a file of vectors, within some minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Data, Neighbours, Plots, Plugins, Results, parse_bytes, parse_seconds

if TYPE_CHECKING:
    from harness.core.console import Lines


def choose(
    vectors: Annotated[str, typer.Argument(help="A file of your own vectors, or a dataset by name.")],
    recall: Annotated[float, typer.Option(help="Recall that the index has to reach.")] = 0.95,
    minutes: Annotated[float, typer.Option(help="Wall time for everything.")] = 5.0,
    memory: Annotated[str | None, typer.Option(help="Most memory of the index: 2GiB, 500M.")] = None,
    build: Annotated[str | None, typer.Option(help="Longest time of a build: 60s, 5m.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric of a file of your own: euclidean, angular, ip, hamming or jaccard.")
    ] = None,
    queries: Annotated[
        str | None, typer.Option(help="Queries for a file of your own: another file, or how many rows to split off.")
    ] = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option("--algorithm", "-a", help="Choose among these only: names, or all, core, from-scratch."),
    ] = None,
    k: Neighbours = 10,
    data: Data = None,
    results: Results = None,
    plots: Plots = None,
    plugin: Plugins = None,
) -> None:
    """Choose an index for your vectors: the fastest at a recall, found within some minutes.

    Every installed engine is scouted on a sample of the rows. The better half is built on all rows and refined, and the
    finalists are measured in turns. Ctrl-C loses nothing: the same command goes on, and one with more minutes goes on
    from there.

    Example: annbench choose vectors.npy --metric angular --recall 0.95 --minutes 5

    Example: annbench choose fashion-mnist-784-euclidean --recall 0.99 --memory 100M --build 60s
    """
    from harness.api import choose as choose_one
    from harness.core.console import Lines

    console = Lines(stderr=True)
    display = _Display(console, minutes * 60)
    try:
        choice = choose_one(
            vectors,
            recall=recall,
            minutes=minutes,
            memory=parse_bytes(memory),
            build_seconds=parse_seconds(build),
            metric=metric,
            queries=int(queries) if queries and queries.isdecimal() else queries,
            algorithm=algorithm or "all",
            k=k,
            plugins=plugin or (),
            data=data,
            results=results,
            plots=plots,
            listener=display,
        )
    except KeyboardInterrupt:
        display.close()
        console.print("[bold]Interrupted.[/] What was measured is kept; the same command goes on from here.")
        raise typer.Exit(130) from None
    finally:
        display.close()
    typer.echo(str(choice))
    if choice.best is None:
        raise typer.Exit(1)


class _Display:
    """Shows a search: a bar over the time, and a line for each build that was tried."""

    def __init__(self, console: Lines, seconds: float) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._console, self._begun = console, time.monotonic()
        columns = (
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f} of {task.total:.0f} s  {task.description}"),
        )
        self._progress = Progress(*columns, console=console, refresh_per_second=2, transient=True)
        self._task = self._progress.add_task("", total=seconds)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def __call__(self, event: str, content: dict[str, Any]) -> None:
        # Preparing a dataset has a bar of its own: this one begins with the first event.
        self._progress.start()
        said = {
            "sample": "{algorithm} on {rows:,} rows ({number} of {of})",
            "candidate": "{algorithm} ({number} of {of})",
            "refine": "refining {algorithm}",
            "check": "checking {algorithm}",
            "final": "building {algorithm} for the finals",
            "round": "finals, round {number}",
        }
        if event in said:
            elapsed = time.monotonic() - self._begun
            self._progress.update(self._task, description=said[event].format(**content), completed=elapsed)
        elif event == "tried":
            self._print(_told_of(content["tried"], content["recall"]))
        elif event == "note":
            self._print(str(content["text"]))

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def _told_of(tried: Any, recall: float) -> str:
    from harness.store.spec import label

    name = f"{tried.algorithm} ({label(tried.build)})" if tried.build else tried.algorithm
    if tried.rows:
        name += f" on {tried.rows:,} rows"
    if tried.failure:
        return f"{name}: {tried.failure.removeprefix(f'{tried.algorithm}: ')}"
    best = tried.at(recall)
    if best is not None:
        return f"{name}: built in {tried.build_seconds:.1f} s, {best.qps:,.0f} QPS at recall {best.recall:.4f}"
    top = max((point.recall for point in tried.points), default=0.0)
    return f"{name}: built in {tried.build_seconds:.1f} s, dropped at recall {top:.4f}"

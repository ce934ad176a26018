"""`annbench study`: small experiments that explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Data, Plugins, Results

if TYPE_CHECKING:
    from rich.console import Console


def study(
    name: Annotated[str | None, typer.Argument(help="Study by name; without one, all are listed.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: seconds instead of minutes.")] = False,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, as YAML; repeatable.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of picture and tables [default: plots, or $ANNBENCH_HOME/plots]."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what is done.")] = False,
    data: Data = None,
    results: Results = None,
    plugin: Plugins = None,
) -> None:
    """Measure a small experiment that explains something, and write its picture, its tables and what they say.

    What was measured is kept, so an interrupted study goes on where it stopped, and a finished one is only drawn again.

    Example: annbench study

    Example: annbench study curse-of-dimensionality --quick

    Example: annbench study curse-of-dimensionality --set n=20000 --set "ambient=[2, 8, 32]" --out my-plots
    """
    from harness.core.console import Lines

    if name is None:
        _list()
        return
    console = Lines(stderr=True)
    _run(console, name, quick, _changes(change or []), out, force, data, results, plugin or [])


def _list() -> None:
    from harness.core.console import Column, print_table
    from harness.studies.catalogue import find_study, study_names

    columns = (Column("study"), Column("about", prose=True))
    print_table(columns, [(name, find_study(name).about) for name in study_names()])


def _changes(given: list[str]) -> dict[str, Any]:
    from harness.core.errors import ConfigError
    from harness.plan.selection import read_values

    try:
        return read_values(given)
    except ConfigError as problem:
        raise ConfigError(f"--set {problem}") from None


def _run(
    console: Console,
    name: str,
    quick: bool,
    changes: dict[str, Any],
    out: Path | None,
    force: bool,
    data: Path | None,
    results: Path | None,
    plugins: list[Path],
) -> None:
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from harness import api

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Two updates a second: the bar must not become a neighbour that disturbs what it shows.
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        display = _Display(console, progress)
        try:
            said, files = api.study(
                name,
                quick=quick,
                data=data,
                results=results,
                plots=out,
                plugins=plugins,
                force=force,
                listener=display,
                **changes,
            )
        except KeyboardInterrupt:
            progress.stop()
            again = "the same command without --force" if force else "the same command"
            console.print(f"\n[bold]Interrupted.[/] Every step that ended is kept; {again} goes on from here.")
            raise typer.Exit(130) from None
    console.print(f"[bold]{escape(said.finding)}[/]")
    for sentence in said.sentences:
        console.print(escape(sentence))
    for path in files:
        typer.echo(str(path))


class _Display:
    """Shows a study: a bar over its steps, and a line for each thing that isn't there."""

    def __init__(self, console: Console, progress: Any) -> None:
        self._console, self._progress = console, progress
        self._task = progress.add_task("starting", total=None)
        self._begun = False

    def __call__(self, event: str, content: dict[str, Any]) -> None:
        from rich.markup import escape

        if event == "missing":
            self._console.print(f"[dim]left out {escape(content['name'])}: {escape(content['why'])}[/]")
        elif event == "steps":
            self._progress.update(self._task, total=content["total"], completed=content["done"])
            if content["done"]:
                self._console.print(f"[dim]{content['done']} of {content['total']} steps were measured before[/]")
        elif event == "step":
            if self._begun:
                self._progress.advance(self._task)
            self._begun = True
            self._progress.update(self._task, description=escape(" ".join(str(v) for v in content.values())))

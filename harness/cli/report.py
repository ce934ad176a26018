"""`annbench report`: plots and tables of what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Data, Plots, Results

if TYPE_CHECKING:
    from pathlib import Path


def report(
    results: Results = None,
    plots: Plots = None,
    data: Data = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures",
            help="Draw PNG and SVG, too; thousands of results take most of their time for it.",
        ),
    ] = True,
) -> None:
    """Draw recall against queries a second, build, memory and latency, write tables, and report.html that shows all.

    Example: annbench report --dataset fashion-mnist-784-euclidean
    """
    from harness.core.console import Lines

    console = Lines(stderr=True)
    for path in _written(console, results, plots, data=data, dataset=dataset, pictures=pictures):
        typer.echo(str(path))


def _written(console: Any, *folders: Path | None, **options: Any) -> list[Path]:
    """Write the report below a bar, which is removed at the end."""
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from harness import api

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        bar = progress.add_task("reading results", total=None)

        def show(event: str, content: dict[str, Any]) -> None:
            if event == "group":
                what = "drawing" if options["pictures"] else "writing"
                name, done, count = content["name"], content["number"], content["count"]
                progress.update(bar, description=f"{what} {escape(name)}", completed=done, total=count)

        return api.report(*folders, **options, listener=show)

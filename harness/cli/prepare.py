"""`annbench prepare`: put datasets into the data folder."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import Data
from harness.core.errors import AnnbenchError


def prepare(
    names: Annotated[list[str], typer.Argument(help="Datasets or texts of the catalogue, or files of your own.")],
    data: Data = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric of a file of your own: euclidean, angular, ip, hamming or jaccard.")
    ] = None,
    queries: Annotated[
        str | None, typer.Option(help="Queries for a file of your own: another file, or how many rows to split off.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name under which a file of your own is kept.")] = None,
    neighbors: Annotated[
        int | None,
        typer.Option(min=1, help="True neighbours of each query [default: 100, or what is there].", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Prepare again what is there already.")] = False,
) -> None:
    """Get datasets: download, unpack or generate them, compute true neighbours where they have none, and check them.

    Example: annbench prepare fashion-mnist-784-euclidean

    Example: annbench prepare vectors.npy --metric angular --queries 1000

    Example: annbench prepare nave-web kjv-web-pairs
    """
    from harness.core.console import Lines
    from harness.core.folders import data_folder
    from harness.data.sources.prepare import prepare as prepare_one

    console = Lines(stderr=True)
    failed = 0
    for one in names:
        try:
            path = prepare_one(
                one,
                folder=data_folder(data),
                metric=metric,
                queries=int(queries) if queries and queries.isdecimal() else queries,
                name=name,
                force=force,
                neighbors=neighbors,
                console=console,
            )
        except AnnbenchError as problem:
            failed += 1
            typer.echo(f"annbench: {problem}", err=True)
        else:
            typer.echo(str(path))
    if failed:
        raise typer.Exit(2)

"""`annbench new-plugin`: start an index of one's own from a plug-in that works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new_plugin(
    name: Annotated[str, typer.Argument(help="What the algorithm is to be called.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder to write, the last part of which is the Python package [default: ./NAME]."),
    ] = None,
) -> None:
    """Write a plug-in that works: exact search in NumPy in 40 lines, its config, and a README with what to do next.

    Example: annbench new-plugin my-index

    Example: annbench new-plugin my-index --folder plugins/my_index
    """
    from harness.engines.scaffold.write import write_plugin

    path = write_plugin(name, folder)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    typer.echo(f"wrote {shown}; next: annbench check {name} --plugin {shown}")

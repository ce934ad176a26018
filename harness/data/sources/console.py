"""What preparing a dataset says while it works, all of it on the console that the caller passed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from harness.core.console import Lines


def console_for(console: Console | None, *, progress: bool) -> Console:
    """Return the caller's console, or one on standard error that is mute unless progress is wanted."""
    return console if console is not None else Lines(stderr=True, quiet=not progress)


def say(console: Console, message: str) -> None:
    """Print one line as it is: no markup, no wrapping."""
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def size_of(path: Path) -> str:
    """Return a file's size for people, e.g. `217.4 MB`."""
    return decimal(path.stat().st_size)


@contextlib.contextmanager
def transfer_bar(console: Console, name: str, *, shown: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show how a file arrives; yields a function of (bytes so far, bytes in all)."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)

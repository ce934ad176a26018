"""Tell what a plug-in raises from faults of the harness: only the calls of its code are marked as its own."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import AnnbenchError, PluginError, refused_by_system

_ROOT = Path(__file__).resolve().parents[2]


class Raised(PluginError):  # noqa: N818 - it tells of an exception
    """What a plug-in raised where the harness called it.

    `detail` is the traceback; `refused` says that the system is to blame, as where the disk is full.
    """

    def __init__(self, message: str, detail: str, *, refused: bool) -> None:
        super().__init__(message)
        self.detail = detail
        self.refused = refused


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Mark a call of a plug-in's code: raise Raised, whose message begins with `what`, for whatever comes out of it."""
    try:
        yield
    except Raised:
        raise
    except Exception as problem:  # noqa: BLE001 - a plug-in may raise anything
        told = str(problem) if isinstance(problem, AnnbenchError) else ""
        message = f"{what}: {told}" if told else f"{what} raised {type(problem).__name__}: {problem}"
        raise Raised(message, traceback.format_exc(), refused=refused_by_system(problem)) from None


def own_fault(problem: Exception) -> str:
    """Say in a line what went wrong in the harness itself, and where."""
    if isinstance(problem, AnnbenchError):
        return str(problem)
    what = f"{type(problem).__name__}: {problem}"
    if refused_by_system(problem):
        return f"the system refused what annbench needs ({what})"
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    file = Path(frame.filename)
    shown = file.relative_to(_ROOT) if file.is_relative_to(_ROOT) else file
    return f"a fault in annbench itself, at {shown}:{frame.lineno} ({what})"

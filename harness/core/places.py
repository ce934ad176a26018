"""Where in a plug-in's source something happened: file, line, and the line itself."""

from __future__ import annotations

import inspect
import linecache
import re
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# A line of a traceback that `faulthandler` prints, the innermost call first.
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)

_OWN = Path(__file__).resolve().parents[1]


def place(file: str | Path, line: int) -> str:
    """Return `file:line: source` in one line."""
    source = linecache.getline(str(file), line).strip()
    return f"{file}:{line}: {source}" if source else f"{file}:{line}"


def place_of(problem: BaseException, folders: Iterable[Path]) -> str:
    """Return where in one of `folders` an exception, or its cause, was raised; empty where that was elsewhere."""
    within = [folder.resolve() for folder in folders]
    if isinstance(problem, SyntaxError) and problem.filename and _is_within(problem.filename, within):
        return place(problem.filename, problem.lineno or 1)
    frames = [(frame.filename, frame.lineno or 1) for frame in traceback.extract_tb(problem.__traceback__)]
    found = [frame for frame in frames if _is_within(frame[0], within)]
    if found:
        return place(*found[-1])
    return place_of(problem.__cause__, within) if problem.__cause__ is not None else ""


def place_printed(text: str, folders: Iterable[Path]) -> str:
    """Return the innermost place in one of `folders` of the traceback that `faulthandler` printed; else empty."""
    within = [folder.resolve() for folder in folders]
    frames = [(frame["file"], int(frame["line"])) for frame in _FRAME.finditer(text)]
    return next((place(*frame) for frame in frames if _is_within(frame[0], within)), "")


def place_of_method(owner: type, names: Iterable[str]) -> str:
    """Return where a plug-in's class, or one above it, defines the first of these methods that it has; else empty."""
    for name in names:
        method: Any = inspect.unwrap(getattr(owner, name, None) or owner)
        try:
            file, line = inspect.getsourcefile(method) or "", inspect.getsourcelines(method)[1]
        except (TypeError, OSError):
            continue
        if _OWN not in Path(file).resolve().parents:
            return place(file, line)
    return ""


def folders_of(owner: type) -> Iterator[Path]:
    """Yield the folders of the modules that a class, and those above it, come from; what annbench itself has aside."""
    for one in (*owner.__mro__, *dict(getattr(owner, "_classes", {})).values()):
        try:
            file = Path(inspect.getsourcefile(one) or "")
        except (TypeError, OSError):
            continue
        if file.is_absolute() and _OWN not in file.resolve().parents and one.__module__ != "abc":
            yield file.parent


def _is_within(file: str, folders: Iterable[Path]) -> bool:
    path = Path(file)
    return path.is_absolute() and any(folder in path.resolve().parents for folder in folders)

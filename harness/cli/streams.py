"""The three standard streams, made safe before anything is opened or printed."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from typing import TextIO

# What we print beyond ASCII, for terminals and pipes that can't. The rest becomes escapes.
_IN_ASCII = str.maketrans(
    {
        "\N{GREATER-THAN OR EQUAL TO}": ">=",
        "\N{LESS-THAN OR EQUAL TO}": "<=",
        "\N{MICRO SIGN}": "u",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "\N{EN DASH}": "-",
        "\N{MINUS SIGN}": "-",
        "\N{SUPERSCRIPT TWO}": "^2",
        "\N{PLUS-MINUS SIGN}": "+-",
        "\N{MIDDLE DOT}": ".",
    }
)
_HANDLER = "annbench"


def secure_streams() -> None:
    """Open descriptors 0 to 2 where they are closed, and print what an encoding lacks in ASCII.

    A file or pipe that is opened later would else take the number of a closed one, and a child would get it as its
    standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    codecs.register_error(_HANDLER, _in_ascii)
    if sys.stdin is None:
        sys.stdin = _opened(0, "r")
    sys.stdout = _opened(1, "w") if sys.stdout is None else sys.stdout
    sys.stderr = _opened(2, "w") if sys.stderr is None else sys.stderr
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def flush_streams() -> None:
    """Write what was printed; where that can't be, drop it, so that Python's end is quiet, and raise OSError."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            drop(number)
            raise


def drop(number: int) -> None:
    """Let a standard descriptor that can't be written lead nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
    with contextlib.suppress(OSError, ValueError):
        (sys.stdout if number == 1 else sys.stderr).flush()


def _opened(number: int, mode: str) -> TextIO:
    return open(number, mode, encoding="utf-8", closefd=False)  # type: ignore[return-value]


def _in_ascii(problem: UnicodeError) -> tuple[str, int]:
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    text = problem.object[problem.start : problem.end].translate(_IN_ASCII)
    return text.encode("ascii", "backslashreplace").decode("ascii"), problem.end

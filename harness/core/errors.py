"""The one family of errors that a user may meet: each message says what was wrong, with which value, and what to do."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


class AnnbenchError(Exception):
    """Base of every error that `annbench` reports in one line instead of a traceback."""


class DatasetError(AnnbenchError):
    """A dataset file, or the arrays meant for one, can't be used."""


class SourceError(AnnbenchError):
    """A dataset could not be obtained from any of its sources."""


class ConfigError(AnnbenchError):
    """A `config.yml`, suite, grid or parameter is not valid."""


class UnstatedMetricError(ConfigError):
    """Vectors were given whose metric nothing says."""


class PluginError(AnnbenchError):
    """An algorithm broke its contract, or could not be loaded."""


class ParameterError(ConfigError, PluginError, ValueError):
    """An algorithm was given a parameter it can't work with."""


class StoreError(AnnbenchError):
    """A result file can't be read or written."""


class HarnessFault(AnnbenchError):  # noqa: N818 - it says whose fault an error is
    """Annbench, or the system under it, failed: a full disk, a missing folder, a bug. No plug-in is to blame."""


class DamagedResult(UserWarning):
    """A file of results could not be read; the others were. The command line tells so in its exit status."""


class UnknownNameError(AnnbenchError):
    """A name is in no catalogue; the message suggests the nearest ones, of what is `here` before others."""

    def __init__(self, kind: str, name: str, known: Iterable[str], here: Iterable[str] = ()) -> None:
        here, known = sorted(here), sorted(known)
        known = list(dict.fromkeys((*here, *known)))
        near = nearest(name, known)
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
            hint = f"known: {shown}" if known else "none is known"
        super().__init__(f"no {kind} is called {name!r}; {hint}")


def nearest(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """Return up to `count` of the known names that were meant, the likeliest first.

    That is one that differs in case or in `-` and `_` alone; else those that it begins; else those that are alike.
    Of names that are as likely, those that come first in `known` do.
    """
    wanted = _plain(name)
    same = [each for each in known if _plain(each) == wanted]
    if same or not wanted:
        return same[:count]
    begun = [each for each in known if _plain(each).startswith(wanted)]
    if begun:
        return begun[:count]
    plain = {_plain(each): each for each in reversed(known)}
    alike = [plain[each] for each in get_close_matches(wanted, list(plain), n=count, cutoff=0.5)]
    within = [each for each in known if len(wanted) > 2 and wanted in _plain(each)]
    return list(dict.fromkeys([*alike, *within]))[:count]


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


# A full disk or quota, a folder that can't be written, too many open files, a broken disk.
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.EIO}


def refused_by_system(problem: BaseException | None) -> bool:
    """Say whether an exception, or one that it came from, is a refusal of the system rather than a fault of the code.

    Refusals are a full disk, a folder that can't be written, a temporary folder that is gone, too many open files, and
    numba without a place for its cache.
    """
    while problem is not None:
        if isinstance(problem, OSError) and problem.errno in _REFUSALS:
            return True
        if isinstance(problem, FileNotFoundError) and not _has_temporary_folder():
            return True
        if isinstance(problem, RuntimeError) and "no locator available" in str(problem):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _has_temporary_folder() -> bool:
    try:
        return Path(tempfile.gettempdir()).is_dir()
    except FileNotFoundError:
        return False

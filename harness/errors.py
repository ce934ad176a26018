"""The one family of errors that a user may meet: each message says what was wrong, with which value, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AnnbenchError(Exception):
    """Base of every error that `annbench` reports in one line instead of a traceback."""


class DatasetError(AnnbenchError):
    """A dataset file, or the arrays meant for one, can't be used."""


class SourceError(AnnbenchError):
    """A dataset could not be obtained from any of its sources."""


class ConfigError(AnnbenchError):
    """A `config.yml`, suite, grid or parameter is not valid."""


class PluginError(AnnbenchError):
    """An algorithm broke its contract, or could not be loaded."""


class ParameterError(ConfigError, PluginError, ValueError):
    """An algorithm was given a parameter it can't work with."""


class StoreError(AnnbenchError):
    """A result file can't be read or written."""


class UnknownNameError(AnnbenchError):
    """A name is in no catalogue; the message suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
            hint = f"known: {shown}" if known else "none is known"
        super().__init__(f"no {kind} is called {name!r}; {hint}")

"""What stands on a side of a comparison: an algorithm to be measured, or results that are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.engines.config import GroupConfig
from harness.engines.registry import CONFIG_NAME, Entry, Registry, plugin_entries
from harness.plan.selection import Selection, grids_of, read_selection

BASELINE_SUFFIX = ".json"
_SEPARATOR = "::"
_FORMS = (
    "an algorithm such as hnsw, hnsw@full or 'hnsw(M=16, ef=40)', a plug-in's folder such as old/mine or "
    "old/mine::mine, a folder of results, or a baseline file"
)


@dataclass(frozen=True)
class LiveSide:
    """An algorithm that is measured now: its entry, and the grids that were chosen of it."""

    text: str
    entry: Entry
    grids: tuple[GroupConfig, ...]


@dataclass(frozen=True)
class StoredSide:
    """Results that are there: a store's folder or a baseline file, and which of them are meant."""

    text: str
    path: Path
    algorithm: str | None
    params: Mapping[str, Any]

    def holds(self, algorithm: str, build: Mapping[str, Any], search: Mapping[str, Any]) -> bool:
        """Say whether a setting is one of those that are meant; a list among the chosen values is a choice."""
        if self.algorithm is not None and algorithm != self.algorithm:
            return False
        params = {**build, **search}
        return all(
            key in params and params[key] in (value if isinstance(value, list) else [value])
            for key, value in self.params.items()
        )


Side = LiveSide | StoredSide


def read_side(text: str, registry: Registry, group: str) -> Side:
    """Read a side as it is given on the command line; raise ConfigError, with the forms, where it is none of them.

    What has a slash, or names no algorithm, is a path.
    """
    where, separator, selected = text.partition(_SEPARATOR)
    if not where.strip():
        # As a path it would be the current folder, and an unset variable in a script leaves just that.
        raise ConfigError(f"{text!r} names no algorithm and no path (the current folder is .); a side is {_FORMS}")
    if not separator:
        selection = None if os.sep in text.partition("(")[0] else read_selection(text)
        if selection is not None and (selection.name in registry or not Path(selection.name).exists()):
            entry = registry[selection.name]
            return LiveSide(text, entry, tuple(grids_of(selection, entry, group)))
    path = Path(where).expanduser()
    if not path.exists():
        raise ConfigError(f"{text!r}: there is no {path}; a side is {_FORMS}")
    chosen = read_selection(selected) if separator else None
    if path.name.endswith((".yml", ".yaml")) or (path / CONFIG_NAME).exists():
        entry = _plugin(path, chosen)
        return LiveSide(text, entry, tuple(grids_of(chosen or Selection(entry.name), entry, group)))
    if path.is_dir() or path.suffix == BASELINE_SUFFIX:
        params = {**chosen.mixed, **chosen.build, **chosen.search} if chosen else {}
        return StoredSide(text, path, chosen.name if chosen else None, params)
    raise ConfigError(f"{text!r} is a file of another kind; a side is {_FORMS}")


def _plugin(path: Path, chosen: Selection | None) -> Entry:
    entries = Registry(plugin_entries(path))
    if chosen is not None:
        return entries[chosen.name]
    if len(entries) > 1:
        raise ConfigError(
            f"{path} holds {', '.join(_few(entries))}; say which: {path}{_SEPARATOR}{next(iter(entries))}"
        )
    return next(iter(entries.values()))


def _few(names: Iterable[str], most: int = 6) -> list[str]:
    every = list(names)
    return every if len(every) <= most else [*every[:most], "..."]

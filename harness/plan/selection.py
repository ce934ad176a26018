"""Parameters on the command line: `--build M=16`, and `hnsw(M=[16, 32], ef=40)` for one algorithm with its grids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from harness.core.errors import ConfigError
from harness.engines.config import GroupConfig
from harness.engines.registry import Entry
from harness.plan.parameters import check_grids, names

_KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_CALL = re.compile(r"(?P<name>[^()]+)\((?P<params>.*)\)", re.DOTALL)
_NUMBERS = re.compile(r"\s*-?[\d.]+\s*(,\s*-?[\d.]+\s*)+")
_EXAMPLE = "write it like M=16, or M=[16, 32] for several"


@dataclass(frozen=True)
class Selection:
    """An algorithm by name, and parameters in place of those of its config.

    `build` and `search` hold what stood before and after a semicolon; `mixed` what was given without one. `group` is
    the one that was named, if any.
    """

    name: str
    mixed: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None


def read_values(pairs: Iterable[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` pairs as a grid: values are YAML, so a list `[16, 32]` is a choice; an empty one says nothing.

    Raises ConfigError, naming the pair, where it isn't one or a key stands twice.
    """
    grid: dict[str, Any] = {}
    for pair in pairs:
        if not pair.strip():
            continue
        key, separator, text = pair.partition("=")
        key = key.strip()
        if not separator or not _KEY.fullmatch(key):
            raise ConfigError(f"{pair!r} is no parameter; {_EXAMPLE}")
        if _NUMBERS.fullmatch(text):
            numbers = ", ".join(part.strip() for part in text.split(","))
            raise ConfigError(f"{pair!r}: a list is written {key}=[{numbers}], in quotes for the shell")
        if key in grid:
            raise ConfigError(f"the parameter {key!r} stands twice; {_EXAMPLE}")
        try:
            grid[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"the value of {key!r} can't be read: {text!r}; {_EXAMPLE}") from None
    return grid


def read_selection(text: str) -> Selection:
    """Read `hnsw`, `hnsw@full` for a group of its config, or `hnsw(M=16, ef=40)`.

    Where a parameter could be of either kind, a semicolon stands between build and search: `hnsw(M=16; ef=40)`.
    """
    match = _CALL.fullmatch(text.strip())
    if match is None and ("(" in text or ")" in text):
        raise ConfigError(f"{text!r} is no selection; write it like 'hnsw(M=16, ef=40)'")
    name, at, group = (match["name"] if match else text).strip().partition("@")
    parts = _split(match["params"], ";") if match else []
    if len(parts) > 2:
        raise ConfigError(f"{text!r} has more than one semicolon; it stands between build and search parameters")
    grids = [read_values(_split(part, ",")) for part in parts]
    found = Selection(name.strip(), group=group.strip() if at else None)
    if len(grids) == 2:
        return replace(found, build=grids[0], search=grids[1])
    return replace(found, mixed=grids[0]) if grids else found


def grids_of(selection: Selection, entry: Entry, group: str) -> list[GroupConfig]:
    """Return the grids of a selection: those of its group, or of `group`, and what was given in place of them.

    Build parameters that are given replace the group's build grids whole, search parameters its search grids; what
    stands in neither keeps the algorithm's own default. A name that the config's grids have tells by itself which of
    both it is. Raises ConfigError for one that doesn't (a semicolon says it), for a group that there isn't, and for
    what the algorithm doesn't take.
    """
    build, search = dict(selection.build), dict(selection.search)
    known = {"build": names(entry, "build"), "search": names(entry, "search")}
    for key, value in selection.mixed.items():
        kinds = [kind for kind, taken in known.items() if key in taken]
        if len(kinds) != 1:
            every = ", ".join(sorted(known["build"] | known["search"])) or "none"
            raise ConfigError(
                f"{entry.name}: nothing says whether {key!r} belongs to the build or to the search (known: "
                f"{every}); write '{entry.name}(BUILD; SEARCH)' with a semicolon between them"
            )
        (build if kinds[0] == "build" else search)[key] = value
    return replaced(entry, selection.group or group, build or None, search or None)


def grids_for(
    entries: Iterable[Entry], group: str, build: Sequence[str] | None, search: Sequence[str] | None
) -> dict[str, list[GroupConfig]]:
    """Return the suite's `grids` that `--build` and `--search` of `annbench run` stand for, as `grids_of` does.

    None leaves the group's; an empty pair alone (`--build ''`) is the algorithm's own defaults.
    """
    chosen = [None if pairs is None else read_values(pairs) for pairs in (build, search)]
    return {
        entry.name: replaced(entry, group, chosen[0], chosen[1]) for entry in entries if entry.config.purpose == "index"
    }


def replaced(
    entry: Entry, group: str, build: Mapping[str, Any] | None, search: Mapping[str, Any] | None
) -> list[GroupConfig]:
    """Return the grids of an algorithm's group with `build` and `search`, where given, in place of its own.

    Raises ConfigError where the algorithm doesn't take such parameters or values.
    """
    check_grids(entry, [GroupConfig(build=dict(build or {}), search=dict(search or {}))])
    if build is not None and search is not None:
        return [GroupConfig(build=dict(build), search=dict(search))]
    found = entry.config.groups.get(group)  # type: ignore[call-overload]
    if found is None:
        raise ConfigError(f"{entry.name} has no group {group!r}; it has {', '.join(entry.config.groups)}")
    changed = [
        GroupConfig(
            build=grid.build if build is None else dict(build),
            search=grid.search if search is None else dict(search),
            metrics=grid.metrics,
        )
        for grid in found
    ]
    return list({grid.model_dump_json(): grid for grid in changed}.values())


def _split(text: str, separator: str) -> list[str]:
    """Split at a separator outside brackets, braces and quotes; nothing gives no part."""
    parts, depth, quote, start = [], 0, "", 0
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        elif letter == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()] if separator == "," else [part.strip() for part in parts]

"""What the page says before anything is chosen: the fastest of each group at each recall, and where it was measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.analyse.measures import MEASURES
from harness.analyse.table import MEASURED, Group, GroupKey, indexes
from harness.analyse.targets import DEFAULT_TARGETS
from harness.analyse.winners import Standing, Winner, banner, winner
from harness.core.library_kernels import warning
from harness.report.detail import Detail
from harness.report.figure import machine_title
from harness.report.plots import group_styles
from harness.report.style import FROM_SCRATCH, plain
from harness.workloads.measure import format_bytes

if TYPE_CHECKING:
    import pandas as pd

_NAME = 120
_MOST_VERSIONS = 6


def asked(key: GroupKey) -> str:
    """Say how queries were asked in a group."""
    if key.mode == "batch":
        return f"all queries in one call, {key.threads} thread{'s' if key.threads != 1 else ''}"
    return "one query at a time"


def summary_row(group: Group, targets: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return the summary of one group: a cell for each recall, None where no algorithm reaches it.

    `targets` is its `targets_table` at the usual recalls.
    """
    looks = group_styles(group.rows)
    return {
        "id": name,
        "dataset": plain(group.key.dataset, _NAME),
        "k": group.key.k,
        "asks": plain(group.key.asks, _NAME),
        "asked": asked(group.key),
        "machine": machine_title(group.key, group.rows),
        "algorithms": len(targets),
        "banner": banner(indexes(group.rows)),
        "cells": [_cell(winner(targets, target), looks) for target in DEFAULT_TARGETS],
    }


def _cell(won: Winner | None, looks: Mapping[str, Any]) -> dict[str, Any] | None:
    if won is None:
        return None
    if not won.trusted:
        return {"reason": plain(won.reason, 2 * _NAME)}
    return {
        "reason": "",
        "best": _named(won.best, looks),
        "tied": [_named(one, looks) for one in won.tied],
        "unsure": [_named(one, looks) for one in won.unsure],
    }


def _named(one: Standing, looks: Mapping[str, Any]) -> dict[str, Any]:
    write = MEASURES["qps"].format
    low, high = one.interval
    return {
        "name": plain(one.algorithm, _NAME),
        "scratch": one.origin == FROM_SCRATCH,
        "colour": looks[one.algorithm].colour,
        "marker": looks[one.algorithm].marker,
        "qps": ("≥ " if one.relation == ">=" else "") + write(one.qps),
        "interval": f"{write(low)} to {write(high)}" if not math.isnan(low) else "",
        "setting": plain(one.setting, _NAME),
    }


# --- machines --------------------------------------------------------------------------------------------------------


def machine_rows(table: pd.DataFrame, details: Mapping[str, Detail]) -> list[dict[str, Any]]:
    """Describe each machine: what it is, and under which versions, commits and dates results were measured there."""
    out = []
    for key, mine in table[table["status"] == MEASURED].groupby("machine", sort=True):
        known = [details[path] for path in mine["path"] if path in details]
        dates = sorted(date[:10] for date in mine["created"] if date)
        facts = max((one.machine for one in known), key=len, default={})
        out.append(
            {
                "key": plain(key, _NAME),
                "name": plain(next((name for name in mine["machine_name"] if name), "unknown machine"), _NAME),
                "results": len(mine),
                "dates": "" if not dates else dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}",
                "facts": [*_facts(facts), *_kernels(mine["kernels"], facts)],
                "software": _software(known),
                "versions": _versions(known),
            }
        )
    return out


def _facts(machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    caches = machine.get("caches")
    flags = machine.get("flags")
    rows = [
        ("Processor", machine.get("cpu")),
        ("Cores, threads", _pair(machine.get("cores"), machine.get("threads"))),
        ("Memory", f"{machine['memory_gib']} GiB" if machine.get("memory_gib") else None),
        ("CPU quota", f"{machine['cpu_quota']:g} cores" if machine.get("cpu_quota") else None),
        ("Memory limit", format_bytes(float(machine["memory_limit"])) if machine.get("memory_limit") else None),
        ("Caches", ", ".join(f"{name} {size}" for name, size in caches.items()) if isinstance(caches, dict) else None),
        ("Instructions", " ".join(map(str, flags)) if isinstance(flags, list) else None),
        ("System", " ".join(str(machine[name]) for name in ("system", "kernel", "architecture") if machine.get(name))),
        ("Frequency governor", machine.get("governor")),
        ("Transparent huge pages", machine.get("transparent_huge_pages")),
        ("Processes pinned to cores", {True: "yes", False: "no"}.get(machine.get("pinning", ""))),
    ]
    return [(name, plain(value, 400)) for name, value in rows if value]


def _kernels(texts: Iterable[str], machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say which kernels the libraries ran, and which of them are older than the processor."""
    ran = sorted({part for text in texts for part in text.split("; ") if part})
    flags = machine.get("flags")
    split = [part.partition(": ") for part in ran]
    told = (
        warning({"library": who.partition(" ")[0], "runs": who.partition(" ")[2], "architecture": name}, flags)
        for who, _, name in split
        if isinstance(flags, list)
    )
    rows = [("Kernels", ", ".join(ran)), ("Old kernels", ". ".join(dict.fromkeys(filter(None, told))))]
    return [(name, plain(text, 1000)) for name, text in rows if text]


def _pair(first: Any, second: Any) -> str | None:
    return ", ".join(str(value) for value in (first, second) if value) or None


def _software(known: Sequence[Detail]) -> list[tuple[str, str]]:
    names = {"annbench": "annbench", "python": "Python", "numpy": "NumPy"}
    rows = [(title, _several(one.environment.get(name) for one in known)) for name, title in names.items()]
    commits = _several(
        f"{one.environment['git_commit']}{' with changes' if one.environment.get('git_dirty') else ''}"
        for one in known
        if one.environment.get("git_commit")
    )
    return [(name, text) for name, text in (*rows, ("git commit", commits)) if text]


def _versions(known: Sequence[Detail]) -> list[tuple[str, str]]:
    names = sorted({str(name) for one in known for name in one.versions})
    return [(plain(name, _NAME), _several(one.versions.get(name) for one in known)) for name in names]


def _several(values: Iterable[Any]) -> str:
    """Write distinct values, the most frequent first."""
    counts = Counter(str(value) for value in values if value not in (None, ""))
    shown = [plain(value) for value, _ in counts.most_common(_MOST_VERSIONS)]
    more = f", and {len(counts) - len(shown)} more" if len(counts) > len(shown) else ""
    return ", ".join(shown) + more

"""Options that several verbs share, and the parsing of sizes and durations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.core.errors import ConfigError

if TYPE_CHECKING:
    from harness.engines.registry import Registry

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of datasets [default: datasets, or $ANNBENCH_HOME/datasets].")
]
Results = Annotated[
    Path | None, typer.Option("--results", help="Folder of results [default: results, or $ANNBENCH_HOME/results].")
]
Plots = Annotated[
    Path | None, typer.Option("--plots", help="Folder of plots and tables [default: plots, or $ANNBENCH_HOME/plots].")
]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Folder (or config.yml) of a plug-in of your own; repeatable.")
]

AnnBenchmarks = Annotated[
    list[Path] | None,
    typer.Option(
        "--ann-benchmarks",
        metavar="PATH",
        help="Plug-ins of ann-benchmarks: its folder ann_benchmarks/algorithms, or one of a plug-in; repeatable.",
    ),
]

Neighbours = Annotated[int, typer.Option("--k", "-k", min=1, help="Neighbours a query.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of a batch search.")]
BuildThreads = Annotated[int | None, typer.Option(min=1, help="Threads of a build [default: all cores].")]
Memory = Annotated[str | None, typer.Option(help="Most memory of one build: 8G, 500M [default: 90%].")]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def registry_with(plugins: list[Path] | None, ann_benchmarks: list[Path] | None) -> Registry:
    """Return the registry with the plug-ins that were given by hand, ours and those of ann-benchmarks."""
    from harness.engines.adapters.ann_benchmarks.plugins import plugin_entries
    from harness.engines.registry import load_registry

    more = [entry for path in ann_benchmarks or () for entry in plugin_entries(path)]
    return load_registry(plugins or [], more)


def split_names(given: list[str] | None) -> list[str] | None:
    """Read names that were given one by one, or several with commas: `-a hnsw -a pq` and `-a hnsw,pq`."""
    return given and [name for text in given for part in text.split(",") if (name := part.strip())]


def parse_bytes(text: str | None) -> int | None:
    """Read a size such as 8G, 500M or 1073741824; None stays None."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if match is None or float(match[1]) == 0:
        raise ConfigError(f"{text!r} is not a size; write it like 8G, 500M or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2]])


def parse_seconds(text: str | None) -> float | None:
    """Read a duration such as 90, 90s, 15m or 2h; None stays None."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text.lower())
    if match is None or float(match[1]) == 0:
        raise ConfigError(f"{text!r} is not a duration; write it like 90s, 15m or 2h")
    return float(match[1]) * _SECONDS[match[2]]

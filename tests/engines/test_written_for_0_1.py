"""Plug-ins as they were written for annbench 0.1 go on working: `tests/plugins/written_for_0_1` is never edited."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from harness.api import load_results
from harness.engines.conformance import CHECKS
from harness.engines.registry import load_registry
from harness.measure.checking import check_limits, verdicts
from support.bench import Bench, write_small

PLUGINS = Path(__file__).parents[1] / "plugins" / "written_for_0_1"

# Every public name of the three modules that a plug-in of annbench 0.1 could import.
NAMES = {
    ("harness.contract", "harness.engines.contract"): (
        *("Algorithm", "Data", "ExactNeighbors", "Grows", "Neighbors", "PackedBits", "Saves", "Search", "Sets"),
        *("Vectors", "as_neighbors"),
    ),
    ("harness.metric", "harness.data.metric"): (
        *("Metric", "neighbour_distances", "normalise", "pack_bits", "pair_distances"),
    ),
    ("harness.errors", "harness.core.errors"): (
        *("AnnbenchError", "ConfigError", "DamagedResult", "DatasetError", "HarnessFault", "ParameterError"),
        *("PluginError", "SourceError", "StoreError", "UnknownNameError", "UnstatedMetricError", "nearest"),
        "refused_by_system",
    ),
}


@pytest.mark.parametrize(("door", "room"), NAMES)
def test_the_old_modules_hold_the_same_objects(door: str, room: str) -> None:
    """A name of the first contract is the object of today, not a copy: `issubclass` and `except` see through it."""
    for name in NAMES[door, room]:
        assert getattr(importlib.import_module(door), name) is getattr(importlib.import_module(room), name), name


@pytest.mark.parametrize("name", ["elder-index", "growing-index"])
def test_they_keep_the_contract(name: str) -> None:
    """What `annbench new-plugin` wrote, and an index with every ability of then, break no rule of today."""
    entry = load_registry((PLUGINS / name.replace("-", "_"),))[name]
    found = {verdict.check: verdict for verdict in verdicts(entry, "euclidean", check_limits())}
    assert list(found) == [check.name for check in CHECKS]
    assert [(v.check, v.breaches, v.not_run) for v in found.values() if v.promised and not v.kept] == []
    for rule in ("grows", "saves and loads", "exact neighbours"):
        assert found[rule].kept == (name == "growing-index")


def test_they_are_measured(tmp_path: Path) -> None:
    """The skeleton of then is measured, and its most thorough setting is exact."""
    write_small(tmp_path)
    bench = Bench(tmp_path, (PLUGINS / "elder_index",))
    assert bench.run("elder-index", passes=1).failed == 0
    table = load_results(bench.store.folder)
    assert set(table["algorithm"]) == {"elder-index"}
    assert table["recall"].max() == 1.0

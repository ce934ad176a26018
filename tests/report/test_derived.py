"""What was derived of results is kept, and is the same whether it was read now, before, or by other processes."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from harness.analyse.table import tidy
from harness.core.errors import DamagedResult
from harness.report import derived
from harness.report.derived import derive, read_entries
from harness.report.html.page import Content, render_page
from harness.store.results import ResultStore
from support import factory


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultStore:
    """Write a store of 19 results and a failure; caches and processes are worth their while for so few."""
    monkeypatch.setattr(derived, "_WORTH_KEEPING", 1)
    monkeypatch.setattr(derived, "_WORTH_A_PROCESS", 8)
    results = [
        *factory.make_world(("hnsw", "pq"), settings=4),
        factory.make_result("batch", mode="batch", passes=1),
        factory.make_result("noop", purpose="floor", recall=0.0),
    ]
    written: ResultStore = factory.write_store(tmp_path / "results", results, [factory.make_failure()])
    return written


def kept(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.npz"))


def test_what_is_kept_equals_what_is_read(store: ResultStore, tmp_path: Path) -> None:
    """Cold, warm and by two processes the table is the same, and that of `tidy` but for QPS replicates' last digits."""
    cold = derive(store, cache=tmp_path / "a", workers=1)
    assert len(kept(tmp_path / "a")) == 1
    warm = derive(store, cache=tmp_path / "a", workers=1)
    parallel = derive(store, cache=tmp_path / "b", workers=2)
    plain = tidy(store.results(), store.failures())
    for other in (warm, parallel):
        pd.testing.assert_frame_equal(cold.table, other.table)
        assert other.details == cold.details
        assert render_page(Content(*other)) == render_page(Content(*cold))
    pd.testing.assert_frame_equal(cold.table.drop(columns="qps_samples"), plain.drop(columns="qps_samples"))
    for ours, theirs in zip(cold.table["qps_samples"], plain["qps_samples"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_only_what_changed_is_read_again(store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was rewritten is read again, one that went is forgotten, and the others are left alone."""
    derive(store, cache=tmp_path)
    read: list[Path] = []
    original = derived.derive_files
    monkeypatch.setattr(derived, "derive_files", lambda paths: (read.extend(paths), original(paths))[1])
    paths = store.paths()
    store.write(paths[0], factory.make_result("changed", qps=5.0))
    paths[1].unlink()
    table = derive(store, cache=tmp_path).table
    assert read == [paths[0]]
    assert len(table) == len(paths)  # one less, and the failure
    assert "changed" in set(table["algorithm"])
    derive(store, cache=tmp_path)
    assert read == [paths[0]]


def test_a_cache_of_other_code_is_not_used(store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the code that derives has changed all is read anew, and what it left before is removed."""
    derive(store, cache=tmp_path)
    before = kept(tmp_path)
    monkeypatch.setattr(derived, "_version", lambda: "other")
    derive(store, cache=tmp_path)
    assert len(kept(tmp_path)) == 1
    assert kept(tmp_path) != before


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 broken", b"no zip at all"])
def test_a_damaged_cache_costs_only_time(store: ResultStore, tmp_path: Path, damage: bytes) -> None:
    """A cut or foreign file in the cache's place gives the same table."""
    cold = derive(store, cache=tmp_path).table
    kept(tmp_path)[0].write_bytes(damage)
    assert read_entries(kept(tmp_path)[0]) == {}
    pd.testing.assert_frame_equal(derive(store, cache=tmp_path).table, cold)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(store: ResultStore, tmp_path: Path) -> None:
    """A report goes on without it."""
    (tmp_path / "locked").mkdir(mode=0o500)
    assert len(derive(store, cache=tmp_path / "locked").table)


def test_a_cache_whose_place_is_taken(store: ResultStore, tmp_path: Path) -> None:
    """Where a file lies in the folder's place, a report goes on without a cache."""
    (tmp_path / "file").write_text("")
    assert len(derive(store, cache=tmp_path / "file").table)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_result_is_named(store: ResultStore, tmp_path: Path, workers: int) -> None:
    """A result that can't be read is named, and the others are in the table, whoever read it."""
    store.paths()[3].write_bytes(b"broken")
    with pytest.warns(DamagedResult, match="truncated or not a result file"):
        found = derive(store, cache=tmp_path / "cache", workers=workers)
    assert len(found.table) == len(store.paths()) - 1 + len(list(store.failures()))


def test_results_of_other_tools_are_left_out(store: ResultStore, tmp_path: Path) -> None:
    """A file of ann-benchmarks among ours is no row and no error, with a cache as without."""
    count = len(derive(store, cache=tmp_path / "cache").table)
    with h5py.File(store.folder / "foreign.hdf5", "w") as file:
        file["times"] = [1.0]
    for _ in range(2):
        assert len(derive(store, cache=tmp_path / "cache").table) == count


def test_small_stores_leave_nothing_behind(tmp_path: Path) -> None:
    """A store of a few files is read sooner than it matters, and is not kept."""
    small = factory.write_store(tmp_path / "results", [factory.make_result()])
    derive(small, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()

"""`import harness`: the verbs are functions, whatever else was imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import harness
from harness.core.errors import ConfigError
from harness.store.envelope import read_result
from harness.store.results import ResultStore

if TYPE_CHECKING:
    import pandas as pd


def test_a_package_does_not_hide_the_verb_of_its_name() -> None:
    """`harness.report()` can be called after a module of the package `harness.report` was imported."""
    code = "import harness, harness.report.style; from harness import report; assert callable(report); "
    code += "assert callable(harness.report); assert harness.report.style.plain; report('/no/such/folder')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AnnbenchError" in done.stderr
    assert "not callable" not in done.stderr


def test_every_verb_is_there() -> None:
    """What `__all__` names can be used."""
    for name in harness.__all__:
        assert getattr(harness, name) is not None


def test_a_run_returns_what_was_asked_for(tmp_path: Path) -> None:
    """Neither the no-op, nor other algorithms of the store, nor what an older source measured are in the table."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(700, 8)).astype(np.float32)
    folders = {"data": tmp_path / "d", "results": tmp_path / "r"}
    quick = {"k": 5, "passes": 2, "rounds": 1, "least_pass_seconds": 0.001, "queries": 20, "progress": False}

    def run(algorithm: list[str], **changes: object) -> pd.DataFrame:
        return harness.run(vectors=vectors, metric="euclidean", algorithm=algorithm, **quick, **folders, **changes)

    efs = {"hnswlib": {"build": {"M": [8], "ef_construction": 50}, "search": {"ef": [100, 20]}}}
    first = run(["hnswlib"], grids=efs)
    assert first["algorithm"].tolist() == ["hnswlib"] * 2
    assert first["search.ef"].tolist() == [20, 100]
    assert first["build.M"].tolist() == [8, 8]
    assert "version.hnswlib" in first
    # A result of an older source, which stays in the store.
    (old,) = (tmp_path / "r").rglob("*ef-20*.hdf5")
    result = read_result(old)
    result.document.spec["plugin_hash"] = "0" * 16
    ResultStore(tmp_path / "r").write(old.with_name(f"older-{old.name}"), result)
    second = run(["brute_force"])
    assert second["algorithm"].unique().tolist() == ["brute_force"]
    assert second["dataset"].tolist() == first["dataset"].tolist()[:1] * len(second)
    assert len(run(["hnswlib"], grids=efs)) == 2
    assert len(harness.load_results(tmp_path / "r")) >= 4


def test_a_comparison_returns_verdicts(tmp_path: Path) -> None:
    """One index against a slower setting of it: a verdict a row, as a table, as text and as HTML."""
    folders = {"data": tmp_path / "d", "results": tmp_path / "r"}
    vectors = np.random.default_rng(0).normal(size=(700, 8)).astype(np.float32)
    name = harness.prepare(vectors, metric="euclidean", name="mine", data=folders["data"], progress=False).stem
    found = harness.compare(
        *("hnswlib(M=8; ef=20)", "hnswlib(M=8; ef=400)"),
        dataset=name, pairs=2, most_pairs=2, passes=2, queries=20, k=5, **folders,
    )  # fmt: skip
    assert len(found.kinds) == len(found.table()) == len(found.document()["rows"]) == 1
    assert set(found.kinds) <= {"faster", "tied", "unsure"}
    assert "hnswlib(M=8; ef=400)" in str(found)
    assert found._repr_html_().startswith("<p>A: hnswlib(M=8; ef=20), B: hnswlib(M=8; ef=400)</p><table")


def test_a_comparison_that_cannot_be_is_refused() -> None:
    """One side alone needs a file for its baseline; fewer pairs at most than at least are none."""
    with pytest.raises(ConfigError, match="save_baseline"):
        harness.compare("hnswlib")
    with pytest.raises(ConfigError, match="most_pairs = 2 is less than pairs = 5"):
        harness.compare("hnswlib", "hnsw", most_pairs=2)

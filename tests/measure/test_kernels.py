"""Kernels that variables choose, in real children: recorded, part of the key, and told where they are old."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_info

from harness.analyse.table import groups, tidy
from harness.core.errors import ConfigError

pytestmark = pytest.mark.skipif(
    not any(pool["internal_api"] == "openblas" for pool in threadpool_info()),
    reason="numpy's BLAS is no OpenBLAS here",
)
CHOSEN = {"OPENBLAS_CORETYPE": "Nehalem"}


def ran(result):
    """Return which kernels numpy's BLAS ran in the last child."""
    (own,) = [one for one in result.document.processes[-1].kernels if one["library"] == "numpy"]
    return own["architecture"]


def test_a_variable_that_is_set_makes_another_machine(bench, monkeypatch):
    """What was measured without it is measured anew, and stands in a group of its own: never mixed."""
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    bench.run("exact", passes=1)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    bench.run("exact", passes=1)
    found = [result for result in bench.store.results() if result.spec["algorithm"] == "exact"]
    assert len(found) == 6
    chosen = [result for result in found if result.spec.get("kernels") == CHOSEN]
    assert {ran(result) for result in chosen} == {"Nehalem"}
    split = groups(tidy(found))
    assert sorted(len(group.rows) for group in split) == [3, 3]
    assert any("OPENBLAS_CORETYPE=Nehalem" in group.rows["machine_name"].iloc[0] for group in split)
    told = [content["text"] for event, content in bench.events if event == "note"]
    flags = found[0].document.machine["flags"]
    if {"avx2", "fma"} <= set(flags):
        assert any("numpy's OpenBLAS" in text and "took its kernels for Nehalem" in text for text in told)


def test_an_algorithm_has_variables_of_its_own(bench, monkeypatch):
    """A suite chooses for one algorithm alone, so that each is measured at its best; it is in the key, in one group."""
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    bench.run("exact", passes=1)
    summary = bench.run("exact", passes=1, environment={"exact": CHOSEN})
    assert summary.measured >= 3
    found = [result for result in bench.store.results() if result.spec["algorithm"] == "exact"]
    own = [result for result in found if result.spec.get("environment") == CHOSEN]
    assert [ran(result) for result in own] == ["Nehalem"] * 3
    assert len(groups(tidy(found))) == 1
    assert "numpy openblas (OPENBLAS_CORETYPE=Nehalem): Nehalem" in tidy(own)["kernels"].iloc[0]


def test_only_variables_that_choose_kernels_are_taken(bench):
    """Threads are held by annbench itself, so a suite that sets them is refused, by name."""
    with pytest.raises(ConfigError, match="OMP_NUM_THREADS"):
        bench.run("exact", environment={"exact": {"OMP_NUM_THREADS": "2"}})

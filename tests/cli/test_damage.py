"""One file of results that can't be read costs that file only, and tables of other tools can be looked after."""

from __future__ import annotations

import pytest

from support import factory

HEAD = (
    "algorithm,parameters,count,k-nn,epsilon,largeepsilon,rel,qps,p50,p95,p99,p999,distcomps,build,candidates,"
    "indexsize,queriessize,dataset"
)
ROW = "annoy,annoy(n_trees=100),10,0.9,0.91,0.92,1,1000,1,1,1,1,0,3,10,100,0.1,mine-8-euclidean"


@pytest.fixture
def store(tmp_path):
    """Return a store in `results` with two results, of which the second is damaged."""
    made = factory.write_store(
        tmp_path / "results",
        [factory.make_result("hnsw", {"M": 16}, {"ef": ef}) for ef in (10, 20)],
    )
    damaged = made.paths()[1]
    damaged.write_bytes(damaged.read_bytes()[:200])
    return made


@pytest.mark.parametrize(
    "command", [["results", "list"], ["export"], ["export", "--format", "annb-csv"], ["report", "--plots", "plots"]]
)
def test_a_damaged_file_is_told_of_and_passed_over(annbench, store, command):
    """Each reader of a store names the file once, goes on with the others, and says so in its exit status."""
    status, out, err = annbench(*command)
    assert status == 1
    assert err.count("annbench: passed over:") == 1
    assert store.paths()[1].name in err
    assert "Traceback" not in err
    assert out


def test_merging_passes_over_a_damaged_file(annbench, store):
    """What is whole is copied, a broken file neither copied nor replaced by nothing."""
    status, out, err = annbench("results", "merge", str(store.folder), "--results", "other")
    assert (status, err.count("passed over")) == (1, 1)
    assert "1 copied, 0 were here already" in out


def test_imported_tables_are_listed_and_removed(annbench, tmp_path):
    """A table of another tool, with a byte order mark or not, is one line of the list, and rm removes it."""
    (tmp_path / "theirs.csv").write_text(f"\ufeff{HEAD}\n{ROW}\n", encoding="utf-8")
    assert annbench("results", "merge", "--foreign", "theirs.csv")[0] == 0
    status, out, _ = annbench("results", "list")
    assert status == 0
    assert "(1 rows of a table of ann-benchmarks)" in out
    assert "annoy" in annbench("results", "show", "ann-benchmarks-*")[1]
    status, out, _ = annbench("results", "rm", "--yes", "ann-benchmarks-*.csv")
    assert (status, "removed 1" in out) == (0, True)
    assert "holds no results" in annbench("results", "list")[1]

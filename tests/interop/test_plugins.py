"""Plug-ins of ann-benchmarks from their folder to a result, as a person runs them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import harness
from harness.core.errors import ConfigError
from harness.data.metric import Metric
from harness.engines.adapters.ann_benchmarks.plugins import plugin_entries
from harness.engines.registry import Entry
from harness.measure.checking import check_limits, verdicts
from harness.store.results import ResultStore

PLUGINS = Path(__file__).parents[1] / "plugins" / "annb"
# The folder ann_benchmarks/algorithms of a checkout, for the tests that run their own plug-ins.
THEIRS = os.environ.get("ANN_BENCHMARKS", "")
FAST = {"queries": 20, "passes": 1, "pass_seconds": 1.0, "least_pass_seconds": 0.01}
CLUSTERS = "synthetic-clusters-900-12-euclidean"


def _entries(folder: Path) -> dict[str, Entry]:
    return {entry.name: entry for entry in plugin_entries(folder)}


def test_a_folder_of_plugins_is_read_and_nothing_is_imported() -> None:
    """Each algorithm has a name of its own and says what it needs, where its library is missing, or is disabled."""
    found = _entries(PLUGINS)
    assert list(found) == [
        "annb-absent", "annb-cells-float", "annb-cells-broken", "annb-exact", "annb-prepared",
    ]  # fmt: skip
    assert found["annb-absent"].why_not() == (
        "not installed (no module named no_such_library); its Dockerfile says where it is from"
    )
    assert found["annb-exact"].why_not() == ""
    assert [str(metric) for metric in found["annb-exact"].config.metrics] == [
        "euclidean", "angular", "hamming", "jaccard",
    ]  # fmt: skip
    assert found["annb-cells-broken"].config.disabled == (Metric.EUCLIDEAN, Metric.ANGULAR)
    assert "numpy" in found["annb-cells-float"].versions()
    assert "no_such_library" not in sys.modules
    assert _entries(PLUGINS / "cells").keys() == {"annb-cells-float", "annb-cells-broken"}


def test_grids_hold_every_setting_of_theirs() -> None:
    """Run groups become grids of named parameters: all of them by default, a few for a quick look."""
    groups = _entries(PLUGINS)["annb-cells-float"].config.groups
    few, many = (grid for grid in groups["default"] if grid.metrics == (Metric.ANGULAR,))
    method = {"method": "'k-means'", "dimension": "dim"}
    assert few.build == [{**method, "count": 4, "rounds": 1}, {**method, "count": 8, "rounds": 1}]
    assert few.search == [{"visit": [[4, 2]]}, {"visit": [[2, 1]]}, {"visit": [[1, 1]]}]
    assert many.build == [{**method, "count": 16, "rounds": 2}]
    assert groups["full"] == groups["default"]
    assert [(grid.build, grid.search) for grid in groups["quick"]] == 2 * [(few.build[:1], few.search)]
    (prepared,) = _entries(PLUGINS)["annb-prepared"].config.groups["default"]
    assert prepared.build == [{"k": "k", "size": 3, "seed": 0}, {"k": "k", "size": 3, "seed": 1}]
    assert prepared.search == [{"ef": ef, "fast": fast} for ef in (10, 20) for fast in (True, False)]


def _copy(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Copy their plug-ins, with one config changed."""
    copy = folder / "algorithms"
    shutil.copytree(PLUGINS, copy)
    path = copy / name / "config.yml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))
    return copy


def test_what_a_result_depends_on_is_in_its_key(tmp_path: Path) -> None:
    """The hash follows the module, those that it imports from beside it, and its base arguments."""
    before = _entries(PLUGINS)
    copy = _copy(tmp_path, "cells", lambda _: None)
    alike = {name: entry.source_hash() for name, entry in _entries(copy).items()}
    assert alike == {name: entry.source_hash() for name, entry in before.items()}  # wherever the folder is
    copy.joinpath("exact", "module.py").write_text((PLUGINS / "exact" / "module.py").read_text() + "\n# edited\n")
    edited = {name: entry.source_hash() for name, entry in _entries(copy).items()}
    assert {name for name, digest in edited.items() if digest != alike[name]} == {
        "annb-exact", "annb-cells-float", "annb-cells-broken",
    }  # fmt: skip
    other = _copy(tmp_path / "other", "cells", lambda d: d["float"]["any"][0]["base_args"].__setitem__(1, "other"))
    assert _entries(other)["annb-cells-float"].source_hash() != alike["annb-cells-float"]
    assert before["annb-exact"].from_json(before["annb-exact"].to_json()) == before["annb-exact"]


def test_one_bad_folder_spoils_no_other(tmp_path: Path) -> None:
    """A config that can't be read is left out with its reason; given alone, or with nothing there, it is an error."""
    copy = _copy(tmp_path, "exact", lambda document: document["float"]["any"][0].pop("module"))
    found = _entries(copy)
    assert "exact: module is missing" in found["annb-exact"].why_not()
    assert found["annb-prepared"].why_not() == ""
    (copy / "prepared" / "module.py").unlink()
    assert _entries(copy)["annb-prepared"].why_not() == f"no module.py in {(copy / 'prepared').resolve()}"
    with pytest.raises(ConfigError, match="exact: module is missing"):
        plugin_entries(copy / "exact")
    for nothing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ConfigError, match="holds no plug-in of ann-benchmarks; give its folder"):
            plugin_entries(nothing)


def test_algorithms_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    """A name that two folders lay claim to is made longer for both."""
    copy = _copy(tmp_path, "exact", lambda _: None)
    shutil.copytree(copy / "exact", copy / "e")
    names = [name for name in _entries(copy) if "exact" in name]
    assert len(names) == len(set(names)) == 2


@pytest.mark.parametrize(
    ("dataset", "algorithm"),
    [
        (CLUSTERS, "annb-exact"),
        ("synthetic-uniform-900-12-angular", "annb-exact"),
        ("synthetic-bits-900-64-hamming", "annb-exact"),
        pytest.param("synthetic-sets-900-60-jaccard", "annb-exact", marks=pytest.mark.slow),
        (CLUSTERS, "annb-prepared"),
    ],
)
def test_every_metric_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, algorithm: str) -> None:
    """Exact plug-ins of theirs are planned, checked, measured, ended and filed with recall 1 under each metric."""
    monkeypatch.setenv("ANNBENCH_TEST_ENDED", str(tmp_path / "ended"))
    table = harness.run(
        "smoke", dataset=dataset, algorithm=[algorithm], group="quick", ann_benchmarks=[PLUGINS],
        data=tmp_path / "data", results=tmp_path / "results", **FAST,
    )  # fmt: skip
    mine = table[table["algorithm"] == algorithm]
    assert len(mine) == {"annb-exact": 1, "annb-prepared": 4}[algorithm]
    assert (mine["recall"] == 1.0).all()
    assert (tmp_path / "ended").exists() is (algorithm == "annb-prepared")
    assert (mine["origin"] == "ann-benchmarks").all()


def test_a_run_on_the_command_line(annbench: Any, tmp_path: Path) -> None:
    """Without -a, all that are enabled run; parameters can be replaced; a breach is the report; it ends as any run."""

    def theirs(*arguments: str) -> str:
        status, out, err = annbench(*arguments, "--ann-benchmarks", str(PLUGINS))
        return f"{status} {out} {err}"

    said = theirs("list", "algorithms")
    assert "annb-absent" in said
    assert "not installed (no module named no_such_library)" in said
    run = ("run", "smoke", "-d", CLUSTERS, "--queries", "20", "--passes", "1", "--timeout", "1m")
    said = theirs(*run)
    assert "left out annb-absent: not installed (no module named no_such_library)" in said
    assert "left out annb-cells-broken: disabled in its config; to run it all the same: -a annb-cells-broken" in said
    found = {(r.spec["algorithm"], r.name) for r in ResultStore(tmp_path / "results").results()}
    assert (
        "annb-cells-float",
        "annb-cells-float (count=4, dimension=12, method=k-means, rounds=1, visit=[1, 1])",
    ) in found
    assert {name for name, _ in found} == {"null", "annb-cells-float", "annb-exact", "annb-prepared"}
    given = ("--build", "count=20", "--build", "rounds=0", "--build", "dimension=dim", "--search", "visit=[[20, 1]]")
    said = theirs(*run, "-a", "annb-cells-float", *given)
    assert said.startswith("0 ")
    results = [r for r in ResultStore(tmp_path / "results").results() if r.spec["build"].get("count") == 20]
    assert [r.spec["search"] for r in results] == [{"visit": [20, 1]}]
    assert results[0].document.counters == {"distance_computations": 20 * 900}  # every row for every query
    assert results[0].document.processes[0].index_bytes == 900 * 12 * 4
    said = theirs(*run, "-a", "annb-cells-broken")
    assert "annb-cells-broken failed: not conforming (valid ids: query 0 got id 0 twice)" in " ".join(said.split())
    said = theirs("check", "annb-prepared")
    assert "annb-prepared under euclidean: keeps the contract" in said


needs_theirs = pytest.mark.skipif(not THEIRS, reason="ANN_BENCHMARKS doesn't name a folder ann_benchmarks/algorithms")


@needs_theirs
def test_all_configs_of_theirs_are_read() -> None:
    """Every folder of theirs is understood: what can't be used lacks a library, not a reader."""
    found = _entries(Path(THEIRS))
    assert len(found) > 60
    reasons = {entry.why_not() for entry in found.values()} - {""}
    assert all(why.startswith("not installed (no module named") for why in reasons)


@needs_theirs
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "annoy", "balltree-ball", "bruteforce", "bruteforce-blas", "bruteforce-bf", "ckdtree", "faiss-ivf",
        "faiss-ivfpqfs", "faiss-lsh", "faiss_hnsw-hnsw-faiss", "hnswlib", "kdtree-kd", "pynndescent", "scann",
    ],
)  # fmt: skip
def test_plugins_of_theirs_keep_the_contract(tmp_path: Path, name: str) -> None:
    """Their plug-ins, unmodified, pass the check under each metric that they claim."""
    entry = _entries(Path(THEIRS))[f"annb-{name}"]
    if entry.why_not():
        pytest.skip(entry.why_not())
    for metric in entry.config.metrics:
        if (name, metric) != ("ckdtree", Metric.ANGULAR):  # it normalises nothing
            assert [breach for found in verdicts(entry, metric, check_limits()) for breach in found.breaches] == []


_OLD_PLUGIN = """
from __future__ import absolute_import
import numpy as np
from ann_benchmarks.algorithms.base import BaseANN


class Old(BaseANN):
    def __init__(self, metric, size):
        self.name = "Old(%d)" % size

    def fit(self, X):
        self.X = X

    def set_query_arguments(self, ef):
        self.ef = ef

    def query(self, v, n):
        return np.argsort(((self.X - v) ** 2).sum(axis=1), kind="stable")[:n]
"""
_OLD_CONFIG = """
float:
  any:
    old:
      docker-tag: ann-benchmarks-old
      module: ann_benchmarks.algorithms.old
      constructor: Old
      base-args: ["@metric"]
      run-groups:
        base:
          args: [[1, 2]]
          query-args: [[10, 20]]
"""
_NEW_CONFIG = """
float:
  any:
  - {name: old, docker_tag: x, module: ann_benchmarks.algorithms.old, constructor: Old, base_args: ["@metric"],
     run_groups: {base: {args: [[1, 2]], query_args: [[10, 20]]}}}
"""


@pytest.mark.parametrize("layout", ["flat", "folders"])
def test_plugins_from_before_2023_run(tmp_path: Path, layout: str) -> None:
    """The base class of old is found where it was, in a file beside `algos.yaml` or in a folder of the new layout."""
    root = tmp_path / "ann_benchmarks" / "algorithms"
    file = root / "old.py" if layout == "flat" else root / "old" / "module.py"
    file.parent.mkdir(parents=True)
    file.write_text(_OLD_PLUGIN)
    config = tmp_path / "algos.yaml" if layout == "flat" else file.parent / "config.yml"
    config.write_text(_OLD_CONFIG if layout == "flat" else _NEW_CONFIG)
    (entry,) = plugin_entries(root)
    assert entry.name == "annb-old"
    assert entry.why_not() == ""
    (grid, *_) = entry.config.groups["default"]
    assert (grid.build, grid.search) == ([{"size": 1}, {"size": 2}], [{"ef": 10}, {"ef": 20}])
    before = entry.source_hash()
    found = list(verdicts(entry, "euclidean", check_limits()))
    assert [verdict for verdict in found if verdict.promised and not verdict.kept] == []
    if layout == "flat":
        assert [one.name for path in (tmp_path, config) for one in plugin_entries(path)] == ["annb-old", "annb-old"]
    file.write_text(_OLD_PLUGIN + "# changed\n")
    assert entry.source_hash() != before

"""From suites and grids to specs, less what is done."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.errors import ConfigError, UnknownNameError
from harness.data.dataset import Header
from harness.data.metric import Metric
from harness.engines.registry import load_registry
from harness.plan.expand import Settings, builds_of, check_names, chosen, expand_suite, on_half
from harness.plan.grid import expand
from harness.plan.suites import Suite, find_suite, load_suites, read_suites
from harness.store.results import ResultStore

DATA = {"n": 10_000, "dim": 32, "k": 10}
HEADER = Header("some-32-euclidean", Metric.EUCLIDEAN, 10_000, 500, 100, 32, "0" * 64)


def _suite(**fields: Any) -> Suite:
    return Suite.model_validate(fields)


def test_a_grid_is_a_product():
    """Lists multiply, scalars stay, expressions are computed."""
    found = [dict(params) for params in expand({"M": [8, 16], "ef": 40, "lists": "sqrt(n)"}, DATA)]
    assert found == [{"M": 8, "ef": 40, "lists": 100}, {"M": 16, "ef": 40, "lists": 100}]


def test_a_list_of_grids_is_a_union_without_repeats():
    """Zipped pairs are written as a list of grids; what two of them share is measured once."""
    found = expand([{"a": 1, "b": 2}, {"a": [1, 3], "b": 2}], DATA)
    assert [dict(p) for p in found] == [{"a": 1, "b": 2}, {"a": 3, "b": 2}]


def test_an_empty_grid_is_one_setting():
    """An algorithm without parameters has one setting."""
    assert expand({}, DATA) == [()]


def test_suites_that_come_along_name_what_exists():
    """Every suite's algorithms are known."""
    registry = load_registry()
    for suite in load_suites().values():
        assert chosen(registry, suite.algorithms)


def test_unknown_names_suggest():
    """A slip in a suite's or an algorithm's name is answered by the nearest."""
    with pytest.raises(UnknownNameError, match="did you mean quick"):
        find_suite("quik")
    with pytest.raises(UnknownNameError, match="did you mean hnswlib"):
        chosen(load_registry(), ["hnswlb"])


def test_a_bad_suite_names_file_key_and_value(tmp_path):
    """An error in a suite says where it is."""
    path = tmp_path / "mine.yml"
    path.write_text("mine: {datasets: [digits-64-euclidean], passes: 0}")
    with pytest.raises(ConfigError, match=r"mine.yml: mine: passes: .*given: 0"):
        read_suites(path)


def test_a_suite_may_have_grids_of_its_own(tmp_path):
    """A grid under an algorithm's name stands for its group, others keep theirs, and unknown names are refused."""
    registry, store = load_registry(), ResultStore(tmp_path)
    grids = {"brute_force": {}, "hnswlib": {"build": {"M": [4, 5]}, "search": {"ef": [10, 20, 30]}}}
    suite = _suite(datasets=(HEADER.name,), grids=grids, group="quick")
    plan = expand_suite(suite, HEADER, chosen(registry, ["hnswlib", "annoy"]), Settings(), store)
    found = {(b.algorithm, dict(b.params).get("M"), len(b.searches)) for b in plan.builds}
    assert {("hnswlib", 4, 3), ("hnswlib", 5, 3)} <= found
    (group,) = registry["annoy"].config.groups["quick"]
    assert [len(b.searches) for b in plan.builds if b.algorithm == "annoy"] == [len(expand(group.search, {}))]
    with pytest.raises(UnknownNameError, match="did you mean hnswlib"):
        check_names(_suite(datasets=(HEADER.name,), grids={"hnswlb": {}}), registry)


@pytest.mark.parametrize(
    ("there", "asked", "even", "odd"), [(101, 1000, 51, 50), (100, 1000, 50, 50), (101, 51, 51, 50), (101, 20, 20, 20)]
)
def test_halves_have_the_queries_that_there_are(there, asked, even, odd):
    """Of an odd number the first half has one more, and a build that goes over to the second asks one less."""
    header, entry = HEADER._replace(queries=there), load_registry()["hnswlib"]
    suite = _suite(datasets=(header.name,), group="quick", queries=asked)
    build = builds_of(suite, header, entry, Settings(half="even"))[0]
    other = on_half(build, header, "odd")
    assert (build.queries, other.queries, other.half) == (even, odd, "odd")
    assert on_half(build, header, None).queries == even


def test_one_query_has_no_halves():
    """An empty half is refused before anything is built."""
    header, entry = HEADER._replace(queries=1), load_registry()["hnswlib"]
    with pytest.raises(ConfigError, match=r"some-32-euclidean has 1 query.*without --holdout"):
        builds_of(_suite(datasets=(header.name,), group="quick"), header, entry, Settings(half="even"))


def test_from_scratch_and_core_are_parts_of_all():
    """The words choose what they say; the floor is always there, first."""
    registry = load_registry()
    names = {word: [e.name for e in chosen(registry, [word])] for word in ("all", "core", "from-scratch")}
    assert names["all"][0] == names["core"][0] == names["from-scratch"][0] == "null"
    assert set(names["from-scratch"]) < set(names["core"]) <= set(names["all"])
    assert "brute_force" in names["from-scratch"]
    assert "hnswlib" in names["core"]
    assert "usearch" not in names["core"]


def plan(tmp_path, *algorithms, header=HEADER, **fields):
    """Expand a suite over a header."""
    suite = _suite(datasets=(header.name,), algorithms=algorithms, group="quick", **fields)
    entries = chosen(load_registry(), algorithms)
    return expand_suite(suite, header, entries, Settings(machine="m"), ResultStore(tmp_path))


def test_more_neighbours_than_the_truth_holds_is_an_error(tmp_path):
    """K beyond the ground truth names both and the way out."""
    with pytest.raises(ConfigError, match=r"k = 101.*100 true neighbours.*prepare"):
        plan(tmp_path, "brute_force", k=101)


def test_what_does_not_know_the_metric_is_left_out_with_the_reason(tmp_path):
    """A plug-in that can't serve a dataset's metric is named with what it knows."""
    found = plan(tmp_path, "hnswlib", "brute_force", header=HEADER._replace(metric=Metric.JACCARD))
    assert found.skipped == {"hnswlib": "knows euclidean, angular, ip, not jaccard"}
    assert [b.algorithm for b in found.builds] == ["null", "brute_force"]


def test_queries_are_a_prefix_no_longer_than_the_test_set(tmp_path):
    """Asking for more queries than there are gives all."""
    assert {b.queries for b in plan(tmp_path, "brute_force", queries=10**6).builds} == {500}
    assert {b.queries for b in plan(tmp_path, "brute_force", queries=7).builds} == {7}


def test_threads_are_for_batches(tmp_path):
    """In single mode one thread searches, whatever is asked for."""
    suite = _suite(datasets=(HEADER.name,), algorithms=("brute_force",), group="quick")
    entries = chosen(load_registry(), suite.algorithms)
    for mode, threads in (("single", 1), ("batch", 2)):
        chosen_suite = suite.changed(mode=mode)
        found = expand_suite(chosen_suite, HEADER, entries, Settings(threads=2, machine="m"), ResultStore(tmp_path))
        assert {b.threads for b in found.builds} == {threads}

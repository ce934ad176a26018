"""Rounds: builds are measured in several processes far apart, and what is kept between them goes at the end."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from harness.analyse.measures import MEASURES
from harness.measure.rounds import SHELF, round_ends, shelf, shuffled

ROUNDS = {"passes": 3, "rounds": 2}


def builds(bench) -> list[str]:
    """Return the algorithms in the order in which their turns came."""
    return [content["spec"].algorithm for event, content in bench.events if event == "build"]


def results(bench, algorithm):
    """Return the results of an algorithm."""
    return [one for one in bench.store.results() if one.spec["algorithm"] == algorithm]


@pytest.mark.parametrize(
    ("passes", "rounds", "ends"),
    [(7, 2, [4, 7]), (1, 2, [1]), (2, 2, [1, 2]), (7, 1, [7]), (7, 3, [3, 5, 7]), (3, 9, [1, 2, 3])],
)
def test_passes_are_spread_over_rounds(passes, rounds, ends):
    """Each round has a share of the passes, the first ones one more where they don't divide; never an empty one."""
    assert round_ends(passes, rounds) == ends


def test_rounds_have_orders_of_their_own():
    """The order is decided by seed and round alone, and differs between them."""
    assert shuffled(20, 0, 0) == shuffled(20, 0, 0)
    assert sorted(shuffled(20, 0, 1)) == list(range(20))
    assert len({tuple(shuffled(20, seed, number)) for seed in range(3) for number in range(3)}) == 9


def test_builds_come_in_rounds_and_in_other_processes(bench):
    """Each build has its turn before any has a second; an index that can be saved is then loaded, others built again.

    Times of building and saving are those of the process that did so, and nothing saved stays on the disk.
    """
    bench.run("exact", "saves", **ROUNDS)
    order = builds(bench)
    assert set(order[:2]) == set(order[2:4]) == {"exact", "saves"}
    for result in results(bench, "saves"):
        first, second, *_ = result.document.processes
        assert first.build_seconds > 0
        assert first.loaded_seconds is None
        assert first.saved_bytes > 0
        assert second.loaded_seconds > 0
        assert second.build_seconds is None
        assert first.pid != second.pid
        assert result.pass_process[:3].tolist() == [0, 0, 1]
        assert MEASURES["build_seconds"](result) == first.build_seconds
    for result in results(bench, "exact"):
        assert all(one.build_seconds is not None for one in result.document.processes[:2])
        assert result.pass_process[:3].tolist() == [0, 0, 1]
    assert not (bench.folder / "results" / SHELF).exists()


@pytest.mark.parametrize("name", [pytest.param("loads-nothing", marks=pytest.mark.slow), "crashes-at-loading"])
def test_what_cannot_be_loaded_is_built_again(bench, name):
    """An index whose load raises, or ends the process, costs a build and no figure."""
    summary = bench.run(name, **ROUNDS)
    assert (summary.measured, summary.failed) == (1, 0)
    (result,) = results(bench, name)
    assert all(one.loaded_seconds is None for one in result.document.processes)
    assert set(result.pass_process[:3]) == {0, 1}
    assert any("built again" in str(content.get("text")) for event, content in bench.events if event == "note")


def test_what_an_earlier_run_measured_counts(bench):
    """A run that goes on makes only the passes that are missing, and skips rounds that have none."""
    bench.run("exact", passes=2, rounds=1)
    done = {one.path: one.passes for one in results(bench, "exact")}
    bench.run("exact", passes=3, rounds=2)
    made = [content for event, content in bench.events if event == "pass"]
    for result in results(bench, "exact"):
        assert result.latencies_ns.shape[0] > 0
        assert result.passes >= 3
    after = sum(one.passes for one in results(bench, "exact"))
    assert len(made) == after - sum(done.values())
    assert bench.run("exact", passes=3, rounds=2).measured == 0


@pytest.mark.slow
def test_force_measures_all_rounds_anew(bench):
    """With --force old passes go, and those of both rounds stay."""
    bench.run("saves", **ROUNDS)
    old = {one.document.processes[0].pid for one in results(bench, "saves")}
    bench.run("saves", force=True, **ROUNDS)
    for result in results(bench, "saves"):
        assert old.isdisjoint(one.pid for one in result.document.processes)
        assert set(result.pass_process[:3]) == {0, 1}


def test_a_setting_that_fails_is_left_out_of_later_rounds(bench):
    """A setting that crashes does so once; the others have all their passes."""
    summary = bench.run("segfault-in-search", **ROUNDS)
    assert (summary.measured, summary.failed) == (2, 1)
    assert bench.reasons("segfault-in-search") == {2: "crashed (SIGSEGV)"}
    failures = [content["search"] for event, content in bench.events if event == "search-failed"]
    assert failures == [1]
    assert all(one.passes >= 3 for one in results(bench, "segfault-in-search"))


def test_what_a_killed_run_left_is_removed(bench):
    """Saved indexes of a run that was killed don't stay on the disk."""
    left = bench.folder / "results" / SHELF / "0"
    left.mkdir(parents=True)
    (left / "index").write_bytes(b"x" * 1000)
    with shelf(bench.folder / "results") as folder:
        assert folder == left.parent
        assert not list(folder.iterdir())
    assert not left.parent.exists()


def _drift() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "drift.py"
    spec = importlib.util.spec_from_file_location("drift_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["core", "cache"])
def test_equals_have_no_winner_in_a_run_that_drifts(kind):
    """One index under two names, and a busy neighbour in the first half: of 3 runs at most one names a winner."""
    if shutil.which("taskset") is None:
        pytest.skip("needs a system that pins processes")
    module = _drift()
    module.prepare("digits-64-euclidean", folder=module.data_folder(), progress=False)
    named = [module.once(kind, "digits-64-euclidean", seed=seed)["named"] for seed in range(3)]
    assert sum(named) <= 1

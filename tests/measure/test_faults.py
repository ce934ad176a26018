"""Plug-ins that really crash, hang, lie and eat memory: what others measured must not suffer."""

from __future__ import annotations

import shutil

import numpy as np
import psutil
import pytest

from harness.core.errors import StoreError


def descendants() -> list[psutil.Process]:
    """Return the processes that this one has started and that still run."""
    return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(autouse=True)
def no_orphans():
    """Check after each test that no child process is left."""
    before = {p.pid for p in descendants()}
    yield
    assert {p.pid for p in descendants()} <= before


def test_a_good_plugin_is_measured(bench):
    """A correct exact plug-in gets recall 1, the passes asked for, and nothing failed."""
    summary = bench.run("exact", floor=True)
    assert (summary.measured, summary.failed) == (4, 0)  # three settings, and the floor
    for result in bench.store.results():
        if result.spec["algorithm"] == "exact":
            assert (result.arrays["distances"] <= result.arrays["kth_distance"][:, None] + 1e-9).all()
            assert result.passes >= 2
            assert result.latencies_ns.shape == (len(result.repetition_pass), 20)
            assert (result.latencies_ns > 0).all()


def test_a_second_run_measures_nothing(bench):
    """What is done is skipped, and files are not touched."""
    bench.run("exact")
    before = {p: p.stat().st_mtime_ns for p in bench.store.paths()}
    summary = bench.run("exact")
    assert (summary.measured, summary.done) == (0, 3)
    assert {p: p.stat().st_mtime_ns for p in bench.store.paths()} == before


def test_more_passes_are_added_to_those_there(bench):
    """Asking for more passes keeps the old ones and records the second process."""
    bench.run("exact", passes=1)
    first = {r.path: r.latencies_ns for r in bench.store.results()}
    bench.run("exact", passes=4)
    for result in bench.store.results():
        assert result.enough(4)
        np.testing.assert_array_equal(result.latencies_ns[: len(first[result.path])], first[result.path])
        assert len(result.document.processes) == 2
        assert set(result.pass_process) == {0, 1}


def test_segfault_in_fit(bench):
    """A crash while building is a failure of the build, by the signal's name."""
    bench.run("segfault-in-fit")
    assert bench.reasons("segfault-in-fit") == {None: "crashed (SIGSEGV)"}
    assert bench.settings("segfault-in-fit") == []


def test_segfault_in_one_setting(bench):
    """A crash in one setting costs that setting only: the others are measured by a second child."""
    summary = bench.run("segfault-in-search")
    assert bench.reasons("segfault-in-search") == {2: "crashed (SIGSEGV)"}
    assert bench.settings("segfault-in-search") == [1, 3]
    assert summary.failed == 1


def test_exit(bench):
    """A plug-in that ends the process is told from one that crashed."""
    bench.run("exits")
    assert bench.reasons("exits") == {None: "exited (code 0) before it was done"}


def test_hang_in_fit(bench):
    """A build beyond the time limit is ended, and recorded with the limit."""
    bench.run("hangs", timeout=3.0)
    assert bench.reasons("hangs") == {None: "timeout (3 s)"}


def test_hang_in_one_setting(bench):
    """A hang in one setting leaves the others."""
    bench.run("hangs-in-search", timeout=3.0)
    assert bench.reasons("hangs-in-search") == {2: "timeout (3 s)"}
    assert bench.settings("hangs-in-search") == [1, 3]


def test_memory_limit(bench):
    """A build that eats memory is ended near the limit."""
    bench.run("eats-memory", memory=700 << 20)
    (reason,) = bench.reasons("eats-memory").values()
    assert reason.startswith("out of memory (0.")
    assert reason.endswith("of 0.68 GiB)")


def test_raise_in_fit(bench):
    """What fit raises is told in one line, with the traceback kept."""
    bench.run("raises-in-fit")
    (failure,) = [f for f in bench.store.failures() if f.spec["algorithm"] == "raises-in-fit"]
    assert failure.reason == "failed (fit raised RuntimeError: no luck today)"
    assert "Traceback" in failure.detail
    assert failure.stage == "fit"


def test_raise_in_one_setting(bench):
    """What a search raises costs its own setting only."""
    bench.run("raises-in-search")
    assert bench.reasons("raises-in-search") == {2: "failed (search raised ValueError: setting 2 is beyond me)"}
    assert bench.settings("raises-in-search") == [1, 3]


@pytest.mark.parametrize(
    ("name", "telling"),
    [("wrong-shape", "shape"), ("duplicate-ids", "twice"), ("changes-input", "changed the vectors")],
)
def test_breaches_are_found_before_timing(bench, name, telling):
    """A plug-in that breaks the contract is not timed, and the report can say why."""
    bench.run(name)
    (reason,) = bench.reasons(name).values()
    assert reason.startswith("not conforming (")
    assert telling in reason
    assert bench.settings(name) == []


def test_duplicates_on_real_data_only(bench):
    """Answers are checked while measuring, too."""
    bench.run("duplicates-later")
    (reason,) = bench.reasons("duplicates-later").values()
    assert "twice" in reason
    assert bench.settings("duplicates-later") == [1, 2]


def test_input_changed_on_real_data_only(bench):
    """A fit that writes to the vectors spoils every figure, so none is kept."""
    bench.run("changes-input-later")
    assert "changed the vectors" in bench.reasons("changes-input-later")[None]
    assert bench.settings("changes-input-later") == []


def test_more_threads_than_allowed_are_reported(bench):
    """A second thread in single mode is noted in the result."""
    bench.run("greedy")
    notes = {
        r.spec["search"]["setting"]: " ".join(r.document.notes)
        for r in bench.store.results()
        if r.spec["algorithm"] == "greedy"
    }
    assert "threads in single mode" in notes[2]
    assert "threads" not in notes[1] + notes[3]


def test_a_process_left_behind_is_ended(bench):
    """A plug-in's own child does not keep the run waiting, and does not outlive it."""
    bench.run("leaves-a-child")
    assert bench.reasons("leaves-a-child") == {None: "exited (code 3) before it was done"}


def test_missing_library(bench):
    """A plug-in whose library is missing is left out with the reason; the rest goes on."""
    summary = bench.run("exact", "missing-library")
    assert "no-such-distribution not installed" in summary.skipped["missing-library"]
    assert summary.measured == 3


def test_changed_source_is_measured_anew(bench):
    """An edited plug-in is another plug-in: its old results stay, and new ones are made."""
    shutil.copytree(bench.plugins[0], bench.folder / "faulty")
    bench.plugins = (bench.folder / "faulty",)
    bench.run("exact", passes=1, floor=True)
    source = bench.folder / "faulty" / "__init__.py"
    source.write_text(source.read_text() + "\n# edited\n")
    summary = bench.run("exact", passes=1, floor=True)
    assert (summary.measured, summary.done) == (3, 1)  # the floor is as it was
    assert bench.settings("exact") == [1, 1, 2, 2, 3, 3]


def test_failures_are_not_tried_again_unless_forced(bench):
    """A failure is a result: a second run reports it, and --force tries again."""
    bench.run("raises-in-fit", passes=1)
    assert bench.run("raises-in-fit", passes=1).failed_before == 3
    assert bench.run("raises-in-fit", passes=1, force=True).failed == 3


def test_a_thread_left_running_does_not_hold_up_the_run(bench):
    """When all is measured the child is ended, whatever its plug-in still has running."""
    summary = bench.run("leaves-a-thread", passes=1, timeout=60.0)
    assert summary.failed == 0
    assert bench.settings("leaves-a-thread") == [1, 2, 3]


def test_a_detached_process_is_ended(bench, monkeypatch):
    """A process that a plug-in starts in a session of its own doesn't outlive the build."""
    monkeypatch.setenv("ANNBENCH_TEST_NOTES", str(bench.folder))
    bench.run("detaches", passes=1)
    assert bench.settings("detaches") == [1, 2, 3]
    note = bench.folder / "detached.pid"
    pids = [int(line) for line in note.read_text().split()]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_raised_limit_tries_again(bench):
    """A failure at a limit is tried again under a larger one, and not under the same."""
    bench.run("sleeps-in-fit", passes=1, timeout=0.8)
    assert bench.reasons("sleeps-in-fit") == {None: "timeout (0.8 s)"}
    assert bench.run("sleeps-in-fit", passes=1, timeout=0.8).failed_before == 3
    assert bench.run("sleeps-in-fit", passes=1, timeout=30.0).measured == 3
    assert bench.reasons("sleeps-in-fit") == {}


def test_a_longer_bound_measures_all_queries(bench):
    """What was cut short to fewer queries is not called done under a longer bound."""
    bench.run("slow", passes=1, pass_seconds=0.1)
    bench.run("slow", passes=1, pass_seconds=5.0)
    (result,) = [r for r in bench.store.results() if r.spec["algorithm"] == "slow"]
    assert result.queries == 20
    assert len(result.document.processes) == 1


def test_force_keeps_the_old_result_until_there_is_a_new_one(bench):
    """A forced run that fails leaves what was measured before."""
    bench.run("exact", passes=1)
    before = {r.path: r.latencies_ns for r in bench.store.results()}
    bench.run("exact", passes=1, force=True, timeout=0.001)
    assert {r.path for r in bench.store.results()} == set(before)
    bench.run("exact", passes=1, force=True)
    for result in bench.store.results():
        assert len(result.document.processes) == 1
        assert (
            result.latencies_ns.shape != before[result.path].shape or (result.latencies_ns != before[result.path]).any()
        )


def test_one_run_at_a_time(bench):
    """A second run on the same results is refused while the first one goes on."""

    def second(event, content):
        if event == "built" and not tried:
            tried.append(1)
            with pytest.raises(StoreError, match="by another process"):
                type(bench)(bench.folder).run("exact")

    tried: list[int] = []
    bench.run("exact", passes=1, listener=second)
    assert tried


def test_a_crash_while_saving_costs_no_figure(bench):
    """Saving comes last: the figures are whole, the crash is told, and the setting is not called failed."""
    summary = bench.run("crashes-in-save", passes=1)
    assert (summary.measured, summary.failed) == (3, 0)
    assert bench.settings("crashes-in-save") == [1, 2, 3]
    notes = [content["text"] for event, content in bench.events if event == "note"]
    assert notes == ["crashes-in-save: crashed (SIGSEGV) while saving; its figures are whole"]
    assert bench.run("crashes-in-save", passes=1).done == 3

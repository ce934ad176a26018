"""What an interruption may cost: nothing that was measured, and never half a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from harness.store.envelope import read_result

RUN = textwrap.dedent(
    """
    import sys, pathlib
    sys.path.insert(0, sys.argv[2])
    from support.bench import Bench
    bench = Bench(pathlib.Path(sys.argv[1]))
    bench.run("exact", passes=6, least_pass_seconds=0.2)
    """
)


def start(bench) -> subprocess.Popen:
    """Start a run in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", RUN, str(bench.folder), str(Path(__file__).parents[1])])


def wait_for(condition, seconds=60.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def latencies(bench) -> dict[Path, np.ndarray]:
    """Return the latencies of all results, each file being whole."""
    return {path: read_result(path).latencies_ns for path in bench.store.paths()}


def is_gone(process: psutil.Process) -> bool:
    """Say whether a process has ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_killed_parent_loses_nothing(bench, how):
    """After a kill in the middle: no orphan, no half file, and the next run measures just what is missing."""
    parent = start(bench)
    wait_for(lambda: any("exact" in str(p) for p in bench.store.paths()))
    children = psutil.Process(parent.pid).children(recursive=True)
    os.kill(parent.pid, how)
    parent.wait()
    wait_for(lambda: all(is_gone(child) for child in children), 5)
    before = latencies(bench)
    assert any(len(rows) for rows in before.values())
    bench.run("exact", passes=6, least_pass_seconds=0.2)
    after = latencies(bench)
    for path, rows in before.items():
        np.testing.assert_array_equal(after[path][: len(rows)], rows)
    for path in after:
        result = read_result(path)
        assert result.enough(6)
        assert result.passes <= 9  # the allowance: nothing was measured twice
    assert not list(bench.folder.rglob("*.tmp"))


def test_killed_child_is_a_crash_and_the_rest_goes_on(bench):
    """A child that something else kills is a failure of the setting that it was at, and of no other."""
    killed = []

    def kill(event, content):
        if event == "pass" and content["search"] == 1 and not killed:
            # Others may be there: those of libraries that an earlier test used.
            (child,) = (one for one in psutil.Process().children() if "harness.measure.worker" in one.cmdline())
            killed.append(child.pid)
            child.kill()

    bench.run("exact", listener=kill)
    reasons = bench.reasons("exact")
    assert len(reasons) == 1
    assert next(iter(reasons.values())) == "crashed (SIGKILL)"
    assert {*bench.settings("exact"), *reasons} == {1, 2, 3}


def test_full_disk(bench):
    """A disk without room gives one clear line, leaves old results whole, and the run goes on when there is room."""
    bench.run("exact", passes=1)
    before = latencies(bench)
    script = RUN.replace(
        "from support", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\nfrom support"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(bench.folder), str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "could not be written" in done.stderr
    assert "StoreError" in done.stderr
    after = latencies(bench)
    assert after.keys() == before.keys()
    for path, rows in before.items():
        np.testing.assert_array_equal(after[path], rows)
    assert not list(bench.folder.rglob("*.tmp"))
    bench.run("exact", passes=3)
    assert all(read_result(path).enough(3) for path in bench.store.paths())


def test_foreign_groups_in_a_result_are_left_alone(bench):
    """Other tools add groups to a result; more passes can still be added."""
    bench.run("exact", passes=1)
    for path in bench.store.paths():
        with h5py.File(path, "r+") as file:
            file.create_group("metrics")
    bench.run("exact", passes=2)
    assert all(read_result(path).passes >= 2 for path in bench.store.paths())

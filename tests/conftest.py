"""Settings of all tests, and the fixtures of several folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Interpreted kernels are a hundred times slower, and the compiled ones meet all examples.
settings.register_profile("interpreted", max_examples=15, deadline=None)
if os.environ.get("NUMBA_DISABLE_JIT") == "1":
    settings.load_profile("interpreted")

# Two tests at a time share the cores: OpenMP threads that spin while they wait would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# numba counts the cores when it is first imported, which may be by a test that is held to one.
os.environ.setdefault("NUMBA_NUM_THREADS", str(os.cpu_count() or 1))

# Folders of tests that start children: these are timed on the last core that a process may use, so that two tests at a
# time would share one core and leave the other idle.
_START_CHILDREN = {"choosing", "cli", "compare", "docs", "interop", "measure", "studies", "testing"}


@pytest.fixture(autouse=True)
def _core_of_its_own(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold a test that starts children to one core, another one in each of pytest-xdist's workers."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    folder = Path(request.fspath).relative_to(Path(__file__).parent).parts[0]
    several = request.node.get_closest_marker("several_cores") is not None
    if not worker or several or folder not in _START_CHILDREN or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[int(worker.removeprefix("gw")) % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


Annbench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def annbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Annbench:
    """Return a function that runs `annbench` in a folder of the test's own: (exit status, stdout, stderr)."""
    from harness.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANNBENCH_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["annbench", *arguments])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        found = capsys.readouterr()
        return status, found.out, found.err

    return run

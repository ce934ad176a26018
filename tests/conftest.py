"""Settings of all tests, and the fixtures that several folders of them share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

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


def _load(path: Path) -> ModuleType:
    """Load a file of what several tests share: tests are no package, so it has no import path."""
    spec = importlib.util.spec_from_file_location(f"annbench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def factory() -> ModuleType:
    """Load `tests/report/factory.py`, which makes results."""
    return _load(Path(__file__).parent / "report" / "factory.py")


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """Load `tests/embedding/toy.py`, which makes small models and a task that they can learn."""
    return _load(Path(__file__).parent / "embedding" / "toy.py")


@pytest.fixture(scope="session")
def browser_tool() -> ModuleType:
    """Load `tests/report/browser.py`, which starts a headless browser."""
    return _load(Path(__file__).parent / "report" / "browser.py")


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

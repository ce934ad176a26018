"""Whose failure is whose: a setting's, a build's, annbench's own, the system's; and how long a record of it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.core.errors import refused_by_system
from harness.store.failures import FAILURE_SUFFIX, Failure

PLUGIN = """
import needed_by_the_plugin

from faulty import Exact


class Needy(Exact):
    pass
"""
CONFIG = """
needy:
  constructor: needy:Needy
  origin: library
  metrics: [euclidean]
  groups: {quick: {}}
"""


def only(name, *settings):
    """Return the grids of a plug-in that has these settings alone."""
    return {name: [{"build": {}, "search": {"setting": list(settings)}}]}


def test_a_build_survives_that_all_its_settings_failed(bench):
    """Where every setting fails only they are filed, also by older versions, and the next setting is measured."""
    grids = only("raises-in-search", 2)
    assert bench.run("raises-in-search", grids=grids).failed == 1
    (failure,) = bench.store.failures()
    assert failure.spec["search"] == {"setting": 2}
    (build,) = [content["spec"] for event, content in bench.events if event == "build"]
    before = replace(failure, spec=build.identity(None), stage="search")
    bench.store.write_failure(bench.store.path(build.folder, build.stem(None), FAILURE_SUFFIX), before)
    summary = bench.run("raises-in-search", grids=only("raises-in-search", 2, 3))
    assert (summary.measured, summary.failed_before) == (1, 1)


def test_a_fault_of_annbench_is_filed_under_nobody(bench):
    """What goes wrong in annbench's own code in the child is told with its place, and no plug-in is blamed."""
    assert bench.run("tampers").failed == 3
    assert bench.reasons("tampers") == {}
    (reason,) = [content["reason"] for event, content in bench.events if event == "build-failed"]
    assert reason.startswith("a fault in annbench itself, at harness/measure/worker.py:")
    assert reason.endswith("; nothing is recorded of tampers, and the next run tries again")


def test_limits_of_a_check_and_changed_data_are_no_fault_of_the_index(bench):
    """A check that took too long is made again under a larger limit; data that are gone say nothing of an index."""
    assert bench.run("exact", timeout=0.001).failed == 3
    assert "timeout" in bench.reasons("exact")[None]
    (record,) = bench.store.failures()
    record.path.unlink()

    def vanish(event, content):
        if event == "build":
            (bench.folder / "datasets" / "small-8-euclidean.hdf5").unlink()

    assert bench.run("exact", listener=vanish).failed == 3
    assert bench.reasons("exact") == {}


def test_a_full_disk_is_filed_under_nobody(bench):
    """Where the system refuses a plug-in something, that is told, and the next run tries again."""
    names = [f"fills-the-disk-in-{where}" for where in ("fit", "search", "a-check")]
    grids = {name: grid for name in names for name, grid in only(name, 1).items()}
    assert bench.run(*names, grids=grids).failed == 3
    assert list(bench.store.failures()) == []
    said = [c.get("reason", c.get("message")) for event, c in bench.events if event.endswith("-failed")]
    assert ["No space left on device" in text for text in said] == [True] * 3


def test_a_plugin_that_can_be_imported_by_now_is_measured(bench, monkeypatch):
    """A library that was missing, and that the config doesn't name, is all that was in the way."""
    folder, libraries = bench.folder / "needy", bench.folder / "libraries"
    folder.mkdir()
    libraries.mkdir()
    (folder / "__init__.py").write_text(PLUGIN)
    (folder / "config.yml").write_text(CONFIG)
    bench.plugins = (*bench.plugins, folder)
    monkeypatch.setenv("PYTHONPATH", f"{libraries}:{bench.plugins[0].parent}")
    bench.run("needy", passes=1)
    assert "needed_by_the_plugin" in bench.reasons("needy")[None]
    (libraries / "needed_by_the_plugin.py").touch()
    assert bench.run("needy", passes=1).measured == 1
    assert bench.reasons("needy") == {}


@pytest.mark.parametrize(
    ("stage", "search", "lasts"),
    [
        ("load", None, False),
        ("import", None, False),
        ("check", None, False),
        ("search", None, False),
        ("init", None, True),
        ("fit", None, True),
        ("search", {"ef": 1}, True),
    ],
)
def test_how_long_a_failure_lasts(stage, search, lasts):
    """A setting's failure lasts, and a build's where the index itself failed, not what came before or after it."""
    assert Failure({"search": search}, "timeout (1 s)", stage=stage).lasts == lasts


def test_refusals_of_the_system_are_told_from_errors():
    """An exception that came from a refusal is one; what a plug-in looks for and doesn't find is its own affair."""
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = OSError(28, "No space left on device")
    assert refused_by_system(wrapped)
    assert refused_by_system(RuntimeError("cannot cache function 'f': no locator available for file 'x.py'"))
    assert not refused_by_system(FileNotFoundError(2, "No such file or directory", "my-model.bin"))
    assert not refused_by_system(ValueError("setting 2 is beyond me"))

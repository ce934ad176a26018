"""`import harness`: the verbs are functions, whatever else was imported."""

from __future__ import annotations

import subprocess
import sys

import harness


def test_a_package_does_not_hide_the_verb_of_its_name() -> None:
    """`harness.report()` can be called after a module of the package `harness.report` was imported."""
    code = "import harness, harness.report.style; from harness import report; assert callable(report); "
    code += "assert callable(harness.report); assert harness.report.style.plain; report('/no/such/folder')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AnnbenchError" in done.stderr
    assert "not callable" not in done.stderr


def test_every_verb_is_there() -> None:
    """What `__all__` names can be used."""
    for name in harness.__all__:
        assert getattr(harness, name) is not None

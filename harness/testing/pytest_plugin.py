"""`pytest --annbench PLUGIN`: the rules of the contract as test items, in a plug-in author's own repository.

Every pytest run of an environment with annbench in it loads this module, so it imports nothing until it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("annbench").addoption(
        "--annbench",
        action="append",
        default=[],
        dest="annbench_plugins",
        metavar="PLUGIN",
        help="check that a plug-in of annbench keeps its contract: a folder with a config.yml, such a file, or the "
        "name of an installed algorithm; repeatable. Its items carry the mark `annbench`.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the rules for each plug-in that was named; without one, leave pytest as it is."""
    if named := config.getoption("annbench_plugins"):
        from harness.testing.collection import Conformance

        config.addinivalue_line("markers", "annbench: a rule of annbench's contract, checked on a plug-in")
        config.pluginmanager.register(Conformance(named), "annbench-conformance")

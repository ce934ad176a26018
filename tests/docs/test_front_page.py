"""The pages that a newcomer sees first say what is so: figures as measured, links that lead somewhere, one version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.core.version import __version__

ROOT = Path(__file__).resolve().parents[2]


def test_figures_of_the_readme_are_those_of_the_plots() -> None:
    """Each figure in the README's tables has an interval, and stands so in a table that a run wrote."""
    measured = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "plots").glob("*-*.md"))
    rows = re.findall(r"^\| [^|]+(?:\| [^|]*\d,\d{3}[^|]*)+\|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert len(rows) == 14
    for row in rows:
        for cell in row.strip("|").split("|")[1:]:
            assert f"| {cell.strip()} |" in measured
            assert cell.strip() == "not reached" or re.search(r"\(\S+ to \S+\)", cell)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_lead_to_files(page: str) -> None:
    """Each link to a file of the repository finds it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_the_citation_is_of_this_version() -> None:
    """What is cited is what is installed."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)

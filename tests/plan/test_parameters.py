"""What an algorithm takes, known before anything is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.api import suite_for
from harness.core.errors import AnnbenchError
from harness.engines.config import GroupConfig
from harness.engines.registry import Entry, load_registry, read_config
from harness.plan.expand import check_names
from harness.plan.parameters import check_grids, names, signature
from harness.plan.selection import grids_for
from harness.plan.suites import load_suites

REGISTRY = load_registry()
SOURCE = """
from harness.engines.contract import Algorithm

class Open(Algorithm):
    def __init__(self, metric, **anything): ...
    def searcher(self, *, threads=1, ef=10, kind=None, share: "float" = 0.5): ...

class Derived(Open):
    def __init__(self, metric, links, *, seed: int | None = None): ...
"""


def entry(folder: Path, name: str) -> Entry:
    """Return a plug-in of the class called `name`."""
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text(SOURCE)
    config = folder / "mine" / "config.yml"
    config.write_text(f"mine: {{constructor: 'mine:{name}', origin: library, metrics: [ip], groups: {{quick: {{}}}}}}")
    (found,) = read_config(config, plugin=config.parent)
    return found


def test_every_grid_of_ours_passes():
    """The grids of all configs and suites name parameters, and hold values, that the classes take."""
    for one in REGISTRY.values():
        for grids in one.config.groups.values():
            check_grids(one, grids)
        assert signature(one, "build") is not None, one.name
    for suite in load_suites().values():
        check_names(suite, REGISTRY)


@pytest.mark.parametrize(
    ("name", "build", "search", "message"),
    [
        ("hnswlib", None, "efs=10", "no search parameter of hnswlib is called 'efs'; did you mean ef?"),
        ("hnswlib", "m=16", None, "no build parameter of hnswlib is called 'm'.*M"),
        ("hnswlib", "M=16", "ef=10,20", r"'ef=10,20': a list is written ef=\[10, 20\]"),
        ("hnswlib", None, "M=16", "hnswlib: 'M' is a parameter of its build, not of its search"),
        ("hnswlib", None, "ef=ten", "hnswlib: ef is 'ten'; it takes a whole number, such as "),
        ("hnswlib", None, "ef=2.5", "hnswlib: ef is 2.5; it takes a whole number"),
        ("hnswlib", None, "ef=true", "hnswlib: ef is True; it takes a whole number"),
        ("hnswlib", None, "ef=[10, -20]", "hnswlib: ef is -20, below zero, such as "),
        ("hnsw", "rerank=5", None, "hnsw: rerank is 5; it takes true or false"),
        ("hnsw", "storage=4", None, "hnsw: storage is 4; it takes a word"),
        ("lsh", None, "reach=.nan", "lsh: reach is nan, which is no finite number"),
        ("faiss-lsh-codes", None, "k_factor=4", "no search parameter of faiss-lsh-codes is called 'k_factor'"),
    ],
)
def test_what_cannot_be_meant_is_refused(name, build, search, message):
    """A wrong name, kind, type or range is one line before anything is built, in which the right ones stand."""
    pairs = [None if text is None else [text] for text in (build, search)]
    with pytest.raises(AnnbenchError, match=message):
        grids_for([REGISTRY[name]], "quick", *pairs)


@pytest.mark.parametrize(
    ("name", "build", "search"),
    [
        ("hnswlib", "seed=7", "ef=[10, '4*k']"),
        ("hnsw", "n_components=auto", "upper_layers=false"),
        ("kd_tree", None, "max_leaves=[5, null]"),
        ("pynndescent", None, "epsilon=0"),
        ("svs-vamana", "alpha=1.2", ""),
    ],
)
def test_what_a_class_takes_is_taken(name, build, search):
    """Parameters that no grid shows, expressions, null and whole numbers for others are as good as any."""
    pairs = [None if text is None else [text] for text in (build, search)]
    assert grids_for([REGISTRY[name]], "quick", *pairs)


def test_grids_of_a_suite_are_checked():
    """A suite's own grids are held to the same."""
    suite = suite_for("smoke", algorithm="hnsw", grids={"hnsw": [{"search": {"efs": [10]}}]})
    with pytest.raises(AnnbenchError, match="no search parameter of hnsw is called 'efs'"):
        check_names(suite, REGISTRY)


def test_a_class_that_takes_anything_is_not_checked_by_name(tmp_path):
    """With `**kwargs` a source says nothing of names, and an annotation that isn't plain says nothing of types."""
    mine = entry(tmp_path, "Open")
    check_grids(mine, [GroupConfig(build={"whatever": "x"}, search={"ef": 20, "kind": "x", "share": "half"})])
    with pytest.raises(AnnbenchError, match=re.escape("ef is 'x'; it takes a whole number or a number")):
        check_grids(mine, [GroupConfig(search={"ef": ["x"]})])


def test_a_method_of_a_base_class_counts(tmp_path):
    """What a class doesn't define itself is that of its base."""
    mine = entry(tmp_path, "Derived")
    assert (names(mine, "build"), names(mine, "search")) == ({"links", "seed"}, {"ef", "kind", "share"})
    with pytest.raises(AnnbenchError, match="no build parameter of mine is called 'link'"):
        check_grids(mine, [GroupConfig(build={"link": 3})])

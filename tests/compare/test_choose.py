"""Which settings are compared at a recall, and that what chose them was measured in one minute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.compare.choose import Point, builds, enclosing, probe
from harness.compare.request import compare_suite
from harness.compare.sides import LiveSide, read_side
from harness.data.dataset import read_header
from harness.data.sources.prepare import prepare
from harness.engines.registry import load_registry
from harness.measure.session import Options, settings_for
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec, Provenance, SearchSpec

_PROVENANCE = Provenance(*("",) * len(Provenance._fields))


def points(*figures: tuple[float, float]) -> list[Point]:
    """Make settings of one build, `ef` counting them, of some recalls and QPS."""
    searches = tuple(SearchSpec((("ef", number),)) for number in range(len(figures)))
    build = BuildSpec(
        "made-up", "euclidean", "knn", (("k", 10),), "made-up", 1, 1, 100, "hnsw", (), _PROVENANCE, searches
    )
    return [Point(build, search, *one) for search, one in zip(searches, figures, strict=True)]


def chosen(found: Sequence[Point], target: float) -> set[int]:
    """Return the `ef` of what is compared at a recall."""
    return {int(dict(search.params)["ef"]) for search in enclosing(found, target).searches}


def test_the_two_that_enclose_a_recall() -> None:
    """The next one below and the next one above; at the ends, the last."""
    line = points((0.7, 900.0), (0.8, 700.0), (0.9, 500.0), (0.95, 300.0))
    assert chosen(line, 0.85) == {1, 2}
    assert chosen(line, 0.6) == {0}
    assert chosen(line, 0.99) == {3}


def test_a_setting_that_had_a_bad_moment_is_measured_too() -> None:
    """One between them that is a little slower than the next may not be: only far slower ones are passed by."""
    assert chosen(points((0.7, 900.0), (0.8, 480.0), (0.9, 500.0)), 0.75) == {0, 1, 2}
    assert chosen(points((0.7, 900.0), (0.8, 480.0), (0.9, 500.0)), 0.85) == {0, 1, 2}
    assert chosen(points((0.7, 900.0), (0.8, 300.0), (0.9, 500.0)), 0.75) == {0, 2}
    # Those below all that the frontier has: it would look as if every setting lay above the recall.
    assert chosen(points((0.34, 450.0), (0.5, 440.0), (0.67, 500.0)), 0.45) == {0, 1, 2}


@pytest.mark.slow
def test_a_new_setting_is_never_set_beside_older_speeds(tmp_path: Path) -> None:
    """With one more value in the grid all values are tried anew, in one child; without, nothing is."""
    prepare("digits-64-euclidean", folder=tmp_path / "data", progress=False)
    options = Options(tmp_path / "data", tmp_path / "results")
    suite = compare_suite("digits-64-euclidean", queries=20)
    store = ResultStore(options.results)

    def tried(side: str) -> dict[int, int]:
        """Return by `ef` the number of the child that tried it."""
        live = read_side(side, load_registry(), "quick")
        assert isinstance(live, LiveSide)
        found = builds(live, suite, read_header(options.data, suite.datasets[0]), settings_for(options, None))
        probe(live, found, suite, options, lambda *_: None)
        return {one.spec["search"]["ef"]: one.document.processes[-1].pid for one in store.results()}

    first = tried("hnswlib(M=4; ef=[10, 40])")
    assert first == tried("hnswlib(M=4; ef=[10, 40])")
    more = tried("hnswlib(M=4; ef=[10, 20, 40])")
    assert set(more) == {10, 20, 40}
    assert len(set(more.values())) == 1
    assert more[10] != first[10]

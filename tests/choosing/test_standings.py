"""Which engines go on from the sample, which are out, and what is said of those that weren't measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.choosing.candidates import Build, Candidate
from harness.choosing.journal import Journal, Tried
from harness.choosing.request import Wish
from harness.choosing.sample import sample_rows
from harness.choosing.standings import NO_TIME, Standings, hopeless, ranked
from harness.engines.registry import AlgorithmConfig, Entry
from harness.store.spec import BuildSpec, Provenance
from harness.tune.probe import Point

ROWS = 80_000
SAMPLE = sample_rows(ROWS)


def _candidate(name: str) -> Candidate:
    config = AlgorithmConfig(constructor="none:None", origin="library", metrics=("euclidean",), groups={"quick": {}})
    provenance = Provenance("", "", (), "", ())
    spec = BuildSpec(
        dataset="data",
        metric="euclidean",
        workload="knn",
        terms=(("k", 10),),
        folder="data/10",
        threads=1,
        build_threads=1,
        queries=100,
        algorithm=name,
        params=(),
        provenance=provenance,
    )
    return Candidate(Entry(name, config, Path(), Path()), "stamp", [Build(spec, [{}], [{}])])


def _tried(name: str, *figures: tuple[float, float], rows: int = SAMPLE, failure: str = "", size: int = 1) -> Tried:
    points = [Point({"ef": place}, *figure) for place, figure in enumerate(figures)]
    return Tried(name, {}, "stamp", points, failure=failure, index_bytes=size, rows=rows)


def _standings(*tried: Tried, names: str = "abcdefgh", memory: int | None = None) -> Standings:
    wish = Wish(0.9, 300.0, memory=memory)
    return Standings(Journal(Path(), list(tried)), [_candidate(name) for name in names], wish, ROWS)


def _names(candidates: list[Candidate]) -> str:
    return "".join(candidate.entry.name for candidate in candidates)


@pytest.mark.parametrize(
    ("figures", "out"),
    [
        ([], False),
        ([(0.95, 800.0)], False),  # a faster setting may still reach the recall
        ([(0.95, 40.0)], True),  # no setting is twenty times as fast
        ([(0.8, 800.0)], False),
        ([(0.8, 600.0)], True),  # whatever reaches the recall is slower than that
        ([(0.95, 500.0), (0.89, 600.0)], True),
        ([(0.95, 500.0), (0.89, 900.0)], False),
    ],
)
def test_what_is_hopeless(figures: list[tuple[float, float]], out: bool) -> None:
    """A build is out once its figures bound it below 70% of the best, or reach the recall at a twentieth of it."""
    best = _tried("best", (0.92, 1000.0))
    one = _tried("one", *figures)
    assert hopeless(one, [best, one], 0.9) is out
    assert not hopeless(best, [best, one], 0.9)


def test_builds_that_reach_the_recall_come_first() -> None:
    """Those that fall short come after them, by the QPS that bounds them; those without a figure aren't ranked."""
    tried = [_tried("a", (0.8, 9000.0)), _tried("b", (0.95, 10.0)), _tried("c"), _tried("d", (0.95, 20.0))]
    tried.append(_tried("e", (0.5, 9500.0), (0.7, 9200.0)))
    assert [one.algorithm for one in ranked(tried, 0.9)] == ["d", "b", "e", "a"]


def test_the_better_half_is_built_on_all_rows() -> None:
    """It comes first, then what wasn't sampled; the rest if time is left, failures last; the hopeless not at all."""
    qps = {"a": 100.0, "b": 1000.0, "c": 900.0, "d": 800.0, "e": 300.0, "f": 10.0, "g": 950.0}
    tried = [_tried(name, (0.95, figure)) for name, figure in qps.items()]
    standings = _standings(*tried, _tried("h", failure="h: crashed"), names="abcdefghi")
    first, later = standings.in_order()
    assert _names(first) == "bgcdi"
    assert _names(later) == "eah"


def test_without_a_sample_all_are_built() -> None:
    """The order of the candidates is kept; few engines aren't halved."""
    assert _names(_standings(names="cab").in_order()[0]) == "cab"
    few = _standings(*(_tried(name, (0.95, 1.0 + place)) for place, name in enumerate("abcd")), names="abcd")
    assert _names(few.in_order()[0]) == "dcba"


def test_what_was_not_tried_is_told_with_its_reason() -> None:
    """A failure, a limit, the sample or the time: each engine that has no figure on all rows is named with one."""
    standings = _standings(
        *(_tried(name, (0.95, figure)) for name, figure in (("a", 1000.0), ("b", 10.0), ("c", 900.0))),
        _tried("a", (0.95, 700.0), rows=0),
        _tried("d", failure="d: timeout (5 s) during fit"),
        _tried("e", (0.95, 800.0), rows=0, size=5000),
        names="abcdef",
        memory=1000,
    )
    assert standings.not_tried() == {
        "b": f"far behind on a sample of {SAMPLE:,} rows",
        "c": f"in the slower half on a sample of {SAMPLE:,} rows, and {NO_TIME}",
        "d": "timeout (5 s) during fit",
        "e": "its index is larger than --memory",
        "f": NO_TIME,
    }
    assert [one.algorithm for one in standings.tried()] == ["a"]


@pytest.mark.parametrize(("n", "rows"), [(500, 500), (10_000, 2_000), (80_000, 10_000), (10_000_000, 50_000)])
def test_the_size_of_the_sample(n: int, rows: int) -> None:
    """An eighth of the rows, within bounds, and never more than there are."""
    assert sample_rows(n) == rows

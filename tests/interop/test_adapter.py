"""An object of theirs driven as an algorithm of ours: every hook, and every liberty that its contract allows."""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import ParameterError, PluginError
from harness.data.metric import Metric, neighbour_distances
from harness.engines.adapters.ann_benchmarks.plugins import plugin_entries
from harness.engines.conformance import CHECKS, Subject, examine
from harness.engines.conformance.samples import sample
from harness.engines.contract import Algorithm, Sets, as_neighbors
from harness.engines.registry import Entry

PLUGINS = Path(__file__).parents[1] / "plugins" / "annb"


@pytest.fixture(autouse=True)
def _a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules of theirs before and after: a worker loads one plug-in only."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "ann_benchmarks"]:
            del sys.modules[name]

    forget()
    yield
    forget()


def _entry(name: str, folder: Path = PLUGINS) -> Entry:
    return {entry.name: entry for entry in plugin_entries(folder)}[name]


def _exact(metric: Metric, queries: Any, train: Any, k: int) -> Any:
    every = np.tile(np.arange(len(train)), (len(queries), 1))
    return np.sort(neighbour_distances(metric, queries, train, every), axis=1)[:, :k]


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.HAMMING, Metric.JACCARD])
def test_vectors_bits_and_sets_reach_them_in_their_form(metric: Metric) -> None:
    """An exact plug-in that changes what it is given and answers lazily is exact, and our data stay as they are."""
    train, queries = sample(metric, 300, seed=1), sample(metric, 12, seed=2)
    algorithm = _entry("annb-exact").load()(metric)
    algorithm.fit(train)
    assert algorithm.effective == {"name": f"Exact({metric})"}
    for _ in range(2):  # the second binding asks in the way that the first found out
        search = algorithm.searcher()
        many = as_neighbors(search(queries, 10), 12, 10, 300)
        for i in range(12):
            one = as_neighbors(search(queries[i : i + 1], 10), 1, 10, 300)
            assert np.allclose(
                neighbour_distances(metric, queries[i : i + 1], train, one),
                _exact(metric, queries[i : i + 1], train, 10), atol=1e-6,
            )  # fmt: skip
            assert (many[i] == one[0]).all()
    assert algorithm.index_bytes() is None
    assert algorithm.counters() == {}


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.HAMMING, Metric.JACCARD])
def test_liberties_of_theirs_are_no_breach(metric: Metric) -> None:
    """Writing to its copies, lazy answers, and answers in any order pass the check of our contract."""
    entry = _entry("annb-exact")
    assert _breaches(entry.name, entry.load(), metric) == []


def _breaches(name: str, make: type[Algorithm], metric: Metric, **build: Any) -> list[str]:
    """Return what breaks the rules on which figures rest."""
    subject = Subject(
        name=name,
        make=make,
        metric=metric,
        claimed=(metric,),
        ordered=False,
        is_floor=False,
        resolve=lambda _: (build, [{}]),
        builds=lambda _: [build],
        edges=False,
    )
    checks = [check for check in CHECKS if check.before_timing]
    return [breach for verdict in examine(subject, checks) for breach in verdict.breaches]


def test_a_true_breach_is_found() -> None:
    """The same id over and over is a finding, however the answer is given."""
    entry = _entry("annb-cells-broken")
    found = _breaches(entry.name, entry.load(), Metric.EUCLIDEAN, number=1)
    assert found == ["valid ids: query 0 got id 0 twice"]


def test_parameters_counters_and_memory() -> None:
    """Named parameters reach the constructor and `set_query_arguments`; counts and memory come from their hooks."""
    train, queries = sample(Metric.EUCLIDEAN, 400, seed=1), sample(Metric.EUCLIDEAN, 5, seed=2)
    make = _entry("annb-cells-float").load()
    algorithm = make(Metric.EUCLIDEAN, method="k-means", dimension=16, count=8, rounds=1)
    algorithm.fit(train)
    assert algorithm.effective == {}  # it has no name before its query arguments are set
    assert algorithm.index_bytes() == train.nbytes
    for visit, step in ((8, 1), (1, 1)):
        search = algorithm.searcher(visit=(visit, step))
        assert algorithm.counters() == {"distance_computations": 0}
        ids = as_neighbors(search(queries[:1], 10), 1, 10, 400)
        assert str(algorithm._theirs) == f"Cells(8, {visit})"  # type: ignore[attr-defined]
        if visit == 8:
            assert algorithm.counters() == {"distance_computations": 400}
            found = neighbour_distances(Metric.EUCLIDEAN, queries[:1], train, ids)
            assert np.allclose(found, _exact(Metric.EUCLIDEAN, queries[:1], train, 10))
    assert (as_neighbors(search(queries, 10), 5, 10, 400)[0] == ids).all()
    with pytest.raises(ParameterError, match="annb-cells-float: there is no parameter 'ef'; known: visit"):
        algorithm.searcher(ef=1)
    with pytest.raises(ParameterError, match="there is no parameter 'M'; known: count, dimension, method, rounds"):
        make(Metric.EUCLIDEAN, M=1)
    with pytest.raises(ParameterError, match="a value is missing for dimension"):
        make(Metric.EUCLIDEAN, count=8, rounds=1)
    with pytest.raises(ParameterError, match="knows euclidean, angular, not hamming"):
        make(Metric.HAMMING)


def test_prepared_queries_and_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Prepared queries are prepared, run and fetched, one or many; `done` is called; the folder is left clean."""
    monkeypatch.chdir(tmp_path)
    train, queries = sample(Metric.EUCLIDEAN, 50, seed=1), sample(Metric.EUCLIDEAN, 4, seed=2)
    make = _entry("annb-prepared").load()
    algorithm: Any = make(Metric.EUCLIDEAN, k=3, size=3, seed=1)
    algorithm.fit(train, threads=2)
    theirs = algorithm._theirs
    search = algorithm.searcher(ef=10, fast=False)
    many = as_neighbors(search(queries, 3), 4, 3, 50)
    assert (as_neighbors(search(queries[2:3], 3), 1, 3, 50) == many[2]).all()
    assert theirs.calls == [
        ("init", "euclidean", 3, {"size": 3, "seed": 1}), "supports_prepared_queries", "fit",
        ("set_query_arguments", {"ef": 10}, False), "prepare_batch_query", "run_batch_query", "get_batch_results",
        "prepare_query", "run_prepared_query", "get_prepared_query_results",
    ]  # fmt: skip
    assert Path(theirs.folder).is_relative_to(tempfile.gettempdir())
    assert list(tmp_path.iterdir()) == []
    kind = type(theirs)
    del algorithm, search, theirs
    gc.collect()
    assert kind.ended == 1  # it raised, which doesn't matter any more


SHAPES = """
import numpy as np
from ..base.module import BaseANN
class Mine(BaseANN):
    def __init__(self, metric): self.name = "mine"
    def fit(self, X): self.X = X
    def query(self, v, n):
        order = ((self.X - v) ** 2).sum(axis=1).argsort(kind="stable")[:n]
        return {answer}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], type[Algorithm]]:
    """Return a maker of plug-ins, given the text of their module."""
    config = (PLUGINS / "exact" / "config.yml").read_text().replace("exact", "mine").replace("Exact", "Mine")

    def make(text: str) -> type[Algorithm]:
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / "config.yml").write_text(config)
        (tmp_path / "mine" / "module.py").write_text(text)
        return _entry("annb-mine", tmp_path / "mine").load()

    return make


@pytest.mark.parametrize(
    "answer",
    [
        "order", "list(order)", "tuple(order)", "order.astype(np.float32)", "[float(i) for i in order]",
        "(i for i in order)", "order[None]", "order.astype(np.uint64)", "np.append(order[:-1], -1)", "order[:3]", "[]",
    ],
)  # fmt: skip
def test_answers_of_every_shape(plugin: Callable[[str], type[Algorithm]], answer: str) -> None:
    """Arrays, lists, floats, iterators and short answers are the ids that they stand for, in both modes."""
    train, queries = sample(Metric.EUCLIDEAN, 60, seed=1), sample(Metric.EUCLIDEAN, 6, seed=2)
    algorithm = plugin(SHAPES.format(answer=answer))(Metric.EUCLIDEAN)
    algorithm.fit(train)
    expected = ((queries[:, None] - train) ** 2).sum(axis=2).argsort(axis=1, kind="stable")[:, :5]
    short = {"order[:3]": 3, "[]": 0, "np.append(order[:-1], -1)": 4}.get(answer, 5)
    expected[:, short:] = -1
    for _ in range(2):
        search = algorithm.searcher()
        for i in range(6):
            assert (as_neighbors(search(queries[i : i + 1], 5), 1, 5, 60) == expected[i]).all()
        if answer != "order[None]":  # a matrix for each query is no batch
            assert (as_neighbors(search(queries, 5), 6, 5, 60) == expected).all()


def test_fractions_are_no_ids(plugin: Callable[[str], type[Algorithm]]) -> None:
    """Floats that aren't whole are not rounded to ids that nobody found."""
    algorithm = plugin(SHAPES.format(answer="order + 0.5"))(Metric.EUCLIDEAN)
    algorithm.fit(sample(Metric.EUCLIDEAN, 20, seed=1))
    with pytest.raises(PluginError):
        as_neighbors(algorithm.searcher()(sample(Metric.EUCLIDEAN, 1, seed=2), 5), 1, 5, 20)


def test_the_first_complaint_is_told(plugin: Callable[[str], type[Algorithm]]) -> None:
    """A query that fails with a copy, too, fails with what it said first."""
    text = SHAPES.format(answer="order") + "        \n    def __repr__(self): return 'x'\n"
    text = text.replace(
        "        order =", "        raise ValueError('writable' if v.flags.writeable else 'frozen')\n        order ="
    )
    algorithm = plugin(text)(Metric.EUCLIDEAN)
    algorithm.fit(sample(Metric.EUCLIDEAN, 20, seed=1))
    for queries in (1, 3):
        with pytest.raises(ValueError, match="frozen"):
            algorithm.searcher()(sample(Metric.EUCLIDEAN, queries, seed=2), 5)


def test_threads_of_a_batch(plugin: Callable[[str], type[Algorithm]]) -> None:
    """The default batch runs on as many threads as it is given, and on the caller's alone where that is one."""
    text = SHAPES.format(answer="order").replace("        order", "        self.seen.add(get_ident())\n        order")
    text = text.replace('self.name = "mine"', "self.seen = set()") + "\nfrom threading import get_ident\n"
    algorithm: Any = plugin(text)(Metric.EUCLIDEAN)
    algorithm.fit(sample(Metric.EUCLIDEAN, 2000, seed=1))
    queries = sample(Metric.EUCLIDEAN, 40, seed=2)
    answers = [as_neighbors(algorithm.searcher(threads=n)(queries, 5), 40, 5, 2000) for n in (2, 1)]
    assert (answers[0] == answers[1]).all()
    assert 2 <= len(algorithm._theirs.seen) <= 3  # the pool's two, of which one may have done it all, and this one


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("raise RuntimeError('no')", r"importing .*mine/module.py failed: RuntimeError\('no'\)"),
        ("from ..nothing.module import X", "failed: ModuleNotFoundError"),
        ("x = 1", "there is no 'Mine' in .*module.py"),
    ],
)
def test_a_module_that_does_not_load_says_why(
    plugin: Callable[[str], type[Algorithm]], text: str, complaint: str
) -> None:
    """An import that fails, or a class that isn't there, is one line that names the file."""
    with pytest.raises(PluginError, match=complaint) as caught:
        plugin(text)
    assert str(caught.value).startswith("annb-mine: ")


def test_two_folders_of_one_name_are_not_mixed_up(plugin: Callable[[str], type[Algorithm]], tmp_path: Path) -> None:
    """A second plug-in called as the first is refused in the same process, as its module would be the first's."""
    plugin(SHAPES.format(answer="order"))
    other = tmp_path / "elsewhere"
    other.mkdir()
    (tmp_path / "mine").rename(other / "mine")
    with pytest.raises(PluginError, match=r"'mine' was imported from .* in this process already"):
        _entry("annb-mine", other / "mine").load()


def test_an_ann_benchmarks_that_is_installed_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process has the real package, the shim does not take its place."""
    monkeypatch.setitem(sys.modules, "ann_benchmarks", type(sys)("ann_benchmarks"))
    with pytest.raises(PluginError, match="ann_benchmarks was imported from"):
        _entry("annb-exact").load()


def test_what_their_modules_import_is_there() -> None:
    """Distances and the forms of entries are those that their names promise."""
    _entry("annb-exact").load()
    from ann_benchmarks import data, util  # type: ignore[import-not-found]
    from ann_benchmarks.distance import compute_distance, is_distance_valid, metrics  # type: ignore[import-not-found]

    a, b = np.array([1.0, 2.0, 2.0]), np.array([2.0, 2.0, 1.0])
    assert compute_distance("euclidean", a, b) == pytest.approx(2**0.5)
    assert metrics["angular"].distance(a, b) == pytest.approx(1 - 8 / 9)
    assert compute_distance("hamming", a > 1, b > 1) == pytest.approx(2 / 3)
    assert compute_distance("jaccard", [1, 2, 3], [3, 4]) == pytest.approx(0.75)
    assert compute_distance("jaccard", [], [3, 4]) == 1.0
    assert [is_distance_valid("jaccard", d) for d in (0.5, 1.0)] == [True, False]
    assert data.float_parse_entry(data.float_unparse_entry([1.5, -2.0])) == [1.5, -2.0]
    assert data.int_parse_entry(data.int_unparse_entry({3, 5})) == {3, 5}
    assert data.bit_parse_entry("10 01\t1") == [True, False, False, True, True]
    assert data.bit_unparse_entry([True, False]) == "10"
    assert util.get_bool_env_var("ANNBENCH_NOT_SET_AT_ALL", default_value=True)


def test_sets_are_theirs_to_keep() -> None:
    """Sets reach `fit` as arrays of their own, which may be kept and changed."""
    algorithm: Any = _entry("annb-exact").load()(Metric.JACCARD)
    train = Sets.of([[1, 2], [2, 3, 4], []])
    algorithm.fit(train)
    algorithm._theirs.X[0][:] = 9
    assert train.row(0).tolist() == [1, 2]
    assert [len(row) for row in algorithm._theirs.X] == [2, 3, 0]

"""How long a plan will take."""

from __future__ import annotations

import pytest

from harness.api import suite_for
from harness.cli.plan_view import say_plans
from harness.core.console import Lines
from harness.data.dataset import Header
from harness.data.metric import Metric
from harness.measure.progress import Remaining
from harness.plan.estimate import Countdown, Estimate, estimate, in_words
from harness.plan.expand import Plan
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec, Provenance, SearchSpec, freeze
from support import factory

HEADER = Header("digits-64-euclidean", Metric.EUCLIDEAN, 1000, 100, 100, 64, "")
SUITE = suite_for("default", dataset=HEADER.name)


def build(algorithm="hnsw", settings=3, **params):
    """Return a build with some settings."""
    return BuildSpec(
        dataset=HEADER.name, metric="euclidean", workload="knn", terms=freeze({"k": 10, "mode": "single"}),
        folder=f"{HEADER.name}/10/{algorithm}", threads=1, build_threads=1, queries=100,
        algorithm=algorithm, params=freeze(params), provenance=Provenance("", "", (), ""),
        searches=tuple(SearchSpec(freeze({"ef": ef})) for ef in range(10, 10 * settings + 10, 10)),
    )  # fmt: skip


def seconds(plan, header=HEADER, suite=SUITE, store=None, **options):
    """Return the estimate of a plan."""
    return estimate(plan, header, suite, store, **options).seconds


def test_more_to_do_takes_longer(tmp_path):
    """Rows, settings, builds, passes and rounds all count."""
    store = ResultStore(tmp_path)
    usual = seconds(Plan([build()]), store=store)
    assert seconds(Plan([build()]), replace_rows(100_000_000), store=store) > usual + 60
    assert seconds(Plan([build(settings=30)]), store=store) > usual + 10
    assert seconds(Plan([build(), build(M=4)]), store=store) > usual
    assert seconds(Plan([build()]), suite=SUITE.model_copy(update={"passes": 70}), store=store) > 3 * usual
    assert seconds(Plan([build()]), store=store, rounds=3) > usual + 3
    assert seconds(Plan(), store=store) == 0


def replace_rows(n):
    """Return the header of a dataset with more rows."""
    return HEADER._replace(n=n)


def test_what_was_measured_decides(tmp_path):
    """Builds and queries that were slow here are expected to be slow again, on more rows slower still."""
    slow = factory.make_result("hnsw", {"M": 16}, {"ef": 10}, qps=10.0, queries=100)
    slow.document.processes[0].build_seconds = 500.0
    path = tmp_path / HEADER.name / "10" / "hnsw"
    store = ResultStore(tmp_path)
    store.write(path / "one.hdf5", slow)
    (path / "damaged.hdf5").write_text("not a result")
    size = slow.document.environment["train_rows"] * slow.document.environment["dimension"]
    header = HEADER._replace(n=size // HEADER.dimension)
    found = estimate(Plan([build(M=16), build("annoy")]), header, SUITE, store)
    assert found.known == 1
    assert 500 + 7 * 5 < found.builds[0] < 700  # a pass is held to five seconds
    assert found.builds[1] < 60
    assert estimate(Plan([build(M=16)]), header._replace(n=10 * header.n), SUITE, store).seconds > 5000


def test_the_time_left_follows_what_is_seen():
    """A run that takes twice as long as was thought will take twice the rest, once enough of it is seen."""
    now = [0.0]
    left = Countdown([1000.0, 1000.0], clock=lambda: now[0])
    left.start()
    assert left.left() == 2000
    now[0] = 2000.0
    left.advance(0, 1.0)
    left.advance(0, 1.0)  # no part is done more than once
    assert left.left() == pytest.approx(2000, rel=0.05)


def test_events_count_down():
    """Passes, settings that failed and builds that failed are shares of what there is to do."""
    plan = Plan([build(), build(M=4)])
    remaining = Remaining([("d", plan)], [Estimate(6000.0, (3000.0, 3000.0))], passes=2)
    assert remaining.words() == "about 1.5 hours left"
    remaining("build", {"spec": plan.builds[1]})
    remaining("build-failed", {})
    remaining("build", {"spec": plan.builds[0].only(())})
    for _ in range(3):
        remaining("pass", {"search": 0})
    remaining("search-failed", {"search": 1})
    remaining("pass", {"search": 2})
    assert remaining.words() == "less than a minute left"


@pytest.mark.parametrize(
    ("given", "said"),
    [(5, "less than a minute"), (70, "about a minute"), (370, "about 6 minutes"), (3300, "about 55 minutes"),
     (13_000, "about 3.5 hours")],
)  # fmt: skip
def test_times_are_rough(given, said):
    """No more is said than is known."""
    assert in_words(given) == said


@pytest.mark.parametrize("algorithms", [1, 9, 60])
def test_a_plan_fits_a_screen(capsys, algorithms):
    """Whatever is planned, it takes at most 24 rows of 80 columns, and every build is counted."""
    builds = [build(f"an-algorithm-{i}", M=m) for i in range(algorithms) for m in range(9)]
    plan = Plan(builds, skipped={f"missing-{i}": "no such library; pip install it" for i in range(algorithms)})
    found = Estimate(100.0 * len(builds), (100.0,) * len(builds))
    say_plans(Lines(), [("mine-8-angular", plan)], [found])
    lines = capsys.readouterr().out.splitlines()
    assert sum(-(-len(line) // 80) for line in lines) <= 22
    assert f"{len(builds)} builds with {3 * len(builds)} settings" in lines[0]
    assert "left out" in lines[1]
    assert lines[-1].startswith("takes about")

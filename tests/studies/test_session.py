"""The frame: settings, what is kept across interruptions, and what isn't there."""

from __future__ import annotations

import json
import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from harness.core.errors import AnnbenchError, ConfigError, PluginError, StoreError, UnknownNameError
from harness.data.metric import Metric, pair_distances
from harness.studies.catalogue import find_study, study_names
from harness.studies.lab import Lab, Sample, interleaved, recall, true_neighbours
from harness.studies.picture import Axis, Line, Panel, Picture
from harness.studies.session import settings_for
from harness.studies.study import Explanation, Needs, Settings, Study


class CountingSettings(Settings):
    """How far to count."""

    steps: int = 4
    algorithms: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


class Counting(Study):
    """A study that counts its steps, and stops where it is told to."""

    name: ClassVar[str] = "counting"
    about: ClassVar[str] = "counts"
    settings = CountingSettings

    def __init__(self):
        self.measured = []
        self.stop_at = None

    def needs(self, settings):
        return Needs(settings.algorithms, settings.datasets)

    def steps(self, settings, lab):
        return [{"step": i, "of": "all"} for i in range(settings.steps)]

    def measure(self, step, settings, lab):
        if step["step"] == self.stop_at:
            raise KeyboardInterrupt
        self.measured.append(step["step"])
        return [{"square": np.int64(step["step"] ** 2), "none": math.nan, "half": np.float32(0.5), "yes": np.True_}]

    def explain(self, table, settings):
        line = Line("squares", list(table["step"]), list(table["square"]), look="first")
        return Explanation("Squares", (), (), Picture("Squares", "", [Panel(Axis("x"), Axis("y"), [line])]))


def test_an_interrupted_study_goes_on_where_it_stopped(tiny):
    """The rows after an interruption are those of an undisturbed run, and no step is measured twice."""
    whole = Counting()
    expected = tiny.run("counting", study=whole, algorithms=["null"]).table
    study = Counting()
    study.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        tiny.run("counting", study=study)
    study.stop_at = None
    events = []
    outcome = tiny.run("counting", study=study, listener=lambda event, content: events.append((event, content)))
    assert study.measured == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(outcome.table, expected)
    assert events[0] == ("steps", {"total": 4, "done": 2})
    assert [content["step"] for event, content in events if event == "step"] == [2, 3]
    assert outcome.table["square"].tolist() == [0, 1, 4, 9]
    assert outcome.table["none"].isna().all()


def test_a_finished_study_is_only_read_unless_forced(tiny):
    """The second call measures nothing; `force` measures all."""
    study = Counting()
    tiny.run("counting", study=study)
    tiny.run("counting", study=study)
    assert study.measured == [0, 1, 2, 3]
    tiny.run("counting", study=study, force=True)
    assert study.measured == [0, 1, 2, 3] * 2


def test_other_settings_and_other_revisions_are_measured_anew(tiny):
    """Rows are used again only while settings, revision and algorithms are the same."""
    study = Counting()
    tiny.run("counting", study=study)
    tiny.run("counting", study=study, steps=2)
    tiny.run("counting", study=study, algorithms=["brute_force"])
    study.revision = 2  # hides the class's own
    tiny.run("counting", study=study)
    assert study.measured == [0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 0, 1, 2, 3]
    assert len(list((tiny.results / "studies").iterdir())) == 4


def test_the_journal_is_lines_of_json(tiny):
    """Its first line says what the rows depend on; each further line is a step. Nothing else is left behind."""
    tiny.run("counting", study=Counting(), algorithms=["brute_force"])
    (path,) = (tiny.results / "studies").iterdir()
    header, *steps = (json.loads(line) for line in path.read_text().splitlines())
    assert header["study"] == "counting"
    assert header["settings"]["steps"] == 4
    assert set(header["algorithms"]) == {"brute_force"}
    assert {"machine", "cpu", "python", "annbench", "created"} <= set(header)
    assert [line["step"]["step"] for line in steps] == [0, 1, 2, 3]


def test_a_damaged_journal_names_itself_and_the_way_out(tiny):
    """Half a line gives one line of error; --force replaces the file."""
    study = Counting()
    tiny.run("counting", study=study)
    (path,) = (tiny.results / "studies").iterdir()
    path.write_text(path.read_text()[:-20])
    with pytest.raises(StoreError, match=r"counting-.*remove it, or add --force"):
        tiny.run("counting", study=study)
    assert len(tiny.run("counting", study=study, force=True).table) == 4


def test_one_study_at_a_time(tiny):
    """A study does not run beside another one, or beside a run."""
    study = Counting()

    def start_another(event, content):
        if event == "step":
            tiny.run("counting", study=Counting(), steps=1)

    with pytest.raises(StoreError, match="is being written by another process"):
        tiny.run("counting", study=study, listener=start_another)


def test_what_is_missing_is_told_with_the_way_out(tiny):
    """An unknown algorithm, one whose library is missing and a dataset that isn't here are named, and left out."""
    told = {}
    outcome = tiny.run(
        "counting",
        study=Counting(),
        algorithms=["brute_force", "hnsv"],
        datasets=["mnist-784-euclidean", "synthetic-uniform-100-2-euclidean"],
        listener=lambda event, content: told.update({content["name"]: content["why"]} if event == "missing" else {}),
    )
    assert told == outcome.missing
    assert told["hnsv"] == "there is no algorithm of this name"
    assert "annbench prepare mnist-784-euclidean" in told["mnist-784-euclidean"]
    assert len(told) == 2


def test_an_index_that_cannot_serve_a_study_is_told_in_one_line(tiny):
    """An index without the ability that a study needs ends it with the step and the reason."""
    with pytest.raises(PluginError, match=r"small-world could not be measured at dataset = .*, n = 50: TypeError"):
        tiny.run("small-world", algorithm="stand-in-tree")
    with pytest.raises(PluginError, match=r"AttributeError.*graph"):
        tiny.run("small-world", algorithm="hnswlib")


def test_a_study_that_can_measure_nothing_says_why(tiny):
    """Without its index a study ends in an error that names it."""
    with pytest.raises(AnnbenchError, match=r"small-world has nothing to measure \(no-such: there is no algorithm"):
        tiny.run("small-world", algorithm="no-such")
    with pytest.raises(AnnbenchError, match=r"nothing to measure \(no setting suits the data\)"):
        tiny.run("small-world", sizes=[300])


def test_a_size_given_twice_is_measured_once(tiny):
    """Repeated sizes give the rows of one."""
    once, twice = (tiny.run("small-world", sizes=sizes).table for sizes in ([50, 100], [50, 100, 50]))
    pd.testing.assert_frame_equal(once, twice)


@pytest.mark.parametrize(
    ("changes", "telling"),
    [
        ({"n": -3}, "n: should be 100 or more (given: -3)"),
        ({"points": 3}, "points: is no key here"),
        ({"ambient": []}, "ambient: should hold 1 or more, not 0"),
    ],
)
def test_settings_are_checked(changes, telling):
    """A setting that doesn't exist, or can't be, gives one line that names it and its value."""
    with pytest.raises(ConfigError) as caught:
        settings_for(find_study("curse-of-dimensionality"), changes=changes)
    assert telling in str(caught.value)


def test_unknown_studies_suggest_the_nearest():
    """A misspelt name is answered with the right one."""
    with pytest.raises(UnknownNameError, match="no study is called 'smal-world'; did you mean small-world"):
        find_study("smal-world")


@pytest.mark.parametrize("name", study_names())
def test_quick_settings_are_smaller(name):
    """Each study is found under its own name, and has a quick size that differs from the full one."""
    study = find_study(name)
    assert study.name == name
    assert study.about
    assert settings_for(study, quick=True) != settings_for(study)


def test_interleaved_takes_turns(monkeypatch):
    """Every side is timed in every round, and the side that begins changes."""
    asked = []

    def side(name):
        def search(queries, k):
            asked.append(name)

        return search

    queries = np.zeros((10, 2), np.float32)
    times = interleaved({"a": side("a"), "b": side("b")}, queries, 1, rounds=4, seconds=1e-9)
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4}
    assert all((values > 0).all() for values in times.values())
    timed = asked[40:]  # after a warm-up of two goes a side
    turns = [timed[i] for i in range(0, len(timed), 10)]
    assert turns == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_samples_are_prefixes_and_read_only(registry, tmp_path):
    """The first rows of a dataset are the same whatever their number, and can't be written to."""
    lab = Lab.of(registry, tmp_path, [], ["synthetic-uniform-100-3-euclidean"])
    some, every = (lab.sample("synthetic-uniform-100-3-euclidean", rows=n) for n in (10, None))
    np.testing.assert_array_equal(some.train, every.train[:10])
    assert len(every.train) == 100
    assert not some.train.flags.writeable
    assert some.train.flags.c_contiguous


def test_true_neighbours_have_full_recall_however_near(registry, tmp_path):
    """Angles too small for float32's digits are told apart all the same: the truth's own recall is 1."""
    rows = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    near = rows[:20] * np.float32(3) + np.float32(1e-4)
    sample = Sample("near", Metric.ANGULAR, rows, near)
    ids, distances = true_neighbours(sample, 3)
    assert recall(sample, ids.astype(np.int64), distances) == 1.0
    assert recall(sample, ids[:, :1].astype(np.int64), distances[:, :1]) == 1.0
    np.testing.assert_allclose(distances[:, 0], pair_distances(Metric.ANGULAR, near, rows, np.arange(20), ids[:, 0]))


def test_recall_counts_ties_and_misses(registry, tmp_path):
    """Ids at the distance of the k-th neighbour count, whichever they are; padding doesn't."""
    lab = Lab.of(registry, tmp_path, [], [])
    sample = lab.sample("synthetic-uniform-100-3-euclidean", queries=2)
    ids, distances = true_neighbours(sample, 4)
    assert recall(sample, ids.astype(np.int64), distances) == 1.0
    found = ids.astype(np.int64)
    found[0, 2:] = -1
    assert recall(sample, found, distances) == 6 / 8
    found[1] = np.setdiff1d(np.arange(100), ids[1])[:4]
    assert recall(sample, found, distances) == 2 / 8

"""The report as a whole: its files, what it refuses, and that hostile names can't harm it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from harness.analyse.table import Group, groups, tidy
from harness.core.errors import AnnbenchError
from harness.report.cost import cost_speed_figure
from harness.report.figure import save
from harness.report.latency import latency_figure
from harness.report.plots import speed_figure
from harness.report.style import drawing
from harness.report.write import write_report
from support import factory

EVIL = "$\\frac{1$<script>alert(1)</script>\n|x| " + "long" * 60


def one_group(results: list[Any]) -> Group:
    (group,) = groups(tidy(results))
    return group


def test_a_report_of_a_store(tmp_path: Path) -> None:
    """A store with results, a floor and a failure gives pictures, tables and an index that links to each."""
    world = factory.make_world(("hnsw", "hnswlib"), settings=4)
    store = factory.write_store(tmp_path / "results", world, [factory.make_failure(detail="2 h")])
    paths = write_report(tidy(store.results(), store.failures()), tmp_path / "plots")
    names = {path.name for path in paths}
    base = "digits-64-euclidean-k10-single"
    for picture in (
        "recall-qps",
        "recall-qps-logit",
        "build-time-recall",
        "build-time-qps",
        "index-size-recall",
        "index-size-qps",
        "latency",
    ):
        assert {f"{base}-{picture}.png", f"{base}-{picture}.svg"} <= names
    assert paths[0].name == "index.md"
    assert all(path.stat().st_size > 0 for path in paths)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == names  # no temporary file is left
    assert (tmp_path / "plots" / f"{base}-recall-qps.png").read_bytes().startswith(b"\x89PNG")
    text = paths[0].read_text()
    assert f"![Recall against queries per second]({base}-recall-qps.png)" in text
    assert "AMD EPYC 7B13, 2 cores" in text
    assert "timeout" in text
    for name in names - {"index.md"}:
        assert f"({name})" in text


def test_machines_get_sections_and_files_of_their_own(tmp_path: Path) -> None:
    """Results of two machines are in two sections that name them, and in files that name their keys."""
    results = [factory.make_result(), factory.make_result(machine={"key": "m2/../x", "cpu": "Other <cpu>", "cores": 8})]
    paths = write_report(tidy(results), tmp_path, formats=())
    text = paths[0].read_text()
    assert text.count("\n## ") == 2
    assert "on Other &lt;cpu&gt;, 8 cores (m2/../x)" in text
    assert {path.name for path in paths if "m2" in path.name} == {
        f"digits-64-euclidean-k10-single-m2-..-x-{suffix}"
        for suffix in ("targets.md", "targets.csv", "settings.md", "settings.csv")
    }
    assert all(path.parent == tmp_path for path in paths)


def test_modes_and_threads_get_files_of_their_own(tmp_path: Path) -> None:
    """Batch results are named with their threads; names that clean up alike are numbered."""
    make = factory.make_result
    results = [make(), make(mode="batch", threads=2), make(dataset="a b"), make(dataset="a?b")]
    names = {path.name for path in write_report(tidy(results), tmp_path, formats=())}
    assert "digits-64-euclidean-k10-batch-2threads-targets.md" in names
    assert {"a-b-k10-single-targets.md", "a-b-k10-single-2-targets.md"} <= names


def test_hostile_names_are_drawn_as_text(tmp_path: Path) -> None:
    """Markup, formulas, line breaks and great length in every name give a valid SVG and no markup in the index."""
    result = factory.make_result(
        EVIL, {EVIL: EVIL}, recall=0.97, dataset=EVIL, machine={"key": EVIL, "cpu": EVIL, "cores": 2}, origin=EVIL
    )
    failure = factory.make_failure(EVIL, EVIL, EVIL, dataset=EVIL, machine=EVIL)
    paths = write_report(tidy([result], [failure]), tmp_path, formats=("svg",))
    for path in paths:
        assert path.parent == tmp_path
        if path.suffix == ".svg":
            ET.parse(path)  # noqa: S314 - our own file, checked for being well formed
        if path.suffix == ".md":
            assert "<script" not in path.read_text()


def test_letters_that_the_font_lacks(tmp_path: Path) -> None:
    """A name in another script is drawn without a warning, which would fail this test."""
    group = one_group([factory.make_result("漢字", recall=0.97)])
    with drawing():
        save(speed_figure(group), tmp_path, "a", ("png",))


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    """Pictures hold no date and no random ids, so that git sees a change only where there is one."""
    group = one_group(factory.make_world(("pq", "annoy"), settings=3))
    written = []
    for folder in ("one", "two"):
        with drawing():
            paths = save(speed_figure(group, logit=True), tmp_path / folder, "a", ("png", "svg"))
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    assert b"<dc:date>" not in written[0][1]


def drawn(figure: Any) -> str:
    """Return all text of a figure's axes and footer."""
    texts = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        texts += [text.get_text() for text in axes.texts]
    return "\n".join(texts)


def test_what_the_speed_picture_shows() -> None:
    """Every algorithm is named, recall 1 lies inside the axes on both scales, and the footer says what was measured."""
    results = factory.make_world(("hnsw", "lsh", "brute_force"), settings=4, floor=60_000.0)
    group = one_group(results)
    for logit in (False, True):
        with drawing():
            figure = speed_figure(group, logit=logit)
        axes = figure.axes[0]
        for name in ("hnsw", "lsh", "brute_force", "floor", "60,000", "784", "k = 10", "AMD EPYC", "2025-03-01"):
            assert name in drawn(figure)
        assert axes.get_xlim()[1] > 1
        across, _ = axes.transAxes.inverted().transform(axes.transData.transform((1.0, 1000.0)))
        assert 0.9 < across < 1
        fills = {
            line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())
        }
        assert "white" in fills  # hnsw's quickest setting is within twice of the floor


@pytest.mark.parametrize("logit", [False, True])
def test_no_axis_of_recall_goes_beyond_one(logit: bool) -> None:
    """Where all recalls are 1 the axis begins at .99, its last tick is 1, and QPS has several ticks."""
    results = [factory.make_result(name, {}, {"ef": 9}, recall=1.0, qps=1000.0) for name in ("hnsw", "mine")]
    with drawing():
        axes = speed_figure(one_group(results), logit=logit).axes[0]
    ticks = list(axes.get_xticks())
    assert ticks[0] == pytest.approx(0.99)
    assert ticks[-1] == pytest.approx(1)
    assert len(axes.get_yticks()) >= 3


def test_names_with_one_beginning_keep_labels_of_their_own() -> None:
    """Two plug-ins whose long names differ at the end have two labels; leaders are grey, not colours of data."""
    names = [f"a-company-s-index-of-vectors-in-{bits}-bits" for bits in (4, 8)]
    results = [factory.make_result(name, {}, {"ef": ef}, recall=0.9 + ef / 50) for name in names for ef in (1, 5)]
    results.append(factory.make_result("lsh", recall=0.3))
    with drawing():
        axes = speed_figure(one_group(results), logit=True).axes[0]
    labels = {text.get_text(): text for text in axes.texts}
    assert len([text for text in labels if text.endswith("-bits")]) == 2
    leaders = {text.arrow_patch.get_edgecolor()[:3] for text in labels.values() if text.arrow_patch is not None}
    assert all(red == green == blue for red, green, blue in leaders)
    assert labels["lsh"].arrow_patch is None  # it ends far left: its name stands there


def test_a_floor_far_above_is_only_mentioned() -> None:
    """A floor that would squash the picture is named in the footer."""
    results = [factory.make_result(qps=10), factory.make_result("noop", recall=0, qps=1e6, purpose="floor")]
    with drawing():
        figure = speed_figure(one_group(results))
    assert "above the picture" in drawn(figure)
    assert figure.axes[0].get_ylim()[1] < 1000


def test_labels_of_costs_do_not_cover_each_other() -> None:
    """In the picture of build time no two names overlap, with fourteen algorithms."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    group = one_group(factory.make_world(settings=4))
    with drawing():
        figure = cost_speed_figure(group, "build_seconds")
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        # The text's own box: get_window_extent of an annotation would count its leader, too.
        from matplotlib.text import Text

        boxes = [Text.get_window_extent(text, renderer) for text in figure.axes[0].texts]
    assert len(boxes) >= 12
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not overlaps


def test_latency_picture() -> None:
    """It names each algorithm that reaches the recall and its setting; there is none for a batch or a low recall."""
    make = factory.make_result
    results = [
        make("a", {}, {"ef": 5}, recall=0.96),
        make("a", {}, {"ef": 9}, recall=0.99, qps=10),
        make("b", recall=0.5),
    ]
    with drawing():
        text = drawn(latency_figure(one_group(results)))
        assert "recall 0.960 · ef=5" in text
        assert "b" not in text.split("\n")
        assert latency_figure(one_group([make(recall=0.5)])) is None
        assert latency_figure(one_group([make(recall=0.99, mode="batch")])) is None


def test_groups_with_nothing_to_draw(tmp_path: Path) -> None:
    """Failures alone, or the floor alone, make a report of tables."""
    paths = write_report(tidy([], [factory.make_failure("annoy", "crashed (SIGSEGV)")]), tmp_path / "a")
    assert "crashed (SIGSEGV)" in paths[0].read_text()
    assert not [path for path in paths if path.suffix == ".png"]
    floor = factory.make_result("noop", recall=0, purpose="floor")
    paths = write_report(tidy([floor]), tmp_path / "b")
    assert not [path for path in paths if path.suffix == ".png"]


def test_a_listener_hears_of_each_group(tmp_path: Path) -> None:
    """Whoever waits is told what is drawn, and how much there is."""
    heard = []
    table = tidy([factory.make_result(), factory.make_result(dataset="glove")])
    write_report(table, tmp_path, formats=(), listener=lambda event, content: heard.append((event, content)))
    assert [(event, content["name"]) for event, content in heard] == [
        ("group", "digits-64-euclidean-k10-single"),
        ("group", "glove-k10-single"),
    ]
    assert [(content["number"], content["count"]) for _, content in heard] == [(0, 2), (1, 2)]


def test_no_results_at_all(tmp_path: Path) -> None:
    """An empty store is answered with the command that fills it, and nothing is written."""
    with pytest.raises(AnnbenchError, match="annbench run"):
        write_report(tidy([]), tmp_path / "plots")
    with pytest.raises(AnnbenchError, match="annbench run --dataset x"):
        write_report(tidy([]), tmp_path / "plots", dataset="x")
    assert not (tmp_path / "plots").exists()


def test_unknown_formats_and_bad_folders(tmp_path: Path) -> None:
    """A format that can't be written, and a folder that is a file, are errors in one line."""
    with pytest.raises(AnnbenchError, match="'gif'; choose from png, svg, pdf"):
        write_report(tidy([factory.make_result()]), tmp_path, formats=("gif",))
    (tmp_path / "file").write_text("")
    with pytest.raises(AnnbenchError, match="could not be written"):
        write_report(tidy([factory.make_result()]), tmp_path / "file", formats=())


def test_older_measurements_are_left_out(tmp_path: Path) -> None:
    """Figures of an earlier version of a plug-in are not drawn, and the index says so."""
    old = factory.make_result(created="2025-01-01T00:00:00Z", plugin_hash="old")
    paths = write_report(tidy([old, factory.make_result()]), tmp_path, formats=())
    assert "1 earlier measurements" in paths[0].read_text()

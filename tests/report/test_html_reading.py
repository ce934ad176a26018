"""How the interactive report reads in a browser: zoomed in, opened by a link, on a narrow page, in the dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.analyse.table import tidy
from harness.embedding.curve import CURVE, Step, write_curve
from harness.report.html.page import Content, write_page
from harness.report.html.studies import StudyCard
from harness.report.html.training import training_curves


def ticks_of(browser: Any, name: str, axis: str) -> list[str]:
    script = "return document.getElementById(arguments[0])._fullLayout[arguments[1]].ticktext"
    return [str(text) for text in browser.run(script, name, axis)]


def test_a_zoomed_axis_has_ticks(browser: Any, page: Path) -> None:
    """However far a plot is zoomed in, each axis has three ticks or more that tell apart, and none beyond recall 1."""
    browser.show(page)
    for name, ranges in (
        ("plot-frontier", {"xaxis": [1.31, 1.33], "yaxis": [4.01, 4.04]}),
        ("plot-frontier", {"xaxis": [3.5, 4.2], "yaxis": [2.2, 2.9]}),
        ("plot-memory", {"xaxis": [7.31, 7.36], "yaxis": [4.01, 4.04]}),
        ("plot-latency", {"xaxis": [1.5, 1.6], "yaxis": [2.01, 2.04]}),
    ):
        browser.drawn(name)
        change = {f"{axis}.range[{end}]": value for axis, ends in ranges.items() for end, value in enumerate(ends)}
        browser.run("return Plotly.relayout(document.getElementById(arguments[0]), arguments[1])", name, change)
        for axis in ranges:
            texts = ticks_of(browser, name, axis)
            assert len(set(texts)) == len(texts) >= 3, (name, axis, texts)
    browser.click("input[name=scale-x][value=linear]")
    browser.drawn("plot-frontier")
    assert ticks_of(browser, "plot-frontier", "xaxis")[-1] == "1"
    assert browser.logged() == []


def test_a_link_restores_what_was_in_view(browser: Any, page: Path) -> None:
    """The address holds data set, section and setting: opened anew it shows them, and an unknown one does no harm."""
    browser.show(page)
    browser.run("const s = document.getElementById('view-dataset'); s.value = 'glove-100-angular'; s.onchange()")
    browser.click("#every summary")
    browser.until("return document.querySelectorAll('#every-table tbody tr').length > 3")
    browser.click("#every-table tbody tr:nth-child(3) button")
    setting, name = browser.text("#point .setting"), browser.text("#point h3 .named")
    browser.click(".bar a[href='#cost']")
    browser.until("return location.hash.startsWith('#cost?')")
    kept = browser.run("return location.hash")
    browser.driver.get("about:blank")
    browser.driver.get(page.as_uri() + kept)
    browser.until("return document.querySelector('#point h3') !== null")
    assert (browser.text("#point .setting"), browser.text("#point h3 .named")) == (setting, name)
    assert "glove-100-angular" in browser.text("#frontier-about")
    assert abs(browser.run("return document.getElementById('cost').getBoundingClientRect().top")) < 200
    browser.run("location.hash = '#embeddings'")
    browser.until("return location.hash.startsWith('#embeddings?')")
    assert browser.text("#point .setting") == setting
    browser.driver.get("about:blank")
    browser.driver.get(page.as_uri() + "#frontier?dataset=none&algorithm=%3Cb%3E&k=x%")
    browser.until("return document.querySelector('#point h3') !== null")
    assert "digits-64-euclidean" in browser.text("#frontier-about")
    assert browser.logged() == []


def test_no_column_is_cut_off_on_a_narrow_page(browser: Any, page: Path) -> None:
    """At 360 pixels each cell of each table lies within the page, under the name of its column."""
    browser.show(page, width=360)
    script = (
        "return [...document.querySelectorAll('table.data tbody td')].filter((c) => c.offsetParent)"
        ".filter((c) => c.getBoundingClientRect().right > 360 || !c.dataset.head).map((c) => c.textContent)"
    )
    assert browser.run(script) == []
    assert len(browser.rows("#costs", 0)) == 4


def test_lines_of_the_joint_plot_tell_their_model(browser: Any, page: Path) -> None:
    """Each model's lines have a dash of their own, which the legend explains, and its exact search has its name."""
    browser.show(page)
    browser.drawn("plot-joint")
    dashes = browser.run("return document.getElementById('plot-joint').data.map((t) => t.line.dash)")
    assert len(set(dashes)) == 2
    assert browser.run("return document.querySelectorAll('#joint-names .dash').length") == 2
    assert browser.run("return document.getElementById('plot-joint').layout.annotations.map((a) => a.text)") == [
        "a model",
        "a model",
    ]


def test_training_runs_are_drawn(browser: Any, tmp_path: Path) -> None:
    """The loss of each model stands against its steps, dev beside it; a damaged file is named, names are text."""
    evil = "<b>evil"
    for name, count in (("mine", 3), (evil, 2)):
        (tmp_path / "models" / name).mkdir(parents=True)
        dev = [{"step": 2, "ndcg@10": 0.25}] if name == "mine" else []
        write_curve(tmp_path / "models" / name, [Step(0.1, 2.0 - step / 10) for step in range(count)], dev)
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / CURVE).write_text("no JSON")
    curves, untrained = training_curves(tmp_path / "models")
    browser.open(write_page(Content(tidy([]), curves=curves, untrained=untrained), tmp_path))
    traces = {trace["name"]: trace for trace in browser.drawn("plot-training")}
    assert traces["mine"]["x"] == [1, 2, 3]
    assert traces["mine"]["y"] == [2, 1.9, 1.8]
    assert evil in browser.text("#training-names")
    assert "broken" in browser.text("#embeddings .note")
    browser.click("#training-shown label:nth-child(2)")
    assert [(trace["name"], trace["y"]) for trace in browser.drawn("plot-training")] == [("mine", [0.25])]
    assert browser.logged() == []


def test_pictures_of_studies_are_dark_on_a_dark_page(browser: Any, tmp_path: Path) -> None:
    """What was drawn on white is turned about under a dark theme, whichever way that was chosen."""
    study = StudyCard("a", "b", "c", "d", "data:image/png;base64,", 10, 10)
    browser.open(write_page(Content(tidy([]), studies=[study]), tmp_path))
    look = "return getComputedStyle(document.querySelector('.study img')).filter"
    assert browser.run(look) == "none"
    browser.prefer("dark")
    assert "invert" in browser.run(look)
    browser.run("document.documentElement.dataset.theme = 'light'")
    assert browser.run(look) == "none"
    browser.prefer("light")
    browser.run("document.documentElement.dataset.theme = 'dark'")
    assert "invert" in browser.run(look)

"""The interactive report in a browser: it works from disk without a network, its controls do what they say."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from harness.analyse.table import tidy
from harness.analyse.targets import targets_table
from harness.analyse.winners import winner
from harness.engines.registry import load_registry
from harness.report.derived import derive
from harness.report.html.page import Content, write_page
from harness.report.snippet import application
from harness.report.tables import targets_markdown
from support import factory

WIDTHS = (360, 900, 1600)
EVIL = "<script>window.broken=1</script><img src=x onerror='window.broken=2'>\"'&amp;<b>b</b>"
HOVER = "const h = document.querySelector('#plot-frontier .hoverlayer text'); return h && h.textContent"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page whose every name and parameter is markup."""
    folder = tmp_path_factory.mktemp("hostile")
    machine = {"key": EVIL, "cpu": EVIL, "cores": 2}
    results = [
        factory.make_result(EVIL, {EVIL: EVIL}, {"ef": step, "kind": EVIL}, recall=0.95 + step / 100, qps=1000.0 / step,
                            dataset=EVIL, machine=machine)
        for step in range(1, 5)
    ]  # fmt: skip
    failure = factory.make_failure(EVIL, EVIL, EVIL, dataset=EVIL, machine=EVIL)
    store = factory.write_store(folder / "results", [], [failure])
    for number, result in enumerate(results):
        store.write(store.path("evil", str(number)), result)
    joint = [factory.make_joint_row(dataset=EVIL, model=EVIL, algorithm=EVIL, search={EVIL: EVIL})]
    return write_page(Content(*derive(store), joint=joint), folder)


def lines(traces: Any) -> dict[str, Any]:
    return {trace["name"]: trace for trace in traces if trace["mode"] == "lines+markers"}


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_from_disk_and_asks_for_nothing(browser: Any, page: Path, width: int) -> None:
    """At each width all plots draw, nothing is logged or asked for but the file, and nothing sticks out sideways."""
    browser.requested()
    browser.show(page, width=width)
    for name in ("frontier", "build", "memory", "latency", "recall", "joint"):
        browser.drawn(f"plot-{name}")
    assert browser.logged() == []
    assert {url for url in browser.requested() if not url.startswith("data:")} == {page.as_uri()}
    assert browser.run("return document.documentElement.scrollWidth") <= width
    for theme in ("light", "dark"):
        browser.prefer(theme)
    assert browser.logged() == []


def test_the_frontier_answers_to_its_controls(browser: Any, page: Path) -> None:
    """Algorithms, axes, intervals and beaten settings can be changed, and the plot follows."""
    browser.show(page)
    before = lines(browser.drawn("plot-frontier"))
    assert set(before) == {"brute_force", "hnsw", "hnswlib", "lsh"}
    assert before["brute_force"]["x"] == [pytest.approx(4)]  # recall 1 on the stretched scale
    browser.click("input[name=scale-x][value=linear]")
    assert lines(browser.drawn("plot-frontier"))["brute_force"]["x"] == [1]
    browser.click("input[name=scale-y][value=linear]")
    kind = "return document.getElementById('plot-frontier')._fullLayout.yaxis.type"
    assert browser.run(kind) == "linear"
    browser.click("#algorithms input[value='1']")
    assert set(lines(browser.drawn("plot-frontier"))) == {"brute_force", "hnswlib", "lsh"}
    browser.click("[data-only=library]")
    assert set(lines(browser.drawn("plot-frontier"))) == {"hnswlib"}
    browser.click("[data-only=none]")
    assert "No algorithm is chosen" in browser.text("#plot-frontier")
    browser.click("[data-only=all]")
    assert any(trace["fill"] for trace in browser.drawn("plot-frontier"))
    browser.click("#show-intervals")
    assert not any(trace["fill"] for trace in browser.drawn("plot-frontier"))
    browser.click("#show-others")
    assert {trace["mode"] for trace in browser.drawn("plot-frontier")} == {"lines+markers", "markers"}
    browser.run("const s = document.getElementById('axis-x'); s.value = 'eps0.1'; s.dispatchEvent(new Event('change'))")
    title = "return document.getElementById('plot-frontier')._fullLayout.xaxis.title.text"
    assert browser.run(title) == "Recall within 10%"
    assert browser.logged() == []


def test_a_click_on_a_point_tells_of_it(browser: Any, page: Path) -> None:
    """The panel shows the setting clicked in a plot, with the command line and the Python that measure it again."""
    from selenium.webdriver.common.action_chains import ActionChains

    browser.show(page)
    trace = lines(browser.drawn("plot-frontier"))["hnswlib"]
    place = browser.run(
        "const p = document.getElementById('plot-frontier'), box = p.getBoundingClientRect(), l = p._fullLayout;"
        "return [box.x + l._size.l + l.xaxis.c2p(arguments[0]), box.y + l._size.t + l.yaxis.c2p(arguments[1])]",
        trace["x"][0],
        trace["y"][0],
    )
    actions = ActionChains(browser.driver)
    actions.w3c_actions.pointer_action.move_to_location(int(place[0]), int(place[1]))
    actions.w3c_actions.pointer_action.click()
    actions.perform()
    browser.until("return document.querySelector('#point h3').textContent.includes('hnswlib')")
    hover = browser.until(HOVER)
    assert "hnswlib" in hover
    assert "QPS" in hover
    script = "return [...document.querySelectorAll('#point pre')].map((p) => p.textContent)"
    application_lines, command, snippet = browser.run(script)
    assert application_lines == application(load_registry(), "hnswlib", "euclidean", 10, {"M": 16}, {"ef": 10})
    assert command == (
        "annbench run -d digits-64-euclidean -a hnswlib --k 10 --mode single --build M=16 --search ef=10 --queries 100"
    )
    assert "grids={'hnswlib': {'build': {'M': 16}, 'search': {'ef': 10}}}" in snippet
    compile(snippet, "snippet", "exec")
    setting = browser.text("#point .setting")
    assert setting == "M=16, ef=10"


def test_what_is_in_view_can_be_changed(browser: Any, page: Path) -> None:
    """Dataset and mode choose the group that all sections show, and a batch has no latencies."""
    browser.show(page)
    browser.run("const s = document.getElementById('view-dataset'); s.value = 'glove-100-angular'; s.onchange()")
    assert set(lines(browser.drawn("plot-frontier"))) == {"hnsw", "pq"}
    assert "glove-100-angular" in browser.text("#frontier-about")
    browser.run("const s = document.getElementById('view-asked'); s.value = 'batch 2'; s.onchange()")
    assert "2 threads" in browser.text("#frontier-about")
    assert browser.run("return document.getElementById('latency-figure').hidden")
    assert "timeout" not in browser.text("#failed")
    browser.click("#summary a[data-group='group-1']")
    assert "one query at a time" in browser.text("#frontier-about")
    assert "timeout" in browser.text("#failed")


def asked(browser: Any, words: str) -> None:
    """Have the chooser look at results of queries that were asked so."""
    options = browser.run("return [...document.getElementById('choose-how').options].map((o) => o.text)")
    (place,) = [number for number, text in enumerate(options) if words in text]
    script = "const s = document.getElementById('choose-how'); s.selectedIndex = arguments[0];"
    browser.run(f"{script} s.dispatchEvent(new Event('change'))", place)


def test_the_chooser_keeps_to_its_limits(browser: Any, page: Path) -> None:
    """It names the fastest setting within the limits by dataset, says why there is none, and speaks of a change."""
    browser.show(page)

    def ask(**limits: str) -> list[str]:
        for name, value in limits.items():
            script = "const f = document.getElementById(arguments[0]); f.value = arguments[1];"
            browser.run(f"{script} f.dispatchEvent(new Event('input'))", f"choose-{name}", value)
        return browser.rows("#chosen", 1)

    asked(browser, "one query at a time")
    assert ask(recall="0.95")[0].startswith("hnsw")
    data = json.loads(browser.text("#group-1"))
    columns, names = data["columns"], [one["name"] for one in data["algorithms"]]
    for recall, build, memory in (("0.9", "4", ""), ("0.99", "", "40"), ("0.5", "7", "30")):
        fit = [
            (qps, row)
            for row, qps in enumerate(columns["qps"])
            if columns["recall"][row] >= float(recall)
            and columns["build_seconds"][row] <= float(build or "inf")
            and columns["index_bytes"][row] <= float(memory or "inf") * 2**20
        ]
        expected = names[columns["algorithm"][max(fit)[1]]] if fit else "none"
        assert ask(recall=recall, build=build, memory=memory)[0].startswith(expected)
    assert "smallest index at this recall has" in ask(recall="0.9", build="", memory="1")[0]
    assert "the quickest build at this recall takes" in ask(build="0.001", memory="")[0]
    browser.until("return document.getElementById('said').textContent.includes('digits-64-euclidean:')")
    asked(browser, "all in one call")
    assert ask(recall="1", build="") == ["none: the best recall measured is 0.9700"]
    script = "const s = document.getElementById('choose-recall-range'); s.value = 27;"
    browser.run(f"{script} s.dispatchEvent(new Event('input'))")
    assert browser.run("return document.getElementById('choose-recall').value") == "0.95"


def test_one_recall_has_one_answer(browser: Any, page: Path) -> None:
    """Summary, chooser, the tables of targets and of costs, and the Markdown's, name one setting and its figures."""
    names = ("brute_force", "hnsw", "hnswlib", "lsh")
    table = tidy(factory.make_world(names, settings=5, floor=60_000.0))
    browser.show(page)
    asked(browser, "one query at a time")
    for place, target in enumerate((0.9, 0.95, 0.99)):
        found = winner(targets_table(table), target)
        assert found is not None
        best, beside = found.best, len(found.tied) + len(found.unsure)
        speed, mark = f"{best.qps:,.0f}", "≥ " if best.relation == ">=" else ""
        script = "const f = document.getElementById('choose-recall'); f.value = arguments[0];"
        browser.run(f"{script} f.dispatchEvent(new Event('input'))", str(target))
        assert [browser.rows("#chosen", column)[0].split("\n")[0] for column in (2, 4)] == [best.setting, speed]
        assert browser.rows("#chosen", 1)[0].split("\n")[0] == best.algorithm
        assert len(browser.run("return [...document.querySelectorAll('#chosen tbody tr:first-child .tied')]")) == beside
        browser.click(f"#at-cost label:nth-child({place + 1})")
        assert browser.rows("#costs", 1)[0] == best.setting
        assert browser.rows("#costs", 2)[0] == speed
        targets = dict(zip(browser.rows("#targets", 0), browser.rows("#targets", place + 1), strict=True))
        assert targets[best.algorithm].split("\n")[0] == f"{mark}{speed}"
        summary = browser.rows("#summary", place + 1)
        cell = next(text for text in summary if best.algorithm in text and f"{speed} QPS" in text)
        assert cell.count("tied") + cell.count("can't tell") == beside
        assert f"{mark}{speed} (" in targets_markdown(table)


def test_tables_sort(browser: Any, page: Path) -> None:
    """A heading sorts its column by value, once more turns the order about, and says so to those who listen."""
    browser.show(page)
    heading = "#costs thead th:nth-child(4)"

    def seconds() -> list[float]:
        return [float(text.split()[0]) for text in browser.rows("#costs", 3)]

    browser.click(f"{heading} button")
    assert seconds() == sorted(seconds())
    assert browser.run(f"return document.querySelector('{heading}').getAttribute('aria-sort')") == "ascending"
    browser.click(f"{heading} button")
    assert seconds() == sorted(seconds(), reverse=True)
    assert "descending" in browser.text("#said")
    browser.click("#embeddings thead th:last-child button")
    speeds = [float(text.split()[0].replace(",", "")) for text in browser.rows("#embeddings", 10)]
    assert speeds == sorted(speeds, reverse=True)
    browser.click("#every summary")
    browser.until("return document.querySelectorAll('#every-table tbody tr').length === 26")
    browser.click("#every-table tbody tr:nth-child(2) button")
    assert browser.run("return document.activeElement.id") == "point"


def test_the_theme_is_kept(browser: Any, page: Path) -> None:
    """The button goes round the themes, the choice outlives the page, and plots take its colours."""
    browser.show(page, theme="dark")
    back = "return getComputedStyle(document.documentElement).backgroundColor"
    assert browser.run(back) == "rgb(14, 16, 20)"
    browser.click("#theme")
    assert browser.run(back) == "rgb(246, 247, 249)"
    browser.drawn("plot-frontier")
    colour = "return document.getElementById('plot-frontier').data.find((t) => t.name === 'brute_force').marker.color"
    assert browser.run(colour) == "#222222"
    browser.click("#theme")
    assert browser.run(colour) != "#222222"
    browser.open(page, theme="light")
    browser.until("return document.querySelector('#point h3') !== null")
    assert browser.run(back) == "rgb(14, 16, 20)"


def test_hostile_names_do_nothing(browser: Any, hostile: Path) -> None:
    """Markup in names and parameters is shown as it is, in tables, panels, plots and what hovering shows."""
    browser.show(hostile)
    browser.drawn("plot-frontier")
    browser.run(
        "const curve = document.getElementById('plot-frontier').data.findIndex((t) => t.mode === 'lines+markers');"
        "Plotly.Fx.hover('plot-frontier', [{curveNumber: curve, pointNumber: 0}])"
    )
    hover = browser.until(HOVER)
    assert EVIL in hover
    for name in ("build", "memory", "latency", "recall", "joint"):
        browser.drawn(f"plot-{name}")
    browser.click("#every summary")
    assert EVIL in browser.text("#point h3")
    assert EVIL in browser.text("#every-table tbody th")
    assert browser.run("return document.querySelectorAll('main img, main b, main script').length") == 0
    assert browser.run("return window.broken === undefined")
    assert browser.logged() == []


def test_it_can_be_used_without_eyes_or_mouse(browser: Any, page: Path) -> None:
    """Headings go down a step at a time, controls have names, tables captions and scopes, and focus can be seen."""
    browser.show(page)
    browser.click("#every summary")
    levels = browser.run(
        "return [...document.querySelectorAll('h1, h2, h3, h4')].filter((h) => h.offsetParent)"
        ".map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    nameless = browser.run(
        "return [...document.querySelectorAll('input, select, button')].filter((e) => !(e.labels && e.labels.length)"
        " && !e.getAttribute('aria-label') && !e.textContent.trim()).map((e) => e.id || e.outerHTML)"
    )
    assert nameless == []
    assert browser.run("return [...document.querySelectorAll('table')].every((t) => t.caption?.textContent)")
    assert browser.run("return [...document.querySelectorAll('th')].every((t) => t.scope)")
    landmarks = "return ['header', 'nav', 'main', 'footer'].map((t) => document.querySelectorAll(t).length)"
    assert browser.run(landmarks) == [1, 1, 1, 1]
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    from selenium.webdriver.common.keys import Keys

    browser.run("document.querySelector('#theme').focus()")
    browser.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(browser: Any, page: Path, theme: str) -> None:
    """Each text has a contrast of 4.5 with what is behind it, in both themes."""
    browser.show(page, theme=theme)
    browser.click("#every summary")
    assert browser.run(Path(__file__).with_name("contrast.js").read_text()) == []


def test_it_prints(browser: Any, page: Path) -> None:
    """Printed from the dark theme it is a light document of some pages, with plots that nobody scrolled to."""
    browser.show(page, theme="dark")
    pdf = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    count = pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ")
    assert 2 <= count <= 15
    assert browser.run("return document.getElementById('plot-recall').querySelector('.main-svg') !== null")
    assert not browser.run("return document.documentElement.classList.contains('printing')")

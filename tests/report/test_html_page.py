"""The interactive report as text: what it carries, that it is one sealed file, and that hostile names stay names."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.analyse.table import tidy
from harness.core.errors import AnnbenchError, UnknownNameError
from harness.report.derived import derive
from harness.report.html.colours import DARK_PAGE, contrast, on_dark
from harness.report.html.page import Content, render_page, write_page
from harness.report.style import _KNOWN, styles
from harness.store.results import ResultStore
from support import factory

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;</style>\u2028${x}`"
VOID = {"meta", "link", "br", "img", "input", "use", "path", "circle"}


class Reader(HTMLParser):
    """Collects the elements of a page, and complains of those that aren't closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def content(folder: Path, results: list[Any], failures: tuple[Any, ...] = ()) -> Content:
    return Content(*derive(factory.write_store(folder, results, list(failures))))


def islands(page: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page, flags=re.DOTALL)
    return {name: json.loads(text) for name, text in found}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of a small benchmark: two datasets, a batch, a floor and a failure."""
    names = ("brute_force", "hnsw", "hnswlib", "lsh")
    results = factory.make_world(names, settings=4)
    results += factory.make_world(("hnsw", "pq"), settings=3, dataset="glove-100-angular", floor=None)
    results.append(factory.make_result("hnsw", {"M": 8}, {"ef": 9}, mode="batch", threads=2, recall=0.97, qps=9000))
    failure = factory.make_failure(detail="2 h")
    return render_page(content(tmp_path_factory.mktemp("store"), results, (failure,)))


def test_the_page_is_sealed(world: str) -> None:
    """Nothing in it names another file or host to load, and its policy allows the inlined scripts by hash alone."""
    page = read(world)
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
        assert not [name for name in attributes if name.startswith("on")], tag
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = re.findall(r"<script>(.*?)</script>", world, flags=re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy.replace("style-src-attr 'unsafe-inline'", "")
    assert "@import" not in world
    assert not re.search(r"url\(\s*['\"]?(?!data:|#)\w", "".join(page.text["style"]))


def test_a_page_is_small(world: str) -> None:
    """A small benchmark's page is little more than the plotting library."""
    assert len(world.encode()) < 1_500_000


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    """There is no date of today and no random id in it."""
    results = factory.make_world(("hnsw", "pq"), settings=3)
    made = content(tmp_path, results)
    assert render_page(made) == render_page(made)


def test_groups_are_never_mixed(world: str, tmp_path: Path) -> None:
    """Modes, datasets and machines have each their own data."""
    found = islands(world)
    keys = [one["key"] for one in found["shared"]["groups"]]
    assert sorted((key["dataset"][:5], key["mode"]) for key in keys) == [
        ("digit", "batch"), ("digit", "single"), ("glove", "single"),
    ]  # fmt: skip
    other = {"key": "m2", "cpu": "Other", "cores": 4}
    results = [factory.make_result(recall=0.97), factory.make_result(recall=0.97, qps=9e5, machine=other)]
    page = render_page(content(tmp_path, results))
    parts = [part for name, part in islands(page).items() if name != "shared"]
    assert [len(part["columns"]["qps"]) for part in parts] == [1, 1]
    assert "Other, 4 cores" in page
    assert "never mixed" in page


def test_figures_are_those_of_the_table(world: str) -> None:
    """What the page carries equals the tidy table to five digits, and knows break-even, details and failures."""
    group = islands(world)["group-1"]
    columns = group["columns"]
    table = tidy(factory.make_world(("brute_force", "hnsw", "hnswlib", "lsh"), settings=4))
    expected = table[table["purpose"] == "index"].sort_values(["algorithm", "recall", "qps"])
    for name in ("qps", "qps_low", "qps_high", "recall", "p99", "build_seconds", "index_bytes", "recall_worst5"):
        assert columns[name] == pytest.approx(list(expected[name]), rel=1e-4)
    assert group["floor"] == pytest.approx(float(table.loc[table["purpose"] == "floor", "qps"].max()), rel=1e-4)
    exact = columns["algorithm"].index(0)
    assert columns["break_even"][exact] == -1  # it can't pay off against itself
    hnsw = [value for one, value in zip(columns["algorithm"], columns["break_even"], strict=True) if one == 1]
    assert len(hnsw) == 8
    assert min(hnsw) > 1000  # 3 s of building at 900 QPS
    assert [one["reason"] for one in group["failures"]] == ["timeout"]
    detail = group["details"][str(exact)]
    assert detail["recalls"] == [0] * 10 + [1]
    assert detail["latencies"] == sorted(detail["latencies"])


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Markup in every name and parameter adds no element to the page, and no attribute."""

    def page_of(name: str, folder: str) -> Reader:
        machine = {"key": name, "cpu": name, "cores": 2, "flags": [name], "caches": {name: name}}
        result = factory.make_result(name, {name: name}, {"ef": name}, recall=0.97, dataset=name, machine=machine)
        failure = factory.make_failure(name, name, name, dataset=name, machine=name)
        return read(render_page(content(tmp_path / folder, [result], (failure,))))

    evil, plain = page_of(EVIL, "evil"), page_of("plain", "plain")
    assert [tag for tag, _ in evil.elements] == [tag for tag, _ in plain.elements]
    assert [sorted(attributes) for _, attributes in evil.elements] == [sorted(a) for _, a in plain.elements]
    assert any("<script>alert(1)</script>" in text for text in evil.text["a"])


def test_failures_alone_make_a_page(tmp_path: Path) -> None:
    """Where nothing was measured the page says what was tried."""
    page = render_page(content(tmp_path, [], (factory.make_failure("annoy", "crashed (SIGSEGV)"),)))
    assert "No index was measured" in page
    assert islands(page)["group-0"]["failures"][0]["reason"] == "crashed (SIGSEGV)"


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is a file is an error in one line."""
    (tmp_path / "file").write_text("")
    made = content(tmp_path / "store", [factory.make_result()])
    with pytest.raises(AnnbenchError, match=r"report\.html: could not be written"):
        write_page(made, tmp_path / "file")


def test_one_dataset_only(tmp_path: Path) -> None:
    """The rows of one dataset can be taken; a slip in its name suggests the nearest."""
    store = factory.write_store(tmp_path, [factory.make_result(), factory.make_result(dataset="glove")])
    assert set(derive(store).only("glove").table["dataset"]) == {"glove"}
    with pytest.raises(UnknownNameError, match="did you mean glove"):
        derive(ResultStore(tmp_path)).only("glov")


def test_colours_stand_out_on_the_dark_page() -> None:
    """Each colour of an algorithm has a contrast of 3 on the dark page, and stays as it is where it has it anyway."""
    others = {look.colour for look in styles({f"mine-{number}": "library" for number in range(50)}).values()}
    for colour in {colour for colour, _ in _KNOWN.values()} | others:
        assert contrast(on_dark(colour), DARK_PAGE) >= 3
    assert on_dark("#56B4E9").lower() == "#56b4e9"
    assert contrast("#000000", "#ffffff") == pytest.approx(21)

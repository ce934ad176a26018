"""Styles, safe text and labels that keep apart."""

from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines.registry import load_registry
from harness.report.labels import spread
from harness.report.style import _KNOWN, drawing, plain, short_names, styles


@pytest.mark.parametrize("name", ["hnsw", "mine"])
def test_names_look_the_same_everywhere(name: str) -> None:
    """The colour of an algorithm, known or a plug-in's, does not depend on the company: it has one in all pictures."""
    alone = styles({name: "from-scratch"})[name]
    crowd = styles({f"other{i}": "library" for i in range(30)} | {name: "from-scratch"})[name]
    assert alone == crowd
    assert alone.line == "-"
    assert alone.width > styles({"hnswlib": "library"})["hnswlib"].width


def test_each_algorithm_of_ours_has_a_colour_of_its_own() -> None:
    """What is measured as an index has its place in the table of colours, and no other shares it."""
    registry = load_registry()
    names = [name for name in registry if registry[name].config.purpose == "index"]
    assert set(names) <= set(_KNOWN)
    assert len({colour for colour, _ in _KNOWN.values()}) == len(_KNOWN)


@given(st.lists(st.text("abcx-", max_size=40), unique=True, max_size=12), st.integers(12, 30))
def test_short_names_stay_different(names: list[str], limit: int) -> None:
    """Different names, however long and alike at their beginning, stay different and within the limit."""
    found = short_names(names, limit)
    assert len(set(found.values())) == len(names)
    assert all(len(text) <= limit for text in found.values())


def test_short_names_keep_the_end() -> None:
    """Names that differ at the end alone say so."""
    assert set(short_names(["a-long-name-of-an-index-sq4", "a-long-name-of-an-index-sq8", "b"], 15).values()) == {
        "a-long-…dex-sq4", "a-long-…dex-sq8", "b",
    }  # fmt: skip


@given(st.sets(st.text(max_size=8), max_size=60))
def test_no_two_algorithms_look_alike(names: set[str]) -> None:
    """In one picture each name has a colour and marker of its own, whatever the names and their order."""
    found = styles(dict.fromkeys(sorted(names), "library"))
    assert len({(style.colour, style.marker) for style in found.values()}) == len(names)
    assert styles(dict.fromkeys(sorted(names, reverse=True), "library")) == found


def test_few_unknown_names_get_colours_of_their_own() -> None:
    """While the palette lasts, colours are not shared."""
    found = styles(dict.fromkeys((f"mine-{i}" for i in range(10)), "library") | {"hnsw": "from-scratch"})
    assert len({style.colour for style in found.values()}) == 11


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\tc", "a b c"),
        ("x" * 30, "x" * 19 + "…"),
        ("\x1b[31mred", "[31mred"),
        ("a\u202eb", "a b"),
        ("\ud800", ""),
        (None, "None"),
    ],
)
def test_plain_text(text: object, expected: str) -> None:
    """Control characters, direction marks and length can't spoil a picture."""
    assert plain(text, 20) == expected


def test_drawing_leaves_no_settings_behind() -> None:
    """Our settings hold inside the context only, and a user's are not seen there."""
    with mpl.rc_context({"axes.linewidth": 9.0}):
        with drawing():
            assert mpl.rcParams["axes.linewidth"] == 0.8
            assert mpl.rcParams["text.parse_math"] is False
        assert mpl.rcParams["axes.linewidth"] == 9.0


@given(st.lists(st.floats(-0.2, 1.2), max_size=30), st.floats(0.001, 0.2))
def test_labels_keep_apart(wanted: list[float], gap: float) -> None:
    """Positions stay in order, inside the axes, and a gap apart, or as far as there is room."""
    found = spread(wanted, gap, 0.0, 1.0)
    assert len(found) == len(wanted)
    room = min(gap, 1.0 / max(len(wanted) - 1, 1))
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    placed = [found[i] for i in order]
    assert all(b - a >= room - 1e-9 for a, b in pairwise(placed))
    assert all(-1e-9 <= y <= 1 + 1e-9 for y in found)


def test_labels_with_room_stay_where_they_want() -> None:
    """Nothing is moved that doesn't have to be; two that collide share the way."""
    assert spread([0.1, 0.9, 0.5], 0.1, 0, 1) == pytest.approx([0.1, 0.9, 0.5])
    assert spread([0.5, 0.5], 0.1, 0, 1) == pytest.approx([0.45, 0.55])

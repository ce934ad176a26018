"""Markdown and CSV: what they say, and that names from files stay text."""

from __future__ import annotations

import csv
import io

import pytest

from harness.analyse.table import tidy
from harness.report.tables import escape, failures_markdown, settings_markdown, targets_markdown, to_csv
from support import factory

EVIL = "<img src=x onerror=alert(1)>|a\nb `c` [d](e) $f$ *g* _h_ \\"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("brute_force", "brute_force"),
        ("_x_", r"\_x\_"),
        ("a|b", r"a\|b"),
        ("a\nb", "a b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("[a](b)", r"\[a\](b)"),
        ("$x$ `y` *z* ~~", r"\$x\$ \`y\` \*z\* \~\~"),
        ("\\|", r"\\\|"),
    ],
)
def test_markdown_is_escaped(text: str, expected: str) -> None:
    """Text reads as it is: no markup, no table borders, no HTML."""
    assert escape(text) == expected


def test_every_row_has_the_headers_columns() -> None:
    """Hostile names and parameters don't break a table."""
    results = [factory.make_result(EVIL, {EVIL: EVIL}, {"a": [1, 2]}, recall=0.97), factory.make_result("b")]
    rows = tidy(results, [factory.make_failure(EVIL, reason=EVIL, detail=EVIL)])
    for text in (targets_markdown(rows), settings_markdown(rows), failures_markdown(rows)):
        lines = text.splitlines()
        assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
        assert "<img" not in text


def test_targets_say_how_far_to_trust_them() -> None:
    """Intervals, ">=", "not reached" and the floor stand in the cells."""
    results = [
        factory.make_result("a", {}, {"ef": 7}, recall=0.98, qps=1234, mode="batch", pass_spread=0.01),
        factory.make_result("noop", recall=0.0, qps=2000, purpose="floor", mode="batch"),
    ]
    text = targets_markdown(tidy(results))
    assert "≥ 1,2" in text
    assert " to 1,2" in text
    assert "(near floor)" in text
    assert "not reached" in text
    assert "ef=7" in text
    assert "noop" not in text


def test_settings_tell_what_was_measured() -> None:
    """Disturbed passes and queries that were left out are shown; columns without any figure are not."""
    result = factory.make_result("a", disturbed=(0, 1), mode="batch", environment={"queries_asked": 400})
    text = settings_markdown(tidy([result]))
    assert "7 (2 disturbed)" in text
    assert "100 of 400" in text
    assert "Latency" not in text


def test_failures_say_why() -> None:
    """What did not finish is listed with its reason; without failures there is no table."""
    text = failures_markdown(tidy([], [factory.make_failure("annoy", "out of memory", "more than 4 GiB")]))
    assert "| annoy | - | all | build | out of memory | more than 4 GiB |" in text
    assert failures_markdown(tidy([factory.make_result()])) == ""


def test_csv_round_trips() -> None:
    """A CSV has a row a setting, JSON parameters, full precision, empty cells for nan, and no formulas."""
    table = tidy([factory.make_result("=cmd()", {"M": 16}, mode="batch"), factory.make_result("b,\n", {})])
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["algorithm"] for row in rows] == ["'=cmd()", "b,\n"]
    assert rows[0]["build"] == '{"M": 16}'
    assert float(rows[0]["qps"]) == table["qps"][0]
    assert rows[0]["p99"] == ""
    assert "qps_samples" not in rows[0]

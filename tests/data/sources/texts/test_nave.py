"""Topics out of Nave's markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.sources.texts.nave import Topic, headword_family, read_references, topics


def ref(osis: str, shown: str = "x") -> str:
    return f'<ref osisRef="{osis}">{shown}</ref>'


FAITH = f"""<entryFree n="FAITH">
<def>
<lb/>→ General scriptures concerning {ref("Ps.2.12")}; {ref("Ps.9.9")},{ref("Ps.9.10")};
<lb/>→ See <ref target="Nave:FAITH IN CHRIST">FAITH IN CHRIST</ref>
<lb/>→ INSTANCES OF
<list>
<item>Noah, in building the ark {ref("Gen.6.14-Gen.6.22")}; {ref("Heb.11.7")}</item>
<item>Moses</item> </list>
<lb/>In espousing the cause of his people {ref("Heb.11.24-Heb.11.28")}
<lb/>At the death of Korah {ref("Num.16.28")}
<list>
<item>Caleb {ref("Num.13.30")}, see <ref target="Nave:CALEB">CALEB</ref></item> </list>
<lb/>→ Stamped &#8220;Holiness&#8221; , in God' s house (R. V.) See {ref("Zech.14.20")}</def>
</entryFree>"""

AZARIAH = f"""<def>
<lb/>1. Son of Ahimaaz {ref("1Chr.6.9", "1")}Ch 6:9; {ref("1Chr.6.10")}
<list>
<item>A writer {ref("1Kgs.4.2")}</item> </list>
<lb/>2. Also called UZZIAH. {ref("2Kgs.14.21")}
<lb/>→ 11. Son of Jehoram II 2Ki 14:26,27 {ref("2Chr.22.6")}</def>"""


def test_lines_become_topics():
    """Labels above a line go before its own; small words, numbers, pointers and empty labels as documented."""
    assert list(topics([("FAITH", FAITH), ("AZARIAH", AZARIAH)])) == [
        Topic("FAITH", "Faith", ("Ps.2.12", "Ps.9.9", "Ps.9.10")),
        Topic("FAITH", "Faith: instances of: Noah, in building the ark", ("Gen.6.14-Gen.6.22", "Heb.11.7")),
        Topic("FAITH", "Faith: instances of: Moses: In espousing the cause of his people", ("Heb.11.24-Heb.11.28",)),
        Topic("FAITH", "Faith: instances of: Moses: At the death of Korah", ("Num.16.28",)),
        Topic("FAITH", "Faith: instances of: Caleb", ("Num.13.30",)),
        Topic("FAITH", "Faith: Stamped “Holiness”, in God's house (R. V.)", ("Zech.14.20",)),
        Topic("AZARIAH", "Azariah: Son of Ahimaaz", ("1Chr.6.10",)),
        Topic("AZARIAH", "Azariah: Son of Ahimaaz: A writer", ("1Kgs.4.2",)),
        Topic("AZARIAH", "Azariah: Also called UZZIAH", ("2Kgs.14.21",)),
        Topic("AZARIAH", "Azariah: Son of Jehoram II", ("2Chr.22.6",)),
    ]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("See NEBO", ""),
        ("see NEBO", ""),
        ("Also see NEBO", ""),
        ("Called NEBO, which see", "Called NEBO"),
        ("Identical with GEDER (which see)", "Identical with GEDER"),
        ("Of Jacob, see above", "Of Jacob"),
        ("Kings (for their history see under each name)", "Kings"),
        ("Called Neginoth. See titles of", "Called Neginoth"),
        ("Desire to see Jesus", "Desire to see Jesus"),
        ("Seeks to slay David", "Seeks to slay David"),
    ],
)
def test_pointers_to_other_entries(label, text):
    """A pointer is cut off with all that follows; who sees something keeps it."""
    (topic,) = topics([("NEBO", f"<lb/>→ {label} {ref('Gen.1.1')}")])
    assert topic.text == ("Nebo: " + text if text else "Nebo")


@pytest.mark.parametrize(
    ("markup", "references"),
    [
        (ref("Gen.1.1") + "," + ref("Gen.1.1"), ["Gen.1.1"]),
        (ref("Josh.6"), ["Josh.6"]),
        (ref("Jude.1.1", "Jude 1") + ":7", ["Jude.1.7"]),
        (ref("Jude.1.1", "Jude 1") + ":4-6,14,15; 3", ["Jude.1.4-Jude.1.6", "Jude.1.14", "Jude.1.15"]),
        (ref("Josh.3.1", "1") + "Ch 4:17", []),
        (ref("Gen.1.1") + ": the beginning", ["Gen.1.1"]),
        ('see <ref target="Nave:NEBO">NEBO</ref>', []),
    ],
)
def test_references_of_a_line(markup, references):
    """References come once, in order; the rest of those in books of one chapter is read, misread ones are not."""
    assert list(read_references(markup)) == references


@given(st.lists(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), min_size=1), min_size=1))
def test_lists_of_verses_and_ranges(lists):
    """Whatever verses and ranges follow a book of one chapter, each is read."""
    markup, expected = "", []
    for parts in lists:
        shown = [str(first) if not more else f"{first}-{first + more}" for first, more in parts]
        markup += ref("Phlm.1.1", "Phm 1") + ":" + ",".join(shown) + "; "
        expected += [f"Phlm.1.{a}" if not more else f"Phlm.1.{a}-Phlm.1.{a + more}" for a, more in parts]
    assert list(read_references(markup)) == list(dict.fromkeys(expected))


@pytest.mark.parametrize(
    ("headword", "family"), [("AGE, OLD", "AGE"), ("ANGEL (A SPIRIT)", "ANGEL"), ("FAITH IN CHRIST", "FAITH IN CHRIST")]
)
def test_families_of_headwords(headword, family):
    """What follows a comma or a bracket tells like from like, and no more."""
    assert headword_family(headword) == family

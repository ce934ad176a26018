"""The words of verses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.sources.texts.osis import plain_text

CASES = {
    "words": (
        'In the <w lemma="strong:H7225">beginning</w> <transChange type="added">was</transChange>',
        "In the beginning was",
    ),
    "inside a word": ("<divineName>L</divineName>ORD", "LORD"),
    "note before a word": (
        'Christ,<note placement="foot"><reference>1:1 </reference>Messiah</note><w>the</w> son',
        "Christ, the son",
    ),
    "note before a stop": ("two coins <note>An assarion</note> <q/>? Not one", "two coins? Not one"),
    "two notes": ("firmament.<note>1.20 life</note><note>1.20 open</note> ", "firmament."),
    "note before a quotation": ("said,<note>x</note>“Let", "said, “Let"),
    "superscription": ('<title type="psalm">A Psalm of <w>David</w>.</title>Blessed', "Blessed"),
    "speaker": ("<speaker>Beloved</speaker> Let him", "Let him"),
    "lines of verse": ('Judah,<l eID="1"/><l sID="2"/>are in no way', "Judah, are in no way"),
    "paragraph": ('<div type="x-p" sID="g1"/>And God¶  said', "And God said"),
    "left over": (r"the \nd LORD \nd*and \+nd God", "the LORD and God"),
    "entity": ("bread &amp; wine &#8220;x&#8221;", "bread & wine “x”"),
    "dash": ("<w>one</w>—<w>two</w>", "one—two"),
    "nothing": ("<note>only</note> <milestone/>", ""),
}


@pytest.mark.parametrize(("markup", "text"), CASES.values(), ids=CASES)
def test_plain_text(markup, text):
    """Markup goes, words stay apart or together as they were."""
    assert plain_text(markup) == text


@given(
    st.lists(
        st.sampled_from(["word", "Two", " ", ". ", "<w>", "</w>", "<note>", "x", "</note>", "<l/>", "<q>", "&amp;"])
    )
)
def test_no_markup_is_left(parts):
    """Whatever the nesting, no tag is left, blanks are single, and a second pass changes nothing."""
    text = plain_text("".join(parts))
    assert "<" not in text
    assert text == " ".join(text.split())
    assert plain_text(text.replace("&", "&amp;")) == text

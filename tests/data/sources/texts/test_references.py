"""References: what they mean among the verses that exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import SourceError
from harness.data.sources.texts.references import Canon

BOOKS = ("Gen", "Exod", "1Sam")
PLACES = st.tuples(st.sampled_from(BOOKS), st.integers(1, 4), st.integers(1, 12))


@pytest.fixture
def canon():
    """Return two chapters of Genesis, of which the first lacks verse 3, and one of Jude."""
    return Canon(["Gen.1.1", "Gen.1.2", "Gen.1.4", "Gen.1.10", "Gen.2.1", "Gen.2.2", "Jude.1.1"])


@pytest.mark.parametrize(
    ("reference", "verses"),
    [
        ("Gen.1.2", "Gen.1.2"),
        ("Gen.1.3", ""),
        ("Gen.1.2-Gen.1.4", "Gen.1.2 Gen.1.4"),
        ("Gen.1.3-Gen.1.99", "Gen.1.4 Gen.1.10"),
        ("Gen.1.10-Gen.2.1", "Gen.1.10 Gen.2.1"),
        ("Gen.2", "Gen.2.1 Gen.2.2"),
        ("Gen.1-Gen.2", "Gen.1.1 Gen.1.2 Gen.1.4 Gen.1.10 Gen.2.1 Gen.2.2"),
        ("Gen.1.4-Gen.1.2", ""),
        ("PrAzar.1.1", ""),
        ("PrAzar.1", ""),
    ],
)
def test_verses_of_a_reference(canon, reference, verses):
    """Single verses, ranges within and across chapters, and chapters yield what exists of them."""
    assert " ".join(canon.verses(reference)) == verses


@pytest.mark.parametrize("reference", ["", "Gen", "Gen.1.2.3", "Gen.one", "Gen.1.1-", "Gen.1.1-5"])
def test_what_is_no_reference(canon, reference):
    """What can't be read is told; an open range is one verse, as it stands."""
    if reference == "Gen.1.1-":
        assert canon.verses(reference) == ("Gen.1.1",)
        return
    with pytest.raises(SourceError, match="is no reference"):
        canon.verses(reference)


@given(places=st.sets(PLACES, min_size=1), first=PLACES, last=PLACES)
def test_a_range_is_what_lies_between(places, first, last):
    """A range holds the verses that are neither before its first nor after its last."""
    ordered = sorted(places, key=lambda place: (BOOKS.index(place[0]), *place[1:]))
    canon = Canon(".".join(map(str, place)) for place in ordered)
    present = list(dict.fromkeys(book for book, _, _ in ordered))
    if first[0] not in present or last[0] not in present:
        return
    key = [(present.index(book), chapter, verse) for book, chapter, verse in (first, last)]
    between = [p for p in ordered if key[0] <= (present.index(p[0]), p[1], p[2]) <= key[1]]
    reference = "-".join(".".join(map(str, place)) for place in (first, last))
    assert canon.verses(reference) == tuple(".".join(map(str, place)) for place in between)


@given(places=st.sets(PLACES, min_size=1))
def test_chapters_part_the_verses(places):
    """The chapters together hold each verse once, and a verse means itself."""
    ordered = sorted(places, key=lambda place: (BOOKS.index(place[0]), *place[1:]))
    canon = Canon(".".join(map(str, place)) for place in ordered)
    chapters = dict.fromkeys(f"{book}.{chapter}" for book, chapter, _ in ordered)
    assert [verse for chapter in chapters for verse in canon.verses(chapter)] == list(canon.ids)
    assert all(canon.verses(verse) == (verse,) for verse in canon.ids)

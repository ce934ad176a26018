"""References to verses, as OSIS writes them, and the verses that they mean."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from harness.core.errors import SourceError

_PART = re.compile(r"(\w+)\.(\d+)(?:\.(\d+))?")
_LAST = 1 << 30  # more than any chapter has verses

_Place = tuple[int, int, int]


class Canon:
    """The verses that exist, by their OSIS ids (`Gen.1.1`), books in the order in which they first come."""

    def __init__(self, ids: Iterable[str]) -> None:
        known = list(ids)
        self._books = {book: n for n, book in enumerate(dict.fromkeys(verse.partition(".")[0] for verse in known))}
        placed = sorted((self._place(verse, 0), verse) for verse in known)
        self._places = [place for place, _ in placed]
        self.ids = tuple(verse for _, verse in placed)

    def _place(self, part: str, unstated: int) -> _Place:
        """Return (book, chapter, verse) as numbers that sort; a verse that isn't stated counts as `unstated`."""
        match = _PART.fullmatch(part)
        if match is None:
            raise SourceError(f"{part!r} is no reference: it should read Book.chapter or Book.chapter.verse")
        book, chapter, verse = match.groups()
        return self._books.get(book, len(self._books)), int(chapter), int(verse) if verse else unstated

    def verses(self, reference: str) -> tuple[str, ...]:
        """Return the verses of `Gen.1.1`, `Gen.1` (a chapter) or `Gen.1.1-Gen.2.3` that exist, in order; perhaps none.

        Raises SourceError where the reference reads in no such way.
        """
        first, _, last = reference.partition("-")
        start = bisect_left(self._places, self._place(first, 0))
        return self.ids[start : bisect_right(self._places, self._place(last or first, _LAST))]

"""Topics of Nave's Topical Bible and the verses that it lists under them, out of the TEI of its SWORD module."""

from __future__ import annotations

import html
import re
import string
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A reference: its verses, and the rest of it where the module's maker stopped early. A book of one chapter got
# `<ref osisRef="Jude.1.1">Jude 1</ref>:14,15`; and `<ref osisRef="Josh.3.1">1</ref>Ch 4:17` is no reference to Joshua.
_REFERENCE = re.compile(r'<ref osisRef="([^"]+)">[^<]*</ref>(?:(:\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)|([A-Z]))?')
_LINE = re.compile(r"<(lb/|list|/list|item)>|</item>")
_NUMBER = re.compile(r"\d+\.\s")
_UNREAD = re.compile(r"\b(?:[1-3] ?[A-Z][a-z]+ \d|[A-Z][a-z]+ \d+:\d).*")  # a reference that is plain text
# "See FAITH", ", which see", "Also see below", and all that follows; but not "Desire to see Jesus".
_POINTER = re.compile(r"(?:[\s.,;:(-]*\bSee\b|(?:[,;:(]\s*(?:which )?|\b[Aa]lso |\bwhich |\([^()]*|^)see\b).*")
# Labels that only say that references follow.
_EMPTY_LABEL = re.compile(r"(?:general|unclassified)? ?scriptures (?:concerning|relating to)", re.IGNORECASE)


class Topic(NamedTuple):
    """A line of Nave's: its headword as printed, the query that it makes, and its references as OSIS writes them."""

    headword: str
    text: str
    references: tuple[str, ...]


def topics(entries: Iterable[tuple[str, str]]) -> Iterator[Topic]:
    """Yield the lines with references of all entries, (headword, TEI markup) each, in order.

    A topic's text is its headword and the labels above and on its line, `Faith: instances of: Abel`. Labels in capitals
    become small, enumerations, "See ..." and "General scriptures concerning" are left out.
    """
    for headword, markup in entries:
        title = string.capwords(headword)
        for path, references in _lines(markup):
            yield Topic(headword, ": ".join([title, *filter(None, path)]), references)


def headword_family(headword: str) -> str:
    """Return the part of a headword that it shares with its like: `AGE` of `AGE, OLD`."""
    return re.split(r"[,(]", headword)[0].strip()


def read_references(markup: str) -> tuple[str, ...]:
    """Read the references in a piece of TEI: `Gen.1.1`, `Gen.1` or `Gen.1.1-Gen.1.3`, each once, in order."""
    found: dict[str, None] = {}
    for reference, rest, glued in _REFERENCE.findall(markup):
        if glued:
            continue
        if not rest:
            found[reference] = None
            continue
        chapter = reference.rpartition(".")[0]
        for part in rest[1:].split(","):
            found["-".join(f"{chapter}.{verse}" for verse in part.split("-"))] = None
    return tuple(found)


def _lines(markup: str) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """Yield (labels from the outermost to the line's own, references) of each line with references.

    A line is an `<lb/>` or an `<item>`. An item stands below the last line outside of its list. A line after a list
    stands below the list's last item, unless an arrow or a number shows that it starts a topic of its own.
    """
    path: list[str] = []
    depth, after_list = 0, False
    pieces = _LINE.split(markup)
    for mark, content in zip(pieces[1::2], pieces[2::2], strict=True):
        if mark in ("list", "/list"):
            depth += 1 if mark == "list" else -1
            after_list = mark == "/list"
        elif mark in ("lb/", "item"):
            text = content.strip()
            if mark == "lb/" and (text.startswith("→") or _NUMBER.match(text)):
                after_list = False
            level = depth if mark == "item" else 2 if after_list else 0
            path = [*path[:level], _label(text)]
            references = read_references(content)
            if references:
                yield path, references


def _label(markup: str) -> str:
    """Return what a line says before its first reference, in plain words."""
    text = html.unescape(re.sub(r"<[^>]*>", "", _REFERENCE.split(markup, maxsplit=1)[0]))
    text = re.sub(rf"^{_NUMBER.pattern}", "", text.lstrip("→ \n"))
    text = _POINTER.sub("", _UNREAD.sub("", text))
    text = re.sub(r"\s+(?=[,;.)])|(?<=\w') (?=s\b)", "", " ".join(text.split())).strip(" ;:,.-")
    if _EMPTY_LABEL.fullmatch(text):
        return ""
    return text.lower() if text.isupper() else text

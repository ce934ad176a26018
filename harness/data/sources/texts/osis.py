"""The words of a verse, without the OSIS markup around them."""

from __future__ import annotations

import html
import re

_TOKEN = re.compile(r"<(/?)(\w+)[^>]*?(/?)>|([^<]+)")
# What isn't part of the verse: footnotes, headings (a psalm's superscription among them), who speaks.
_HIDDEN = frozenset({"note", "title", "speaker"})
# What ends a line or a paragraph, and so a word; all other tags may stand within one.
_BREAKS = frozenset({"div", "item", "l", "lb", "lg", "list", "p"})
_WORD = re.compile(r"[\w“‘(]")  # noqa: RUF001 - the quotation mark that the texts use
# Left over from an earlier form of the text: USFM's `\nd ` (the name of God), and the pilcrow of a paragraph.
_LEFTOVER = re.compile(r"\\\+?[a-z]+\d?\*? ?|¶")
_STRAY_BLANK = re.compile(r"\s+(?=[,.;:?!])")


def plain_text(markup: str) -> str:
    """Return the words of a verse: without notes and headings, entities resolved, with single blanks.

    A note stands right behind what it explains, often in place of the blank; one is put there where a word follows.
    """
    parts: list[str] = []
    hidden, after_note = 0, False
    for closing, tag, empty, text in _TOKEN.findall(markup):
        if tag in _HIDDEN:
            hidden += 0 if empty else -1 if closing else 1
            after_note = True
        elif hidden:
            continue
        elif tag in _BREAKS:
            parts.append(" ")
        elif text:
            if after_note and _WORD.match(text):
                parts.append(" ")
            parts.append(text)
            after_note = False
    text = _LEFTOVER.sub("", html.unescape("".join(parts)))
    return " ".join(_STRAY_BLANK.sub("", text).split())

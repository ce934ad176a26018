"""The studies that lie beside the page: what each found, and its picture made small enough to carry."""

from __future__ import annotations

import base64
import html
import io
import re
from dataclasses import dataclass
from pathlib import Path

from harness.report.style import plain

_STEM = "study-"
_QUICK = "-quick"
_WIDTH = 1200  # pixels: twice what a card is wide on most screens
_COLOURS = 256
_MOST_PIXELS = 40_000_000


@dataclass(frozen=True)
class StudyCard:
    """What a study found: a headline, the sentences below it, when and where, and its picture as a data URI or ""."""

    name: str
    finding: str
    text: str
    footer: str
    picture: str
    width: int
    height: int


def study_cards(folder: Path) -> list[StudyCard]:
    """Read the studies in a folder of plots, in order of their names; a quick one only where there is no full one."""
    found = {path.stem: path for path in sorted(folder.glob(f"{_STEM}*.md"))}
    kept = [path for stem, path in found.items() if not stem.endswith(_QUICK) or stem.removesuffix(_QUICK) not in found]
    return [card for card in map(_card, kept) if card is not None]


def _card(path: Path) -> StudyCard | None:
    """Read a page as `write_study` wrote it; None for one that can't be read or isn't one."""
    try:
        parts = path.read_text(encoding="utf-8").split("\n\n")
    except (OSError, UnicodeDecodeError):
        return None
    if len(parts) < 2 or not parts[0].startswith("# "):
        return None
    footer = next((part for part in reversed(parts) if part.startswith("annbench study")), "")
    picture, width, height = _picture(path.with_suffix(".png"))
    return StudyCard(
        name=plain(path.stem.removeprefix(_STEM).replace("-", " "), 80),
        finding=_unescaped(parts[0].removeprefix("# "), 300),
        text=_unescaped(parts[1], 6000),
        footer=_unescaped(footer.split(". Settings:")[0], 300),
        picture=picture,
        width=width,
        height=height,
    )


def _unescaped(text: str, limit: int) -> str:
    """Undo what `tables.escape` did for Markdown: the page escapes in its own way."""
    return plain(html.unescape(re.sub(r"\\([\\`*\[\]$|~_])", r"\1", text)), limit)


def _picture(path: Path) -> tuple[str, int, int]:
    """Return a picture as a data URI with few colours, and its size; ("", 0, 0) where there is none to be read.

    It is drawn anew rather than copied: only pixels reach the page.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > _MOST_PIXELS:
                return "", 0, 0
            shown = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "", 0, 0
    if shown.width > _WIDTH:
        shown = shown.resize((_WIDTH, round(shown.height * _WIDTH / shown.width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    # Lines and letters: a palette without dithering looks the same in fewer bytes. This way of choosing it keeps the
    # colours that few pixels have, such as those of thin lines.
    shown.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}", shown.width, shown.height

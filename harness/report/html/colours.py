"""The colours of the pictures on a dark page: the same hues, lightened until they stand out."""

from __future__ import annotations

DARK_PAGE = "#14171c"
"""The background of a plot on the dark page; `assets/page.css` has it as --card."""

# WCAG 2.2, 1.4.11: what one must see to understand a picture has this contrast with what is beside it.
_CONTRAST = 3.0
_STEPS = 40


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours `#rrggbb`, 1 to 21, as WCAG defines it."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def on_dark(colour: str) -> str:
    """Mix a colour with as much white as it needs to be seen on the dark page."""
    for step in range(_STEPS + 1):
        mixed = _mix(colour, step / _STEPS)
        if contrast(mixed, DARK_PAGE) >= _CONTRAST:
            return mixed
    return "#ffffff"


def _parts(colour: str) -> list[int]:
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def _mix(colour: str, white: float) -> str:
    return "#" + "".join(f"{round(part + (255 - part) * white):02x}" for part in _parts(colour))


def _luminance(colour: str) -> float:
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (part / 255 for part in _parts(colour))
    ]
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

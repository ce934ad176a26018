"""How things look: one colour, marker and line for an algorithm in every picture, and text made safe to draw.

The known colours are from Okabe and Ito and from Paul Tol's muted scheme, which people with any colour vision can tell
apart in small numbers; beyond that, markers, line styles and direct labels carry the difference. A family shares a hue:
HNSW and the graphs are blue, quantisation orange, ScaNN and its kin green, trees purple, hashing olive, exact search
grey.
"""

from __future__ import annotations

import colorsys
import contextlib
import hashlib
import itertools
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.report.html.colours import contrast

FROM_SCRATCH = "from-scratch"

INK = "#222222"
SOFT = "#666666"
GRID = "#e6e6e6"
FLOOR_COLOUR = "#b0b0b0"
LEADER = "#9a9a9a"

_KNOWN = {
    "brute_force": ("#222222", "o"),
    "hnsw": ("#0072B2", "o"),
    "pq": ("#D55E00", "s"),
    "pq-codes": ("#A34700", "v"),
    "anisotropic_vq": ("#009E73", "D"),
    "lsh": ("#8A8A1A", "^"),
    "kd_tree": ("#AA4499", "v"),
    "ball_tree": ("#882255", "P"),
    "hnswlib": ("#56B4E9", "s"),
    "faiss-hnsw": ("#332288", "^"),
    "faiss-ivf-flat": ("#C29200", "v"),
    "faiss-ivf-sq8": ("#B8552F", "P"),
    "faiss-ivf-pq-fs": ("#E69F00", "D"),
    "faiss-flat": ("#777777", "v"),
    "faiss-lsh": ("#B5B12B", "v"),
    "faiss-lsh-codes": ("#6B6A1E", "P"),
    "scann": ("#117733", "^"),
    "scann-brute-force": ("#888888", "s"),
    "annoy": ("#661100", "X"),
    "sklearn-kd-tree": ("#CC79A7", "^"),
    "sklearn-ball-tree": ("#C2577F", "s"),
    "usearch": ("#44AA99", "P"),
    "usearch-half": ("#2A7F72", "X"),
    "voyager": ("#5B7FC7", "D"),
    "pynndescent": ("#3B3FA5", "X"),
    "symphonyqg": ("#0E8FA8", "v"),
    "vsag-hgraph": ("#6A5ACD", "s"),
    "svs-vamana": ("#1B4F72", "P"),
    "ngt-onng": ("#A0522D", "o"),
    "ngt-panng": ("#CD853F", "P"),
    "lorann": ("#CC6677", "*"),
}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LIGHTNESS = (0.32, 0.42, 0.52)
_SATURATION = 0.62
_CONTRAST = 3.0  # as on the dark page: html/colours.py

_RC = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.0,
    "text.color": INK,
    "text.parse_math": False,  # a name with two dollar signs is a name, not a formula
    "text.usetex": False,
    "axes.unicode_minus": True,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "hatch.linewidth": 0.5,
    "hatch.color": "#cfcfcf",
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",  # looks the same where DejaVu isn't installed
    "svg.hashsalt": "annbench",  # the same picture gives the same file
}


@dataclass(frozen=True)
class Style:
    """How one algorithm is drawn: from scratch solid and thick, a library dashed and thinner."""

    colour: str
    marker: str
    line: Any
    width: float
    weight: str

    @property
    def size(self) -> float:
        """Return the marker's size in points; shapes of equal size don't look equally large."""
        return {"*": 7.5, "P": 5.5, "X": 5.5, "D": 4.2, "s": 4.6}.get(self.marker, 5.0)


def styles(origins: Mapping[str, str]) -> dict[str, Style]:
    """Assign a style to each algorithm of one picture: `origins` maps its name to `from-scratch` or `library`.

    A name looks the same in every picture and on the page, whatever else is there: other names than the known ones take
    hue, lightness and marker from their hash. Only where two names would look exactly alike one of them moves on.
    """
    looks = {name: _KNOWN[name] for name in sorted(origins) if name in _KNOWN}
    for name in sorted(set(origins) - set(looks)):
        taken = set(looks.values())
        looks[name] = next(look for look in _hashed_looks(name) if look not in taken)
    return {name: _style(*looks[name], scratch=origin == FROM_SCRATCH) for name, origin in origins.items()}


def _hashed_looks(name: str) -> Iterator[tuple[str, str]]:
    """Yield the look that a name's hash stands for, then others."""
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    hue, light = int.from_bytes(digest[:4], "big"), _LIGHTNESS[digest[4] % len(_LIGHTNESS)]
    for step in itertools.count():
        yield _seen_on_white((hue / 2**32 + step / 360) % 1.0, light), _MARKERS[(digest[5] + step) % len(_MARKERS)]


def _seen_on_white(hue: float, light: float) -> str:
    """Return the colour of a hue, darkened until it stands out on white."""
    while True:
        parts = colorsys.hls_to_rgb(hue, light, _SATURATION)
        colour = "#" + "".join(f"{round(255 * part):02x}" for part in parts)
        if contrast(colour, "#ffffff") >= _CONTRAST:
            return colour
        light *= 0.95


def _style(colour: str, marker: str, *, scratch: bool) -> Style:
    if scratch:
        return Style(colour, marker, "-", 2.3, "bold")
    return Style(colour, marker, (0, (4, 1.6)), 1.3, "normal")


def plain(text: object, limit: int = 60) -> str:
    """Make text safe to draw on one line: no control characters or line breaks, and at most `limit` characters."""
    # Categories C* are control, format (which could turn the writing direction), surrogate and unassigned characters.
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in str(text)[: 20 * limit])
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


def short_names(names: Iterable[str], limit: int) -> dict[str, str]:
    """Shorten names to at most `limit` characters so that different names stay different: cut in the middle.

    Names that share a long beginning differ at their end, so that is kept; what is alike even so is numbered.
    """
    out: dict[str, str] = {}
    for name in dict.fromkeys(names):
        whole = plain(name, max(limit, len(name)))
        tail = (limit - 1) // 2
        short = whole if len(whole) <= limit else f"{whole[: limit - 1 - tail].rstrip()}…{whole[-tail:].lstrip()}"
        wanted, number = short, 2
        while short in out.values():
            mark = f" ({number})"
            short, number = wanted[: limit - len(mark)] + mark, number + 1
        out[name] = short
    return out


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Draw with our settings alone: a user's matplotlibrc changes nothing, and nothing of ours stays behind."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that is no reason for a warning or a failure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield

"""Pictures with captions: emoji and their names, clothes and what they are."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from harness.core.errors import SourceError
from harness.core.extras import extra
from harness.data.sources.idx import read_idx
from harness.data.sources.package import find_idx, unpacked_debian
from harness.data.sources.texts.jsonl import split_of, write_jsonl

EMOJI_SIDE = 64  # pixels
# Labels of Fashion-MNIST, in their order (Xiao, Rasul, Vollgraf 2017).
CLOTHES = (
    *("a T-shirt", "a pair of trousers", "a pullover", "a dress", "a coat"),
    *("a sandal", "a shirt", "a sneaker", "a bag", "an ankle boot"),
)
_LATIN_1 = 0xFF  # the last of those that are text first: digits, #, *, the signs of copyright
_DEV = _TEST = 0.1


def write_emoji(folder: Path, package: str, *, console: Console) -> None:
    """Write `images.npy` (n, 64, 64, 3) uint8, on white, and `captions.jsonl` with each character's Unicode name.

    An emoji is in train, dev or test by the hash of its name. Raises SourceError where Debian's font can't be had.
    """
    with unpacked_debian(package, console=console) as (unpacked, _):
        fonts = sorted(unpacked.rglob("NotoColorEmoji.ttf"))
        if not fonts:
            raise SourceError(f"{package} holds no NotoColorEmoji.ttf")
        drawn = [(character, _pixels(png)) for character, png in _bitmaps(fonts[0])]
    captions = (
        {"image": i, "text": name, "character": character, "split": split_of(name, dev=_DEV, test=_TEST)}
        for i, (character, _) in enumerate(drawn)
        for name in [unicodedata.name(character).lower()]
    )
    _write(folder, np.stack([pixels for _, pixels in drawn]), captions)


def _bitmaps(font: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each character with a name that the font has a colour bitmap for, and the bitmap as PNG."""
    with extra("emoji", f"{font.name}: drawing its characters"):
        from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(font) as opened:
            bitmaps, glyphs = opened["CBDT"].strikeData[0], opened.getBestCmap()
            for code in sorted(code for code in glyphs if code > _LATIN_1):
                bitmap = bitmaps.get(glyphs[code])
                if bitmap is not None and bitmap.imageData and unicodedata.name(chr(code), ""):
                    yield chr(code), bitmap.imageData
    except (TTLibError, KeyError) as problem:
        raise SourceError(f"{font.name}: no font with colour bitmaps ({problem})") from None


def _pixels(png: bytes) -> NDArray[np.uint8]:
    """Return a PNG on a white square, scaled, as (side, side, 3) uint8."""
    from PIL import Image

    drawn = Image.open(io.BytesIO(png)).convert("RGBA")
    side = max(drawn.size)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(drawn, ((side - drawn.width) // 2, (side - drawn.height) // 2))
    scaled = square.convert("RGB").resize((EMOJI_SIDE, EMOJI_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(scaled, np.uint8)


def write_clothes(folder: Path, package: str, *, console: Console) -> None:
    """Write Fashion-MNIST as `images.npy` (70000, 28, 28, 1) uint8, and `captions.jsonl` with text, label and split.

    The publisher's 60,000 pictures for training come first, then the 10,000 for testing. Raises SourceError where
    Debian's package can't be had, DatasetError where its files are broken.
    """
    images: list[NDArray[Any]] = []
    labels: list[tuple[str, int]] = []
    with unpacked_debian(package, console=console) as (unpacked, _):
        for split, part in (("train", "train"), ("test", "t10k")):
            images.append(read_idx(find_idx(unpacked, f"{part}-images-idx3-ubyte", package)))
            read = read_idx(find_idx(unpacked, f"{part}-labels-idx1-ubyte", package))
            if len(read) != len(images[-1]):
                raise SourceError(f"{package}: {len(images[-1])} pictures of {split}, but {len(read)} labels")
            labels += [(split, int(label)) for label in read]
    captions = (
        {"image": i, "text": f"a picture of {CLOTHES[label]}", "label": label, "split": split}
        for i, (split, label) in enumerate(labels)
    )
    _write(folder, np.concatenate(images)[..., None], captions)


def _write(folder: Path, images: NDArray[np.uint8], captions: Iterator[dict[str, Any]]) -> None:
    np.save(folder / "images.npy", images, allow_pickle=False)
    write_jsonl(folder / "captions.jsonl", captions)

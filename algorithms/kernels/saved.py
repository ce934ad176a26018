"""Files of saved indexes: arrays, and in one of them what they are."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import PluginError

# What reading a file raises that was written by something else, or only in part.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, MemoryError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
_ABOUT = "about"

Arrays = dict[str, NDArray[Any]]


def write_saved(path: Path, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one file of arrays (.npz, whatever its name); `about` is anything that JSON holds."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_ABOUT: np.array(json.dumps(about))}, **arrays)


@contextmanager
def opened(path: Path, kind: Mapping[str, Any], *, about: str = _ABOUT) -> Iterator[tuple[dict[str, Any], Arrays]]:
    """Read what `write_saved` wrote: yield what it is about, and its arrays.

    `kind` names the values that `about` must have, `name` among them. Raises PluginError where it has others, and where
    the file can't be read or taken apart: in the block, too, which should change the index last of all.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(str(arrays.pop(about)))
        if other := {key: facts[key] for key in kind if facts[key] != kind[key]}:
            said, wanted = (
                ", ".join(str(part[key]) if key == "name" else f"{key} {part[key]}" for key in other)
                for part in (other, kind)
            )
            raise PluginError(f"{path} holds an index of {said}, not of {wanted}; build the index again")
        yield facts, arrays
    except _UNREADABLE as problem:
        why = f"no {problem}" if isinstance(problem, KeyError) else str(problem)
        raise PluginError(f"{path} holds no {kind['name']} index ({why}); build the index again") from problem


def check_array(name: str, array: NDArray[Any], dtype: type[Any], shape: tuple[int, ...]) -> None:
    """Raise ValueError where an array isn't of this type and shape."""
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} are {array.dtype} of shape {array.shape}, not {np.dtype(dtype)} of {shape}")

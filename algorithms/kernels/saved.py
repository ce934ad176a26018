"""Indexes in files: one archive of arrays (.npz, whatever its name), whose `header` says in JSON what they are.

The header's format:
    1   format, index, metric, dim, parameters (the constructor's), effective, state (the index's own), digest
Before it, each index wrote a file of its own kind, with `about` in the place of the header: those are refused.

The digest is a SHA-256 of the header and all arrays, so that no damaged or edited file is taken for an index. It
protects from accidents, not from an author who computes it anew: kernels check no bounds, so what they index by is
checked one by one, too (`check_array` and each index's own `_restore`).
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ParameterError, PluginError
from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Saves

_FORMAT = 1
_HEADER, _EARLIER = "header", "about"

Arrays = dict[str, NDArray[Any]]


class Facts:
    """Named values from a file; reading one of another type or out of range raises ValueError with its name."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        if not isinstance(values, dict):
            raise TypeError(f"{values!r} is no table of values")
        self.values = values

    def integer(self, name: str, least: int = 0, most: int = 2**62) -> int:
        """Return a whole number from `least` to `most`."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} = {value!r} is not a whole number from {least} to {most}")
        return value

    def number(self, name: str) -> float:
        """Return a number, which may be infinite."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ValueError(f"{name} = {value!r} is not a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """Return True or False."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise ValueError(f"{name} = {value!r} is not true or false")  # noqa: TRY004 - a file's fault, not a caller's
        return value

    def part(self, name: str) -> Facts:
        """Return the table of that name."""
        return Facts(self._value(name))

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise ValueError(f"it has no {name}")
        return self.values[name]


class Saved(NamedTuple):
    """What a file holds: `parameters` of the constructor, and what the index wrote of itself."""

    dim: int
    parameters: dict[str, Any]
    effective: dict[str, Any]
    state: Facts
    arrays: Arrays


class SavedIndex(Algorithm, Saves):
    """An index that is saved as a header and arrays. Loading replaces it as a whole, or leaves it as it was."""

    name: ClassVar[str]
    """The algorithm's name, as errors and files give it."""
    _metric: Metric
    _dim: int

    @abstractmethod
    def _parameters(self) -> dict[str, Any]:
        """Return the constructor's parameters, the metric aside."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """Return what else `_restore` needs, as JSON holds it."""

    @abstractmethod
    def _arrays(self) -> Arrays:
        """Return the arrays that `_restore` needs."""

    @abstractmethod
    def _restore(self, saved: Saved) -> None:
        """Take the place of the index that was saved, in a new instance with its parameters and dimension.

        Raises ValueError or KeyError where the parts don't fit together.
        """

    def save(self, path: Path) -> None:
        """Write one file of NumPy arrays (.npz, whatever its name)."""
        header = {
            "format": _FORMAT,
            "index": self.name,
            "metric": str(self._metric),
            "dim": self._dim,
            "parameters": self._parameters(),
            "effective": self.effective,
            "state": self._state(),
        }
        arrays = self._arrays()
        header = json.loads(json.dumps(header, default=_plain))
        header["digest"] = _digest(header, arrays)
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_HEADER: np.array(json.dumps(header))}, **arrays)

    def load(self, path: Path) -> None:
        """Read what `save` wrote, parameters and `effective` included.

        Raises PluginError, and leaves the index as it was, where the file is none of this index and metric, of another
        format, incomplete or damaged.
        """
        with _opened(path, self.name, self._metric) as saved:
            fresh = type(self)(self._metric, **saved.parameters)
            fresh._dim, fresh.effective = saved.dim, saved.effective  # noqa: SLF001 - another of this class
            fresh._restore(saved)  # noqa: SLF001 - the same
        self.__dict__ = fresh.__dict__


def check_array(name: str, array: NDArray[Any], dtype: type[Any], shape: tuple[int, ...]) -> None:
    """Raise ValueError where an array that comes from elsewhere has another type or shape."""
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} are {array.dtype} of shape {array.shape}, not {np.dtype(dtype)} of shape {shape}")


def check_permutation(name: str, array: NDArray[Any], n: int) -> None:
    """Raise ValueError where an array is not 0 to n - 1 in some order."""
    check_array(name, array, np.int32, (n,))
    within = 0 <= array.min(initial=0) <= array.max(initial=0) < max(n, 1)
    if not within or (np.bincount(array, minlength=n) != 1).any():
        raise ValueError(f"{name} are not the numbers of {n} rows")


def named(part: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return arrays under the names that those of one part of an index have in a file."""
    return {f"{part}.{name}": array for name, array in arrays.items()}


def part_of(arrays: Mapping[str, NDArray[Any]], part: str) -> Arrays:
    """Return the arrays of one part of an index, under the names that `named` was given."""
    return {name.removeprefix(f"{part}."): array for name, array in arrays.items() if name.startswith(f"{part}.")}


@contextmanager
def _opened(path: Path, index: str, metric: Metric) -> Iterator[Saved]:
    """Yield what the file of such an index holds; whatever is raised in here or in the block is a PluginError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        yield _parsed(path, arrays, index, metric)
    except ParameterError as problem:
        raise PluginError(f"{path} holds no {index} index ({problem}); build the index again") from problem
    except PluginError:
        raise
    except Exception as problem:  # a damaged archive raises what zipfile, zlib, struct, json or NumPy happen to
        why = f"no {problem}" if isinstance(problem, KeyError) else " ".join(str(problem).split())
        why = why or type(problem).__name__
        raise PluginError(f"{path} holds no {index} index ({why}); build the index again") from problem


def _parsed(path: Path, arrays: Arrays, index: str, metric: Metric) -> Saved:
    if _HEADER not in arrays and _EARLIER in arrays:
        raise PluginError(
            f"{path} holds no {index} index that this version reads: an earlier one saved it; build the index again"
        )
    header = Facts(json.loads(str(arrays.pop(_HEADER))))
    own = header.integer("format")
    if own != _FORMAT:
        age = "a later" if own > _FORMAT else "an earlier"
        raise PluginError(f"{path} was saved in format {own}, that of {age} version; build the index again")
    for what, wanted in (("index", index), ("metric", str(metric))):
        found = header.values.get(what)
        if found != wanted:
            raise PluginError(f"{path} holds an index of {found}, not of {wanted}; build the index again")
    if header.values.pop("digest", None) != _digest(header.values, arrays):
        raise ValueError("its contents are not those that were saved")
    parts = (header.part(name).values for name in ("parameters", "effective"))
    parameters, effective = (dict(part) for part in parts)
    return Saved(header.integer("dim", 1), parameters, effective, header.part("state"), arrays)


def _digest(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's own, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} can't be saved")

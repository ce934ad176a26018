"""Many arrays as one argument: a call from Python takes 0.1 to 0.3 us for each array that it is given.

A search of 15 us can't afford that for the twenty arrays that it works on. So they are bundled once, when a search is
bound: kernels are given a table of addresses and shapes, from which they make the arrays again at no cost.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numba import carray, config, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from algorithms.kernels.jit import kernel

Array = Any


class Bundle(NamedTuple):
    """Arrays and the table that stands for them: to hold the bundle is to keep what the table points to.

    `table` (n, 3) int64 has a line an array: its address, length and width (1 where it has one dimension).
    """

    table: NDArray[np.int64]
    arrays: tuple[NDArray[Any], ...]


def bundle(arrays: Iterable[NDArray[Any]]) -> Bundle:
    """Bundle arrays that are C-contiguous, of one dimension or two; raises ValueError where one is not."""
    arrays = tuple(arrays)
    if not all(array.flags.c_contiguous and array.ndim in (1, 2) for array in arrays):
        raise ValueError("only C-contiguous arrays of one or two dimensions can be bundled")
    lines = [(array.ctypes.data, len(array), array.shape[1] if array.ndim == 2 else 1) for array in arrays]
    return Bundle(np.array(lines, np.int64).reshape(-1, 3), arrays)


def record(kind: np.dtype[Any], **values: Any) -> NDArray[Any]:
    """Return an array of one record, whose fields kernels read by name; raises TypeError unless all are given."""
    if values.keys() != set(kind.names or ()):
        raise TypeError(f"a record of {kind.names} can't be made of {tuple(values)}")
    one = np.zeros(1, kind)
    for name, value in values.items():
        one[name] = value
    return one


def _pointer_twin(address: int) -> Any:
    """Return a C pointer to an address."""
    # An empty array may have any address; a null pointer would read as none at all.
    return ctypes.c_void_p(int(address) or 1)


@intrinsic  # type: ignore[untyped-decorator]
def _pointer_intrinsic(typingctx: Any, address: Any) -> Any:
    """Take an int64 for a pointer: no instruction at all."""
    del typingctx, address

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), codegen


_pointer = _pointer_twin if config.DISABLE_JIT else _pointer_intrinsic


@kernel
def vector(table: Array, i: int, dtype: Any) -> Any:
    """Return the i-th of the bundled arrays, which has one dimension and this type."""
    return carray(_pointer(table[i, 0]), (table[i, 1],), dtype)


@kernel
def matrix(table: Array, i: int, dtype: Any) -> Any:
    """Return the i-th of the bundled arrays, which has two dimensions and this type."""
    return carray(_pointer(table[i, 0]), (table[i, 1], table[i, 2]), dtype)

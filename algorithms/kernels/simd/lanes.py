"""Vectors of floats that live in registers, so that a kernel can say `total += gap * gap` for LANES points at once.

A compiler turns a loop over points into vector instructions only if it is the innermost one; here the inner loop is
over dimensions, and LANES points go through it side by side. `Lanes` is a numba type for LLVM's own vector, which LLVM
splits into what the processor has (two registers of AVX-512, four of AVX2, eight of NEON). Without the compiler, the
same kernels run on NumPy arrays of LANES floats.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

LANES = 32

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_MASK = ir.IntType(LANES)


class Lanes(types.Type):  # type: ignore[misc]
    """The numba type of LANES float32 in vector registers."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


_lanes = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _arithmetic(operation: Any, emit: str) -> None:
    """Give `Lanes` an operator that works on all lanes at once."""

    @type_callable(operation)  # type: ignore[untyped-decorator]
    def typer(context: Any) -> Callable[[Any, Any], Any]:
        del context
        return lambda left, right: _lanes if isinstance(left, Lanes) and isinstance(right, Lanes) else None

    @lower_builtin(operation, Lanes, Lanes)  # type: ignore[untyped-decorator]
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return getattr(builder, emit)(args[0], args[1])


for _operation, _emit in (
    (operator.add, "fadd"),
    (operator.iadd, "fadd"),
    (operator.sub, "fsub"),
    (operator.isub, "fsub"),
    (operator.mul, "fmul"),
):
    _arithmetic(_operation, _emit)


def _call(builder: Any, name: str, args: list[Any]) -> Any:
    """Call an LLVM intrinsic that is overloaded on the vector type, such as `llvm.sqrt`."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32"), args)


def _spread(builder: Any, value: Any) -> Any:
    """Copy one float into all lanes."""
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), zeros)


def _item(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
    """Point to an item of a one-dimensional array, which is aligned as a float is."""
    array = context.make_array(kind)(context, builder, value)
    shape, strides = cgutils.unpack_tuple(builder, array.shape), cgutils.unpack_tuple(builder, array.strides)
    item = cgutils.get_item_pointer2(context, builder, array.data, shape, strides, kind.layout, [index])
    return builder.bitcast(item, _FLOATS.as_pointer())


def _spread_twin(value: Any) -> Any:
    return np.full(LANES, value, np.float32)


@intrinsic  # type: ignore[untyped-decorator]
def _spread_intrinsic(typingctx: Any, value: Any) -> Any:
    """Copy a float into all lanes."""
    del typingctx, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return _spread(builder, args[0])

    return _lanes(types.float32), codegen


def _load_twin(array: Any, start: int) -> Any:
    return array[start : start + LANES].copy()


@intrinsic  # type: ignore[untyped-decorator]
def _load_intrinsic(typingctx: Any, array: Any, start: Any) -> Any:
    """Load LANES floats."""
    del typingctx, start

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_item(context, builder, signature.args[0], args[0], args[1]), align=4)

    return _lanes(array, types.intp), codegen


def _store_twin(array: Any, start: int, value: Any) -> None:
    array[start : start + LANES] = value


@intrinsic  # type: ignore[untyped-decorator]
def _store_intrinsic(typingctx: Any, array: Any, start: Any, value: Any) -> Any:
    """Store LANES floats."""
    del typingctx, start, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _item(context, builder, signature.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, _lanes), codegen


def _store_bytes_twin(array: Any, start: int, value: Any) -> None:
    array[start : start + LANES] = np.fmin(np.fmax(np.rint(value), -128.0), 127.0).astype(np.int8)


@intrinsic  # type: ignore[untyped-decorator]
def _store_bytes_intrinsic(typingctx: Any, array: Any, start: Any, value: Any) -> Any:
    """Round LANES floats, cut them off, convert them and store them."""
    del typingctx, start, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        least, most = (ir.Constant(_FLOATS, [limit] * LANES) for limit in (-128.0, 127.0))
        rounded = _call(builder, "rint", [args[2]])
        within = _call(builder, "minnum", [_call(builder, "maxnum", [rounded, least]), most])
        bytes_ = ir.VectorType(ir.IntType(8), LANES)
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.bitcast(builder.gep(array.data, [args[1]]), bytes_.as_pointer())
        builder.store(builder.fptosi(within, bytes_), place, align=1)
        return context.get_dummy_value()

    return types.none(array, types.intp, _lanes), codegen


def _maximum_twin(left: Any, right: Any) -> Any:
    return np.fmax(left, right)


@intrinsic  # type: ignore[untyped-decorator]
def _maximum_intrinsic(typingctx: Any, left: Any, right: Any) -> Any:
    """Take the greater of each pair of lanes."""
    del typingctx, left, right

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return _call(builder, "maxnum", list(args))

    return _lanes(_lanes, _lanes), codegen


def _largest_twin(value: Any) -> Any:
    return np.fmax.reduce(value)


@intrinsic  # type: ignore[untyped-decorator]
def _largest_intrinsic(typingctx: Any, value: Any) -> Any:
    """Take the greatest of all lanes."""
    del typingctx, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        kind = ir.FunctionType(ir.FloatType(), [_FLOATS])
        name = f"llvm.vector.reduce.fmax.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return types.float32(_lanes), codegen


def _least_lane_twin(value: Any, mask: int) -> int:
    lanes = [lane for lane in range(LANES) if int(mask) >> lane & 1]
    return min(lanes, key=lambda lane: np.inf if np.isnan(value[lane]) else value[lane], default=0)


@intrinsic  # type: ignore[untyped-decorator]
def _least_lane_intrinsic(typingctx: Any, value: Any, mask: Any) -> Any:
    """Find the least of some lanes as integers, which is quicker: the bits of floats order as these do, sign aside."""
    del typingctx, value, mask
    integers = ir.VectorType(ir.IntType(32), LANES)

    def splat(number: int) -> Any:
        return ir.Constant(integers, [number] * LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        bits = builder.bitcast(args[0], integers)
        # Of negative ones the order is the other way round.
        bits = builder.xor(bits, builder.and_(builder.ashr(bits, splat(31)), splat(2**31 - 1)))
        chosen = builder.bitcast(builder.trunc(args[1], _MASK), ir.VectorType(ir.IntType(1), LANES))
        bits = builder.select(chosen, bits, splat(2**31 - 1))
        kind = ir.FunctionType(ir.IntType(32), [integers])
        name = f"llvm.vector.reduce.smin.v{LANES}i32"
        least = builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [bits])
        one = builder.insert_element(ir.Constant(integers, ir.Undefined), least, ir.Constant(ir.IntType(32), 0))
        everywhere = builder.shuffle_vector(one, ir.Constant(integers, ir.Undefined), splat(0))
        equal = builder.bitcast(builder.icmp_signed("==", bits, everywhere), _MASK)
        trailing = ir.FunctionType(_MASK, [_MASK, ir.IntType(1)])
        count = cgutils.get_or_insert_function(builder.module, trailing, f"llvm.cttz.i{LANES}")
        return builder.zext(builder.call(count, [equal, ir.Constant(ir.IntType(1), 1)]), ir.IntType(64))

    return types.int64(_lanes, types.int64), codegen


def _root_twin(value: Any) -> Any:
    return np.sqrt(value)


@intrinsic  # type: ignore[untyped-decorator]
def _root_intrinsic(typingctx: Any, value: Any) -> Any:
    """Take the square root of every lane."""
    del typingctx, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return _call(builder, "sqrt", list(args))

    return _lanes(_lanes), codegen


def _lanes_below_twin(value: Any, limit: Any) -> int:
    return sum(1 << lane for lane, one in enumerate(value) if one < limit)


@intrinsic  # type: ignore[untyped-decorator]
def _lanes_below_intrinsic(typingctx: Any, value: Any, limit: Any) -> Any:
    """Compare every lane with a float, and give the answers as the bits of an integer."""
    del typingctx, value, limit

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        mask = builder.fcmp_ordered("<", args[0], _spread(builder, args[1]))
        return builder.zext(builder.bitcast(mask, _MASK), ir.IntType(64))

    return types.int64(_lanes, types.float32), codegen


spread = _spread_twin if config.DISABLE_JIT else _spread_intrinsic
"""spread(value: float32) -> Lanes: the value in every lane."""

load = _load_twin if config.DISABLE_JIT else _load_intrinsic
"""load(array (n,) float32, contiguous, start) -> Lanes: array[start : start + LANES], all of which must exist."""

store = _store_twin if config.DISABLE_JIT else _store_intrinsic
"""store(array (n,) float32, contiguous, start, value: Lanes): write array[start : start + LANES]."""

store_bytes = _store_bytes_twin if config.DISABLE_JIT else _store_bytes_intrinsic
"""store_bytes(array (n,) int8, contiguous, start, value: Lanes): write the lanes rounded, cut off at int8."""

maximum = _maximum_twin if config.DISABLE_JIT else _maximum_intrinsic
"""maximum(left: Lanes, right: Lanes) -> Lanes: the greater of each pair; a NaN loses."""

largest = _largest_twin if config.DISABLE_JIT else _largest_intrinsic
"""largest(value: Lanes) -> float32: the greatest of the lanes; a NaN loses."""

least_lane = _least_lane_twin if config.DISABLE_JIT else _least_lane_intrinsic
"""least_lane(value: Lanes, mask) -> int64: the first least of the lanes that `mask`, not 0, names; no NaNs."""

root = _root_twin if config.DISABLE_JIT else _root_intrinsic
"""root(value: Lanes) -> Lanes: square roots."""

lanes_below = _lanes_below_twin if config.DISABLE_JIT else _lanes_below_intrinsic
"""lanes_below(value: Lanes, limit: float32) -> int64: bit j says whether lane j is below the limit; a NaN isn't."""

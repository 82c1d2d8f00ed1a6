"""Four numbers side by side in one vector register, for Numba: the channels of one pixel.

Numba's own loops over three channels stay scalar; with these a pixel costs a handful of vector
instructions.  They are written in LLVM's portable vector IR, no instruction of a processor by name:
LLVM picks AVX, SSE or NEON.  Arithmetic is float64 without fused multiply-add, so results are those
of the same formula in plain Python, to the last bit.

`load` and `store` touch four neighbours in memory, whatever the number of channels: callers keep
slack behind the last pixel.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 4
_INDEX = ir.IntType(32)


class _LanesType(types.Type):
    def __init__(self):
        super().__init__(name="fastaug.Lanes")


_LANES = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _vector(ir.DoubleType()))


def _vector(element):
    return ir.VectorType(element, WIDTH)


def _address(context, builder, array_type, array, index, element):
    """Return a pointer to four elements of a contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(_vector(element)))


@intrinsic
def load(_, array, index):
    """Return four float32 or float64 values of a flat array, from `index` on."""

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        element = context.get_data_type(kind.dtype)
        address = _address(context, builder, kind, *arguments, element)
        value = builder.load(address, align=kind.dtype.bitwidth // 8)
        if kind.dtype == types.float64:
            return value
        return builder.fpext(value, _vector(ir.DoubleType()))

    return _LANES(array, types.intp), generate


@intrinsic
def store(_, lanes, array, index):
    """Put four values into a flat float32 or float64 array, from `index` on."""

    def generate(context, builder, signature, arguments):
        value, *place = arguments
        kind = signature.args[1]
        element = context.get_data_type(kind.dtype)
        if kind.dtype == types.float32:
            value = builder.fptrunc(value, _vector(element))
        address = _address(context, builder, kind, *place, element)
        builder.store(value, address, align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(_LANES, array, types.intp), generate


@intrinsic
def _splat(_, number):
    """Return the same number four times."""

    def generate(_context, builder, _signature, arguments):
        undefined = ir.Constant(_vector(ir.DoubleType()), ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], _INDEX(0))
        return builder.shuffle_vector(first, undefined, ir.Constant(_vector(_INDEX), [0] * WIDTH))

    return _LANES(types.float64), generate


@intrinsic
def _add(_, left, right):
    return _LANES(_LANES, _LANES), lambda _context, builder, _, pair: builder.fadd(*pair)


@intrinsic
def _multiply(_, left, right):
    return _LANES(_LANES, _LANES), lambda _context, builder, _, pair: builder.fmul(*pair)


@overload(operator.add)
def _overload_add(left, right):
    if left is _LANES and right is _LANES:
        return lambda left, right: _add(left, right)  # noqa: PLW0108 - Numba reads its parameters
    return None


@overload(operator.mul)
def _overload_multiply(lanes, number):
    if lanes is _LANES and number == types.float64:
        return lambda lanes, number: _multiply(lanes, _splat(number))
    return None

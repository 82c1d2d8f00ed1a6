"""Two pixels side by side in one vector register, for Numba: eight numbers, four a pixel.

Numba's own loops over three channels stay scalar; with these a pixel costs a handful of vector
instructions.  They are written in LLVM's portable vector IR, no instruction of a processor by name:
LLVM picks AVX, SSE or NEON, and takes several registers where one is too narrow.  Arithmetic is
float64 without fused multiply-add, so results are those of the same formula in plain Python, to the
last bit.

`load` and `store` touch four neighbours in memory for each pixel, whatever the number of channels:
callers keep slack behind the last pixel.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 4  # numbers of a pixel
PIXELS = 2

_DOUBLE = ir.DoubleType()
_INDEX = ir.IntType(32)


class _LanesType(types.Type):
    def __init__(self):
        super().__init__(name="fastaug.Lanes")


_LANES = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, vector_of(_DOUBLE, PIXELS * WIDTH))


def vector_of(element, width):
    """Return the type of so many elements in a register."""
    return ir.VectorType(element, width)


def _shuffle(builder, one, other, lanes):
    """Return a vector of the numbered lanes of two vectors."""
    mask = ir.Constant(vector_of(_INDEX, len(lanes)), list(lanes))
    return builder.shuffle_vector(one, other, mask)


def address_of(context, builder, array_type, array, index, width):
    """Return a pointer to `width` elements of a contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    element = context.get_data_type(array_type.dtype)
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(vector_of(element, width)))


@intrinsic
def load(_, array, one, other):
    """Return two pixels of a flat float32 or float64 array, from `one` and from `other` on."""

    def generate(context, builder, signature, arguments):
        kind, (memory, *starts) = signature.args[0], arguments
        alignment = kind.dtype.bitwidth // 8
        halves = [
            builder.load(address_of(context, builder, kind, memory, start, WIDTH), align=alignment)
            for start in starts
        ]
        value = _shuffle(builder, *halves, range(PIXELS * WIDTH))
        if kind.dtype == types.float64:
            return value
        return builder.fpext(value, vector_of(_DOUBLE, PIXELS * WIDTH))

    return _LANES(array, types.intp, types.intp), generate


@intrinsic
def spread(_, array, index):
    """Return two neighbours of a float64 array, one for all numbers of each pixel."""

    def generate(context, builder, signature, arguments):
        address = address_of(context, builder, signature.args[0], *arguments, PIXELS)
        pair = builder.load(address, align=8)
        return _shuffle(builder, pair, pair, [k // WIDTH for k in range(PIXELS * WIDTH)])

    return _LANES(array, types.intp), generate


@intrinsic
def store(_, lanes, array, one, other):
    """Put two pixels into a flat float32 or float64 array: the first, and then the second."""

    def generate(context, builder, signature, arguments):
        value, memory, *starts = arguments
        kind = signature.args[1]
        if kind.dtype == types.float32:
            value = builder.fptrunc(value, vector_of(ir.FloatType(), PIXELS * WIDTH))
        for pixel, start in enumerate(starts):
            half = _shuffle(builder, value, value, [pixel * WIDTH + k for k in range(WIDTH)])
            address = address_of(context, builder, kind, memory, start, WIDTH)
            builder.store(half, address, align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(_LANES, array, types.intp, types.intp), generate


@intrinsic
def complement(_, lanes):
    """Return 1 - lanes."""

    def generate(_context, builder, _signature, arguments):
        ones = ir.Constant(vector_of(_DOUBLE, PIXELS * WIDTH), [1.0] * PIXELS * WIDTH)
        return builder.fsub(ones, arguments[0])

    return _LANES(_LANES), generate


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
def _overload_multiply(left, right):
    if left is _LANES and right is _LANES:
        return lambda left, right: _multiply(left, right)  # noqa: PLW0108 - likewise
    return None

"""Four float32 side by side, a pixel of up to four channels, for Numba: as `lanes`, in float32.

For resampling, whose references work in fixed point: float32 is more exact than they are, and twice
as fast as float64.  `load` and `store` touch four neighbours, whatever the number of channels, and
`blend_pairs` eight.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, overload, register_model

from fastaug.kernels.lanes import WIDTH, address_of, vector_of

_FLOAT = ir.FloatType()


class _QuadType(types.Type):
    def __init__(self):
        super().__init__(name="fastaug.Quad")


_QUAD = _QuadType()


@register_model(_QuadType)
class _QuadModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, vector_of(_FLOAT, WIDTH))


@intrinsic
def load(_, array, start):
    """Return the pixel of a flat array, float32 or uint8, that begins at `start`."""

    def generate(context, builder, signature, arguments):
        return _numbers(context, builder, signature.args[0], *arguments, WIDTH)

    return _QUAD(array, types.intp), generate


def _numbers(context, builder, kind, array, start, width):
    """Load so many neighbours, as float32."""
    address = address_of(context, builder, kind, array, start, width)
    value = builder.load(address, align=kind.dtype.bitwidth // 8)
    if kind.dtype == types.uint8:
        whole = builder.zext(value, vector_of(ir.IntType(32), width))
        return builder.sitofp(whole, vector_of(_FLOAT, width))
    return value


def _repeat(builder, number, width):
    """Return a float32 as a vector."""
    empty = ir.Constant(vector_of(_FLOAT, width), ir.Undefined)
    one = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(vector_of(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(one, empty, zeros)


def _fused(builder, left, right, summand):
    """Return left * right + summand, rounded once."""
    kind = left.type
    name = f"llvm.fma.v{kind.count}f32"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, [left, right, summand])


@intrinsic
def blend_pairs(_, array, start, down, lower, far):
    """Return a pixel between 2x2 others, of three channels each.

    Both pixels of a row come in one load: first the rows are blended, by the share of the `lower`
    one, then their pixels, by that of the `far` one.

    Parameters
    ----------
    array
        Flat, float32 or uint8.
    start, down
        Where the upper left pixel begins, and how much further on the one below it.
    """

    def generate(context, builder, signature, arguments):
        memory, start, down, lower, far = arguments
        above, below = (
            _numbers(context, builder, signature.args[0], memory, place, 2 * WIDTH)
            for place in (start, builder.add(start, down))
        )
        weight = _repeat(builder, lower, 2 * WIDTH)
        row = _fused(builder, builder.fsub(below, above), weight, above)
        near, other = (
            builder.shuffle_vector(row, row, ir.Constant(vector_of(ir.IntType(32), WIDTH), lanes))
            for lanes in ([0, 1, 2, 3], [3, 4, 5, 6])
        )
        return _fused(builder, builder.fsub(other, near), _repeat(builder, far, WIDTH), near)

    numbers = types.intp, types.intp, types.float32, types.float32
    return _QUAD(array, *numbers), generate


@intrinsic
def spread(_, number):
    """Return a float32 as all four."""
    return _QUAD(types.float32), lambda _context, builder, _, pair: _repeat(builder, *pair, WIDTH)


@intrinsic
def store(_, quad, array, start):
    """Put a pixel into a flat float32 array, from `start` on."""

    def generate(context, builder, signature, arguments):
        value, memory, start = arguments
        address = address_of(context, builder, signature.args[1], memory, start, WIDTH)
        builder.store(value, address, align=4)
        return context.get_dummy_value()

    return types.void(_QUAD, array, types.intp), generate


@intrinsic
def _add(_, left, right):
    return _QUAD(_QUAD, _QUAD), lambda _context, builder, _, pair: builder.fadd(*pair)


@intrinsic
def _multiply(_, left, right):
    return _QUAD(_QUAD, _QUAD), lambda _context, builder, _, pair: builder.fmul(*pair)


@intrinsic
def _subtract(_, left, right):
    return _QUAD(_QUAD, _QUAD), lambda _context, builder, _, pair: builder.fsub(*pair)


@intrinsic
def fused(_, left, right, summand):
    """Return left * right + summand, rounded once."""
    return _QUAD(_QUAD, _QUAD, _QUAD), lambda _context, builder, _, three: _fused(builder, *three)


@overload(operator.sub)
def _overload_subtract(left, right):
    if left is _QUAD and right is _QUAD:
        return lambda left, right: _subtract(left, right)  # noqa: PLW0108 - likewise
    return None


@overload(operator.add)
def _overload_add(left, right):
    if left is _QUAD and right is _QUAD:
        return lambda left, right: _add(left, right)  # noqa: PLW0108 - Numba reads its parameters
    return None


@overload(operator.mul)
def _overload_multiply(left, right):
    if left is _QUAD and right is _QUAD:
        return lambda left, right: _multiply(left, right)  # noqa: PLW0108 - likewise
    return None

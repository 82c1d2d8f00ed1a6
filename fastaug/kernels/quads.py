"""Four float32 side by side, a pixel of up to four channels, for Numba: as `lanes`, in float32.

For resampling, whose references work in fixed point: float32 is more exact than they are, and twice
as fast as float64.  `load` and `store` touch four neighbours, whatever the number of channels.
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
    """Return the pixel of a flat float32 array that begins at `start`."""

    def generate(context, builder, signature, arguments):
        memory, start = arguments
        address = address_of(context, builder, signature.args[0], memory, start, WIDTH)
        return builder.load(address, align=4)

    return _QUAD(array, types.intp), generate


@intrinsic
def spread(_, number):
    """Return a float32 as all four."""

    def generate(_context, builder, _signature, arguments):
        empty = ir.Constant(vector_of(_FLOAT, WIDTH), ir.Undefined)
        one = builder.insert_element(empty, arguments[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(vector_of(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(one, empty, zeros)

    return _QUAD(types.float32), generate


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

    def generate(context, builder, signature, arguments):
        kind, name = vector_of(_FLOAT, WIDTH), f"llvm.fma.v{WIDTH}f32"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, arguments)

    return _QUAD(_QUAD, _QUAD, _QUAD), generate


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

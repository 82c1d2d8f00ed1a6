"""The last steps of a batch: what follows the augmentation, the same for every image, as data.

A `Standardization` holds the steps in Keras' order.  What the kernels run (`finish`), the same in
plain NumPy (`apply`), its inverse for the eye (`undo`) and its words are derived from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.batch import Finish
from fastaug.kernels.pointwise import DIVIDE, MULTIPLY, REVERSE_CHANNELS, SUBTRACT
from fastaug.pixels.layout import Array, channels_last, layout_of
from fastaug.pixels.preprocessing import Function, Mode, batched, fused_mode
from fastaug.transforms.recolours.normalize import Normalize

EPSILON = 1e-6  # what Keras adds to a deviation before it divides by it

Values: TypeAlias = NDArray[np.float64]

_OPERAND = 1024  # pixels: the operands of small images are repeated, for longer loops
_WRONG = 1 / 255  # share of the span of values by which a result of undoing may be wrong


class NotUndoneError(Exception):
    """A step can't be undone; the message says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `option` of the generator asks for it, `words` tell it."""

    option: str
    words: str

    # Whether its inverse needs to know what went into it.
    needs_input: ClassVar[bool] = False

    def apply(self, x: Array) -> Array:
        """Do it to an image or a batch as Keras does; in place where NumPy can."""
        return x

    def undo(self, values: Values, before: Values | None) -> Values:  # noqa: ARG002
        """Return a batch as it was before; `before` is that, computed, where it is known."""
        return values


@dataclass(frozen=True, slots=True)
class Arithmetic(Step):
    """An operation with one operand.

    `code` is that of the kernels.  `operand` is a number, a tuple of one for each channel (along
    `channel_axis`), or an array that broadcasts against an image in its data format.
    """

    code: int
    operand: Any
    channel_axis: int = -1

    def _operand(self, dtype: np.dtype[Any]) -> Any:
        if not isinstance(self.operand, tuple):
            return self.operand
        return np.array(self.operand, dtype).reshape((-1,) + (1,) * (-1 - self.channel_axis))

    def apply(self, x: Array) -> Array:
        """Do it in place."""
        _UFUNCS[self.code](x, self._operand(x.dtype), out=x)
        return x

    def undo(self, values: Values, before: Values | None) -> Values:  # noqa: ARG002
        """Do the opposite."""
        return np.asarray(_INVERSES[self.code](values, self._operand(values.dtype)))


_UFUNCS: dict[int, Any] = {MULTIPLY: np.multiply, SUBTRACT: np.subtract, DIVIDE: np.divide}
_INVERSES: dict[int, Any] = {MULTIPLY: np.divide, SUBTRACT: np.add, DIVIDE: np.multiply}


@dataclass(frozen=True, slots=True)
class ToFloat(Step):
    """Turn whole numbers into `dtype`, as the functions of `keras.applications` do."""

    dtype: np.dtype[Any]

    def apply(self, x: Array) -> Array:
        """Return a new array, or the same if it is float."""
        return x if x.dtype.kind == "f" else x.astype(self.dtype)


@dataclass(frozen=True, slots=True)
class ReverseChannels(Step):
    """RGB becomes BGR, or the other way round."""

    axis: int

    def apply(self, x: Array) -> Array:
        """Return a view."""
        return np.flip(x, self.axis)

    def undo(self, values: Values, before: Values | None) -> Values:  # noqa: ARG002
        """Do it once more."""
        return np.flip(values, self.axis)


@dataclass(frozen=True, slots=True)
class Call(Step):
    """A function of the user's, of one image or (`batched`) of a batch."""

    function: Function

    def apply(self, x: Array) -> Array:
        """Call it as Keras does: with what was given."""
        if isinstance(self.function, batched) and x.ndim == 3:
            return np.asarray(self.function(x[np.newaxis])[0])
        return self.function(x)

    def undo(self, values: Values, before: Values | None) -> Values:  # noqa: ARG002
        """Raise: it has no inverse."""
        raise NotUndoneError("a function of the user's has no inverse")


@dataclass(frozen=True, slots=True)
class OwnMean(Step):
    """Subtract the mean of an image's own values."""

    needs_input = True

    def apply(self, x: Array) -> Array:
        """Do it in place; a batch is taken for one image, as in Keras."""
        x -= np.mean(x, keepdims=True)
        return x

    def undo(self, values: Values, before: Values | None) -> Values:
        """Add each image's own mean."""
        return values + _required(before).mean((1, 2, 3), keepdims=True)


@dataclass(frozen=True, slots=True)
class OwnDeviation(Step):
    """Divide by the deviation of an image's own values."""

    needs_input = True

    def apply(self, x: Array) -> Array:
        """Do it in place; a batch is taken for one image, as in Keras."""
        x /= np.std(x, keepdims=True) + EPSILON
        return x

    def undo(self, values: Values, before: Values | None) -> Values:
        """Multiply by each image's own deviation."""
        return values * (_required(before).std((1, 2, 3), keepdims=True) + EPSILON)


@dataclass(frozen=True, slots=True, eq=False)
class Whiten(Step):
    """Multiply each flattened image by a (values, values) matrix."""

    matrix: Array

    needs_input = True

    def apply(self, x: Array) -> Array:
        """Return a new array."""
        return np.reshape(x.reshape(-1, math.prod(x.shape[-3:])) @ self.matrix, x.shape)

    def undo(self, values: Values, before: Values | None) -> Values:
        """Solve for what was multiplied; an error where that is not what it must have been."""
        expected = _required(before)
        flat = values.reshape(len(values), -1)
        try:
            solved = np.linalg.solve(np.asarray(self.matrix, np.float64).T, flat.T).T
        except np.linalg.LinAlgError:
            raise NotUndoneError("the whitening matrix is singular") from None
        solved = np.asarray(solved, np.float64).reshape(values.shape)
        # A matrix of fewer images than values is singular, though rounding may hide that.
        if not np.abs(solved - expected).max() <= _WRONG * np.ptp(expected):
            raise NotUndoneError("the whitening matrix is singular")
        return solved


@dataclass(frozen=True, slots=True)
class Pending(Step):
    """What an option asks for, where `fit` has not found its numbers yet: nothing happens."""


def _required(before: Values | None) -> Values:
    if before is None:
        raise NotUndoneError("the images' own values are not known")
    return before


class Undone(NamedTuple):
    """Values (n, ...), which options were undone, and which one could not be.

    That one, and what came before it, is still in the values; None if nothing is.
    """

    values: Values
    undone: tuple[str, ...]
    stopped_by: str | None


@dataclass(frozen=True)
class Standardization:
    """Steps in the order in which they are done."""

    steps: tuple[Step, ...] = ()

    @cached_property
    def function(self) -> Function | None:
        """The function that is called before all else, or None."""
        return next((step.function for step in self.steps if isinstance(step, Call)), None)

    def calling(self, function: Function) -> Standardization:
        """Return the same steps with another function in the place of the user's."""
        return Standardization(
            tuple(
                replace(step, function=function) if isinstance(step, Call) else step
                for step in self.steps
            )
        )

    @cached_property
    def rest(self) -> Standardization:
        """The steps that follow the function."""
        return Standardization(tuple(step for step in self.steps if not isinstance(step, Call)))

    @cached_property
    def whitening(self) -> Array | None:
        """The matrix of the whitening, which comes last, or None."""
        return next((step.matrix for step in self.steps if isinstance(step, Whiten)), None)

    @cached_property
    def _of_kernels(self) -> tuple[tuple[Step, ...], bool]:
        """The steps that kernels do, and whether their operands are constants."""
        steps = tuple(step for step in self.steps if not isinstance(step, Call | Whiten))
        return steps, not any(isinstance(getattr(step, "operand", 0), np.ndarray) for step in steps)

    @property
    def words(self) -> list[str]:
        """What each option does, a line each."""
        return list(dict.fromkeys(step.words for step in self.steps))

    @property
    def known_part(self) -> Standardization | None:
        """The steps before the first one whose inverse needs its input; None if there is none."""
        for number, step in enumerate(self.steps):
            if step.needs_input:
                return Standardization(self.steps[:number])
        return None

    def apply(self, x: Array) -> Array:
        """Standardise an image or a batch as Keras 3.15's `ImageDataGenerator.standardize` does."""
        for step in self.steps:
            x = step.apply(x)
        return x

    def undo(self, batch: Array, bare: Array | None) -> Undone:
        """Undo the steps, the last one first.

        Parameters
        ----------
        batch
            (n, ...) finished images; not changed.
        bare
            The same batch after `known_part`; None where that is None, or can't be made a second
            time, because a function of the user's is called.
        """
        inputs = [None] * len(self.steps) if bare is None else self._inputs(bare)
        values, undone = batch.astype(np.float64), list[str]()
        reverse = list(zip(self.steps, inputs, strict=True))[::-1]
        for option, steps in groupby(reverse, key=lambda pair: pair[0].option):
            try:
                for step, before in steps:
                    values = step.undo(values, before)
            except NotUndoneError:
                return Undone(values, tuple(undone), option)
            undone.append(option)
        return Undone(values, tuple(undone), None)

    def _inputs(self, bare: Array) -> list[Values | None]:
        """Return what went into each step, as far as it is known from `known_part` on."""
        known = len((self.known_part or self).steps)
        inputs: list[Values | None] = [None] * known
        values = bare.astype(np.float64)
        for step in self.steps[known:]:
            inputs.append(values)
            # An image at a time: its own statistics are those of what is given to `apply`.
            values = np.stack([step.apply(image.copy()) for image in values])
        return inputs

    def finish(self, shape: tuple[int, ...], data_format: str, dtype: np.dtype[Any]) -> Finish:
        """Return what the kernels do: all steps but the function and the whitening.

        Parameters
        ----------
        shape, data_format
            Of an image.
        dtype
            In which it is computed.

        Raises
        ------
        ValueError
            If a statistic does not broadcast against the image.
        """
        steps, constant = self._of_kernels
        return (_constant_finish if constant else _finish)(steps, shape, data_format, dtype)


PENDING = object()  # in place of a statistic that isn't known yet


def standardization(
    channels: int,
    data_format: str,
    dtype: np.dtype[Any],
    *,
    preprocessing_function: Any = None,
    normalize: Normalize | None = None,
    rescale: float | None = None,
    samplewise_center: bool = False,
    samplewise_normalize: bool = False,
    mean: Any = None,
    deviation: Any = None,
    whitening: Any = None,
) -> Standardization:
    """Return the steps that the options of a generator ask for, in Keras' order.

    Parameters
    ----------
    channels, data_format
        Of the images.
    dtype
        What `apply` turns whole numbers into, where a mode needs fractions.
    preprocessing_function
        The name of a mode, a function, or None.
    normalize
        What the generator's `transforms` have of it, behind the function.
    rescale
        Factor, or None.
    samplewise_center, samplewise_normalize
        Whether each image's own mean is subtracted, and divided by its own deviation.
    mean, deviation
        What broadcasts against an image in `data_format`; None: off, PENDING: not known yet.
    whitening
        (values, values) for a flattened image; None and PENDING likewise.

    Raises
    ------
    ValueError
        If a mode that is given by its name needs another number of channels.

    References
    ----------
    Keras 3.15, `ImageDataGenerator.standardize`.
    """
    steps = _preprocessing(preprocessing_function, channels, data_format, dtype)
    if normalize is not None:
        steps += _normalization(normalize, channels, -3 if data_format == "channels_first" else -1)
    if rescale:
        words = f"multiply by rescale={rescale:g}"
        steps.append(Arithmetic("rescale", words, MULTIPLY, rescale))
    if samplewise_center:
        steps.append(OwnMean("samplewise_center", "subtract the image's own mean"))
    if samplewise_normalize:
        words = "divide by the image's own standard deviation"
        steps.append(OwnDeviation("samplewise_std_normalization", words))
    for option, words, statistic, make in (
        ("featurewise_center", "subtract the data set's mean", mean, _subtract),
        (
            "featurewise_std_normalization",
            "divide by the data set's standard deviation",
            deviation,
            _divide,
        ),
        ("zca_whitening", "whiten (ZCA)", whitening, Whiten),
    ):
        if statistic is PENDING:
            steps.append(Pending(option, f"{words} (not yet: call fit first)"))
        elif statistic is not None:
            steps.append(make(option, words, statistic))
    return Standardization(tuple(steps))


def _subtract(option: str, words: str, mean: Array) -> Step:
    return Arithmetic(option, words, SUBTRACT, mean)


def _divide(option: str, words: str, deviation: Array) -> Step:
    return Arithmetic(option, words, DIVIDE, deviation + EPSILON)


def _preprocessing(
    function: Any, channels: int, data_format: str, dtype: np.dtype[Any]
) -> list[Step]:
    """Return what a `preprocessing_function` does: the steps of a mode, or a call."""
    if function is None:
        return []
    mode = fused_mode(function, channels, data_format)
    if isinstance(function, str):
        option = f"preprocessing_function {function!r}"
        words = f"preprocess by the mode {function!r} of keras.applications"
    else:
        name = getattr(function, "__name__", repr(function))
        option, words = f"preprocessing_function {name!r}", f"call preprocessing_function {name!r}"
    if mode is None:
        return [Call(option, words, function)]
    axis = -3 if data_format == "channels_first" else -1
    return [ToFloat(option, words, dtype), *_steps_of_mode(mode, option, words, axis)]


def _normalization(normalize: Normalize, channels: int, axis: int) -> list[Step]:
    """Return (v - 255 mean) / (255 std), as two steps."""
    mean, deviation = normalize.numbers(channels)
    option, words = "transforms", repr(normalize)
    return [
        Arithmetic(option, words, SUBTRACT, tuple(255 * number for number in mean), axis),
        Arithmetic(option, words, DIVIDE, tuple(255 * number for number in deviation), axis),
    ]


def _steps_of_mode(mode: Mode, option: str, words: str, axis: int) -> list[Step]:
    steps: list[Step] = []
    if mode.reverse_channels:
        steps.append(ReverseChannels(option, words, axis))
    if mode.divisor is not None:
        steps.append(Arithmetic(option, words, DIVIDE, mode.divisor, axis))
    steps.append(Arithmetic(option, words, SUBTRACT, mode.mean, axis))
    if mode.deviation is not None:
        steps.append(Arithmetic(option, words, DIVIDE, mode.deviation, axis))
    return steps


def _finish(
    steps: tuple[Step, ...], shape: tuple[int, ...], data_format: str, dtype: np.dtype[Any]
) -> Finish:
    codes, operands, before = list[int](), list[Any](), 0
    center = normalize = False
    for step in steps:
        if isinstance(step, OwnMean):
            center, before = True, len(codes)
        elif isinstance(step, OwnDeviation):
            normalize, before = True, len(codes)
        elif isinstance(step, ReverseChannels):
            codes.append(REVERSE_CHANNELS)
            operands.append(0.0)
        elif isinstance(step, Arithmetic):
            codes.append(step.code)
            operands.append(_channels_last_operand(step, shape, data_format, dtype))
    return Finish(
        np.array(codes, np.int8),
        _repeated(operands, shape, data_format, dtype),
        center,
        normalize,
        before,
    )


_constant_finish = lru_cache(maxsize=64)(_finish)


def _repeated(
    values: Sequence[Any], shape: tuple[int, ...], data_format: str, dtype: np.dtype[Any]
) -> Array:
    """Return operands as the kernels take them: (steps, some rows * width * channels)."""
    height, width, channels, *_ = layout_of(shape, data_format)
    by_row = any(np.ndim(value) == 3 and len(value) > 1 for value in values)
    rows = height if by_row else max(1, _OPERAND // width)
    operands = np.empty((len(values), rows, width, channels), dtype)
    for operand, value in zip(operands, values, strict=True):
        operand[...] = value
    return operands.reshape(len(values), rows * width * channels)


def _channels_last_operand(
    step: Arithmetic, shape: tuple[int, ...], data_format: str, dtype: np.dtype[Any]
) -> Any:
    """Return an operand with the channels behind; an array as (1 or height, 1 or width, ...)."""
    if not isinstance(step.operand, np.ndarray):
        return step.operand
    value = np.asarray(step.operand, dtype)
    try:
        fits = np.broadcast_shapes(value.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        name = {"featurewise_center": "mean", "featurewise_std_normalization": "std"}[step.option]
        raise ValueError(
            f"the generator's {name} has shape {value.shape}, which does not broadcast against "
            f"an image of shape {tuple(shape)} ({data_format})"
        )
    value = value.reshape((1,) * (3 - value.ndim) + value.shape)
    return np.ascontiguousarray(channels_last(value, data_format))

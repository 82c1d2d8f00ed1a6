"""What happens to each value, in place: channel shift, brightness, standardisation.

Everything works on an image's `values` (height * width * channels,), float32 or float64, some rows
at a time, in flat loops that LLVM vectorises.  Arithmetic is done in the dtype in which Keras does
it; scalars arrive in the dtype of the values.
"""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inlined, inner

# What can be drawn for an image, with a number for each: see `change_values`.
NOTHING, SHIFT_CHANNELS, SCALE_BRIGHTNESS, SCALE_BRIGHTNESS_AS_KERAS = range(4)
# What can be done to every value, with an operand for each: see `run_steps`.
MULTIPLY, SUBTRACT, DIVIDE, REVERSE_CHANNELS = 0, 1, 2, 3
_SUMS = 8  # values that are summed up side by side


@inner
def widen_extremes(values, first, last, lows, highs):
    """Lower `lows` and raise `highs`, (width * channels,), to the values of the rows."""
    length = len(lows)
    for row in range(first, last):
        for k in range(length):
            value = values[np.uintp(row * length + k)]
            lows[k] = min(lows[k], value)
            highs[k] = max(highs[k], value)


@inner
def shift_channels(values, start, stop, shift, low, high):
    """Add one number and clip to the image's own range (Keras 3.15, `apply_channel_shift`)."""
    for k in range(start, stop):
        values[np.uintp(k)] = min(max(values[np.uintp(k)] + shift, low), high)


@inner
def scale_brightness(values, start, stop, channels, factor, low, high, quirks):
    """Multiply by a factor and clip to [0, 255]; the alpha channel of four stays as it is.

    An image whose values, `low` to `high`, leave [0, 255] is mapped to that range first and back
    afterwards.  With `quirks`, values are cut to whole numbers before and after, as in Keras 3.15,
    which goes through an 8-bit Pillow image (`ImageEnhance.Brightness`).  Work is in float32, as
    there.
    """
    mapped = low < 0 or high > 255
    low32, span32 = np.float32(low), np.float32(np.float32(high) - np.float32(low))
    zero, limit = np.float32(0), np.float32(255)
    for k in range(start, stop):
        value = np.float32(values[np.uintp(k)])
        if mapped:
            value -= low32
            if span32 != 0:
                value /= span32
            value *= limit
        if quirks:
            value = np.float32(np.int32(value))
        if channels != 4 or k % 4 != 3:
            value = min(max(factor * value, zero), limit)
            if quirks:
                value = np.float32(np.int32(value))
        if mapped:
            values[np.uintp(k)] = (value / limit) * (high - low) + low
        else:
            values[np.uintp(k)] = value


@inner
def change_values(values, start, stop, channels, code, number, low, high):
    """Do one of an image's own steps to the values from `start` to `stop`.

    Parameters
    ----------
    code
        NOTHING, SHIFT_CHANNELS, SCALE_BRIGHTNESS or SCALE_BRIGHTNESS_AS_KERAS.
    number
        The shift or the factor, in the dtype of the values.
    low, high
        The image's extremes before the step, likewise.
    """
    if code == SHIFT_CHANNELS:
        shift_channels(values, start, stop, number, low, high)
    # Numba would compile `in` first, as a function.
    elif code == SCALE_BRIGHTNESS or code == SCALE_BRIGHTNESS_AS_KERAS:  # noqa: PLR1714, SIM109
        factor, quirks = np.float32(number), code == SCALE_BRIGHTNESS_AS_KERAS
        scale_brightness(values, start, stop, channels, factor, low, high, quirks)


@inner
def follow_extremes(code, number, low, high):
    """Return an image's extremes after a step: a shift keeps the order of values, so they move too.

    No other step is followed: those that need extremes come first, a shift before a brightness.
    """
    if code == SHIFT_CHANNELS:
        return min(max(low + number, low), high), min(max(high + number, low), high)
    return low, high


@inlined
def run_steps(values, start, stop, channels, finish, first_step, last_step):
    """Do one step after another to the values from `start` to `stop`, whole rows.

    Parameters
    ----------
    finish
        Has `steps`, (k,) int8: MULTIPLY, SUBTRACT, DIVIDE, or REVERSE_CHANNELS, which takes no
        operand; and `operands`, (k, length) in the dtype of the values: one for each value of a
        row, or of the whole image.
    first_step, last_step
        Which of the steps; a slice of them would be a reference that is counted for each band.
    """
    length = finish.operands.shape[1]
    for number in range(first_step, last_step):
        begin = start
        while begin < stop:
            first = begin % length
            count = min(length - first, stop - begin)
            step = finish.steps[number]
            _run_step(values, begin, count, channels, step, finish.operands, number, first)
            begin += count


@inner
def _run_step(values, begin, count, channels, step, operands, number, first):
    number = np.uintp(number)
    if step == MULTIPLY:
        for k in range(count):
            values[np.uintp(begin + k)] *= operands[number, np.uintp(first + k)]
    elif step == SUBTRACT:
        for k in range(count):
            values[np.uintp(begin + k)] -= operands[number, np.uintp(first + k)]
    elif step == DIVIDE:
        for k in range(count):
            values[np.uintp(begin + k)] /= operands[number, np.uintp(first + k)]
    else:
        reverse_channels(values, begin, count, channels)


@inner
def reverse_channels(values, begin, count, channels):
    """Turn RGB to BGR."""
    for pixel in range(begin, begin + count, channels):
        for channel in range(channels // 2):
            one, other = np.uintp(pixel + channel), np.uintp(pixel + channels - 1 - channel)
            values[one], values[other] = values[other], values[one]


@inner
def sum_rows(values, first, last, length, mean, squared, sums):
    """Put each row's sum of distances from `mean`, or of their squares, into `sums` (height,).

    In float64, and in an order that depends on the width alone: who does which rows changes no bit.
    """
    partial = np.empty(_SUMS)
    whole = length - length % _SUMS
    for row in range(first, last):
        partial[:] = 0.0
        for start in range(row * length, row * length + whole, _SUMS):
            for k in range(_SUMS):
                distance = values[np.uintp(start + k)] - mean
                partial[k] += distance * distance if squared else distance
        total = 0.0
        for k in range(_SUMS):
            total += partial[k]
        for k in range(row * length + whole, (row + 1) * length):
            distance = values[np.uintp(k)] - mean
            total += distance * distance if squared else distance
        sums[row] = total


@inner
def standardize_sample(values, start, stop, mean, divisor):
    """Subtract a float64 mean and divide by a float64 divisor."""
    for k in range(start, stop):
        values[np.uintp(k)] = (values[np.uintp(k)] - mean) / divisor

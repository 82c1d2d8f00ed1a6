"""What a policy does to colours: steps on planes of a band, a channel each, in flat loops.

An image's own steps are codes with numbers, (k, m) each; values are 0 to 255 before and after each.
Most steps look at one pixel only.  Some need a statistic of the whole image as it is before them:
then all bands are gone through once to `note` it, and once more to do the step (`kernels.policy`).

Of one channel, it is the colour; of three, all are; of four, the last is alpha, which no step
changes.  Steps that mix red, green and blue do nothing to other numbers of channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastaug.kernels.launch import inlined, inner
from fastaug.kernels.pointwise import (
    NOTHING,
    SCALE_BRIGHTNESS,
    SCALE_BRIGHTNESS_AS_KERAS,
    SHIFT_CHANNELS,
    scale_brightness,
    shift_channels,
)
from fastaug.kernels.storing import nearest_byte

(
    SCALE,  # factor: v * factor
    BLEND_MEAN,  # factor: away from the mean of the grey picture, or towards it (contrast)
    BLEND_GREY,  # factor: away from the grey picture, or towards it (saturation)
    TURN_HUE,  # turns: from -0.5 to 0.5
    GAMMA,  # exponent, gain
    INVERT,
    POSTERIZE,  # bits to keep
    SOLARIZE,  # threshold
    STRETCH,  # each channel to 0 ... 255 (autocontrast)
    EQUALIZE,
    ADD,  # a number for each of up to four channels
    PERMUTE,  # the channel that each of up to four comes from
    DROP,  # for each of up to four channels: NaN keeps it, else what it is filled with
) = range(SCALE_BRIGHTNESS_AS_KERAS + 1, SCALE_BRIGHTNESS_AS_KERAS + 14)
NUMBERS = 4  # that a step takes at most

# Shares of red, green and blue in grey (ITU-R BT.601), as in Pillow, OpenCV and torchvision.
RED, GREEN, BLUE = 0.299, 0.587, 0.114
_SUMMED = 4096  # values from 0 to 255 in steps of 1/64 that an int32 has room for


class Noted(NamedTuple):
    """Statistics of an image, in the dtype of the computation.

    The first four are of the step to come, the others of the one that is done.
    """

    lows: np.ndarray  # (channels,)
    highs: np.ndarray  # (channels,)
    sums: np.ndarray  # (1,) float64: of the grey picture
    counts: np.ndarray  # (channels, 256) int64
    darkest: np.ndarray  # (channels,)
    brightest: np.ndarray  # (channels,)
    means: np.ndarray  # (1,)
    tables: np.ndarray  # (channels, 256)
    levels: np.ndarray  # uint8: a band
    curves: np.ndarray  # (k, 257): the step's own curve, for steps that have one


@inlined
def make_noted(channels, steps, pixels, dtype):
    """Allocate the statistics of a thread, for images of so many steps and bands of pixels."""
    return Noted(
        np.empty(channels, dtype),
        np.empty(channels, dtype),
        np.empty(1, np.float64),
        np.empty((channels, 256), np.int64),
        np.empty(channels, dtype),
        np.empty(channels, dtype),
        np.empty(1, dtype),
        np.empty((channels, 256), dtype),
        np.empty(pixels, np.uint8),
        np.empty((steps, 257), dtype),
    )


@inner
def needs_statistic(code):
    """Tell whether a step needs a statistic of the image as it is before it."""
    return (
        code == SHIFT_CHANNELS  # noqa: PLR1714 - Numba would compile `in` first, as a function
        or code == SCALE_BRIGHTNESS
        or code == SCALE_BRIGHTNESS_AS_KERAS
        or code == BLEND_MEAN
        or code == STRETCH
        or code == EQUALIZE
    )


@inner
def colours_of(channels):
    """Return how many of the channels are colours."""
    return 3 if channels == 4 else channels


@inner
def clear(noted):
    """Forget what was noted."""
    lows, highs, sums, counts = noted.lows, noted.highs, noted.sums, noted.counts
    for channel in range(len(lows)):
        lows[channel] = np.inf
        highs[channel] = -np.inf
        for level in range(256):
            counts[channel, level] = 0
    sums[0] = 0.0


@inner
def note(planes, start, stop, code, noted):
    """Add pixels of planes to the statistic that the step needs."""
    channels, count = len(planes), stop - start
    if code == BLEND_MEAN:
        noted.sums[0] += grey_sum(planes, start, stop)
    elif code == EQUALIZE:
        for channel in range(colours_of(channels)):
            put_levels(planes[channel][start:stop], count, noted.levels)
            count_levels(noted.levels, count, noted.counts[channel])
    else:
        for channel in range(channels):
            low, high = noted.lows[channel], noted.highs[channel]
            plane = planes[channel][start:stop]
            for k in range(count):
                low, high = min(low, plane[np.uintp(k)]), max(high, plane[np.uintp(k)])
            noted.lows[channel], noted.highs[channel] = low, high


@inner
def grey_sum(planes, start, stop):
    """Return the sum of grey values: of the only channel, or the mean of many."""
    channels, count = len(planes), stop - start
    if channels == 3 or channels == 4:  # noqa: PLR1714, SIM109
        red, green, blue = planes[0][start:stop], planes[1][start:stop], planes[2][start:stop]
        return (
            RED * plane_sum(red, count)
            + GREEN * plane_sum(green, count)
            + BLUE * plane_sum(blue, count)
        )
    total = 0.0
    for channel in range(channels):
        total += plane_sum(planes[channel][start:stop], count)
    return total / channels


@inner
def plane_sum(plane, count):
    """Return the sum of a plane, in steps of 1/64: whole numbers are summed up in any order."""
    total = np.int64(0)
    for first in range(0, count, _SUMMED):
        part = np.int32(0)  # more of them in a register
        for k in range(first, min(first + _SUMMED, count)):
            part = np.int32(part + in_steps(plane[np.uintp(k)]))
        total += part
    return total / 64.0


@inner
def in_steps(value):
    """Return a value in steps of 1/64, rounded."""
    return np.int32(np.float32(value) * np.float32(64) + np.float32(0.5))


@inner
def put_levels(plane, count, levels):
    """Put the nearest whole numbers, from 0 to 255, into bytes."""
    for k in range(count):
        levels[np.uintp(k)] = nearest_byte(np.float32(plane[np.uintp(k)]))


@inner
def count_levels(levels, count, counts):
    """Count bytes; neighbours are often the same, so that two tables don't wait for each other."""
    odd = np.zeros(256, np.int64)
    for k in range(0, count - 1, 2):
        counts[levels[np.uintp(k)]] += 1
        odd[levels[np.uintp(k + 1)]] += 1
    if count % 2:
        counts[levels[np.uintp(count - 1)]] += 1
    for level in range(256):
        counts[level] += odd[level]


@inner
def prepare(code, pixels, noted):
    """Make of the statistic what the step needs."""
    if code == BLEND_MEAN:
        noted.means[0] = noted.sums[0] / pixels
    elif code == EQUALIZE:
        for channel in range(colours_of(len(noted.lows))):
            equalizing_table(noted.counts[channel], noted.tables[channel])
    else:
        for channel in range(len(noted.lows)):
            noted.darkest[channel] = noted.lows[channel]
            noted.brightest[channel] = noted.highs[channel]


@inner
def draw_curves(codes, numbers, noted):
    """Fill the curves of the steps that have one."""
    for k in range(len(codes)):
        if codes[k] == GAMMA:
            for level in range(257):
                value = numbers[k, 1] * 255.0 * (level / 255.0) ** numbers[k, 0]
                noted.curves[k, level] = min(max(value, 0.0), 255.0)


@inner
def equalizing_table(counts, table):
    """Fill a table as Pillow 13's `ImageOps.equalize` does."""
    filled, last, total = 0, 0, 0
    for level in range(256):
        total += counts[level]
        if counts[level]:
            filled, last = filled + 1, level
    step = (total - counts[last]) // 255
    if filled <= 1 or step == 0:
        for level in range(256):
            table[level] = level
        return
    n = step // 2
    for level in range(256):
        table[level] = min(n // step, 255)
        n += counts[level]


@inner
def change_planes(planes, start, stop, code, numbers, curve, noted):
    """Do a step to pixels of planes (channels, pixels), contiguous.

    Parameters
    ----------
    code, numbers
        The step; (m,) in the dtype of the planes.
    curve
        Its own curve, (257,), if it has one.
    noted
        What `prepare` left there, for a step that needs it.
    """
    channels, count = len(planes), stop - start
    colours = colours_of(channels)
    if code == TURN_HUE or code == BLEND_GREY:  # noqa: PLR1714, SIM109
        if channels == 3 or channels == 4:  # noqa: PLR1714, SIM109
            red, green, blue = planes[0][start:stop], planes[1][start:stop], planes[2][start:stop]
            if code == TURN_HUE:
                turn_hue(red, green, blue, count, numbers[0])
            else:
                blend_grey(red, green, blue, count, numbers[0])
    elif code == PERMUTE:
        permute(planes, start, stop, numbers)
    elif code <= SCALE_BRIGHTNESS_AS_KERAS:
        low, high = lowest(noted.darkest), highest(noted.brightest)
        for channel in range(channels):
            # Of four channels, each plane is told whether it is alpha, so there are no four in it.
            alpha = channel >= colours
            change_as_keras(planes[channel][start:stop], count, code, numbers[0], alpha, low, high)
    else:
        for channel in range(colours):
            plane = planes[channel][start:stop]
            change_plane(plane, count, code, numbers, channel, curve, noted)


@inner
def change_as_keras(plane, count, code, number, alpha, low, high):
    """Do one of Keras' steps to a plane of an image whose values are from `low` to `high`."""
    if code == SHIFT_CHANNELS:
        shift_channels(plane, 0, count, number, low, high)
    elif code != NOTHING:
        quirks, factor = code == SCALE_BRIGHTNESS_AS_KERAS, np.float32(1 if alpha else number)
        scale_brightness(plane, 0, count, 1, factor, low, high, quirks)


@inner
def lowest(values):
    """Return the least; `min()` of an array takes longer to compile."""
    low = values[0]
    for k in range(len(values)):
        low = min(low, values[k])
    return low


@inner
def highest(values):
    """Return the greatest."""
    high = values[0]
    for k in range(len(values)):
        high = max(high, values[k])
    return high


@inner
def scale(plane, count, factor, summand):
    """Multiply, add, and clip to [0, 255]."""
    zero, top = plane.dtype.type(0), plane.dtype.type(255)
    for k in range(count):
        plane[np.uintp(k)] = min(max(plane[np.uintp(k)] * factor + summand, zero), top)


@inner
def change_plane(plane, count, code, numbers, channel, curve, noted):
    """Do a step that looks at one channel only."""
    one, top = plane.dtype.type(1), plane.dtype.type(255)
    number = numbers[0]
    if code == SCALE:
        scale(plane, count, number, plane.dtype.type(0))
    elif code == BLEND_MEAN:
        scale(plane, count, number, (one - number) * noted.means[0])
    elif code == INVERT:
        scale(plane, count, -one, top)
    elif code == ADD:
        scale(plane, count, one, numbers[min(channel, NUMBERS - 1)])
    elif code == STRETCH:
        low, high = noted.darkest[channel], noted.brightest[channel]
        factor = top / (high - low) if high > low else one
        scale(plane, count, factor, -low * factor if high > low else plane.dtype.type(0))
    elif code == SOLARIZE:
        for k in range(count):
            value = plane[np.uintp(k)]
            plane[np.uintp(k)] = top - value if value >= number else value
    elif code == POSTERIZE:
        posterize(plane, count, number)
    elif code == GAMMA:
        interpolate(plane, count, curve)
    elif code == EQUALIZE:
        look_up(plane, count, noted.tables[channel], noted.levels)
    elif code == DROP and not np.isnan(numbers[min(channel, NUMBERS - 1)]):
        plane[:count] = numbers[min(channel, NUMBERS - 1)]


@inner
def posterize(plane, count, bits):
    """Keep the upper bits of whole numbers; values are rounded first."""
    half = plane.dtype.type(0.5)
    step = plane.dtype.type(2.0 ** (8.0 - bits))
    share = plane.dtype.type(1) / step
    for k in range(count):
        plane[np.uintp(k)] = np.floor(np.floor(plane[np.uintp(k)] + half) * share) * step


@inner
def look_up(plane, count, table, levels):
    """Replace values by those of a table at the nearest whole number."""
    put_levels(plane, count, levels)
    for k in range(count):
        plane[np.uintp(k)] = table[levels[np.uintp(k)]]


@inner
def interpolate(plane, count, table):
    """Replace values by those of a table of 257 numbers, linear between two."""
    zero, top = plane.dtype.type(0), plane.dtype.type(255)
    for k in range(count):
        value = min(max(plane[np.uintp(k)], zero), top)
        level = np.intp(value)
        share = value - plane.dtype.type(level)
        plane[np.uintp(k)] = table[level] + share * (table[level + 1] - table[level])


@inner
def blend_grey(red, green, blue, count, factor):
    """Go away from the grey picture, or towards it: 0 is grey, 1 changes nothing."""
    kind = red.dtype.type
    zero, top, rest = kind(0), kind(255), kind(1) - factor
    for k in range(count):
        grey = rest * (
            kind(RED) * red[np.uintp(k)]
            + kind(GREEN) * green[np.uintp(k)]
            + kind(BLUE) * blue[np.uintp(k)]
        )
        red[np.uintp(k)] = min(max(red[np.uintp(k)] * factor + grey, zero), top)
        green[np.uintp(k)] = min(max(green[np.uintp(k)] * factor + grey, zero), top)
        blue[np.uintp(k)] = min(max(blue[np.uintp(k)] * factor + grey, zero), top)


@inner
def turn_hue(red, green, blue, count, turns):
    """Turn the hue, in HSV, by a share of the circle.

    A pixel's hue is where its colour lies on a hexagon of six edges; a channel is at its highest
    over two edges, at its lowest over two others, and on its way in between.  All places here are
    multiplied by the pixel's span, from its lowest to its highest channel: nothing is divided, and
    grey needs no care.
    """
    zero, one, two, three = np.float32(0), np.float32(1), np.float32(2), np.float32(3)
    four, six = np.float32(4), np.float32(6)
    # A place is from -1 to 5; with as much as this, from 0 on and below 12.
    way = six * (turns - np.floor(turns))
    way = way if way >= one else way + six
    for k in range(count):
        r, g, b = red[np.uintp(k)], green[np.uintp(k)], blue[np.uintp(k)]
        # Pairs: `max` of three takes longer to compile.
        high, low = max(max(r, g), b), min(min(r, g), b)  # noqa: PLW3301
        span = high - low
        place = b - r + two * span if high == g else r - g + four * span
        place = g - b if high == r else place
        place += way * span
        place = place - six * span if place >= six * span else place
        red[np.uintp(k)] = high - within(two * span - abs(place - three * span), zero, span)
        green[np.uintp(k)] = high - within(abs(place - two * span) - span, zero, span)
        blue[np.uintp(k)] = high - within(abs(place - four * span) - span, zero, span)


@inner
def within(value, low, high):
    """Return a value, clipped."""
    return min(max(value, low), high)


@inner
def permute(planes, start, stop, numbers):
    """Let each channel take the values of another."""
    pixel = np.empty(NUMBERS, planes.dtype)
    channels = min(len(planes), NUMBERS)
    for k in range(start, stop):
        for channel in range(channels):
            pixel[channel] = planes[channel, k]
        for channel in range(channels):
            planes[channel, k] = pixel[np.intp(numbers[channel])]

"""What happens to each value of one image, in place: channel shift, brightness, standardisation.

Images are (height, width, channels), float32 or float64.  Arithmetic is done in the dtype in which
Keras does it; scalars arrive in the dtype of the image.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from fastaug.kernels.launch import inner, parallel


@inner
def extremes(image):
    """Return the smallest and the largest value of an image."""
    height, width, channels = image.shape
    low = high = image[0, 0, 0]
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                low = min(low, image[row, col, channel])
                high = max(high, image[row, col, channel])
    return low, high


@inner
def shift_channels(image, shift):
    """Add one number to all channels and clip to the image's own range (Keras 3.15)."""
    low, high = extremes(image)
    height, width, channels = image.shape
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                image[row, col, channel] = min(max(image[row, col, channel] + shift, low), high)


@inner
def scale_brightness(image, factor, quirks):
    """Multiply by a factor and clip to [0, 255]; the alpha channel of four stays as it is.

    An image with values outside [0, 255] is mapped to that range first and back afterwards.  With
    `quirks`, values are cut to whole numbers before and after, as in Keras 3.15, which goes through
    an 8-bit Pillow image (`ImageEnhance.Brightness`).  Work is in float32, as there.
    """
    height, width, channels = image.shape
    low, high = extremes(image)
    mapped = low < 0 or high > 255
    low32, span32 = np.float32(low), np.float32(np.float32(high) - np.float32(low))
    limit = np.float32(255)
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                value = np.float32(image[row, col, channel])
                if mapped:
                    value -= low32
                    if span32 != 0:
                        value /= span32
                    value *= limit
                if quirks:
                    value = np.float32(int(value))
                if channels != 4 or channel != 3:
                    value = min(max(factor * value, np.float32(0)), limit)
                    if quirks:
                        value = np.float32(int(value))
                if mapped:
                    image[row, col, channel] = (value / limit) * (high - low) + low
                else:
                    image[row, col, channel] = value


@inner
def rescale(image, scale):
    """Multiply every value by a number."""
    height, width, channels = image.shape
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                image[row, col, channel] *= scale


@inner
def mean_and_deviation(image):
    """Return mean and population standard deviation of all values, accumulated in float64."""
    height, width, channels = image.shape
    count = height * width * channels
    total = 0.0
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                total += image[row, col, channel]
    mean = total / count
    squares = 0.0
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                squares += (image[row, col, channel] - mean) ** 2
    return mean, np.sqrt(squares / count)


@inner
def standardize_sample(image, center, normalize):
    """Subtract the image's own mean, divide by its own deviation + 1e-6."""
    mean, deviation = mean_and_deviation(image)
    if not center:
        mean = 0.0
    divisor = deviation + 1e-6 if normalize else 1.0
    height, width, channels = image.shape
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                image[row, col, channel] = (image[row, col, channel] - mean) / divisor


@inner
def standardize_features(image, mean, divisor):
    """Subtract `mean` and divide by `divisor`: (1 or height, 1 or width, 1 or channels) arrays."""
    height, width, channels = image.shape
    # Steps of zero repeat an axis of length one.
    mean_row, mean_col, mean_channel = [int(size > 1) for size in mean.shape]
    row_step, col_step, channel_step = [int(size > 1) for size in divisor.shape]
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                value = image[row, col, channel]
                value -= mean[row * mean_row, col * mean_col, channel * mean_channel]
                value /= divisor[row * row_step, col * col_step, channel * channel_step]
                image[row, col, channel] = value


@parallel
def solarize(images, chosen, threshold):
    """Replace values at or above `threshold` by 255 - value in the chosen images of a batch."""
    count, height, width, channels = images.shape
    for i in prange(count):
        if chosen[i]:
            for row in range(height):
                for col in range(width):
                    for channel in range(channels):
                        if images[i, row, col, channel] >= threshold:
                            images[i, row, col, channel] = 255 - images[i, row, col, channel]

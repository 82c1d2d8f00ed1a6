"""Noise that is a function of (seed, row, place in the row): the same for any number of threads.

Numbers come from hashes of counters, in loops that LLVM vectorises.  A row's noise is that of
interleaved channels, in either layout of the batch: see `planes`.  Products overflow on purpose;
without a compiler NumPy warns of that.
"""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inner, shared
from fastaug.kernels.planes import clipped

_GOLDEN = np.uint32(0x9E3779B9)
_LN2 = np.float32(np.log(2))
# Polynomials through Chebyshev nodes, lowest power first: log(1 + x) for x from 0 to 1, wrong by
# 2e-6 at most; cos(pi x / 2) and sin(pi x / 2) / x in x^2 for x from -1 to 1, by 7e-6 and 1e-6.
_LOG = np.array(
    [1.693662e-6, 0.9998326, -0.4972033, 0.3150413, -0.1890195, 0.08152318, -0.01702961],
    np.float32,
)
_COS = np.array([0.9999932, -1.233483, 0.2525758, -0.01909276], np.float32)
_SIN = np.array([1.570795, -0.6459257, 0.07950001, -0.004370586], np.float32)
_SMALL = np.float32(2.0**-24)


@inner
def hashed(x):
    """Return 32 mixed bits.

    References
    ----------
    Wellons, "Prospecting for hash functions", 2018 (lowbias32).
    """
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x ^= x >> np.uint32(15)
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@inner
def keys_of_row(seed, row):
    """Return two keys of 32 bits.

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z = np.uint64(seed) + np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.uint32(z & np.uint64(0xFFFFFFFF)), np.uint32(z >> np.uint64(32))


@inner
def random_bits(keys, k):
    """Return the 32 random bits at a place of a row."""
    first, second = keys
    x = np.uint32(np.uint32(k) * _GOLDEN) ^ first
    return hashed(np.uint32(hashed(np.uint32(x)) ^ second))


@inner
def normal_row(keys, noise):
    """Fill `noise` (2 * half,), float32, with numbers of the standard normal distribution.

    Pairs by the method of Box and Muller, of 24 bits for the radius and 25 for the angle: none is
    beyond 5.9, and the approximations of logarithm, sine and cosine change a number by less than
    1e-5 of its radius.

    References
    ----------
    Box and Muller, "A note on the generation of random normal deviates", 1958.
    """
    half = len(noise) // 2
    for k in range(half):
        first, second = keys
        x = np.uint32(np.uint32(k) * _GOLDEN) ^ first
        of_radius = hashed(np.uint32(x))
        of_angle = hashed(np.uint32(of_radius ^ second))
        uniform = np.float32(np.int32(of_radius >> np.uint32(8)))
        radius = np.sqrt(
            max(np.float32(-2) * logarithm((uniform + np.float32(0.5)) * _SMALL), np.float32(0))
        )
        turn = np.float32(np.int32(of_angle)) * np.float32(2.0**-31)
        square = turn * turn
        sine = ((_SIN[3] * square + _SIN[2]) * square + _SIN[1]) * square + _SIN[0]
        cosine = ((_COS[3] * square + _COS[2]) * square + _COS[1]) * square + _COS[0]
        # A quarter turn either way: the last bit, which the angle has no room for, mirrors it.
        if of_angle & np.uint32(1):
            cosine = -cosine
        noise[np.uintp(k)] = radius * cosine
        noise[np.uintp(half + k)] = radius * turn * sine


@inner
def logarithm(value):
    """Return the natural logarithm of a float32 from 2^-100 to 1, wrong by 2e-6 or so."""
    bits = np.float32(value).view(np.int32)
    exponent = np.float32(np.int32((bits >> np.int32(23)) - np.int32(127)))
    fraction = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    x = fraction - np.float32(1)
    result = _LOG[6]
    for power in range(5, -1, -1):
        result = result * x + _LOG[power]
    return exponent * _LN2 + result


@shared
def add_normal_noise(planes, step, rows, seeds, mean, deviations, share, threads):  # noqa: ARG001
    """Add noise of the normal distribution to the chosen images; the result is cut to [0, 255].

    Parameters
    ----------
    planes, step
        The batch, changed in place; see `planes`.
    rows
        (m,) intp: which of the images.
    seeds
        (n,) int64.
    mean
        Of the noise, float32.
    deviations
        (n,) float32: its standard deviation in each image.
    share, threads
        Which share is made here, of how many.
    """
    parts, height, length = planes.shape[1:]
    noise = np.empty((parts * length + 1) // 2 * 2, np.float32)
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        i = rows[j]
        for row in range(height):
            normal_row(keys_of_row(seeds[i], row), noise)
            for p in range(parts):
                add_row(planes[i, p, row], noise, p, parts, mean, deviations[i])


@inner
def add_row(values, noise, p, parts, mean, deviation):
    """Add a row's noise to its values in plane p."""
    if parts == 1:
        for k in range(len(values)):
            more = mean + deviation * noise[np.uintp(k)]
            values[np.uintp(k)] = clipped(values[np.uintp(k)] + more, values)
    elif parts == 3:  # a step that the compiler knows: twice as fast
        for k in range(len(values)):
            more = mean + deviation * noise[np.uintp(k * 3 + p)]
            values[np.uintp(k)] = clipped(values[np.uintp(k)] + more, values)
    else:
        for k in range(len(values)):
            more = mean + deviation * noise[np.uintp(k * parts + p)]
            values[np.uintp(k)] = clipped(values[np.uintp(k)] + more, values)


@shared
def add_salt_and_pepper(planes, step, rows, seeds, salt, noisy, share, threads):
    """Make pixels of the chosen images white or black, in all channels.

    Parameters
    ----------
    salt, noisy
        (n,) uint32: pixels whose random bits are below `salt` become white, others below `noisy`
        black.
    """
    parts, height, length = planes.shape[1:]
    bits = np.empty(length // step, np.uint32)
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        i = rows[j]
        for row in range(height):
            fill_bits(keys_of_row(seeds[i], row), bits)
            strew(planes[i], row, step, bits, salt[i], noisy[i])


@inner
def fill_bits(keys, bits):
    """Fill `bits` (any,) uint32 with random bits."""
    for k in range(len(bits)):
        bits[np.uintp(k)] = random_bits(keys, k)


@inner
def strew(image, row, step, bits, salt, noisy):
    """Make the pixels of a row white or black whose bits say so."""
    white, black = image.dtype.type(255), image.dtype.type(0)
    for col in range(len(bits)):
        if bits[np.uintp(col)] < noisy:
            value = white if bits[np.uintp(col)] < salt else black
            for p in range(len(image)):
                for channel in range(step):
                    image[p, row, col * step + channel] = value

"""Bands of an image: apart as planes, together as pixels, and into the batch."""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inner
from fastaug.kernels.storing import encode


@inner
def split(picture, count, planes, start):
    """Take the pixels of a band apart, a plane for each channel."""
    channels = len(planes)
    if channels == 3:  # with the number as a constant, pixels are taken apart in registers
        red, green, blue = planes[0], planes[1], planes[2]
        for k in range(count):
            red[np.uintp(start + k)] = picture[np.uintp(3 * k)]
            green[np.uintp(start + k)] = picture[np.uintp(3 * k + 1)]
            blue[np.uintp(start + k)] = picture[np.uintp(3 * k + 2)]
        return
    for channel in range(channels):
        plane = planes[channel]
        for k in range(count):
            plane[np.uintp(start + k)] = picture[np.uintp(k * channels + channel)]


@inner
def join(planes, start, count, out, place):
    """Put the pixels of a band together again, in `out`, flat, from `place` on."""
    channels = len(planes)
    if channels == 3:
        red, green, blue = planes[0], planes[1], planes[2]
        for k in range(count):
            out[np.uintp(place + 3 * k)] = encode(red[np.uintp(start + k)], out)
            out[np.uintp(place + 3 * k + 1)] = encode(green[np.uintp(start + k)], out)
            out[np.uintp(place + 3 * k + 2)] = encode(blue[np.uintp(start + k)], out)
        return
    for channel in range(channels):
        plane = planes[channel]
        for k in range(count):
            out[np.uintp(place + k * channels + channel)] = encode(plane[np.uintp(start + k)], out)


@inner
def put_planes(planes, base, start, count, planar, out):
    """Put a band's planes, from `base` on, into an image, flat; pixels are counted from `start`."""
    if not planar:
        join(planes, base, count, out, start * len(planes))
        return
    size = out.size // len(planes)
    for channel in range(len(planes)):
        plane = planes[channel]
        for k in range(count):
            value = plane[np.uintp(base + k)]
            out[np.uintp(channel * size + start + k)] = encode(value, out)


@inner
def put_picture(picture, channels, start, count, planar, out):
    """Put a band, pixel by pixel, into an image of the batch, flat."""
    if not planar:
        place = start * channels
        for k in range(count * channels):
            out[np.uintp(place + k)] = encode(picture[np.uintp(k)], out)
        return
    size = out.size // channels
    for channel in range(channels):
        for k in range(count):
            value = picture[np.uintp(k * channels + channel)]
            out[np.uintp(channel * size + start + k)] = encode(value, out)

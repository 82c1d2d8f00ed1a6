"""ImageDataGenerator's parameters as one transform: a pull, and steps on values.

One and not ten, because Keras draws all numbers of an image from one stream, image by image.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_number, check_pair, listed
from fastaug.errors import users_stacklevel
from fastaug.kernels.pointwise import SCALE_BRIGHTNESS, SCALE_BRIGHTNESS_AS_KERAS, SHIFT_CHANNELS
from fastaug.transforms.base import Steps, no_steps
from fastaug.transforms.geometry import Pull, Size
from fastaug.transforms.keras.draws import Draws, Ranges, ShiftRange, draw_batch
from fastaug.transforms.keras.matrices import moves, pull_matrices
from fastaug.transforms.streams import LegacyRng

_NEUTRAL = {"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0}
_FLIPS = ("flip_horizontal", "flip_vertical")
VALUES = ("channel_shift_intensity", "brightness")  # of the dictionary: what changes values


@dataclass(frozen=True, slots=True)
class KerasAugmentation:
    """What Keras' parameters do to a batch.

    `quirks` is `Generator`'s `keras_quirks`.
    """

    ranges: Ranges
    quirks: bool = True

    def draw(self, rng: LegacyRng, count: int, size: Size) -> Draws:
        """Draw the numbers of `count` images of that size, those of Keras."""
        return draw_batch(self.ranges, rng, count, *size)

    def replay(self, parameters: Mapping[str, Any]) -> Draws:
        """Return Keras' dictionary of parameters as the draws of a batch of one.

        Unknown names are ignored, with one warning.

        Raises
        ------
        ValueError, TypeError
            For values that are not numbers.
        """
        unknown = set(parameters).difference(_NEUTRAL, _FLIPS, VALUES)
        if unknown:
            _warn_of_unknown(frozenset(unknown))
        values: dict[str, Any] = {}
        for name, neutral in _NEUTRAL.items():
            value = parameters.get(name, neutral)
            check_number(f"transform_parameters[{name!r}]", value)
            values[name] = np.array([value], np.float64)
        for name in _FLIPS:
            values[name] = np.array([bool(parameters.get(name, False))])
        for name in VALUES:
            value = parameters.get(name)
            values[name] = None if value is None else np.array([value], np.float64)
        return Draws(**values)

    def pull(self, draws: Draws, size: Size) -> Pull:
        """Return the warp and the flips."""
        flips = np.empty((len(draws), 2), np.bool_)
        flips[:, 0], flips[:, 1] = draws.flip_vertical, draws.flip_horizontal
        return Pull(pull_matrices(draws, *size, quirks=self.quirks), moves(draws), flips, size)

    def steps(self, draws: Draws) -> Steps:
        """Return the channel shift and the brightness, which need the image's own extremes."""
        brightness = SCALE_BRIGHTNESS_AS_KERAS if self.quirks else SCALE_BRIGHTNESS
        drawn = [
            (code, column)
            for code, column in (
                (SHIFT_CHANNELS, draws.channel_shift_intensity),
                (brightness, draws.brightness),
            )
            if column is not None
        ]
        if not drawn:
            return no_steps(len(draws))
        values = np.empty((len(draws), len(drawn), 1))
        for k, (_, column) in enumerate(drawn):
            values[:, k, 0] = column
        return Steps(_codes(len(draws), tuple(code for code, _ in drawn)), values, extremes=True)

    def visible_quirks(self, height: int, width: int) -> list[str]:
        """Describe the quirks of Keras that show in images of this size."""
        if not self.quirks:
            return []
        ranges = self.ranges
        shifts = bool(ranges.height_shift) or bool(ranges.width_shift)
        turned = ranges.rotation or ranges.shear or tuple(ranges.zoom) != (1, 1)
        quirks = []
        if shifts and (height != width or ranges.height_shift != ranges.width_shift):
            quirks.append(
                "height_shift_range moves images horizontally and width_shift_range vertically"
            )
        if turned and height != width:
            centre = f"({(width - 1) / 2}, {(height - 1) / 2}) (row, col)"
            quirks.append(
                f"images of {height}x{width} are turned, sheared and zoomed about {centre}, "
                "which is not their centre"
            )
        return quirks

    @property
    def moving_words(self) -> list[str]:
        """Describe what moves pixels, but the flips, in a few words each."""
        ranges, words = self.ranges, []
        if ranges.rotation:
            words.append(f"rotate by up to {abs(ranges.rotation):g} degrees either way")
        quirk = ", a quirk of Keras" if self.quirks else ""
        ways = ("horizontally", "vertically") if self.quirks else ("vertically", "horizontally")
        for name, shift, way in (
            ("height_shift_range", ranges.height_shift, ways[0]),
            ("width_shift_range", ranges.width_shift, ways[1]),
        ):
            if shift:
                words.append(f"shift {way} by {name}={shift!r}{quirk}")
        if ranges.shear:
            words.append(f"shear by up to {abs(ranges.shear):g} degrees")
        if tuple(ranges.zoom) != (1, 1):
            words.append(f"zoom by {ranges.zoom[0]:g} to {ranges.zoom[1]:g}, below 1 enlarges")
        return words

    @property
    def changing_words(self) -> list[str]:
        """Describe the rest of what Keras draws, a line each."""
        ranges, words = self.ranges, []
        if ranges.channel_shift:
            words.append(
                f"add one number of up to +-{abs(ranges.channel_shift):g} to all channels, clipped "
                "to the image's own range"
            )
        if ranges.horizontal_flip:
            words.append("flip left to right, half of the images")
        if ranges.vertical_flip:
            words.append("flip upside down, half of the images")
        if ranges.brightness is not None:
            low, high = ranges.brightness
            cut = ", cut to whole numbers as in Keras" if self.quirks else ""
            words.append(f"multiply by a brightness from {low:g} to {high:g}{cut}")
        return words


def without_augmentation() -> KerasAugmentation:
    """Return Keras' parameters with all of them off."""
    return KerasAugmentation(Ranges(0.0, 0.0, 0.0, 0.0, (1, 1), False, False, 0.0, None))


@lru_cache(maxsize=256)
def _warn_of_unknown(names: frozenset[Any]) -> None:
    """Warn, once, of parameters that change nothing: as in Keras they are ignored."""
    warnings.warn(
        f"transform_parameters holds unknown names, which are ignored: {sorted(map(str, names))}; "
        f"known are {listed((*_NEUTRAL, *_FLIPS, *VALUES))} and the generator's own transforms",
        stacklevel=users_stacklevel(),
    )


@lru_cache(maxsize=64)
def _codes(count: int, codes: tuple[int, ...]) -> NDArray[np.int8]:
    """Return the same codes for every image, which nobody changes."""
    return np.tile(np.array(codes, np.int8), (count, 1))


def shift_range(value: Any) -> ShiftRange:
    """Return a float where Keras draws with `uniform`, else what it hands to `choice`."""
    if value is None:
        return 0.0
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value.item()
    if isinstance(value, float):
        return value
    if np.ndim(value):
        return list(value) if len(value) else 0.0
    return int(value) if isinstance(value, numbers.Integral) and int(value) > 0 else float(value)


def check_shift_range(name: str, value: Any) -> None:
    """Raise unless it is None, a fraction, a number of pixels, or a flat list of them."""
    if value is None:
        return
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value.item()
    if isinstance(value, list | tuple) or np.ndim(value):
        if np.ndim(value) != 1:
            raise ValueError(f"{name} must be a number or a flat list of numbers, not {value!r}")
        for number in value:
            check_number(f"each of {name}", number)
    else:
        check_number(name, value)


def zoom_pair(_: str, zoom_range: Any) -> list[float]:
    """Return `zoom_range` as [lowest, highest] factor; a number z means [1 - z, 1 + z], None 0."""
    if zoom_range is None:
        zoom_range = 0.0
    if isinstance(zoom_range, numbers.Real):
        check_number("zoom_range", zoom_range)
        return [1 - zoom_range, 1 + zoom_range]  # type: ignore[list-item]
    try:
        return list(check_pair("zoom_range", list(zoom_range)))
    except TypeError:
        raise ValueError(
            "`zoom_range` should be a float or a tuple or list of two floats. "
            f"Received: {zoom_range!r}"
        ) from None

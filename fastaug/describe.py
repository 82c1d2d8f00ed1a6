"""What a generator does to every image, in words and in order."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from fastaug.options import ranges_of
from fastaug.transforms import Geometric

if TYPE_CHECKING:
    from fastaug.generator import Generator


def changed_options(given: dict[str, Any], function: Any) -> dict[str, Any]:
    """Return those of the given arguments that differ from a function's defaults."""
    defaults = {name: one.default for name, one in signature(function).parameters.items()}
    return {
        name: value
        for name, value in given.items()
        if value is not defaults[name] and not np.array_equal(value, defaults[name])
    }


def describe(generator: Generator) -> str:
    """Return the effective order of operations, one numbered line each."""
    steps = [*_warp_steps(generator), *_value_steps(generator), *_standard_steps(generator)]
    lines = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
    return "\n".join(["Each image, in this order:", *lines])


def _warp_steps(generator: Generator) -> list[str]:
    """Describe what moves pixels."""
    ranges = ranges_of(generator)
    parts = [f"{one!r}" for one in generator.transforms if isinstance(one, Geometric)]
    if ranges.rotation:
        parts.append(f"rotate by up to {generator.rotation_range} degrees either way")
    quirks = generator.keras_quirks
    quirk = ", a quirk of Keras" if quirks else ""
    for name, drawn, moved in (
        ("height_shift_range", ranges.height_shift, "horizontally" if quirks else "vertically"),
        ("width_shift_range", ranges.width_shift, "vertically" if quirks else "horizontally"),
    ):
        if drawn:
            parts.append(f"shift {moved} by {name}={getattr(generator, name)!r}{quirk}")
    if ranges.shear:
        parts.append(f"shear by up to {generator.shear_range} degrees")
    if tuple(ranges.zoom) != (1, 1):
        parts.append(f"zoom by {ranges.zoom[0]:g} to {ranges.zoom[1]:g}, below 1 enlarges")
    if not parts:
        return []
    outside = f"fill_mode={generator.fill_mode!r}"
    if generator.fill_mode == "constant":
        outside += f", cval={generator.cval}"
    order = f"interpolation_order={generator.interpolation_order}"
    return [f"warp, once: {'; '.join(parts)} ({outside}, {order})"]


def _value_steps(generator: Generator) -> list[str]:
    """Describe the rest of what is drawn."""
    steps = []
    if generator.channel_shift_range:
        steps.append(
            f"add one number of up to +-{generator.channel_shift_range} to all channels, clipped "
            "to the image's own range"
        )
    if generator.horizontal_flip:
        steps.append("flip left to right, half of the images")
    if generator.vertical_flip:
        steps.append("flip upside down, half of the images")
    if generator.brightness_range is not None:
        low, high = generator.brightness_range
        cut = ", cut to whole numbers as in Keras" if generator.keras_quirks else ""
        steps.append(f"multiply by a brightness from {low:g} to {high:g}{cut}")
    steps += [f"{one!r}" for one in generator.transforms if not isinstance(one, Geometric)]
    return steps


def _standard_steps(generator: Generator) -> list[str]:
    """Describe what is the same for every image."""
    steps = []
    function = generator.preprocessing_function
    if isinstance(function, str):
        steps.append(f"preprocess by the mode {function!r} of keras.applications")
    elif function is not None:
        steps.append(f"call preprocessing_function {getattr(function, '__name__', function)!r}")
    if generator.rescale:
        steps.append(f"multiply by rescale={generator.rescale:g}")
    if generator.samplewise_center:
        steps.append("subtract the image's own mean")
    if generator.samplewise_std_normalization:
        steps.append("divide by the image's own standard deviation")
    for wanted, step, fitted in (
        (generator.featurewise_center, "subtract the data set's mean", generator.mean),
        (
            generator.featurewise_std_normalization,
            "divide by the data set's standard deviation",
            generator.std,
        ),
        (generator.zca_whitening, "whiten (ZCA)", generator.zca_whitening_matrix),
    ):
        if wanted:
            steps.append(step + ("" if fitted is not None else " (not yet: call fit first)"))
    steps.append(f"give out as {generator.dtype}, {generator.data_format}")
    return steps

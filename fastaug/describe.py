"""What the settings do to every image, in words and in order."""

from __future__ import annotations

from fastaug.settings import Settings
from fastaug.transforms import Geometric


def describe(settings: Settings) -> str:
    """Return the effective order of operations, one numbered line each."""
    steps = [*_warp_steps(settings), *_value_steps(settings), *_standard_steps(settings)]
    lines = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
    return "\n".join(["Each image, in this order:", *lines])


def _warp_steps(settings: Settings) -> list[str]:
    """Describe what moves pixels."""
    ranges = settings.ranges()
    parts = [f"{one!r}" for one in settings.transforms if isinstance(one, Geometric)]
    if ranges.rotation:
        parts.append(f"rotate by up to {settings.rotation_range} degrees either way")
    quirks = settings.keras_quirks
    quirk = ", a quirk of Keras" if quirks else ""
    for name, drawn, moved in (
        ("height_shift_range", ranges.height_shift, "horizontally" if quirks else "vertically"),
        ("width_shift_range", ranges.width_shift, "vertically" if quirks else "horizontally"),
    ):
        if drawn:
            parts.append(f"shift {moved} by {name}={getattr(settings, name)!r}{quirk}")
    if ranges.shear:
        parts.append(f"shear by up to {settings.shear_range} degrees")
    if tuple(ranges.zoom) != (1, 1):
        parts.append(f"zoom by {ranges.zoom[0]:g} to {ranges.zoom[1]:g}, below 1 enlarges")
    if not parts:
        return []
    outside = f"fill_mode={settings.fill_mode!r}"
    if settings.fill_mode == "constant":
        outside += f", cval={settings.cval}"
    order = f"interpolation_order={settings.interpolation_order}"
    return [f"warp, once: {'; '.join(parts)} ({outside}, {order})"]


def _value_steps(settings: Settings) -> list[str]:
    """Describe the rest of what is drawn."""
    steps = []
    if settings.channel_shift_range:
        steps.append(
            f"add one number of up to +-{settings.channel_shift_range} to all channels, clipped "
            "to the image's own range"
        )
    if settings.horizontal_flip:
        steps.append("flip left to right, half of the images")
    if settings.vertical_flip:
        steps.append("flip upside down, half of the images")
    if settings.brightness_range is not None:
        low, high = settings.brightness_range
        cut = ", cut to whole numbers as in Keras" if settings.keras_quirks else ""
        steps.append(f"multiply by a brightness from {low:g} to {high:g}{cut}")
    steps += [f"{one!r}" for one in settings.transforms if not isinstance(one, Geometric)]
    return steps


def _standard_steps(settings: Settings) -> list[str]:
    """Describe what is the same for every image."""
    steps = []
    function = settings.preprocessing_function
    if isinstance(function, str):
        steps.append(f"preprocess by the mode {function!r} of keras.applications")
    elif function is not None:
        steps.append(f"call preprocessing_function {getattr(function, '__name__', function)!r}")
    if settings.rescale:
        steps.append(f"multiply by rescale={settings.rescale:g}")
    if settings.samplewise_center:
        steps.append("subtract the image's own mean")
    if settings.samplewise_std_normalization:
        steps.append("divide by the image's own standard deviation")
    for wanted, step, fitted in (
        (settings.featurewise_center, "subtract the data set's mean", settings.mean),
        (
            settings.featurewise_std_normalization,
            "divide by the data set's standard deviation",
            settings.std,
        ),
        (settings.zca_whitening, "whiten (ZCA)", settings.zca_whitening_matrix),
    ):
        if wanted:
            steps.append(step + ("" if fitted is not None else " (not yet: call fit first)"))
    steps.append(f"give out as {settings.dtype}, {settings.data_format}")
    return steps

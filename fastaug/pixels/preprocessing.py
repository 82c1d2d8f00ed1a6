"""`preprocessing_function`: the modes of `keras.applications`, and functions of yours.

The modes are plain arithmetic on each value and are done by the kernels.  Functions run in the
calling thread: one image at a time as in Keras, or once a batch if they are marked with `batched`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import listed

Function: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Mode:
    """What a mode does to RGB values in [0, 255]: (value / divisor - mean) / deviation.

    References
    ----------
    Keras 3.15, `keras.src.applications.imagenet_utils._preprocess_numpy_input`.
    """

    reverse_channels: bool = False
    divisor: float | None = None
    mean: float | tuple[float, float, float] = 0.0
    deviation: tuple[float, float, float] | None = None

    @property
    def needs_colours(self) -> bool:
        """Whether it works on three channels only."""
        return isinstance(self.mean, tuple)


MODES = {
    "tf": Mode(divisor=127.5, mean=1.0),
    "caffe": Mode(reverse_channels=True, mean=(103.939, 116.779, 123.68)),
    "torch": Mode(divisor=255.0, mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
}

_APPLICATIONS = "keras.src.applications"
_MODES_OF_APPLICATIONS = {
    "densenet": "torch",
    "imagenet_utils": "caffe",
    "inception_resnet_v2": "tf",
    "inception_v3": "tf",
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "nasnet": "tf",
    "resnet": "caffe",
    "resnet_v2": "tf",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "xception": "tf",
}


class batched:  # noqa: N801 - used as a decorator
    """Mark a `preprocessing_function` that takes a whole batch.

    Parameters
    ----------
    function
        Takes (n, height, width, channels) float images, in the generator's `data_format`, which it
        may change in place; returns as many images of the same size.  Called once a batch.

    Examples
    --------
    >>> import fastaug
    >>> @fastaug.batched
    ... def centre(images):
    ...     return images / 127.5 - 1
    >>> generator = fastaug.Generator(preprocessing_function=centre)
    """

    def __init__(self, function: Function) -> None:
        if not callable(function):
            raise TypeError(f"batched() takes a function of a batch of images, not {function!r}")
        self.function = function
        self.__name__ = getattr(function, "__name__", repr(function))
        self.__doc__ = getattr(function, "__doc__", None)

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Call the function."""
        return self.function(images)

    def __repr__(self) -> str:
        return f"batched({self.__name__})"


def check_function(name: str, function: Any) -> None:
    """Raise unless `preprocessing_function` is a mode's name, a function, or None."""
    named = isinstance(function, str)
    if function is None or callable(function) or (named and function in MODES):
        return
    kind = ValueError if named else TypeError
    raise kind(
        f"{name} must be a function of one image (height, width, channels) that "
        f"returns an array of the same shape, or one of {listed(MODES)}, not {function!r}"
    )


def mode_of(name: str, channels: int) -> Mode:
    """Return the mode of that name; ValueError if it needs another number of channels."""
    mode = MODES[name]
    if mode.needs_colours and channels != 3:
        raise ValueError(
            f"preprocessing_function={name!r} needs images of 3 channels; these have {channels}"
        )
    return mode


def fused_mode(function: Any, channels: int, data_format: str) -> Mode | None:
    """Return the mode that a `preprocessing_function` stands for, or None if it must be called.

    Parameters
    ----------
    function
        A mode's name, or a function; `preprocess_input` of `keras.applications.*` is recognised.
    channels, data_format
        Of the images.

    Raises
    ------
    ValueError
        If a mode that is given by name needs another number of channels.
    """
    if isinstance(function, str):
        return mode_of(function, channels)
    package, _, name = (getattr(function, "__module__", None) or "").rpartition(".")
    if package != _APPLICATIONS or name not in _MODES_OF_APPLICATIONS:
        return None
    # By identity, and without an import: whoever has the function has loaded its module.
    if function is not getattr(sys.modules.get(f"{package}.{name}"), "preprocess_input", None):
        return None
    mode = MODES[_MODES_OF_APPLICATIONS[name]]
    # It looks for the channels where Keras' own setting says.
    in_place = sys.modules["keras"].config.image_data_format() == data_format
    return mode if not mode.needs_colours or (channels == 3 and in_place) else None


def is_called(function: Any, channels: int, data_format: str) -> bool:
    """Tell whether a `preprocessing_function` is called, and not done by the kernels."""
    return function is not None and fused_mode(function, channels, data_format) is None


def apply_mode(mode: Mode, x: NDArray[Any], channel_axis: int) -> NDArray[Any]:
    """Do to an image or a batch, float, what a mode does, in place, in plain NumPy."""
    if mode.reverse_channels:
        x = np.flip(x, channel_axis)
    values = np.moveaxis(x, channel_axis, -1)
    if mode.divisor is not None:
        values /= mode.divisor
    values -= np.asarray(mode.mean, x.dtype)
    if mode.deviation is not None:
        values /= np.asarray(mode.deviation, x.dtype)
    return x


def call_function(
    function: Function, batch: NDArray[Any], channel_axis: int, samples: NDArray[np.intp]
) -> None:
    """Call the user's function on every image, or on the batch, and keep what it returns.

    Parameters
    ----------
    function
        See `batched`.
    batch
        (n, ...) images; overwritten.
    channel_axis
        From the end.
    samples
        (n,) the images' numbers in the data set, for messages.

    Raises
    ------
    ValueError
        If the function returns something that is no image of the same size.
    """
    if isinstance(function, batched):
        _call(function, batch, channel_axis, f"a batch of {len(batch)} images")
        return
    for image, sample in zip(batch, samples, strict=True):
        _call(function, image, channel_axis, sample)


def _call(function: Function, values: NDArray[Any], channel_axis: int, what: Any) -> None:
    values[...] = called_on(function, values, channel_axis, what)


def called_on(
    function: Function, values: NDArray[Any], channel_axis: int, what: Any
) -> NDArray[Any]:
    """Return what the user's function returns for an image, in its own dtype.

    `what` is its number in the data set, or words; the other parameters and errors are those of
    `call_function`.
    """
    try:
        returned = function(values)
        result = np.asarray(returned)
    except StopIteration as error:
        # TensorFlow would take it for the end of the data.
        raise RuntimeError(f"{_where(function, what)}, raised StopIteration") from error
    except Exception as error:
        if hasattr(error, "add_note"):  # Python 3.11 and later
            error.add_note(f"raised by {_where(function, what)}")
        raise
    if result.dtype.kind not in "biuf":
        raise ValueError(
            f"{_where(function, what)}, returned {returned!r:.60}; "
            "it must return an array of numbers"
        )
    if result.shape == values.shape:
        return result
    one_channel = list(values.shape)
    one_channel[channel_axis] = 1
    if result.shape != tuple(one_channel):
        raise ValueError(
            f"{_where(function, what)}, returned shape {result.shape}; it must return "
            f"{values.shape}"
        )
    return np.broadcast_to(result, values.shape).copy()


def _where(function: Function, what: Any) -> str:
    name = getattr(function, "__name__", repr(function))
    what = what if isinstance(what, str) else f"sample {what}"
    return f"preprocessing_function {name!r}, called on {what}"

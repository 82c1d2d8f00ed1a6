"""One table: whatever changes pixels, beside a slow and obvious reference and a tolerance.

A row says what fastaug is asked for (see `recipe_of`, and fields of `Draws`) and gives a function
that does the same with SciPy, Pillow, the installed Keras or plain NumPy, one image and one channel
at a time.  Tests and benchmarks are parametrised over `ORACLES`; a public operation without a row
fails a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any
from unittest import mock

import numpy as np
from keras.src.legacy.preprocessing import image as keras_image
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from fastaug.pixels import batch as pipeline
from fastaug.pixels.batch import Recipe, make_batch
from fastaug.pixels.layout import size_of, working_dtype
from fastaug.pixels.preprocessing import batched
from fastaug.pixels.standardization import standardization
from fastaug.transforms import QuarterTurn, Solarize, Transform
from fastaug.transforms.keras.draws import Draws, Ranges
from fastaug.transforms.keras.policy import KerasAugmentation
from fastaug.transforms.policy import Policy, _draw
from fastaug.transforms.streams import Streams, transform_stream

Array = NDArray[Any]

SIZES = ((5, 7), (8, 11), (13, 17))
CHANNELS = (1, 3, 4)
COUNTS = (1, 3)
SOURCE_DTYPES = ("uint8", "float32")

# Our own transforms draw from the stream of this batch: 1, 2, 3 turns; solarised, not, solarised.
SEED, BATCHES_SEEN = 7, 0

# Half a unit in the last place of a float32 from 128 to 256: what one rounding costs there.
ROUNDING = 2.0**-17
# The same for any float32, relative to it.
RELATIVE = 2.0**-24

STILL = {"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0}
STILL |= {"flip_horizontal": False, "flip_vertical": False}

MOVES = {
    "theta": (33.0, -71.5, 158.0),
    "tx": (1.3, -2.6, 0.4),
    "ty": (-0.7, 1.9, 3.3),
    "shear": (12.0, -25.0, 40.0),
    "zx": (0.8, 1.3, 1.1),
    "zy": (1.25, 0.7, 0.9),
}
SHIFTS = (30.5, -60.25, 12.0)
FACTORS = (1.4, 0.35, 2.2)
FLIPPED = (True, False, True)
CVAL = 41.5
SCALE = 1 / 255


@dataclass(frozen=True)
class Oracle:
    """A row.

    `asked` and `drawn` are what fastaug is asked for; statistics in `asked` are functions of an
    image's shape, the numbers in `drawn` are one per image.  `reference` takes images (n, height,
    width, channels) of any dtype.  `tolerance` is absolute, for `reason`; 0 means the same bits.
    `prepare` brings the images into a state where the operation shows; `squares` keeps to square
    ones, `three_channels` to those of that many.
    """

    reference: Callable[[Array], Array]
    tolerance: float
    reason: str
    asked: dict[str, Any] = field(default_factory=dict)
    drawn: dict[str, tuple[float, ...]] = field(default_factory=dict)
    prepare: Callable[[Array], Array] = np.asarray
    squares: bool = False
    three_channels: bool = False

    def ours(self, images: Array, **changes: Any) -> Array:
        """Return what fastaug makes of images (n, height, width, channels)."""
        asked = self.asked | changes
        shape = images.shape[1:]
        for name in {"mean", "deviation", "whitening"} & set(asked):
            asked[name] = asked[name](shape)
        return batch_of(images, asked, **self.drawn)

    def check(self, images: Array) -> None:
        """Compare both; an AssertionError shows where they differ."""
        images = self.prepare(images)
        before = images.copy()
        ours, reference = self.ours(images), self.reference(images)
        np.testing.assert_allclose(ours, reference, rtol=0, atol=self.tolerance)
        np.testing.assert_array_equal(images, before, err_msg="the source was changed")


def some_draws(count: int, **drawn: Any) -> Draws:
    """Return draws for `count` images: numbers of `drawn` (a tuple, or one for all), else still."""
    values = STILL | drawn
    arrays: dict[str, Any] = {one.name: None for one in fields(Draws)}
    for name, value in values.items():
        dtype = bool if name.startswith("flip") else np.float64
        column = value[:count] if isinstance(value, tuple) else [value] * count
        arrays[name] = np.array(column, dtype)
    return Draws(**arrays)


def policy_of(asked: dict[str, Any]) -> Policy:
    """Return the policy of what is asked for, without ranges: its numbers are given."""
    still = Ranges(0.0, 0.0, 0.0, 0.0, (1, 1), False, False, 0.0, None)
    keras = KerasAugmentation(still, asked.get("quirks", True))
    return Policy(keras, tuple(asked.get("transforms", ())))


def recipe_of(images: Array, asked: dict[str, Any]) -> Recipe:
    """Return the recipe of what is asked for: its fields, and arguments of `standardization`."""
    known = {one.name for one in fields(Recipe)}
    given = {name: value for name, value in asked.items() if name in known}
    last = set(asked) - known - {"quirks", "transforms"}
    data_format = asked.get("data_format", "channels_last")
    channels = images.shape[1 if data_format == "channels_first" else 3]
    steps = standardization(
        channels,
        data_format,
        working_dtype(asked.get("dtype", np.float32)),
        **{name: asked[name] for name in last},
    )
    return Recipe(**given, standardization=steps)


def batch_of(
    images: Array,
    asked: dict[str, Any],
    buffers: Any = None,
    seed: int = SEED,
    **drawn: Any,
) -> Array:
    """Return a batch of all images: what is asked for, with these of Keras' numbers."""
    policy, count = policy_of(asked), len(images)
    size = size_of(images.shape[1:], asked.get("data_format", "channels_last"))
    numbers = {
        name: _draw(name, transform, Streams(None, seed, BATCHES_SEEN), count, size)
        for name, transform in policy.named
    }
    everything = policy.assemble(some_draws(count, **drawn), numbers, size)
    recipe, rows = recipe_of(images, asked), np.arange(count)
    return make_batch(recipe, images, rows, everything, buffers=buffers)


def shared_out_by_rows() -> Any:
    """Return a context in which small images are made as large ones: rows in parallel."""
    return mock.patch.multiple(pipeline, _FEW_LARGE=0, _LARGE=0)


def draw_of(transform: Transform, count: int, size: tuple[int, int] = (8, 8)) -> Array:
    """Return what one of our own transforms draws in the batch of the table."""
    stream = transform_stream(SEED, BATCHES_SEEN, type(transform).__name__)
    return transform.draw(stream, count, size)


def reference_pull(i: int, height: int, width: int) -> Array:
    """Compose image i's numbers in MOVES as Keras documents them: (3, 3), in (row, col, 1).

    Keras composes in (x, y) = (col, row), where the width shift moves along x.
    """
    theta, shear = np.deg2rad(MOVES["theta"][i]), np.deg2rad(MOVES["shear"][i])
    right, down = MOVES["ty"][i], MOVES["tx"][i]
    x, y = width / 2 - 0.5, height / 2 - 0.5
    rotation = [[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]]
    shift = [[1, 0, right], [0, 1, down], [0, 0, 1]]
    shearing = [[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]]
    zoom = np.diag([MOVES["zx"][i], MOVES["zy"][i], 1])
    there, back = [[1, 0, x], [0, 1, y], [0, 0, 1]], [[1, 0, -x], [0, 1, -y], [0, 0, 1]]
    pull = np.array(there) @ (np.array(rotation) @ shift @ shearing @ zoom) @ back
    return pull[[1, 0, 2]][:, [1, 0, 2]]


def reference_warp(images: Array, order: int, fill_mode: str) -> Array:
    def warp(image: Array, pull: Array) -> Array:
        channels = [
            ndimage.affine_transform(
                channel, pull[:2, :2], pull[:2, 2], order=order, mode=fill_mode, cval=CVAL
            )
            for channel in np.moveaxis(image.astype(np.float32), -1, 0)
        ]
        return np.stack(channels, axis=-1)

    size = images.shape[1:3]
    return np.stack([warp(image, reference_pull(i, *size)) for i, image in enumerate(images)])


def reference_keras_warp(images: Array) -> Array:
    return np.stack(
        [
            keras_image.apply_affine_transform(
                image.astype(np.float32),
                **{name: values[i] for name, values in MOVES.items()},
                row_axis=0,
                col_axis=1,
                channel_axis=2,
            )
            for i, image in enumerate(images)
        ]
    )


def reference_channel_shift(images: Array) -> Array:
    images = images.astype(np.float32)
    return np.stack(
        [
            np.clip(image + np.float32(shift), image.min(), image.max())
            for image, shift in zip(images, SHIFTS, strict=False)
        ]
    )


def reference_keras_brightness(images: Array) -> Array:
    return np.stack(
        [
            keras_image.apply_brightness_shift(image.astype(np.float32), factor, scale=False)
            for image, factor in zip(images, FACTORS, strict=False)
        ]
    )


def colours(image: Array) -> int:
    return 3 if image.shape[-1] == 4 else image.shape[-1]


def reference_brightness(images: Array) -> Array:
    """Scale colours and clip to [0, 255]; the last of four channels is alpha."""
    out = images.astype(np.float64)
    for image, factor in zip(out, FACTORS, strict=False):
        coloured = image[..., : colours(image)]
        coloured[...] = np.clip(coloured * factor, 0, 255)
    return out


def reference_mapped_brightness(images: Array) -> Array:
    """Where values are outside [0, 255], do it in units where the image's own range is that."""
    out = reference_brightness(images)
    for source, image, factor in zip(images, out, FACTORS, strict=False):
        low, high = source.min().astype(np.float64), source.max().astype(np.float64)
        if low >= 0 and high <= 255:
            continue
        unit = (source - low) / ((high - low) or 1) * 255
        coloured = unit[..., : colours(image)]
        coloured[...] = np.clip(coloured * factor, 0, 255)
        image[...] = unit / 255 * (high - low) + low
    return out


def reference_flip(images: Array, axis: int) -> Array:
    pairs = zip(images, FLIPPED, strict=False)
    return np.stack([np.flip(image, axis) if flipped else image for image, flipped in pairs])


def reference_samplewise(images: Array, normalize: bool) -> Array:
    images = images.astype(np.float64)
    axes = (1, 2, 3)
    centred = images - images.mean(axes, keepdims=True)
    return centred / (images.std(axes, keepdims=True) + 1e-6) if normalize else centred


def channel_means(shape: tuple[int, ...]) -> Array:
    return np.linspace(90.3, 120.7, shape[-1]).reshape(1, 1, -1)


def channel_deviations(shape: tuple[int, ...]) -> Array:
    return np.linspace(48.1, 71.9, shape[-1]).reshape(1, 1, -1)


def reference_featurewise(images: Array) -> Array:
    shape = images.shape[1:]
    return (images.astype(np.float64) - channel_means(shape)) / (channel_deviations(shape) + 1e-6)


def whitening_matrix(shape: tuple[int, ...]) -> Array:
    """Return a (values, values) matrix whose products with an image stay of the image's size."""
    values = int(np.prod(shape))
    return np.random.default_rng(5).normal(size=(values, values)) / values


def reference_whitening(images: Array) -> Array:
    flat = images.astype(np.float64).reshape(len(images), -1)
    return (flat @ whitening_matrix(images.shape[1:])).reshape(images.shape)


def square_root(image: Array) -> Array:
    return np.sqrt(image)


@batched
def take_first_away(images: Array) -> Array:
    """Return something that needs the whole batch."""
    return images - images[:1]


def reference_tf(images: Array) -> Array:
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


def reference_caffe(images: Array) -> Array:
    red, green, blue = np.moveaxis(images.astype(np.float32), -1, 0)
    shifted = blue - np.float32(103.939), green - np.float32(116.779), red - np.float32(123.68)
    return np.stack(shifted, axis=-1)


def reference_torch(images: Array) -> Array:
    red, green, blue = np.moveaxis(images.astype(np.float32) / np.float32(255), -1, 0)
    standard = (
        (red - np.float32(0.485)) / np.float32(0.229),
        (green - np.float32(0.456)) / np.float32(0.224),
        (blue - np.float32(0.406)) / np.float32(0.225),
    )
    return np.stack(standard, axis=-1)


def reference_quarter_turn(images: Array) -> Array:
    turns = draw_of(QuarterTurn(), len(images))
    return np.stack([np.rot90(image, k) for image, k in zip(images, turns, strict=True)])


SOLARIZE = Solarize(threshold=100, probability=0.5)


def reference_solarize(images: Array) -> Array:
    """Use Pillow, channel by channel: it refuses four at once."""
    out = images.astype(np.uint8)
    chosen = _draw("Solarize", SOLARIZE, Streams(None, SEED, BATCHES_SEEN), len(images), (8, 8))
    for image, applied in zip(out, chosen.applied, strict=True):
        for channel in range(colours(image)) if applied else ():
            picture = Image.fromarray(image[..., channel])
            image[..., channel] = np.asarray(ImageOps.solarize(picture, int(SOLARIZE.threshold)))
    return out


def beyond_pixels(images: Array) -> Array:
    """Return fractions and values outside [0, 255]."""
    return images.astype(np.float32) * np.float32(1.7) - np.float32(60.3)


def warp_row(order: int, fill_mode: str) -> Oracle:
    return Oracle(
        reference=lambda images: reference_warp(images, order, fill_mode),
        tolerance=0,
        reason="SciPy's arithmetic, in float64 and rounded once to float32 at the end",
        asked={"order": order, "fill_mode": fill_mode, "cval": CVAL, "quirks": False},
        drawn=MOVES,
    )


def mode_row(mode: str, reference: Callable[[Array], Array], rescale: float | None) -> Oracle:
    factor = np.float32(rescale or 1)
    return Oracle(
        reference=lambda images: reference(images) * factor,
        tolerance=0,
        reason="the same operations in float32, in the same order",
        asked={"preprocessing_function": mode} | ({"rescale": rescale} if rescale else {}),
        three_channels=mode != "tf",
    )


FILL_MODES = ("constant", "nearest", "reflect", "wrap")
MODES = {"tf": reference_tf, "caffe": reference_caffe, "torch": reference_torch}

ORACLES: dict[str, Oracle] = {
    f"warp_order_{order}_{fill_mode}": warp_row(order, fill_mode)
    for order in (0, 1)
    for fill_mode in FILL_MODES
}
ORACLES |= {
    "warp_order_3": warp_row(3, "reflect"),
    "warp_as_keras": Oracle(
        reference_keras_warp, 0, "the same arithmetic as SciPy, with Keras' matrix", drawn=MOVES
    ),
    "channel_shift": Oracle(
        reference_channel_shift,
        0,
        "one addition in float32, and a choice",
        drawn={"channel_shift_intensity": SHIFTS},
    ),
    "brightness_as_keras": Oracle(
        reference_keras_brightness,
        0,
        "whole numbers, cut as Pillow cuts them",
        drawn={"brightness": FACTORS},
    ),
    "brightness_as_keras_beyond_pixels": Oracle(
        reference_keras_brightness,
        0,
        "whole numbers, mapped back in float32 in Keras' order of operations",
        drawn={"brightness": FACTORS},
        prepare=beyond_pixels,
    ),
    "brightness": Oracle(
        reference_brightness,
        2 * max(FACTORS) * 255 * RELATIVE,
        "the factor is rounded to float32, and so is the product, before it is clipped",
        asked={"quirks": False},
        drawn={"brightness": FACTORS},
    ),
    "brightness_beyond_pixels": Oracle(
        reference_mapped_brightness,
        # The image's range is below 440; what comes before the factor is multiplied by up to 2.2.
        2 * 5 * max(FACTORS) * 440 * RELATIVE,
        "five roundings of up to 440 on the way to [0, 255] and three back, all below 2.2 * 440",
        asked={"quirks": False},
        drawn={"brightness": FACTORS},
        prepare=beyond_pixels,
    ),
    "flip_horizontal": Oracle(
        lambda images: reference_flip(images, 1),
        0,
        "pixels only move",
        drawn={"flip_horizontal": FLIPPED},
    ),
    "flip_vertical": Oracle(
        lambda images: reference_flip(images, 0),
        0,
        "pixels only move",
        drawn={"flip_vertical": FLIPPED},
    ),
    "rescale": Oracle(
        lambda images: images.astype(np.float64) * SCALE,
        2 * RELATIVE,
        "the factor and the product, at most 1, are rounded to float32",
        asked={"rescale": SCALE},
    ),
    "samplewise_center": Oracle(
        lambda images: reference_samplewise(images, normalize=False),
        ROUNDING,
        "computed in float64, rounded once to a float32 below 256",
        asked={"samplewise_center": True},
    ),
    "samplewise_std_normalization": Oracle(
        lambda images: reference_samplewise(images, normalize=True),
        8 * RELATIVE,
        "computed in float64, rounded once to a float32 below 8",
        asked={"samplewise_center": True, "samplewise_normalize": True},
    ),
    "featurewise": Oracle(
        reference_featurewise,
        # The smallest deviation is above 48, results are below 8.
        2 * ROUNDING / 48 + 8 * 2 * RELATIVE,
        "mean and difference are rounded before the division, divisor and quotient at it",
        asked={"mean": channel_means, "deviation": channel_deviations},
    ),
    "zca_whitening": Oracle(
        reference_whitening,
        # Values up to 255 times n weights of 1/n: partial sums stay near 255 / sqrt(n).
        8 * 255 * RELATIVE,
        "the n roundings of a float32 sum, in any order, add up like sqrt(n); eight deviations",
        asked={"whitening": whitening_matrix},
    ),
    "preprocessing_function": Oracle(
        lambda images: np.stack([square_root(image) for image in images.astype(np.float32)]),
        0,
        "the same function on the same numbers",
        asked={"preprocessing_function": square_root},
    ),
    "preprocessing_function_and_rescale": Oracle(
        lambda images: square_root(images.astype(np.float32)) * np.float32(SCALE),
        0,
        "the same function on the same numbers, and one product in float32",
        asked={"preprocessing_function": square_root, "rescale": SCALE},
    ),
    "preprocessing_batched": Oracle(
        lambda images: images.astype(np.float32) - images[:1].astype(np.float32),
        0,
        "one difference in float32",
        asked={"preprocessing_function": take_first_away},
    ),
    **{f"preprocessing_{mode}": mode_row(mode, one, None) for mode, one in MODES.items()},
    **{
        f"preprocessing_{mode}_and_rescale": mode_row(mode, one, SCALE)
        for mode, one in MODES.items()
    },
    "dtype_uint8": Oracle(
        lambda images: np.clip(np.rint(images), 0, 255),
        0,
        "whole numbers",
        asked={"dtype": np.dtype(np.uint8)},
        prepare=beyond_pixels,
    ),
    "dtype_float16": Oracle(
        lambda images: images.astype(np.float16),
        0,
        "one rounding on both sides",
        asked={"dtype": np.dtype(np.float16)},
        prepare=beyond_pixels,
    ),
    "dtype_float64": Oracle(
        lambda images: images.astype(np.float64),
        0,
        "float64 holds every float32",
        asked={"dtype": np.dtype(np.float64)},
        prepare=beyond_pixels,
    ),
    "QuarterTurn": Oracle(
        reference_quarter_turn,
        0,
        "pixels only move",
        asked={"transforms": (QuarterTurn(),)},
        squares=True,
    ),
    "Solarize": Oracle(
        reference_solarize,
        0,
        "whole numbers below 256, which float32 holds",
        asked={"transforms": (SOLARIZE,)},
    ),
}

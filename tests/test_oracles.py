"""Pixels: every operation against its row in `oracles.py`, and what can be said without one."""

from __future__ import annotations

import inspect
import itertools
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SCIPY, make_images
from numba import get_num_threads
from oracles import (
    CHANNELS,
    COUNTS,
    MOVES,
    ORACLES,
    SIZES,
    SOURCE_DTYPES,
    Oracle,
    batch_of,
    shared_out_by_rows,
    some_draws,
)
from scipy import ndimage

from fastaug import Generator
from fastaug.kernels.batch import augment_blocks
from fastaug.kernels.launch import launch
from fastaug.pixels import batch as pipeline
from fastaug.pixels.batch import Recipe
from fastaug.pixels.standardization import standardization
from fastaug.transforms import QuarterTurn
from fastaug.transforms.keras.draws import Draws
from fastaug.transforms.keras.matrices import pull_matrices

# Keras 3.15 takes `affine_transform` from where SciPy had it before 1.8.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import `affine_transform`:DeprecationWarning"
)

TINY_SIZES = ((1, 1), (1, 9), (9, 1), (2, 2))
FILL_MODES = ("constant", "nearest", "reflect", "wrap")
# One row for each kind of work that the kernel does in one go or in two.
KINDS = ("warp_order_1_nearest", "flip_horizontal", "samplewise_center", "Solarize")

EVERYTHING_DRAWN = {name: numbers[0] for name, numbers in MOVES.items()} | {
    "channel_shift_intensity": 31.5,
    "brightness": 1.3,
    "flip_horizontal": True,
    "flip_vertical": True,
}
# An image of three blocks of rows and of several bands, which are made one at a time.
TALL = (70, 33)


def grid(oracle: Oracle, height: int, width: int) -> itertools.product:
    """Return arguments of `make_images`: every channel count, batch size and dtype."""
    sides = [(min(height, width),) * 2] if oracle.squares else [(height, width)]
    channels = (3,) if oracle.three_channels else CHANNELS
    return itertools.product(COUNTS, sides, channels, SOURCE_DTYPES)


@pytest.mark.parametrize(("height", "width"), SIZES, ids=lambda size: f"{size}")
@pytest.mark.parametrize("name", ORACLES)
def test_operation_agrees_with_its_reference(name: str, height: int, width: int) -> None:
    oracle = ORACLES[name]
    for count, side, channels, dtype in grid(oracle, height, width):
        oracle.check(make_images(count, *side, channels, dtype))


@pytest.mark.parametrize("name", ORACLES)
def test_plain_path_gives_the_same_bits_and_agrees_with_the_reference(name: str) -> None:
    plain = replace(ORACLES[name], asked=ORACLES[name].asked | {"plain": True})
    for count, side, channels, dtype in grid(plain, 8, 11):
        images = make_images(count, *side, channels, dtype)
        plain.check(images)
        images = plain.prepare(images)
        np.testing.assert_array_equal(plain.ours(images), ORACLES[name].ours(images))


@pytest.mark.parametrize("name", ORACLES)
def test_operation_changes_something_where_its_row_applies(name: str) -> None:
    # A row whose reference does nothing would prove nothing.
    oracle = ORACLES[name]
    images = oracle.prepare(make_images(3, 8, 8, 3))
    if not name.startswith("dtype"):
        assert not np.array_equal(oracle.reference(images), images)


def test_every_step_of_a_recipe_and_every_drawn_number_has_a_row() -> None:
    asked = {name for oracle in ORACLES.values() for name in (*oracle.asked, *oracle.drawn)}
    # Every row is run with all values of these, see above and below.
    run_with_all = {"data_format", "threads", "plain"}
    last = set(inspect.signature(standardization).parameters) - {"channels", "dtype"}
    names = {field.name for field in (*fields(Recipe), *fields(Draws))} - {"standardization"}
    # Rows of transforms are in `transforms/references.py`.
    assert asked | run_with_all == (names | last | {"quirks", "transforms"}) - {"normalize"}


@pytest.mark.parametrize("name", ORACLES)
def test_one_thread_and_all_threads_give_the_same_bits(name: str) -> None:
    oracle = ORACLES[name]
    images = oracle.prepare(make_images(3, 8, 8 if oracle.squares else 11, 3))
    np.testing.assert_array_equal(oracle.ours(images, threads=1), oracle.ours(images))


# The kernel of policies shares out images only.
@pytest.mark.parametrize(
    "name", [name for name, oracle in ORACLES.items() if "transforms" not in oracle.asked]
)
def test_rows_shared_out_among_threads_give_the_same_bits(name: str, monkeypatch) -> None:
    oracle, kernels = ORACLES[name], []
    height, width = TALL if not oracle.squares else (TALL[0],) * 2
    # Whitening takes a matrix of the image's values by themselves.
    height, width = (height, width) if name != "zca_whitening" else (35, 9)

    def note(kernel: object, *arguments: object) -> object:
        kernels.append(kernel)
        return launch(kernel, *arguments)

    monkeypatch.setattr(pipeline, "launch", note)
    for dtype, count in itertools.product(SOURCE_DTYPES, COUNTS):
        images = oracle.prepare(make_images(count, height, width, 3, dtype))
        expected = oracle.ours(images)
        assert augment_blocks not in kernels
        with shared_out_by_rows():
            np.testing.assert_array_equal(oracle.ours(images), expected)
        assert augment_blocks in kernels or get_num_threads() == 1
        kernels.clear()


# BLAS multiplies one row with a matrix otherwise than three rows.
@pytest.mark.parametrize("name", sorted(set(ORACLES) - {"zca_whitening"}))
def test_image_alone_gets_the_same_bits_as_in_a_batch(name: str) -> None:
    # Where they are fewer than the threads, rows of large images are shared out.
    oracle = ORACLES[name]
    images = oracle.prepare(make_images(3, 257, 257 if oracle.squares else 300, 3))
    np.testing.assert_array_equal(oracle.ours(images[:1]), oracle.ours(images)[:1])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "float16"])
def test_large_image_is_the_same_with_any_number_of_threads(dtype: str, data_format: str) -> None:
    # Above 2**20 pixels an image's rows are shared out, whatever the batch.
    images = np.resize(make_images(1, 103, 211, 3, "float32"), (2, 1030, 1031, 3))
    images = images if data_format == "channels_last" else np.moveaxis(images, -1, 1).copy()
    recipe = dict(
        dtype=np.dtype(dtype),
        data_format=data_format,
        samplewise_center=True,
        samplewise_normalize=True,
        rescale=20.0,
    )
    one, all_of_them = (
        batch_of(images, recipe | {"threads": threads}, **EVERYTHING_DRAWN) for threads in (1, None)
    )
    np.testing.assert_array_equal(one, all_of_them)


def test_many_repetitions_with_all_threads_give_the_same_bits() -> None:
    # There was a race here: an array expression in an inlined function became a parallel loop.
    images = make_images(64, 32, 32, 3)
    recipe = dict(samplewise_center=True, samplewise_normalize=True, rescale=1 / 255)
    expected = batch_of(images, recipe | {"threads": 1}, **EVERYTHING_DRAWN)
    for repetition in range(30):
        batch = batch_of(images, recipe, **EVERYTHING_DRAWN)
        np.testing.assert_array_equal(batch, expected, f"repetition {repetition}")


# The whitening matrix depends on the order of the flattened axes; float64 is compared with Keras.
@pytest.mark.parametrize("name", sorted(set(ORACLES) - {"zca_whitening", "dtype_float64"}))
def test_channels_first_agrees_with_the_reference(name: str) -> None:
    oracle = ORACLES[name]
    images = oracle.prepare(make_images(3, 8, 8 if oracle.squares else 11, 3))
    first = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    changes: dict[str, object] = {"data_format": "channels_first"}
    for statistic in {"mean", "deviation"} & set(oracle.asked):
        value = oracle.asked[statistic](images.shape[1:]).reshape(3, 1, 1)
        changes[statistic] = lambda shape, value=value: value
    ours = np.moveaxis(oracle.ours(first, **changes), 1, -1)
    np.testing.assert_allclose(ours, oracle.reference(images), rtol=0, atol=oracle.tolerance)


def sources(images: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Return the same images in all the ways in which memory can hold them."""
    read_only = images.copy()
    read_only.flags.writeable = False
    np.save(folder / "images.npy", images)
    unaligned = np.zeros(images.nbytes + 1, np.uint8)[1:].view(images.dtype).reshape(images.shape)
    unaligned[...] = images
    return {
        "reversed": images[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
        "strided": np.repeat(np.repeat(images, 2, axis=0), 3, axis=2)[::2, :, ::3],
        "channels apart": np.moveaxis(np.moveaxis(images, -1, 0).copy(), 0, -1),
        "Fortran order": np.asfortranarray(images),
        "read-only": read_only,
        "read-only memory map": np.load(folder / "images.npy", mmap_mode="r"),
        "memory map": np.load(folder / "images.npy", mmap_mode="r+"),
        "unaligned": unaligned,
        "other byte order": images.astype(images.dtype.newbyteorder("S")),
    }


@pytest.mark.parametrize("name", KINDS)
def test_images_may_lie_in_memory_in_any_way(name: str, tmp_path: Path) -> None:
    images = make_images(3, 8, 11, 3)
    for source in sources(images, tmp_path).values():
        ORACLES[name].check(source)


@pytest.mark.parametrize("name", KINDS)
def test_images_may_be_of_any_real_dtype(name: str) -> None:
    images = make_images(3, 8, 11, 3) % 128
    for dtype in ("bool", "int8", "uint16", "int32", "int64", "float16", "float64"):
        ORACLES[name].check(images.astype(dtype))


@pytest.mark.parametrize("name", ORACLES)
def test_tiny_images_agree_with_the_reference(name: str) -> None:
    oracle = ORACLES[name]
    for (height, width), channels in itertools.product(TINY_SIZES, CHANNELS):
        if (height == width or not oracle.squares) and (channels == 3 or not oracle.three_channels):
            oracle.check(make_images(3, height, width, channels, seed=3))


# Two and five channels have no Pillow mode, so Keras refuses their brightness.
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, oracle in ORACLES.items()
        if "brightness_as_keras" not in name and not oracle.three_channels
    ],
)
def test_any_number_of_channels_agrees_with_the_reference(name: str) -> None:
    oracle = ORACLES[name]
    for channels in (1, 2, 4, 5):
        oracle.check(make_images(2, 8, 8 if oracle.squares else 11, channels))


@pytest.mark.parametrize("channels", [2, 5])
def test_brightness_knows_an_alpha_channel_only_among_four(channels: int) -> None:
    images = make_images(1, 5, 7, channels)
    batch = batch_of(images, dict(quirks=False), brightness=0.5)
    np.testing.assert_array_equal(batch, images * 0.5)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_identity_changes_nothing(fill_mode: str, order: int) -> None:
    # The smallest angle above zero goes through the warp, with the matrix of the identity.
    for dtype, drawn in itertools.product(SOURCE_DTYPES, ({}, {"theta": 5e-324})):
        images = make_images(3, 5, 7, 3, dtype)
        batch = batch_of(images, dict(order=order, fill_mode=fill_mode), **drawn)
        np.testing.assert_array_equal(batch, images)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(("down", "right"), [(0, 3), (2, 0), (-2, 1), (3, -4), (9, 0), (0, -12)])
def test_whole_pixel_shift_moves_pixels_exactly(order: int, down: int, right: int) -> None:
    images = make_images(2, 5, 7, 3)
    height, width = images.shape[1:3]
    recipe = dict(order=order, fill_mode="constant", cval=-1.0, quirks=False)
    # Keras' numbers say where to pull from: against the movement that is seen.
    batch = batch_of(images, recipe, tx=float(-down), ty=float(-right))
    expected = np.full(images.shape, -1.0)
    for row, col in itertools.product(range(height), range(width)):
        if 0 <= row - down < height and 0 <= col - right < width:
            expected[:, row, col] = images[:, row - down, col - right]
    np.testing.assert_array_equal(batch, expected)


def index_nearest(i: int, length: int) -> int:
    return min(max(i, 0), length - 1)


def index_reflect(i: int, length: int) -> int:
    """Mirror with the edge pixel repeated: d c b a | a b c d | d c b a."""
    i %= 2 * length
    return i if i < length else 2 * length - 1 - i


def index_wrap(i: int, length: int) -> int:
    """Go round with a period of n - 1, as SciPy's `wrap` does: b c d b c | a b c d | b c a b.

    First and last pixel are the same place: the last one from the left, the first from the right.
    """
    period = length - 1
    if i < 0:
        return period - -i % period
    return i if i < length else i % period


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    ("fill_mode", "index"),
    [("nearest", index_nearest), ("reflect", index_reflect), ("wrap", index_wrap)],
)
def test_fill_mode_continues_the_image_by_whole_pixels(fill_mode, index, order: int) -> None:
    images = make_images(1, 5, 7, 3)
    for down, right in itertools.product((-17, -6, -5, -4, -1, 0, 1, 4, 5, 6, 17), (-8, 0, 3, 15)):
        recipe = dict(order=order, fill_mode=fill_mode, quirks=False)
        batch = batch_of(images, recipe, tx=float(-down), ty=float(-right))
        rows = [index(row - down, 5) for row in range(5)]
        cols = [index(col - right, 7) for col in range(7)]
        np.testing.assert_array_equal(batch, images[:, rows][:, :, cols], f"{down} {right}")


def test_half_a_pixel_is_the_mean_of_two() -> None:
    images = make_images(1, 5, 7, 1)
    batch = batch_of(images, dict(quirks=False), ty=0.5)
    expected = (images[:, :, :-1].astype(float) + images[:, :, 1:]) / 2
    np.testing.assert_array_equal(batch[:, :, :-1], expected)
    np.testing.assert_array_equal(batch[:, :, -1], images[:, :, -1])


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_quarter_turn_of_a_square_moves_pixels_exactly(fill_mode: str, order: int) -> None:
    recipe = dict(order=order, fill_mode=fill_mode, transforms=(QuarterTurn(),))
    for side, seed in itertools.product((1, 2, 5, 8), range(5)):
        images = make_images(4, side, side, 3)
        batch = batch_of(images, recipe, seed=seed)
        for image, turned in zip(images, batch, strict=True):
            assert any(np.array_equal(np.rot90(image, k), turned) for k in range(4))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_quarter_turn_is_a_rotation_about_the_centre(height: int, width: int) -> None:
    turns = QuarterTurn().pull(np.arange(4), (height, width)).matrices
    centre = np.array([(height - 1) / 2, (width - 1) / 2, 1])
    np.testing.assert_array_equal(turns @ centre, np.tile(centre, (4, 1)))
    np.testing.assert_array_equal(np.linalg.det(turns).round(12), 1)


@pytest.mark.skipif(
    SCIPY < (1, 16), reason="older SciPy sums coordinates in another order: other pixels at borders"
)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("order", [0, 1])
def test_rotation_by_a_round_angle_agrees_with_scipy_at_the_border(
    order: int, fill_mode: str
) -> None:
    # Here pixels fall on the border or half way between two, up to the last bit of a coordinate,
    # so that even the order of its sum decides; SciPy's is offset + row * a + col * b.
    recipe = dict(order=order, fill_mode=fill_mode, cval=-9.0, quirks=False)
    angles = (90.0, 180.0, 270.0, -90.0, 45.0, 30.0)
    for degrees, side, wider in itertools.product(angles, (3, 8, 9, 15, 16, 21), (0, 1)):
        image = make_images(1, side, side + wider, 1, "float32")
        pull = pull_matrices(some_draws(1, theta=degrees), side, side + wider, quirks=False)[0]
        expected = ndimage.affine_transform(
            image[0, ..., 0], pull[:2, :2], pull[:2, 2], order=order, mode=fill_mode, cval=-9.0
        )
        turned = batch_of(image, recipe, theta=degrees)[0, ..., 0]
        np.testing.assert_array_equal(turned, expected, f"{degrees} degrees, {image.shape}")


def test_constant_image_is_standardised_to_zero() -> None:
    # 0.1 has no exact double, so a mean that is summed up carelessly differs from it.
    images = np.full((2, 13, 17, 3), 0.1, np.float32)
    batch = batch_of(images, dict(samplewise_center=True, samplewise_normalize=True))
    # The mean is summed up in float64: off by 2e-16 at most, divided by 1e-6.
    np.testing.assert_allclose(batch, 0, atol=1e-9)


def test_batch_is_contiguous_aligned_and_the_callers_own() -> None:
    images = make_images(3, 5, 7, 3, "float32")
    batch = batch_of(images, dict())
    assert batch.flags.c_contiguous
    assert batch.flags.writeable
    assert batch.ctypes.data % 64 == 0
    assert not np.shares_memory(batch, images)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_arrays_given_to_a_generator_are_never_changed(dtype: str, data_format: str) -> None:
    def halve(image: np.ndarray) -> np.ndarray:
        image *= 0.5
        return image

    images = make_images(5, 8, 8, 3, dtype)
    before = images.copy()
    generator = Generator(
        rotation_range=30,
        channel_shift_range=20,
        horizontal_flip=True,
        brightness_range=(0.5, 1.5),
        preprocessing_function=halve,
        rescale=1 / 255,
        featurewise_center=True,
        data_format=data_format,
    )
    given = images if data_format == "channels_last" else np.moveaxis(images, -1, 1)
    generator.fit(given, augment=True, seed=1)
    batches = generator.flow(given, batch_size=2, seed=1)
    for _ in range(6):
        next(batches)[...] = 7
    generator.random_transform(given[0].astype("float32"), seed=1)
    np.testing.assert_array_equal(images, before)

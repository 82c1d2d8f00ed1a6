"""What decoding does beside Keras' way: `decode="fast"`, `exif_transpose`, `scale_16bit`."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import make_images
from peeks import decode_file
from PIL import Image, ImageOps

from fastaug import Generator
from fastaug.files.decode import CLIPPED
from fastaug.files.target import Target

FAST = {"decode": "fast"}


def decoded(path: Path | str, target: Target) -> np.ndarray:
    slot = np.full(target.slot_shape, 77, target.slot_dtype)
    decode_file(str(path), target, slot)
    return slot


def target_of(size: tuple[int, int], interpolation: str = "nearest", **options) -> Target:
    color_mode = options.pop("color_mode", "rgb")
    keep = options.pop("keep_aspect_ratio", False)
    return Target(*size, color_mode, interpolation, keep, **options)


@pytest.fixture
def photo(tmp_path: Path, photos: Path) -> Path:
    """A photo of 1400 x 1050 pixels."""
    [first, *_] = sorted((photos / "validation" / "cat").iterdir())
    image = Image.open(first).resize((1400, 1050), Image.Resampling.LANCZOS)
    image.save(tmp_path / "photo.jpg", quality=90)
    return tmp_path / "photo.jpg"


# --- decode="fast" --------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "lanczos"])
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("size", [(224, 224), (97, 131), (525, 700)])
def test_fast_decode_is_close_to_the_whole_photo_made_smaller(
    photo, size, color_mode, interpolation
):
    fast = decoded(photo, target_of(size, interpolation, color_mode=color_mode, **FAST))
    smooth = "bilinear" if interpolation == "nearest" else interpolation
    exact = decoded(photo, target_of(size, smooth, color_mode=color_mode))
    difference = np.abs(fast.astype(float) - exact)
    # Made smaller twice, in the frequency domain and then by the filter, it is a little smoother:
    # by 0.4 to 4.5 of 255 on average, by most where the photo is all fur.
    assert 0 < difference.mean() < 6
    assert np.abs((fast.astype(float) - exact).mean()) < 1
    if interpolation == "nearest":
        picked = decoded(photo, target_of(size, color_mode=color_mode)).astype(float)
        assert difference.mean() < np.abs(picked - exact).mean() / 2


def test_fast_decode_is_smooth_where_the_nearest_pixel_would_be_rough(tmp_path):
    # A chequerboard of single pixels: whichever pixel is picked, it is black or white.
    board = (np.indices((400, 600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(np.stack([board] * 3, axis=-1)).save(tmp_path / "board.jpg", quality=95)
    picked = decoded(tmp_path / "board.jpg", target_of((40, 60)))
    smooth = decoded(tmp_path / "board.jpg", target_of((40, 60), **FAST))
    assert np.abs(picked.astype(float) - 127.5).min() > 60
    assert np.abs(smooth.astype(float) - 127.5).max() < 10


@pytest.mark.parametrize("size", [(526, 700), (525, 701), (1050, 1400), (1300, 90)])
def test_fast_decode_of_a_photo_less_than_twice_as_large_is_exact(photo, size):
    for interpolation in ("nearest", "bilinear"):
        np.testing.assert_array_equal(
            decoded(photo, target_of(size, interpolation, **FAST)),
            decoded(photo, target_of(size, interpolation)),
        )


def test_fast_decode_of_other_formats_is_exact(photo, tmp_path):
    Image.open(photo).save(tmp_path / "photo.png")
    target = target_of((83, 117), "bilinear")
    np.testing.assert_array_equal(
        decoded(tmp_path / "photo.png", target_of((83, 117), "bilinear", **FAST)),
        decoded(tmp_path / "photo.png", target),
    )


def test_fast_decode_keeps_the_aspect_ratio_by_the_same_crop(tmp_path):
    pixels = np.zeros((400, 1600, 3), np.uint8)
    pixels[:, 600:1000] = 200  # the central square
    Image.fromarray(pixels).save(tmp_path / "wide.jpg", quality=95)
    kept = decoded(tmp_path / "wide.jpg", target_of((40, 40), keep_aspect_ratio=True, **FAST))
    assert np.abs(kept[:, 1:-1].astype(float) - 200).max() < 4
    # Of a photo that is large in one direction only, the crop is too small.
    narrow = target_of((250, 250), keep_aspect_ratio=True)
    np.testing.assert_array_equal(
        decoded(tmp_path / "wide.jpg", target_of((250, 250), keep_aspect_ratio=True, **FAST)),
        decoded(tmp_path / "wide.jpg", narrow),
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_fast_batches_are_what_the_decoder_gives(photo, workers):
    folder = photo.parent / "data" / "a"
    folder.mkdir(parents=True)
    for number in range(5):
        os.link(photo, folder / f"{number}.jpg")
    generator = Generator(workers=workers, decode="fast")
    with generator.flow_from_directory(
        folder.parent, (83, 117), batch_size=5, class_mode=None
    ) as batches:
        batch = next(batches)
    expected = decoded(photo, target_of((83, 117), **FAST))
    np.testing.assert_array_equal(batch, np.stack([expected.astype(np.float32)] * 5))


# --- exif_transpose -------------------------------------------------------------------------------


def turned(path: Path, orientation: int, extension: str, size: tuple[int, int] = (90, 123)) -> Path:
    """Write a picture whose EXIF data say how it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = path / f"turned-{orientation}.{extension}"
    Image.fromarray(make_images(1, *size, 3)[0]).save(path, exif=exif)
    return path


@pytest.mark.parametrize("extension", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_pictures_upright_if_asked(tmp_path, orientation, extension):
    path = turned(tmp_path, orientation, extension)
    for interpolation in ("nearest", "bilinear"):
        target = target_of((33, 47), interpolation, exif_transpose=True)
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        resample = Image.Resampling[interpolation.upper()]
        np.testing.assert_array_equal(
            decoded(path, target), np.asarray(upright.resize((47, 33), resample))
        )
        as_stored = Image.open(path).convert("RGB").resize((47, 33), resample)
        np.testing.assert_array_equal(
            decoded(path, target_of((33, 47), interpolation)), np.asarray(as_stored)
        )


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_is_heeded_by_the_fast_decode(tmp_path, orientation):
    path = turned(tmp_path, orientation, "jpg", (400, 700))
    fast = decoded(path, target_of((33, 47), exif_transpose=True, **FAST))
    exact = decoded(path, target_of((33, 47), "bilinear", exif_transpose=True))
    other = decoded(path, target_of((33, 47), "bilinear")) if orientation > 1 else exact[::-1]
    # Noise on a slope: the wrong way round it is off by far more.
    assert np.abs(fast.astype(float) - exact).mean() < 6 < np.abs(fast - other.astype(float)).mean()


def test_real_photos_are_turned_upright(real_data):
    for name in ("exif_orientation_3.jpg", "exif_orientation_6.jpg"):
        path = real_data / "tough_images" / name
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        np.testing.assert_array_equal(
            decoded(path, target_of((83, 117), exif_transpose=True)),
            np.asarray(upright.resize((117, 83), Image.Resampling.NEAREST)),
        )


def test_photo_without_exif_takes_the_short_way(tmp_path, monkeypatch):
    Image.fromarray(make_images(1, 90, 123, 3)[0]).save(tmp_path / "plain.jpg")
    monkeypatch.setattr("fastaug.files.decode._decode", None)  # Pillow's way
    decoded(tmp_path / "plain.jpg", target_of((33, 47), exif_transpose=True))


# --- Greyscale of 16 bits -------------------------------------------------------------------------


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder with two pictures of 16 bits, and one whose values stay below 256."""
    folder = tmp_path / "deep"
    (folder / "a").mkdir(parents=True)
    for number in range(2):
        values = make_images(1, 13, 17, 1, "uint16", seed=number)[0, ..., 0] * 257
        Image.fromarray(values).save(folder / "a" / f"{number}.png")
    Image.fromarray(values // 257).save(folder / "a" / "small.png")
    return folder


def batches_of(folder: Path, count: int = 1, color_mode: str = "rgb", **options) -> np.ndarray:
    with Generator(**options).flow_from_directory(
        folder, (13, 17), batch_size=3, class_mode=None, shuffle=False, color_mode=color_mode
    ) as batches:
        return np.concatenate([next(batches) for _ in range(count)])


@pytest.mark.parametrize("workers", [0, 2])
def test_sixteen_bits_become_white_with_one_warning_that_names_a_file(deep, workers):
    with pytest.warns(UserWarning, match="cut to white") as told:
        batch = batches_of(deep, count=4, workers=workers)
    [message] = [str(one.message) for one in told]
    assert message.endswith(CLIPPED[1])
    assert any(str(deep / "a" / f"{number}.png") in message for number in range(2))
    stored = np.asarray(Image.open(deep / "a" / "0.png"), np.float32)
    np.testing.assert_array_equal(batch[0, ..., 0], np.minimum(stored, 255))


@pytest.mark.parametrize("workers", [0, 2])
def test_sixteen_bits_are_scaled_without_a_word_if_asked(deep, workers):
    batch = batches_of(deep, workers=workers, scale_16bit=True)
    for number in range(2):
        expected = make_images(1, 13, 17, 1, seed=number)[0]
        np.testing.assert_array_equal(batch[number], np.repeat(expected, 3, axis=-1))
    grey = batches_of(deep, color_mode="grayscale", workers=workers, scale_16bit=True)
    np.testing.assert_array_equal(grey[0], make_images(1, 13, 17, 1, seed=0)[0])
    np.testing.assert_allclose(grey[2], make_images(1, 13, 17, 1, seed=1)[0] / 257, rtol=1e-6)


def test_greyscale_of_sixteen_bits_keeps_its_values_without_a_word(deep):
    grey = batches_of(deep, color_mode="grayscale", workers=2)
    expected = make_images(1, 13, 17, 1, "uint16", seed=0)[0] * np.float32(257)
    np.testing.assert_array_equal(grey[0], expected)


def test_values_below_256_are_no_reason_to_warn(tmp_path):
    (tmp_path / "a").mkdir()
    values = make_images(1, 13, 17, 1, "uint16")[0, ..., 0]
    Image.fromarray(values).save(tmp_path / "a" / "small.png")
    batch = batches_of(tmp_path, workers=0)
    np.testing.assert_array_equal(batch[0, ..., 1], values)


def test_real_depth_map_is_scaled(real_data):
    path = real_data / "tough_images" / "gray16_depth.png"
    data = Image.open(io.BytesIO(path.read_bytes()))
    expected = np.rint(np.asarray(data, np.float32) / 257).astype(np.uint8)
    scaled = decoded(path, target_of(data.size[::-1], scale_16bit=True))
    np.testing.assert_array_equal(scaled[..., 0], expected)
    assert (
        decode_file(str(path), target_of((13, 17)), np.empty((13, 17, 3), np.uint8)) == CLIPPED[1]
    )

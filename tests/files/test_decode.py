"""One file -> one slot: what Keras' `load_img` gives, bit for bit, or an error with the path."""

from __future__ import annotations

import io
import itertools
import os
import socket
import struct
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
import simplejpeg
from conftest import ON_LINUX, make_images
from peeks import decode_file
from PIL import Image, ImageFile

from fastaug.errors import DecodeError
from fastaug.files.decode import FORMATS, _decode_jpeg
from fastaug.files.target import INTERPOLATIONS, Target

COLOR_MODES = ("rgb", "rgba", "grayscale")
# Smaller and larger than most photos, neither of them square.
SIZES = ((83, 117), (421, 389))
UNREADABLE = {
    "bomb.gif",
    "broken.png",
    "jpeg_12bit.jpg",
    "made_bomb_20000x20000.png",
    "made_text_renamed.jpg",
    "made_truncated_photo.jpg",
    "made_zero_byte.jpg",
    "multiband_uint16.tif",
    "text_chunk_bomb.png",
    "truncated_progressive.jpg",
}

# Pillow warns of oddities in files that it reads.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def decoded(path: Path | str, target: Target) -> np.ndarray:
    """Decode into a slot full of rubbish: all of it must be overwritten."""
    slot = np.full(target.slot_shape, 77, target.slot_dtype)
    decode_file(str(path), target, slot)
    return slot


def by_keras(path: Path | str, target: Target) -> np.ndarray:
    image = keras.utils.load_img(
        path,
        color_mode=target.color_mode,
        target_size=(target.height, target.width),
        interpolation=target.interpolation,
        keep_aspect_ratio=target.keep_aspect_ratio,
    )
    return keras.utils.img_to_array(image, dtype=target.slot_dtype)


def assert_equals_keras(path: Path | str, target: Target) -> None:
    np.testing.assert_array_equal(decoded(path, target), by_keras(path, target))


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(make_images(1, 90, 123, 3)[0]))
    return path


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_photos_equal_keras(photos, interpolation):
    targets = itertools.cycle(
        Target(*size, color_mode, interpolation, keep)
        for size, color_mode, keep in itertools.product(SIZES, COLOR_MODES, (False, True))
    )
    first = list(INTERPOLATIONS).index(interpolation)
    paths = sorted((photos / "train").rglob("*.jpg"))[first :: 800 // 25]
    for path, target in zip(paths, targets, strict=False):  # 25 for each: 150 in all
        assert_equals_keras(path, target)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_tough_images_equal_keras(real_data, interpolation):
    paths = [path for path in sorted((real_data / "tough_images").iterdir()) if path.suffix]
    readable = [path for path in paths if path.suffix != ".md" and path.name not in UNREADABLE]
    assert len(readable) == len(paths) - len(UNREADABLE) - 1 >= 25
    for number, path in enumerate(readable):
        for color_mode in COLOR_MODES:
            size = SIZES[0] if "exif_orientation_6" in path.name else SIZES[number % 2]
            assert_equals_keras(path, Target(*size, color_mode, interpolation, number % 3 == 0))


def test_tough_images_that_keras_cannot_read_are_named(real_data):
    target = Target(*SIZES[0], "rgb", "nearest", False)
    for name in UNREADABLE:
        path = real_data / "tough_images" / name
        assert outcome(by_keras, path, target) is None
        with pytest.raises(DecodeError) as caught:
            decoded(path, target)
        assert str(path) in str(caught.value)
        assert "BytesIO" not in str(caught.value)


def test_all_photos_decode_alike_with_simplejpeg_and_pillow(photos):
    paths = sorted(photos.rglob("*.jpg"))
    assert len(paths) == 1000
    shortcuts = 0
    for path in paths:
        data = path.read_bytes()
        pixels = _decode_jpeg(data)
        if pixels is not None:
            shortcuts += 1
            assert pixels.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes(), path
    assert shortcuts >= 990  # the others are Pillow's


def test_all_other_real_jpegs_decode_alike_with_simplejpeg_and_pillow(real_data):
    shortcuts = 0
    for folder in ("masks", "tough_images"):
        for path in sorted((real_data / folder).rglob("*.jpg")):
            data = path.read_bytes()
            pixels = _decode_jpeg(data)
            if pixels is not None:
                shortcuts += 1
                expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                np.testing.assert_array_equal(pixels, expected, err_msg=str(path))
    assert shortcuts > 20  # the others are Pillow's


@pytest.mark.parametrize("progressive", [False, True])
def test_drawn_jpeg_decodes_alike_with_simplejpeg_and_pillow(progressive):
    sizes = ((1, 1), (5, 7), (8, 11), (13, 17), (90, 123))
    for size, subsampling, quality in itertools.product(
        sizes, ("4:4:4", "4:2:2", "4:2:0"), (5, 75, 100)
    ):
        options = {"subsampling": subsampling, "quality": quality, "progressive": progressive}
        data = jpeg(make_images(1, *size, 3)[0], **options)
        pixels = _decode_jpeg(data)
        assert pixels is not None
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpeg_of_other_colours_is_left_to_pillow(tmp_path, mode):
    path = tmp_path / f"{mode}.jpg"
    Image.fromarray(make_images(1, 90, 123, 3)[0]).convert(mode).save(path)
    assert simplejpeg.decode_jpeg_header(path.read_bytes())[2] != "YCbCr"
    assert _decode_jpeg(path.read_bytes()) is None
    for color_mode in COLOR_MODES:
        assert_equals_keras(path, Target(*SIZES[0], color_mode, "bilinear", False))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_deep_greyscale_keeps_its_values(tmp_path, dtype):
    values = (np.arange(13 * 17).reshape(13, 17) * 257).astype(dtype)
    Image.fromarray(values).save(tmp_path / "deep.tif")
    slot = decoded(tmp_path / "deep.tif", Target(13, 17, "grayscale", "nearest", False))
    assert slot.dtype == np.float32
    np.testing.assert_array_equal(slot[..., 0], values)


def test_image_of_the_target_size_is_not_resampled(tmp_path):
    pixels = make_images(1, 13, 17, 3)[0]
    Image.fromarray(pixels).save(tmp_path / "exact.png")
    np.testing.assert_array_equal(
        decoded(tmp_path / "exact.png", Target(13, 17, "rgb", "lanczos", True)), pixels
    )


def test_aspect_ratio_is_kept_by_a_central_crop(tmp_path):
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, 15:25] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    kept = decoded(tmp_path / "wide.png", Target(5, 5, "rgb", "box", True))
    np.testing.assert_array_equal(kept, np.full((5, 5, 3), 200))


def draw_eps(path: Path) -> None:
    Image.new("RGB", (8, 11), "red").save(path, "EPS")


def listen(path: Path) -> None:
    # The name of a socket has at most 108 bytes: those of pytest's folders can be longer.
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


BAD_FILES = {
    "missing": lambda path: None,
    "zero_byte": lambda path: path.write_bytes(b""),
    "one_byte": lambda path: path.write_bytes(b"\xff"),
    "jpeg_signature_only": lambda path: path.write_bytes(b"\xff\xd8\xff"),
    "text": lambda path: path.write_text("a line of text\n"),
    "half_a_jpeg": lambda path: path.write_bytes(jpeg(make_images(1, 90, 123, 3)[0])[:2000]),
    "png_of_400_megapixels": lambda path: path.write_bytes(huge_png()),
    "jpeg_of_400_megapixels": lambda path: path.write_bytes(huge_jpeg()),
    "eps": draw_eps,
    "folder": lambda path: path.mkdir(),
    "fifo": os.mkfifo if hasattr(os, "mkfifo") else None,
    "link_to_a_device": lambda path: path.symlink_to("/dev/zero"),
    "dangling_link": lambda path: path.symlink_to("nowhere.jpg"),
    "link_to_itself": lambda path: path.symlink_to(path),
    "socket": listen,
}


def huge_png() -> bytes:
    """A small PNG whose header claims 20,000 x 20,000 pixels."""
    file = io.BytesIO()
    Image.new("L", (8, 11)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def huge_jpeg() -> bytes:
    """A small JPEG whose header claims 20,000 x 20,000 pixels."""
    data = bytearray(jpeg(make_images(1, 8, 11, 3)[0]))
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = (20_000).to_bytes(2, "big") * 2
    return bytes(data)


@pytest.mark.skipif(os.name != "posix", reason="draws files that only POSIX knows")
@pytest.mark.parametrize("kind", BAD_FILES)
def test_unreadable_file_is_an_error_with_its_full_path(tmp_path, kind):
    path = tmp_path / f"{kind}.jpg"
    BAD_FILES[kind](path)
    for color_mode in COLOR_MODES:
        with pytest.raises(DecodeError) as caught:
            decoded(path, Target(13, 17, color_mode, "nearest", False))
        assert str(path) in str(caught.value)
        assert caught.value.path == str(path)
        assert isinstance(caught.value, OSError)
        assert isinstance(caught.value, ValueError)


def test_unlisted_format_is_refused_before_its_plugin_sees_it(tmp_path, monkeypatch):
    draw_eps(tmp_path / "eps.jpg")
    # Pillow draws an EPS by starting Ghostscript.
    monkeypatch.setattr("PIL.EpsImagePlugin.EpsImageFile.__init__", lambda *_: pytest.fail("EPS"))
    with pytest.raises(DecodeError, match=f"not an image in one of the formats {FORMATS[0]}"):
        decoded(tmp_path / "eps.jpg", Target(13, 17, "rgb", "nearest", False))


def test_name_with_a_nul_is_an_error():
    with pytest.raises(DecodeError, match="null"):
        decoded("a\0b.jpg", Target(13, 17, "rgb", "nearest", False))


ODD_NAMES = [
    "line\nbreak.jpg",
    "\N{CAT FACE}.jpg",
    "spa ce %s {0}.jpg",
    os.fsdecode(b"\xff\xe9.jpg"),
]


@pytest.mark.skipif(os.name != "posix", reason="names that only POSIX allows")
@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_name_is_read_and_named(tmp_path, photo, name):
    path = tmp_path / name
    photo.rename(path)
    target = Target(13, 17, "rgb", "nearest", False)
    assert_equals_keras(path, target)
    path.write_bytes(b"")
    with pytest.raises(DecodeError) as caught:
        decoded(path, target)
    assert caught.value.path == str(path)
    assert repr(str(path)) in str(caught.value)
    str(caught.value).encode()  # so that any log can hold it


def outcome(decode, path, target):
    try:
        return decode(path, target)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("truncated_allowed", [False, True])
def test_cut_jpeg_equals_keras_or_is_an_error(
    photos, tmp_path, monkeypatch, progressive, truncated_allowed
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated_allowed)
    path = tmp_path / "cut.jpg"
    target = Target(*SIZES[0], "rgb", "bilinear", False)
    read = 0
    for photo in sorted((photos / "train" / "dog").iterdir())[:3]:
        data = photo.read_bytes()
        if progressive:
            data = jpeg(np.asarray(Image.open(photo)), progressive=True)
        for percent in (*range(0, 100, 10), 99):
            path.write_bytes(data[: len(data) * percent // 100])
            ours, theirs = outcome(decoded, path, target), outcome(by_keras, path, target)
            assert (ours is None) == (theirs is None), percent
            if theirs is not None:
                np.testing.assert_array_equal(ours, theirs)
                read += 1
    assert (read > 0) == truncated_allowed


def test_pixel_limit_of_the_user_counts(photo, monkeypatch):
    target = Target(13, 17, "rgb", "nearest", False)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 90 * 123 // 2 - 1)
    with pytest.raises(DecodeError, match="DecompressionBombError"):
        decoded(photo, target)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert_equals_keras(photo, target)


def test_exhausted_memory_is_not_blamed_on_the_file(photo, monkeypatch):
    def exhausted(data):
        raise MemoryError

    monkeypatch.setattr("fastaug.files.decode._decode_jpeg", exhausted)
    with pytest.raises(MemoryError):
        decoded(photo, Target(13, 17, "rgb", "nearest", False))


def draw_psd(path: Path, image: np.ndarray) -> None:
    """Write a flat, uncompressed Photoshop file: header, three empty sections, planes."""
    height, width, channels = image.shape
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, height, width, 8, 3)
    path.write_bytes(header + bytes(3 * 4 + 2) + np.moveaxis(image, -1, 0).tobytes())


def test_photoshop_file_named_jpg_is_what_keras_reads(tmp_path):
    image = make_images(1, 5, 7, 3)[0]
    draw_psd(tmp_path / "renamed.jpg", image)
    assert np.array_equal(
        decoded(tmp_path / "renamed.jpg", Target(5, 7, "rgb", "nearest", False)), image
    )
    assert_equals_keras(tmp_path / "renamed.jpg", Target(13, 17, "rgb", "bilinear", False))


@pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow does not read AVIF")
def test_avif_named_jpg_is_what_keras_reads(tmp_path):
    Image.fromarray(make_images(1, 8, 11, 3)[0]).save(tmp_path / "renamed.jpg", "AVIF")
    assert_equals_keras(tmp_path / "renamed.jpg", Target(13, 17, "rgb", "bilinear", False))


@pytest.mark.skipif(not ON_LINUX, reason="counts open files in /proc")
def test_folder_in_place_of_a_file_leaves_no_descriptor_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(DecodeError, match="Is a directory"):
        decode_file(str(tmp_path), Target(5, 7, "rgb", "nearest", False), np.empty((5, 7, 3), "u1"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before

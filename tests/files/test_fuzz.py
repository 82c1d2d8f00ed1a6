"""Broken pictures by the thousand: each is read as Keras reads it, or is an error that names it.

A mutated picture is a function of one number.  All go through decode processes and through the
caller's own thread; what Keras makes of them is asked last, and not for files that kill.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import _children, make_images
from PIL import Image

from fastaug import Generator
from fastaug.errors import DecodeError

SIZE = (19, 26)
CHUNK = 500  # files for one iterator
LONG = [pytest.mark.long, pytest.mark.timeout(3600)]
# Arguments of Keras' `load_img`: nearest pixels of colours are picked by kernels of our own.
WAYS: dict[str, dict[str, Any]] = {
    "rgb": {"color_mode": "rgb", "interpolation": "nearest"},
    "rgb bilinear": {"color_mode": "rgb", "interpolation": "bilinear", "keep_aspect_ratio": True},
    "grayscale": {"color_mode": "grayscale", "interpolation": "nearest"},
    "rgba": {"color_mode": "rgba", "interpolation": "nearest", "keep_aspect_ratio": True},
}
# Numbers of pictures that were once read wrongly.
ONCE_WRONG: dict[str, tuple[int, ...]] = {way: () for way in WAYS}


# --- Pictures -------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def drawn() -> list[bytes]:
    """Small pictures of all sorts: JPEG and PNG, and one each of the other formats."""
    rgb, large = (Image.fromarray(make_images(1, *size, 3)[0]) for size in ((24, 37), (60, 90)))
    rgba = Image.fromarray(make_images(1, 24, 37, 4)[0])
    deep = Image.fromarray(make_images(1, 24, 37, 1, "uint16")[0, ..., 0] * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    return [
        encoded(rgb, "JPEG"),
        encoded(rgb, "JPEG", subsampling="4:4:4", quality=95),
        encoded(rgb, "JPEG", progressive=True),
        encoded(rgb, "JPEG", optimize=True, exif=exif, comment=b"a comment"),
        encoded(rgb, "JPEG", restart_marker_blocks=1),
        encoded(large, "JPEG", progressive=True, subsampling="4:2:2"),
        encoded(rgb.convert("L"), "JPEG"),
        encoded(rgb.convert("CMYK"), "JPEG"),
        encoded(rgb, "PNG"),
        encoded(rgba, "PNG"),
        encoded(rgba.convert("LA"), "PNG"),
        encoded(rgb.convert("P"), "PNG", transparency=3),
        encoded(rgb.convert("1"), "PNG"),
        encoded(deep, "PNG"),
        encoded(rgb, "BMP"),
        encoded(rgb, "GIF"),
        encoded(rgb, "PPM"),
        encoded(rgb, "TIFF", compression="tiff_lzw"),
        encoded(rgb, "WEBP"),
    ]


# --- Mutations ------------------------------------------------------------------------------------

Mutation = Callable[[bytearray, np.random.Generator, Sequence[bytes]], bytes | bytearray]


def place(data: bytearray, rng: np.random.Generator) -> int:
    """Return a place in a file: every second time in its head, where what matters is."""
    return int(rng.integers(0, max(1, min(len(data), 200 if rng.random() < 0.5 else len(data)))))


def flip(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    for _ in range(int(rng.integers(1, 9))):
        if data:
            data[place(data, rng)] ^= int(rng.integers(1, 256))
    return data


def flip_one_bit(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    if data:
        data[place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def cut(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    return data[: place(data, rng)]


def insert(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    at = place(data, rng)
    return data[:at] + rng.bytes(int(rng.integers(1, 33))) + data[at:]


def leave_out(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    at = place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 65)) :]


def duplicate(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    start, at = place(data, rng), place(data, rng)
    return data[:at] + data[start : start + int(rng.integers(1, 400))] + data[at:]


def splice(data: bytearray, rng: np.random.Generator, others: Sequence[bytes]) -> bytes:
    other = bytearray(others[int(rng.integers(len(others)))])
    return bytes(data[: place(data, rng)] + other[place(other, rng) :])


def segments(data: bytes) -> list[int]:
    """Return where the segments of a JPEG or the chunks of a PNG begin."""
    found, at = [], 8 if data.startswith(b"\x89PNG") else 2
    while at + 12 <= len(data):
        found.append(at)
        if data.startswith(b"\x89PNG"):
            at += 12 + int.from_bytes(data[at : at + 4], "big")
        elif data[at] == 0xFF and data[at + 1] != 0xDA:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        else:
            break
    return found


def change_length(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    """Let a segment or a chunk claim another length."""
    if begins := segments(data):
        at = begins[int(rng.integers(len(begins)))]
        if not data.startswith(b"\x89PNG"):
            at += 2
        (length,) = struct.unpack_from(">H", data, at)
        wrong = (length + int(rng.integers(-3, 4)), int(rng.integers(65536)), 0, 65535)
        struct.pack_into(">H", data, at, wrong[int(rng.integers(len(wrong)))] % 65536)
    return data


def double_segment(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    begins = segments(data)
    if len(begins) < 3:
        return data
    start, end = (begins[k] for k in sorted(rng.choice(len(begins), 2, replace=False)))
    at = begins[int(rng.integers(len(begins)))]
    return data[:at] + data[start:end] + data[at:]


def change_size(data: bytearray, rng: np.random.Generator, _: Sequence[bytes]) -> bytearray:
    """Let the header claim another height or width."""
    png = data.startswith(b"\x89PNG")
    for at in [] if png else segments(data):
        if data[at + 1] in (0xC0, 0xC2):
            struct.pack_into(">H", data, at + 5 + 2 * int(rng.integers(2)), int(rng.integers(3000)))
    if png and len(data) > 33:
        struct.pack_into(">I", data, 16 + 4 * int(rng.integers(2)), int(rng.integers(3000)))
        return mend(data)
    return data


def mend(data: bytearray) -> bytearray:
    """Make the checksums of a PNG right, so that the decoder looks at what they guard."""
    if data.startswith(b"\x89PNG"):
        for at in segments(data):
            end = at + 8 + int.from_bytes(data[at : at + 4], "big")
            if end + 4 <= len(data):
                struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
    return data


MUTATIONS: tuple[Mutation, ...] = (
    flip,
    flip_one_bit,
    cut,
    insert,
    leave_out,
    duplicate,
    splice,
    change_length,
    double_segment,
    change_size,
)


def mutated(number: int, pictures: Sequence[bytes]) -> bytes:
    """Return a broken picture, the same one for the same number."""
    rng = np.random.default_rng(number)
    data = bytearray(pictures[number % len(pictures)])
    for _ in range(int(rng.integers(1, 4))):
        data = bytearray(MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng, pictures))
    return bytes(mend(data) if rng.random() < 0.5 else data)


# --- What becomes of them -------------------------------------------------------------------------

Outcome = np.ndarray | DecodeError


def outcomes(paths: Sequence[str], way: str, workers: int) -> tuple[list[Outcome], str]:
    """Read files one by one; return what came of each, and what was said of workers that died."""
    generator = Generator(workers=workers, read_ahead=2, timeout=30)
    found: list[Outcome] = []
    with (
        warnings.catch_warnings(record=True) as told,
        generator.flow_from_dataframe(
            pd.DataFrame({"filename": paths}),
            None,
            class_mode=None,
            target_size=SIZE,
            batch_size=1,
            shuffle=False,
            validate_filenames=False,
            **WAYS[way],
        ) as iterator,
    ):
        warnings.simplefilter("always")
        for number in range(len(paths)):
            try:
                found.append(iterator[number][0])
            except DecodeError as error:
                found.append(error)
            if not number:
                started = _children()
        deaths = " ".join(
            str(one.message) for one in told if "decode processes" in str(one.message)
        )
        assert deaths or _children() == started  # these very workers are still there
    return found, deaths


def by_keras(path: str, way: str) -> np.ndarray | None:
    """Return what Keras makes of a file; None if it can't read it, for whatever reason."""
    try:
        image = keras.utils.load_img(path, target_size=SIZE, **WAYS[way])
        return keras.utils.img_to_array(image, dtype="float32")
    except Exception:
        return None


def killed_its_decoder(outcome: Outcome) -> bool:
    return isinstance(outcome, DecodeError) and "its decode process" in outcome.reason


def wrong(path: str, outcome: Outcome, expected: np.ndarray | None) -> str:
    """Say what is wrong with what came of a file, or nothing."""
    if isinstance(outcome, DecodeError):
        if outcome.path != path or repr(path) not in str(outcome):
            return f"an error that does not name it: {outcome}"
        return "" if expected is None else f"Keras reads it: {outcome.reason}"
    if expected is None:
        return "Keras can't read it"
    return "" if np.array_equal(outcome, expected) else "not the pixels of Keras"


def assert_read_as_by_keras(
    folder: Path, way: str, numbers: Sequence[int], pictures: Sequence[bytes]
) -> None:
    """Read broken pictures with and without workers, whole ones at the end."""
    names = [*map(str, numbers), *(f"whole {number}" for number in range(len(pictures)))]
    contents = [*(mutated(number, pictures) for number in numbers), *pictures]
    paths = [str(folder / f"{name}.jpg") for name in names]
    for path, content in zip(paths, contents, strict=True):
        Path(path).write_bytes(content)
    with_workers, deaths = outcomes(paths, way, 2)
    deadly = [
        path for path, one in zip(paths, with_workers, strict=True) if killed_its_decoder(one)
    ]
    assert bool(deaths) == bool(deadly), deaths  # files that kill are named
    harmless = [path for path in paths if path not in deadly]
    alone, _ = outcomes(harmless, way, 0)
    problems, by_path = [], dict(zip(paths, with_workers, strict=True))
    for path, here in zip(harmless, alone, strict=True):
        expected = by_keras(path, way)
        for where, outcome in (("workers", by_path[path]), ("no workers", here)):
            if said := wrong(path, outcome, expected):
                problems.append(f"{Path(path).stem}, {where}: {said}")
    assert problems == []
    assert not any(isinstance(by_path[path], DecodeError) for path in paths[len(numbers) :])


# Pillow warns of oddities in files that it reads.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("way", "count"),
    [
        ("rgb", 600),
        ("rgb bilinear", 300),
        ("grayscale", 200),
        ("rgba", 200),
        pytest.param("rgb", 20_000, marks=LONG),
        pytest.param("rgb bilinear", 10_000, marks=LONG),
        pytest.param("grayscale", 10_000, marks=LONG),
        pytest.param("rgba", 10_000, marks=LONG),
    ],
)
def test_broken_pictures_are_read_as_by_keras_or_named(tmp_path, way, count):
    pictures = drawn()
    for first in range(0, count, CHUNK):
        numbers = range(first, min(first + CHUNK, count))
        folder = tmp_path / str(first)
        folder.mkdir()
        assert_read_as_by_keras(folder, way, numbers, pictures)


@pytest.mark.parametrize("way", ONCE_WRONG)
def test_pictures_that_were_once_read_wrongly_are_read_as_by_keras(tmp_path, way):
    assert_read_as_by_keras(tmp_path, way, ONCE_WRONG[way], drawn())


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=LONG)])
def test_broken_real_pictures_are_read_as_by_keras_or_named(tmp_path, real_data, count):
    pictures = [
        path.read_bytes()
        for path in sorted((real_data / "tough_images").iterdir())
        # Small ones, and none that claims to be huge: Keras would take seconds for each.
        if path.suffix in (".jpg", ".png", ".webp", ".tif", ".gif", ".bmp")
        and "bomb" not in path.name
        and 0 < path.stat().st_size < 60_000
    ]
    pictures = [data for data in pictures if by_keras_can_read(tmp_path, data)]
    assert len(pictures) >= 8
    for first in range(0, count, CHUNK):
        numbers = range(first, min(first + CHUNK, count))
        folder = tmp_path / str(first)
        folder.mkdir()
        assert_read_as_by_keras(folder, "rgb", numbers, pictures)


def by_keras_can_read(folder: Path, data: bytes) -> bool:
    path = folder / "one"
    path.write_bytes(data)
    return by_keras(str(path), "rgb") is not None


def test_mutations_leave_some_pictures_readable_and_not_others(tmp_path):
    pictures = drawn()
    paths = [tmp_path / f"{number}.jpg" for number in range(150)]
    for number, path in enumerate(paths):
        path.write_bytes(mutated(number, pictures))
    readable = sum(by_keras(str(path), "rgb") is not None for path in paths)
    assert 30 <= readable <= 120
    assert mutated(7, pictures) == mutated(7, pictures) != mutated(7 + len(pictures), pictures)

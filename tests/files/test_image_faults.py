"""Files of all sorts, through processes and without: as Keras reads them, or an error by name."""

from __future__ import annotations

import ctypes
import inspect
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import ON_LINUX, make_images
from numpy.testing import assert_array_equal
from PIL import Image, ImageFile
from pools import Sabotage, draw_photos, numbered
from test_decode import BAD_FILES, huge_jpeg, huge_png, jpeg

from fastaug import Generator
from fastaug.errors import DecodeError

SIZE = (19, 26)
COLOR_MODES = ("rgb", "rgba", "grayscale")

# Pillow warns of oddities in files that it reads, and we of 16 bits that are cut.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.skipif(os.name != "posix", reason="draws files that only POSIX knows"),
]


@pytest.fixture(params=[0, 2], ids=["no workers", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return request.param


def iterator_of(paths: Sequence[Path | str], workers: int, **options: Any) -> Any:
    """Return an iterator over files, one by one."""
    arguments = {"batch_size": 1, "shuffle": False, "class_mode": None, "target_size": SIZE}
    return Generator(workers=workers, timeout=20).flow_from_dataframe(
        pd.DataFrame({"filename": list(map(str, paths))}),
        validate_filenames=False,
        **(arguments | options),
    )


def outcomes(paths: Sequence[Path | str], workers: int, **options: Any) -> list[Any]:
    """Return the image or the error of each file."""
    found: list[Any] = []
    with iterator_of(paths, workers, **options) as iterator:
        for number in range(len(paths)):
            try:
                found.append(iterator[number][0])
            except DecodeError as error:
                found.append(error)
    return found


def by_keras(path: Path | str, color_mode: str = "rgb") -> np.ndarray | None:
    """Return what Keras makes of a file; None if it can't read it."""
    try:
        image = keras.utils.load_img(path, color_mode=color_mode, target_size=SIZE)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return keras.utils.img_to_array(image, dtype="float32")


def assert_named(error: Any, path: Path | str) -> None:
    assert isinstance(error, DecodeError), path
    assert error.path == str(path)
    assert repr(str(path)) in str(error)


# --- What Keras reads -----------------------------------------------------------------------------


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rgb(channels: int = 3) -> Image.Image:
    return Image.fromarray(make_images(1, 24, 37, channels)[0])


def without_adobe_segment(data: bytes) -> bytes:
    """Return a JPEG that does not say how its colours are stored."""
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def cmyk_stored_as(transform: int) -> bytes:
    """Return a JPEG of four colours that claims: 0 means CMYK, 2 means YCCK."""
    data = bytearray(saved(rgb().convert("CMYK"), "JPEG"))
    data[data.index(b"Adobe") + 11] = transform
    return bytes(data)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(rgb(), "JPEG", exif=exif)


def deep(dtype: str) -> Image.Image:
    return Image.fromarray(make_images(1, 24, 37, 1)[0, ..., 0].astype(dtype) * 257)


KINDS: dict[str, Callable[[], bytes]] = {
    "CMYK": lambda: saved(rgb().convert("CMYK"), "JPEG"),
    "CMYK inverted": lambda: saved(rgb().convert("CMYK").point(lambda value: 255 - value), "JPEG"),
    "CMYK that does not say so": lambda: without_adobe_segment(
        saved(rgb().convert("CMYK"), "JPEG")
    ),
    "YCCK": lambda: cmyk_stored_as(2),
    "L": lambda: saved(rgb().convert("L"), "JPEG"),
    "LA": lambda: saved(rgb(4).convert("LA"), "PNG"),
    "palette": lambda: saved(rgb().convert("P"), "PNG"),
    "palette with transparency": lambda: saved(rgb().convert("P"), "PNG", transparency=7),
    "palette with alphas": lambda: saved(
        rgb().convert("P"), "PNG", transparency=bytes(range(0, 256, 2))
    ),
    "RGBA": lambda: saved(rgb(4), "PNG"),
    "RGB with a transparent colour": lambda: saved(rgb(), "PNG", transparency=(9, 9, 9)),
    "1 bit": lambda: saved(rgb().convert("1"), "PNG"),
    "16 bit": lambda: saved(deep("uint16"), "PNG"),
    "32 bit": lambda: saved(deep("int32"), "TIFF"),
    "float": lambda: saved(rgb().convert("F"), "TIFF"),
    "progressive": lambda: saved(rgb(), "JPEG", progressive=True),
    "4:4:4": lambda: saved(rgb(), "JPEG", subsampling="4:4:4"),
    "restart markers": lambda: saved(rgb(), "JPEG", restart_marker_blocks=1),
    "EXIF 3": lambda: turned(3),
    "EXIF 6": lambda: turned(6),
    "larger than its place": lambda: jpeg(make_images(1, 90, 123, 3)[0]),
    "PNG": lambda: saved(rgb(), "PNG"),
    "WebP": lambda: saved(rgb(), "WEBP"),
    "GIF": lambda: saved(rgb(), "GIF"),
    "bytes behind its end": lambda: saved(rgb(), "JPEG") + b"more",
    "one pixel": lambda: saved(rgb().resize((1, 1)), "PNG"),
    "one row": lambda: saved(rgb().resize((37, 1)), "JPEG"),
    "one column": lambda: saved(rgb().resize((1, 24)), "JPEG"),
}


@pytest.mark.parametrize("color_mode", COLOR_MODES)
def test_image_of_any_kind_named_jpg_equals_keras(tmp_path, workers, color_mode):
    paths = [tmp_path / f"{kind}.jpg" for kind in KINDS]
    for path, make in zip(paths, KINDS.values(), strict=True):
        path.write_bytes(make())
    found = outcomes(paths, workers, color_mode=color_mode)
    for path, outcome in zip(paths, found, strict=True):
        expected = by_keras(path, color_mode)
        assert expected is not None, path.stem
        assert_array_equal(outcome, expected, path.stem)


def test_sixteen_bits_are_nearly_white_as_in_keras(tmp_path, workers):
    (tmp_path / "deep.png").write_bytes(KINDS["16 bit"]())
    [image] = outcomes([tmp_path / "deep.png"], workers)
    assert (image == 255).mean() > 0.95


# --- What is broken -------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("truncated_allowed", [False, True])
def test_jpeg_cut_at_every_twentieth(
    tmp_path, monkeypatch, workers, progressive, truncated_allowed
):
    data = jpeg(make_images(1, 90, 123, 3)[0], progressive=progressive)
    paths = [tmp_path / f"{percent}.jpg" for percent in range(0, 101, 5)]
    for percent, path in zip(range(0, 101, 5), paths, strict=True):
        path.write_bytes(data[: len(data) * percent // 100])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated_allowed)
    expected = list(map(by_keras, paths))
    for path, outcome, image in zip(paths, outcomes(paths, workers), expected, strict=True):
        if image is None:
            assert_named(outcome, path)
        else:
            assert_array_equal(outcome, image, path.name)
    readable = sum(image is not None for image in expected)
    assert readable > 10 if truncated_allowed else readable == 1  # the whole one


def test_bad_files_of_every_kind_are_named_and_the_good_ones_between_are_read(tmp_path, workers):
    good, paths = draw_photos(tmp_path, ["good.jpg"]), []
    for kind, make in BAD_FILES.items():
        (tmp_path / kind).mkdir()
        paths += [tmp_path / kind / f"{kind}.jpg", good[0]]
        make(paths[-2])
    expected = by_keras(good[0])
    for path, outcome in zip(paths, outcomes(paths, workers), strict=True):
        if path == good[0]:
            assert_array_equal(outcome, expected)
        else:
            assert_named(outcome, path)


@pytest.mark.parametrize("make", [huge_png, huge_jpeg])
def test_pixel_limit_that_the_user_takes_away_is_away_in_workers(
    tmp_path, monkeypatch, workers, make
):
    (tmp_path / "huge.jpg").write_bytes(make())
    [error] = outcomes([tmp_path / "huge.jpg"], workers)
    assert "DecompressionBombError" in error.reason
    # One that is really there, beyond a limit of the user's own.
    [photo] = draw_photos(tmp_path, ["photo.jpg"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 90 // 2 - 1)
    [error] = outcomes([photo], workers)
    assert "DecompressionBombError" in error.reason
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    [image] = outcomes([photo], workers)
    assert_array_equal(image, by_keras(photo))


# --- What changes after the scan ------------------------------------------------------------------

CHANGES: dict[str, Callable[[Path], Any]] = {
    "deleted": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "a link to nothing": lambda path: (path.unlink(), path.symlink_to("nothing.jpg")),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path)),
    "emptied": lambda path: path.write_bytes(b""),
    "its folder deleted": lambda path: path.parent.rename(path.parent.with_name("elsewhere")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_file_that_is_changed_after_the_scan_is_named(tmp_path, workers, change):
    draw_photos(tmp_path / "a", numbered(4))
    [path] = map(Path, draw_photos(tmp_path / "b", ["4.jpg"]))
    generator = Generator(workers=workers, timeout=20)
    with generator.flow_from_directory(tmp_path, SIZE, batch_size=2, shuffle=False) as iterator:
        CHANGES[change](path)
        assert [len(next(iterator)[0]) for _ in range(2)] == [2, 2]
        with pytest.raises(DecodeError) as caught:
            next(iterator)
        assert_named(caught.value, path)
        assert len(next(iterator)[0]) == 2


def respect_permissions(respect: bool = True) -> None:
    """Drop, or take back, what lets root's threads read every file: two capabilities."""
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the same for more
    assert libc.capget(header, sets) == 0
    overrides = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    sets[0] = sets[0] & ~overrides if respect else sets[0] | sets[1] & overrides
    assert libc.capset(header, sets) == 0


@pytest.fixture
def permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nobody read what may not be read: neither this thread nor workers, root or not."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sabotage"))
    Sabotage(tmp_path / "sabotage")
    with (tmp_path / "sabotage" / "sitecustomize.py").open("a") as file:
        file.write(f"{inspect.getsource(respect_permissions)}\nrespect_permissions()\n")
    respect_permissions()
    yield
    respect_permissions(False)


@pytest.mark.skipif(not ON_LINUX, reason="root reads all files; only Linux' root can refrain")
def test_file_that_may_not_be_read_is_named(tmp_path, permissions, workers):
    good, bad = draw_photos(tmp_path, ["good.jpg", "secret.jpg"])
    Path(bad).chmod(0)
    image, error = outcomes([good, bad], workers)
    assert_array_equal(image, by_keras(good))
    assert_named(error, bad)
    assert error.reason == "Permission denied"


# --- Names and links ------------------------------------------------------------------------------

ODD_NAMES = [
    "line\nbreak",
    "\N{CAT FACE}",
    "per%cent {0}",
    "-rf",
    "\u202egpj",
    os.fsdecode(b"\xff\xe9"),
]


def test_odd_names_are_found_read_and_named(tmp_path, workers):
    paths = draw_photos(tmp_path / ODD_NAMES[0], [f"{name}.jpg" for name in ODD_NAMES])
    generator = Generator(workers=workers, read_ahead=0)
    with generator.flow_from_directory(tmp_path, SIZE, batch_size=1, shuffle=False) as iterator:
        assert sorted(iterator.filepaths) == sorted(paths)
        for path in iterator.filepaths:
            assert_array_equal(next(iterator)[0][0], by_keras(path))
        for path in paths:
            Path(path).write_bytes(b"no image")
        for path in iterator.filepaths:
            with pytest.raises(DecodeError) as caught:
                next(iterator)
            assert_named(caught.value, path)
            str(caught.value).encode()  # any log can hold it


def test_folder_of_hostile_entries_lists_them_and_names_them(tmp_path, workers):
    draw_photos(tmp_path / "a", ["0.jpg", "1.jpg"])
    os.mkfifo(tmp_path / "a" / "2.jpg")
    (tmp_path / "a" / "3.jpg").symlink_to("/dev/zero")
    (tmp_path / "a" / "4.jpg").symlink_to("nothing")
    (tmp_path / "a" / "5.jpg").symlink_to("5.jpg")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    generator = Generator(workers=workers, timeout=20)
    with generator.flow_from_directory(
        tmp_path, SIZE, batch_size=1, shuffle=False, follow_links=True
    ) as iterator:
        assert [Path(name).name[0] for name in iterator.filenames][:2] == ["0", "1"]
        for path in iterator.filepaths:
            if Path(path).name in ("0.jpg", "1.jpg"):
                next(iterator)
            else:
                with pytest.raises(DecodeError) as caught:
                    next(iterator)
                assert_named(caught.value, path)

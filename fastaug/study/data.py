"""The pictures that the benchmarks use: the user's, Keras' CIFAR-10, or drawn ones."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastaug.demo import check_classes, draw_folder
from fastaug.generator import Generator
from fastaug.pixels.layout import Array

_CONNECT_S = 10.0
_NPZ = ("x_train", "y_train", "x_test", "y_test")
_SIDE = 32
_TRAIN, _VALIDATION = "train", "validation"


@dataclass(frozen=True, eq=False)
class Images:
    """A data set in memory: uint8 (n, height, width, 3), with class numbers (n,)."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    origin: str  # for the report, in words
    drawn: bool = False  # whether it is a stand-in

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(max(self.y_train.max(), self.y_test.max())) + 1

    def first(self, train: int, test: int) -> Images:
        """Return the data set with at most so many images."""
        arrays = self.x_train[:train], self.y_train[:train], self.x_test[:test], self.y_test[:test]
        fewer = len(arrays[0]) < len(self.x_train)
        origin = self.origin + (f", the first {train:,} images" if fewer else "")
        return Images(*arrays, origin, self.drawn)


@dataclass(frozen=True)
class Photos:
    """Two folders of class sub-folders, and in words where they are from."""

    train: Path
    validation: Path
    origin: str
    split: float = 0.0  # share for validation, if both are the same folder


# --- In memory ------------------------------------------------------------------------------------


def load_images(path: Path | None, drawn: int) -> Images:
    """Return a data set in memory.

    Parameters
    ----------
    path
        An npz file with `x_train`, `y_train`, `x_test` and `y_test`, as `keras.datasets` has them,
        or a folder of class sub-folders, read at 32x32; None for CIFAR-10.
    drawn
        How many training images are drawn where CIFAR-10 is not to be had.

    Raises
    ------
    OSError, ValueError
        If `path` holds no such thing.
    """
    if path is None:
        return _load_cifar() or draw_images(drawn)
    if path.is_dir():
        return _read_folder(path)
    return _read_npz(path)


def _load_cifar() -> Images | None:
    from keras.datasets import cifar10  # noqa: PLC0415 - only once it is needed

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECT_S)  # a machine without a network must not wait for ever
    try:
        (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    except Exception as error:  # whatever its download says
        print(f"CIFAR-10 is not at hand ({_first_line(error)}); pictures are drawn instead")
        return None
    finally:
        socket.setdefaulttimeout(before)
    return Images(x_train, y_train.ravel(), x_test, y_test.ravel(), "CIFAR-10 (keras.datasets)")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _read_npz(path: Path) -> Images:
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in _NPZ if name in stored}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is neither an npz file nor a folder: {error}") from error
    missing = [name for name in _NPZ if name not in arrays]
    if missing:
        raise ValueError(f"{str(path)!r} lacks the arrays {', '.join(missing)}")
    for name in ("x_train", "x_test"):
        array = arrays[name]
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
            raise ValueError(
                f"{name} in {str(path)!r} has shape {array.shape} and dtype {array.dtype}; "
                "it must be uint8 images, (n, height, width, 3)"
            )
    for part in ("train", "test"):
        arrays[f"y_{part}"] = arrays[f"y_{part}"].ravel()
        if not 0 < len(arrays[f"x_{part}"]) == len(arrays[f"y_{part}"]):
            raise ValueError(f"x_{part} and y_{part} in {str(path)!r} must have the same length")
    return Images(**arrays, origin=path.name)


def _read_folder(folder: Path) -> Images:
    photos = find_photos(folder)
    x_train, y_train = _read_part(photos.train, photos.split, "training")
    x_test, y_test = _read_part(photos.validation, photos.split, "validation")
    order = np.random.RandomState(0).permutation(len(x_train))  # files come class by class
    origin = f"{photos.origin}, at {_SIDE}x{_SIDE}"
    return Images(x_train[order], y_train[order], x_test, y_test, origin)


def _read_part(folder: Path, split: float, subset: str) -> tuple[Array, Array]:
    batches = Generator(validation_split=split).flow_from_directory(
        folder,
        target_size=(_SIDE, _SIDE),
        class_mode="sparse",
        shuffle=False,
        batch_size=256,
        subset=subset if split else None,
    )
    with batches:
        parts = [next(batches) for _ in range(len(batches))]
    images = np.concatenate([images for images, _ in parts])
    return images.astype(np.uint8), np.concatenate([labels for _, labels in parts]).astype(int)


def draw_images(train: int, classes: int = 10, seed: int = 0) -> Images:
    """Draw gratings, a direction and a colour for each class, under noise.

    Parameters
    ----------
    train
        How many training images; a fifth of that for validation.
    classes, seed
        How many classes; where the random numbers begin.
    """
    rng = np.random.default_rng(seed)
    test = max(1, train // 5)
    labels = rng.integers(0, classes, train + test)
    images = np.concatenate(
        [_draw(part, classes, rng) for part in np.array_split(labels, 1 + len(labels) // 1000)]
    )
    split = images[:train], labels[:train], images[train:], labels[train:]
    return Images(*split, f"{train:,} drawn gratings of {classes} classes", drawn=True)


def _draw(labels: Array, classes: int, rng: np.random.Generator) -> Array:
    rows, cols = np.mgrid[:_SIDE, :_SIDE]
    angles = np.pi * labels / classes + rng.normal(0, 0.1, len(labels))
    wave = rng.uniform(0.4, 0.8, len(labels))
    phase = rng.uniform(0, 2 * np.pi, len(labels))
    along = np.cos(angles)[:, None, None] * rows + np.sin(angles)[:, None, None] * cols
    grating = np.sin(wave[:, None, None] * along + phase[:, None, None])
    hue = 2 * np.pi * (labels[:, None] / classes + np.arange(3) / 3)
    tint = 128 + 50 * np.cos(hue)[:, None, None, :]
    noise = rng.normal(0, 25, (len(labels), _SIDE, _SIDE, 3))
    return np.clip(tint + 50 * grating[..., None] + noise, 0, 255).astype(np.uint8)


# --- On disk --------------------------------------------------------------------------------------


@contextmanager
def photos_for(path: Path | None, drawn: int) -> Iterator[Photos]:
    """Give a user's folder, or a drawn one of so many pictures a class that is removed later."""
    if path is not None:
        if not path.is_dir():
            raise ValueError(f"{str(path)!r} is not a folder; this benchmark reads files from disk")
        yield find_photos(path)
        return
    with tempfile.TemporaryDirectory(prefix="fastaug-bench-") as temporary:
        print("Drawing two folders of JPEG files ...", flush=True)
        folder = Path(temporary)
        draw_folder(folder / _TRAIN, drawn, seed=0)
        draw_folder(folder / _VALIDATION, max(2, drawn // 4), seed=1)
        origin = f"{drawn} drawn JPEG files of each of two classes"
        yield Photos(folder / _TRAIN, folder / _VALIDATION, origin)


def find_photos(folder: Path) -> Photos:
    """Return the two parts of a folder: `train` and `validation` in it, or a split of it."""
    parts = folder / _TRAIN, folder / _VALIDATION
    if all(part.is_dir() for part in parts):
        for part in parts:
            check_classes(part)
        return Photos(*parts, folder.name)
    check_classes(folder)
    return Photos(folder, folder, folder.name, split=0.2)

"""Contenders that decode JPEG files and do nothing else: the pool of processes, and plain loops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from alternate import Contender
from numpy.typing import NDArray
from PIL import Image

from fastaug.files.decoders.supervisor import PickPixels
from fastaug.files.target import Target
from fastaug.sources.files import FileSource

Array = NDArray[Any]

READ_AHEAD, TIMEOUT_S = 2, 120.0


@dataclass
class Untouched:
    """Takes photos over from the decode processes by leaving them where they are.

    While `keeps`, it keeps copies of them, of their own sizes.  Several threads call it.
    """

    keeps: bool = True
    kept: list[Array] = field(default_factory=list)

    def __call__(self, slots: Array, sizes: Array, _images: Array) -> None:
        if self.keeps:
            self.kept += [
                slot[: height * width * 3].reshape(height, width, 3).copy()
                for slot, (height, width) in zip(slots, sizes.tolist(), strict=True)
            ]


@contextmanager
def pool(
    files: Sequence[str], size: int, batch: int, resize: PickPixels, workers: int
) -> Iterator[Contender]:
    """Give a contender: batches of files, in their order, round and round, without augmentation."""
    source = FileSource(
        files,
        Target(size, size, "rgb", "nearest", keep_aspect_ratio=False),
        "channels_last",
        workers=workers,
        timeout=TIMEOUT_S,
        batch_size=batch,
        read_ahead=READ_AHEAD,
        resize=resize,
    )
    rows = np.arange(len(files)).reshape(-1, batch)
    numbers = itertools.count()

    def call(calls: int) -> Array:
        for _ in range(calls):
            first = next(numbers)
            coming = range(first, first + READ_AHEAD + 1)
            wanted, *ahead = [(number, rows[number % len(rows)]) for number in coming]
            with source.lend(wanted, ahead) as (images, _):
                last = images
        return last

    try:
        yield call
    finally:
        source.close()


def loop(files: Sequence[str], batch: int):
    """Return a contender: file after file in this process, at the size that it has."""

    def decode(batch_files: Sequence[str]) -> list[Array]:
        return [decode_file(file) for file in batch_files]

    return batch_by_batch(files, batch, decode)


def resize_loop(files: Sequence[str], size: int, batch: int):
    """Return a contender: the same, and each resized by Pillow as Keras' iterators do."""

    def decode(batch_files: Sequence[str]) -> Array:
        made = np.empty((batch, size, size, 3), np.uint8)
        for out, file in zip(made, batch_files, strict=True):
            photo = Image.fromarray(decode_file(file))
            out[...] = np.asarray(photo.resize((size, size), Image.Resampling.NEAREST))
        return made

    return batch_by_batch(files, batch, decode)


def batch_by_batch(files: Sequence[str], batch: int, decode: Any):
    numbers = itertools.count()

    def call(calls: int) -> Any:
        for _ in range(calls):
            first = next(numbers) * batch % len(files)
            made = decode(files[first : first + batch])
        return made

    return call


def decode_file(file: str) -> Array:
    """Decode by simplejpeg, the fastest decoder here."""
    return simplejpeg.decode_jpeg(Path(file).read_bytes(), "RGB")


def check_sizes_kept(call: Contender, untouched: Untouched, files: Sequence[str]) -> None:
    """Compare what was decoded for a batch, and ahead of others, with Pillow's pixels."""
    batch = call(1)
    untouched.keeps = False
    assert len(untouched.kept) >= len(batch)
    expected = set()
    for file in files:
        with Image.open(file) as photo:
            expected.add(np.asarray(photo.convert("RGB")).tobytes())
    assert all(photo.tobytes() in expected for photo in untouched.kept)
    untouched.kept.clear()


def check_resized(call: Contender, files: Sequence[str], size: int) -> None:
    """Compare a batch, the first one, with Pillow's pixels."""
    for image, file in zip(call(1), files, strict=False):
        with Image.open(file) as photo:
            expected = photo.convert("RGB").resize((size, size), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(image, np.asarray(expected))

"""Images that keep their size in the slot, and are resized when they are taken over."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import make_images
from peeks import decode_file
from PIL import Image
from pools import TARGET, by_pillow, draw_photos, numbered, read, requests_of

from fastaug.errors import DecodeError, WorkerError
from fastaug.files.decode import decode_into, nearest_taps
from fastaug.files.decoders import pool as workers_module
from fastaug.files.decoders.pool import roomy_slot
from fastaug.files.target import Target
from fastaug.kernels.resizing import pick_pixels
from fastaug.sources import files as sources
from fastaug.sources.files import FileSource, LocalFileSource

SIZES = ((1, 1), (5, 7), (8, 11), (13, 17), (33, 47), (60, 90), (127, 64))


def crop_of(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Keras 3.15's central crop for `keep_aspect_ratio`, (left, top, right, bottom)."""
    height, width = size
    crop_height = min(height, (width * target[0]) // target[1])
    crop_width = min(width, (height * target[1]) // target[0])
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return left, top, left + crop_width, top + crop_height


def slots_of(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Put images into slots full of rubbish."""
    slots = np.full((len(images), max(image.size for image in images) + 1), 77, np.uint8)
    for slot, image in zip(slots, images, strict=True):
        slot[: image.size] = image.reshape(-1)
    return slots, np.array([image.shape[:2] for image in images], np.int32)


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
@pytest.mark.parametrize("target", SIZES)
def test_taken_over_images_equal_pillow(target, keep_aspect_ratio):
    images = [make_images(1, *size, 3, seed=seed)[0] for seed, size in enumerate(SIZES)]
    if keep_aspect_ratio:  # Keras can't crop to nothing, either
        boxes = [crop_of(image.shape[:2], target) for image in images]
        images = [
            image for image, box in zip(images, boxes, strict=True) if box[2] > box[0] < box[3]
        ]
        images = [image for image in images if min(image.shape[:2]) > max(target) // 8]
    slots, sizes = slots_of(images)
    out = np.full((len(images), *target, 3), 99, np.uint8)
    pick_pixels(slots, sizes, out, keep_aspect_ratio=keep_aspect_ratio)
    for image, taken in zip(images, out, strict=True):
        box = crop_of(image.shape[:2], target) if keep_aspect_ratio else None
        resized = Image.fromarray(image).resize(target[::-1], Image.Resampling.NEAREST, box=box)
        np.testing.assert_array_equal(taken, np.asarray(resized))


def test_taken_over_images_touch_nothing_else():
    images = [make_images(1, 13, 17, 3)[0], make_images(1, 5, 7, 3)[0]]
    slots, sizes = slots_of(images)
    before, room = slots.copy(), np.full((4, 5, 7, 3), 99, np.uint8)
    pick_pixels(slots, sizes, room[1:3], keep_aspect_ratio=False)
    np.testing.assert_array_equal(slots, before)
    np.testing.assert_array_equal(room[[0, 3]], 99)
    np.testing.assert_array_equal(room[2], images[1])


def test_no_images_are_taken_over():
    out = np.empty((0, 5, 7, 3), np.uint8)
    pick_pixels(
        np.empty((3, 200), np.uint8), np.empty((0, 2), np.int32), out, keep_aspect_ratio=True
    )


def test_taps_equal_pillow_at_every_length():
    for length, count in itertools.product((1, 2, 3, 7, 64, 299, 500, 1333), (1, 2, 5, 224, 299)):
        numbers = Image.fromarray(np.arange(length, dtype=np.int32)[np.newaxis])
        taken = np.asarray(numbers.resize((count, 1), Image.Resampling.NEAREST))[0]
        np.testing.assert_array_equal(nearest_taps(0, length, count), taken)


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
@pytest.mark.parametrize("target_size", [(5, 7), (33, 47), (130, 90)])
def test_photo_too_large_for_its_slot_is_resized_by_the_decoder(
    tmp_path, target_size, keep_aspect_ratio
):
    [path] = draw_photos(tmp_path, ["photo.jpg"])
    target = Target(*target_size, "rgb", "nearest", keep_aspect_ratio)
    photo = Image.open(path)
    box = crop_of((60, 90), target_size) if keep_aspect_ratio else None
    expected = np.asarray(photo.resize(target_size[::-1], Image.Resampling.NEAREST, box=box))
    for nbytes in (target.nbytes, max(target.nbytes, 60 * 90 * 3)):  # no byte of slack
        memory = np.full(nbytes, 77, np.uint8)
        assert decode_into(path, target, memory)[:2] == target_size
        np.testing.assert_array_equal(memory[: target.nbytes].reshape(expected.shape), expected)


def test_photo_that_fits_keeps_its_size(tmp_path):
    [path] = draw_photos(tmp_path, ["photo.jpg"])
    target = Target(33, 47, "rgb", "nearest", False)
    memory = np.full(60 * 90 * 3 + 1, 77, np.uint8)
    assert decode_into(path, target, memory) == (60, 90, ())
    np.testing.assert_array_equal(memory[:-1].reshape(60, 90, 3), np.asarray(Image.open(path)))
    assert memory[-1] == 77


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("room", [None, 0])
def test_every_kind_of_file_is_taken_over_as_it_is_decoded(
    tmp_path, monkeypatch, workers, room, interpolation
):
    """JPEG files large and small, and others, of which the decoder makes the right size itself."""
    if room is not None:
        monkeypatch.setattr(workers_module, "_ROOMY_NBYTES", room)
    paths = draw_photos(tmp_path, numbered(20))
    for number, (size, mode, name) in enumerate(
        [
            ((33, 47), "RGB", "exact.jpg"), ((300, 200), "RGB", "large.jpg"),
            ((20, 30), "L", "grey.jpg"), ((20, 30), "CMYK", "cmyk.jpg"),
            ((70, 50), "RGBA", "alpha.png"), ((70, 50), "P", "palette.png"),
        ]
    ):  # fmt: skip
        image = Image.fromarray(make_images(1, *size, 3, seed=number)[0])
        image.convert(mode).save(tmp_path / name)
        paths.insert(3 * number, str(tmp_path / name))
    target = Target(33, 47, "rgb", interpolation, False)
    expected = np.empty((len(paths), 33, 47, 3), np.uint8)
    for path, slot in zip(paths, expected, strict=True):
        decode_file(path, target, slot)

    resize = partial(pick_pixels, keep_aspect_ratio=False)
    if workers:
        source = FileSource(
            paths, target, "channels_last", workers=workers, timeout=30, batch_size=8,
            read_ahead=2, resize=resize,
        )  # fmt: skip
    else:
        source = LocalFileSource(paths, target, "channels_last", resize)
    for _ in range(2):
        batches = read(source, requests_of(len(paths)))
        np.testing.assert_array_equal(np.concatenate(batches), expected)
    source.close()


def test_little_shared_memory_leaves_no_room_for_photos_of_their_own_size(tmp_path, monkeypatch):
    paths = draw_photos(tmp_path, numbered(24))
    real, asked = workers_module.SharedMemory, []

    def reserve(nbytes):
        asked.append(nbytes)
        if len(asked) == 1:
            raise OSError("no space left")
        return real(nbytes)

    monkeypatch.setattr(workers_module, "SharedMemory", reserve)
    source = FileSource(
        paths, TARGET, "channels_last", workers=2, timeout=30, batch_size=8, read_ahead=2,
        resize=partial(pick_pixels, keep_aspect_ratio=False),
    )  # fmt: skip
    slots = 2 * 2 * 8  # of two workers, for two tasks of eight files
    assert asked[0] - asked[1] == slots * (roomy_slot(TARGET) - TARGET.nbytes)
    np.testing.assert_array_equal(
        np.concatenate(read(source, requests_of(len(paths)))), by_pillow(paths)
    )
    source.close()


def test_images_that_cannot_be_copied_are_an_error_and_not_a_file_s_fault(tmp_path):
    paths = draw_photos(tmp_path, numbered(24))
    fails = [True]

    def resize(slots, sizes, images):
        if fails[0]:
            raise MemoryError("no memory")
        pick_pixels(slots, sizes, images, keep_aspect_ratio=False)

    source = FileSource(
        paths, TARGET, "channels_last", workers=2, timeout=30, batch_size=8, read_ahead=2,
        resize=resize,
    )  # fmt: skip
    for _ in range(2):
        with pytest.raises(WorkerError, match="can't be copied: MemoryError"):
            read(source, requests_of(len(paths)))
    fails[0] = False
    np.testing.assert_array_equal(
        np.concatenate(read(source, requests_of(len(paths)))), by_pillow(paths)
    )
    source.close()


@pytest.mark.parametrize("size", [(33, 47), (299, 299), (1024, 1024), (2048, 3000)])
def test_slots_of_a_process_are_bounded_by_bytes(monkeypatch, size):
    target, asked = Target(*size, "rgb", "nearest", False), []
    monkeypatch.setattr(workers_module, "SharedMemory", asked.append)
    for workers in (1, 16):
        workers_module._share(target, workers, roomy=True)
    one, sixteen = asked
    assert sixteen == 16 * one
    assert one <= max(2 * 2**23, 2 * target.nbytes) + 4096


@pytest.mark.parametrize(
    ("size", "batch_size"), [((32, 32), 32), ((224, 224), 256), ((299, 299), 64), ((512, 512), 999)]
)
def test_memory_for_batches_under_way_is_bounded(monkeypatch, size, batch_size):
    target = Target(*size, "rgb", "nearest", False)
    asked = []

    def pool(_target, _workers, batch_size, batches, *_):
        asked.append(batches)

    monkeypatch.setattr(sources, "DecodePool", pool)
    for read_ahead in (0, 2, 1000):
        FileSource(
            ["photo.jpg"], target, "channels_last",
            workers=2, timeout=30, batch_size=batch_size, read_ahead=read_ahead,
        )  # fmt: skip
    # One batch is always there, however large it is.
    assert asked[0] == 1
    assert asked[1] in (1, 3)
    assert all(count == 1 or count * batch_size * target.nbytes <= 2**29 for count in asked)


def test_real_photos_are_taken_over_as_pillow_resizes_them(photos):
    paths = sorted(map(str, Path(photos / "validation").rglob("*.jpg")))
    target = Target(299, 299, "rgb", "nearest", False)
    slots = np.empty((len(paths), roomy_slot(target)), np.uint8)
    sizes = np.empty((len(paths), 2), np.int32)
    for path, slot, size in zip(paths, slots, sizes, strict=True):
        size[:] = decode_into(path, target, slot)[:2]
    assert len(np.unique(sizes, axis=0)) > 50  # they did keep their sizes
    images = np.empty((len(paths), 299, 299, 3), np.uint8)
    pick_pixels(slots, sizes, images, keep_aspect_ratio=False)
    for path, image in zip(paths, images, strict=True):
        expected = Image.open(path).convert("RGB").resize((299, 299), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(image, np.asarray(expected))


@pytest.mark.parametrize("read_ahead", [0, 1, 2, 5])
def test_batches_in_any_order_find_a_place(tmp_path, read_ahead):
    """Whatever is asked for, next and ahead: nothing waits for a place that nobody gives back."""
    paths = draw_photos(tmp_path, numbered(44))
    Path(paths[21]).write_bytes(b"broken")
    source = FileSource(
        paths, TARGET, "channels_last", workers=2, timeout=20, batch_size=8, read_ahead=read_ahead,
        resize=partial(pick_pixels, keep_aspect_ratio=False),
    )  # fmt: skip
    requests = requests_of(len(paths))
    good = [path for path in paths if path != paths[21]]
    pixels = dict(zip(good, by_pillow(good), strict=True))
    rng = np.random.default_rng(read_ahead)
    failed = set()
    for turn in range(150):
        request, *ahead = (requests[number] for number in rng.integers(0, len(requests), 5))
        if turn % 3 == 0:
            source.prepare(ahead)
        try:
            with source.lend(request, ahead[: turn % 5]) as (images, rows):
                expected = np.stack([pixels[paths[row]] for row in request[1]])
                np.testing.assert_array_equal(images[rows], expected)
        except DecodeError as error:
            failed.add(error.path)
    assert failed == {paths[21]}
    source.close()

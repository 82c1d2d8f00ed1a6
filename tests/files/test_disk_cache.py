"""Images kept on disk: whatever happens to the files costs time, never a wrong pixel."""

from __future__ import annotations

import dataclasses
import errno
import gc
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import ON_LINUX, make_images
from pools import output_of, start_script

from fastaug.files.cache import disk as disk_cache
from fastaug.files.cache import disk_files as cache_files
from fastaug.files.cache.disk import DiskCache
from fastaug.files.cache.disk_files import CacheFiles
from fastaug.files.target import Target

TARGET = Target(5, 7, "rgb", "nearest", False)
SLOT = 5 * 7 * 3
LARGE = Target(64, 96, "rgb", "nearest", False)
LARGE_SLOT = 64 * 96 * 3
COUNT = 6
ROWS = np.arange(COUNT)


def images_of(count: int = COUNT, target: Target = TARGET) -> np.ndarray:
    """What the files decode to."""
    return make_images(count, *target.slot_shape, str(target.slot_dtype))


def write_files(folder: Path, count: int = COUNT) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{row}.jpg" for row in range(count)]
    for row, path in enumerate(paths):
        path.write_bytes(b"x" * (row + 1))
    return [str(path) for path in paths]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return write_files(tmp_path / "photos")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(folder: Path, paths: Sequence[str], target: Target = TARGET) -> DiskCache:
    return DiskCache(str(folder), target, paths, "decoder 1")


def assert_right(kept: DiskCache, images: np.ndarray) -> np.ndarray:
    """Check every image that is found; return which rows are."""
    places = kept.find(np.arange(len(images)))
    found = np.flatnonzero(places >= 0)
    np.testing.assert_array_equal(kept.images[places[found]], images[found])
    return found


def assert_all_right(kept: DiskCache, images: np.ndarray) -> None:
    assert len(assert_right(kept, images)) == len(images)


def fill(kept: DiskCache, images: np.ndarray, batch: int = 4) -> None:
    """Add what is not there yet, as an epoch does."""
    for start in range(0, len(images), batch):
        rows = np.arange(start, min(start + batch, len(images)))
        rows = rows[kept.find(rows) < 0]
        kept.add(rows, images[rows], np.arange(len(rows)))


def opened_and_filled(folder: Path, paths: Sequence[str]) -> DiskCache:
    kept = opened(folder, paths)
    fill(kept, images_of(len(paths)))
    return kept


def filled(folder: Path, paths: Sequence[str], images: np.ndarray | None = None) -> None:
    kept = opened(folder, paths)
    fill(kept, images_of(len(paths)) if images is None else images)
    kept.close()


def only(folder: Path, ending: str) -> Path:
    (path,) = folder.glob(f"*.{ending}")
    return path


def assert_mended(folder: Path, paths: Sequence[str], target: Target = TARGET) -> list[int]:
    """Check that a damaged cache gives right pixels and can be filled; return what was left."""
    images = images_of(len(paths), target)
    kept = opened(folder, paths, target)
    left = assert_right(kept, images)
    fill(kept, images)
    assert_all_right(kept, images)
    kept.close()
    kept = opened(folder, paths, target)
    assert_all_right(kept, images)
    kept.close()
    assert sorted(path.suffix for path in folder.iterdir()) == [".manifest", ".pixels"]
    return left.tolist()


# --- What is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(5, 7), (8, 11), (13, 17)])
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_images_are_found_as_they_were_added_now_and_later(
    folder, paths, height, width, color_mode
):
    target = Target(height, width, color_mode, "bilinear", True)
    images = images_of(target=target)
    kept = opened(folder, paths, target)
    assert kept.find(ROWS).tolist() == [-1] * COUNT
    assert kept.images.shape == (0, *target.slot_shape)
    fill(kept, images)
    for _ in range(2):
        assert_all_right(kept, images)
        assert kept.images.dtype == target.slot_dtype
        assert kept.images.flags.c_contiguous
        assert not kept.images.flags.writeable
        kept.close()
        kept = opened(folder, paths, target)
    kept.close()


def test_picks_and_repeated_rows_find_their_images(folder, paths):
    images = images_of(9)
    kept = opened(folder, paths)
    kept.add(np.array([2, 0, 2]), images[:, :, :, :], np.array([8, 3, 8]))
    places = kept.find(np.array([0, 2, 2, 1]))
    np.testing.assert_array_equal(kept.images[places[:3]], images[[3, 8, 8]])
    assert places[3] == -1
    assert len(kept.images) == 2
    kept.close()


def test_images_of_other_memory_layouts_are_kept(folder, paths):
    images = images_of()
    planar = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    kept = opened(folder, paths)
    kept.add(ROWS, np.moveaxis(planar, 1, -1), ROWS)
    assert_all_right(kept, images)
    kept.close()


def test_file_that_is_listed_twice_takes_one_place(folder, paths):
    kept = opened(folder, [paths[0], paths[1], paths[0]])
    images = images_of()[[0, 1, 0]]
    fill(kept, images)
    assert_all_right(kept, images)
    assert len(kept.images) == 2
    kept.close()


def test_no_rows_are_no_trouble(folder, paths):
    kept = opened(folder, paths)
    nothing = np.empty(0, np.intp)
    kept.add(nothing, images_of(), nothing)
    assert len(kept.find(nothing)) == 0
    kept.close()
    opened(folder, []).close()


def test_two_views_find_each_others_images(folder, paths):
    images = images_of()
    train, validation = opened(folder, paths), opened(folder, paths[::-1])
    train.add(ROWS[:3], images, ROWS[:3])
    validation.add(ROWS[:3], images[::-1], ROWS[:3])
    assert_all_right(train, images)
    assert_all_right(validation, images[::-1])
    assert len(train.images) == COUNT
    train.close()
    validation.close()


def test_image_that_another_view_added_meanwhile_is_not_written_again(folder, paths):
    images = images_of()
    one, other = opened(folder, paths), opened(folder, paths)
    for kept in (one, other):
        kept.find(ROWS)
    for kept in (one, other):
        kept.add(ROWS, images, ROWS)
    for kept in (one, other):
        assert_all_right(kept, images)
        kept.close()
    assert only(folder, "pixels").stat().st_size == COUNT * SLOT


def test_array_stays_valid_while_the_cache_grows_and_closes(folder, paths):
    images = images_of()
    kept = opened(folder, paths)
    kept.add(ROWS[:2], images, ROWS[:2])
    places, early = kept.find(ROWS[:2]), kept.images
    kept.add(ROWS[2:], images, ROWS[2:])
    assert len(kept.images) > len(early)
    kept.close()
    np.testing.assert_array_equal(early[places], images[:2])


def test_relative_names_mean_the_working_folder_of_the_beginning(folder, paths, monkeypatch):
    monkeypatch.chdir(Path(paths[0]).parent)
    kept = opened(folder, [Path(path).name for path in paths])
    monkeypatch.chdir("/")
    fill(kept, images_of())
    assert_all_right(kept, images_of())
    kept.close()
    kept = opened(folder, paths)
    assert_all_right(kept, images_of())
    kept.close()


def test_odd_names_are_names(folder, tmp_path):
    names = ["line\nbreak.jpg", "\udcff\udc80.jpg", "🦎.jpg", 'quo"te\\.jpg', "\x1f \x7f\u2028.jpg"]
    paths = [str(tmp_path / name) for name in names]
    for path in paths:
        Path(path).write_bytes(b"x")
    filled(folder, paths)
    kept = opened(folder, paths)
    assert_all_right(kept, images_of(len(paths)))
    kept.close()


def test_name_that_no_file_can_have_is_not_kept(folder, paths):
    kept = opened(folder, ["/nul\0.jpg", *paths[1:]])
    fill(kept, images_of())
    assert assert_right(kept, images_of()).tolist() == [1, 2, 3, 4, 5]
    kept.close()


def test_each_setting_has_files_of_its_own(folder, paths):
    words = {"color_mode": "rgba", "interpolation": "box", "decode": "fast"}
    targets = [TARGET]
    for field in dataclasses.fields(Target):  # those that are added later, too
        value = getattr(TARGET, field.name)
        other = words[field.name] if isinstance(value, str) else 1 + value
        targets.append(dataclasses.replace(TARGET, **{field.name: other}))
    for _ in range(2):
        for target in targets:
            kept = opened(folder, paths, target)
            fill(kept, images_of(target=target) ^ 255)
            assert_all_right(kept, images_of(target=target) ^ 255)
            kept.close()
    kept = DiskCache(str(folder), TARGET, paths, "decoder 2")
    assert (kept.find(ROWS) == -1).all()
    kept.close()
    assert len(list(folder.glob("*.manifest"))) == len(targets) + 1
    assert len(list(folder.iterdir())) == 2 * (len(targets) + 1)


def test_manifest_begins_with_readable_settings(folder, paths):
    filled(folder, paths)
    header, *lines = only(folder, "manifest").read_text(encoding="ascii").splitlines()
    settings, _ = json.JSONDecoder().raw_decode(header)
    assert settings["decoder"] == "decoder 1"
    assert settings["target"] == dataclasses.asdict(TARGET)
    assert settings["pixels"] == only(folder, "pixels").name
    assert len(lines) == COUNT


def test_missing_folders_are_made(tmp_path, paths):
    filled(tmp_path / "one" / "two", paths)
    assert_mended(tmp_path / "one" / "two", paths)


def test_closed_cache_finds_and_keeps_nothing(folder, paths):
    kept = opened(folder, paths)
    fill(kept, images_of())
    kept.close()
    kept.close()
    kept.add(ROWS, images_of(), ROWS)
    assert kept.find(ROWS).tolist() == [-1] * COUNT
    with pytest.raises(RuntimeError, match="closed"):
        kept.images  # noqa: B018


@pytest.mark.skipif(not ON_LINUX, reason="looks at descriptors in /proc")
def test_caches_that_are_dropped_leave_no_descriptor(folder, paths):
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(20):
        kept = opened(folder, paths)
        fill(kept, images_of())
        assert_all_right(kept, images_of())
        del kept
        gc.collect()
        assert sorted(Path("/proc/self/fd").iterdir()) == before


# --- Files that changed ---------------------------------------------------------------------------


def later(path: str, seconds: float = 5) -> None:
    found = Path(path).stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + int(seconds * 1e9)))


@pytest.mark.parametrize(
    "change",
    [
        later,
        lambda path: later(path, -5),
        lambda path: Path(path).write_bytes(b"longer than it was"),
        lambda path: Path(path).unlink(),
    ],
)
def test_image_of_a_file_that_changed_is_not_found(folder, paths, change):
    filled(folder, paths)
    change(paths[2])
    kept = opened(folder, paths)
    assert assert_right(kept, images_of()).tolist() == [0, 1, 3, 4, 5]
    kept.close()


def test_changed_file_gets_a_new_place_and_its_last_image_counts(folder, paths):
    images = images_of()
    filled(folder, paths)
    reader = opened(folder, paths)
    assert_all_right(reader, images)
    later(paths[2])
    changed = images.copy()
    changed[2] ^= 255
    filled(folder, paths, changed)
    assert_all_right(reader, images)  # what is believed is not looked at again
    kept = opened(folder, paths)
    assert_all_right(kept, changed)
    kept.close()
    reader.close()
    assert only(folder, "pixels").stat().st_size == (COUNT + 1) * SLOT


def test_file_that_changes_while_it_is_decoded_is_decoded_again(folder, paths):
    kept = opened(folder, paths)
    kept.find(ROWS)
    later(paths[2])  # nobody knows which of the two was decoded
    kept.add(ROWS, images_of(), ROWS)
    kept.close()
    kept = opened(folder, paths)
    assert assert_right(kept, images_of()).tolist() == [0, 1, 3, 4, 5]
    fill(kept, images_of())
    kept.close()
    assert_mended(folder, paths)


def test_cache_of_mostly_old_images_is_begun_afresh(folder, paths):
    for version in range(4):
        for path in paths:
            later(path, 5 * version)
        filled(folder, paths, images_of() ^ version)
    assert only(folder, "pixels").stat().st_size == COUNT * SLOT
    kept = opened(folder, paths)
    assert_all_right(kept, images_of() ^ 3)
    kept.close()


# --- Damage ---------------------------------------------------------------------------------------


def test_manifest_cut_anywhere_keeps_the_lines_before(folder, paths, tmp_path):
    filled(folder, paths)
    whole = only(folder, "manifest").read_bytes()
    borders = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    near = {border + step for border in borders for step in (-10, -2, -1, 0, 1)}
    for length in sorted({*near, *range(0, len(whole), 41)} - {len(whole) + 1}):
        damaged = tmp_path / "damaged"
        shutil.copytree(folder, damaged)
        only(damaged, "manifest").write_bytes(whole[:length])
        lines = sum(border <= length for border in borders) - 1
        assert assert_mended(damaged, paths) == list(range(lines))
        shutil.rmtree(damaged)


def test_flipped_byte_in_the_manifest_costs_its_line(folder, paths, tmp_path):
    filled(folder, paths)
    whole = only(folder, "manifest").read_bytes()
    header, *_ = ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    # The ends of lines, too, wherever the length of the folder's name puts them.
    for position in sorted({*ends, *range(0, len(whole), 7)}):
        # The last one makes it a newline, which would change nothing where there is one.
        for flip in {0x01, 0x80, whole[position] ^ ord("\n")} - {0}:
            damaged = tmp_path / "damaged"
            shutil.copytree(folder, damaged)
            data = bytearray(whole)
            data[position] ^= flip
            only(damaged, "manifest").write_bytes(data)
            left = assert_mended(damaged, paths)
            assert len(left) in ((0,) if position <= header else (COUNT - 2, COUNT - 1))
            shutil.rmtree(damaged)


def test_flipped_byte_in_the_pixels_costs_its_image(folder, paths):
    filled(folder, paths)
    pixels = only(folder, "pixels")
    for row in range(COUNT):
        data = bytearray(pixels.read_bytes())
        data[row * SLOT + 17 * row] ^= 1
        pixels.write_bytes(data)
        assert assert_mended(folder, paths) == [other for other in range(COUNT) if other != row]


@pytest.mark.parametrize("length", [0, 1, SLOT, 3 * SLOT - 1, 3 * SLOT, COUNT * SLOT - 1])
def test_pixels_cut_anywhere_keep_the_images_before(folder, paths, length):
    filled(folder, paths)
    os.truncate(only(folder, "pixels"), length)
    assert assert_mended(folder, paths) == list(range(length // SLOT))


@pytest.mark.parametrize("garbage", [b"", b"\0" * 500, b"\n\n\n", b"[]\n{}\n", b"\xff\xfe" * 99])
def test_garbage_for_a_manifest_is_begun_afresh(folder, paths, garbage):
    filled(folder, paths)
    only(folder, "manifest").write_bytes(garbage)
    assert assert_mended(folder, paths) == []


@pytest.mark.parametrize("ending", ["pixels", "manifest"])
def test_missing_file_is_begun_afresh(folder, paths, ending):
    filled(folder, paths)
    only(folder, ending).unlink()
    for path in folder.glob("*.pixels"):
        os.utime(path, (0, 0))  # what nobody refers to is removed, but not what was just begun
    assert assert_mended(folder, paths) == []


def test_files_that_nothing_refers_to_are_removed_once_they_are_old(folder, paths):
    filled(folder, paths)
    stem = only(folder, "manifest").stem
    begun, left = (folder / f"{stem}-{name}.pixels" for name in ("begun", "left"))
    for path in (begun, left):
        path.write_bytes(b"")
    os.utime(left, (0, 0))
    only(folder, "manifest").unlink()
    filled(folder, paths)
    assert not left.exists()
    assert begun.exists()  # another process may be about to place its manifest


def test_manifest_of_other_settings_is_begun_afresh(folder, paths, tmp_path):
    filled(folder, paths)
    other = tmp_path / "other"
    kept = DiskCache(str(other), TARGET, paths, "decoder 2")
    fill(kept, images_of() ^ 255)
    kept.close()
    shutil.copy(only(other, "manifest"), only(folder, "manifest"))
    shutil.copy(only(other, "pixels"), folder)
    kept = opened(folder, paths)
    assert len(assert_right(kept, images_of())) == 0
    kept.close()


def test_manifest_cannot_name_a_file_elsewhere(folder, paths, tmp_path):
    filled(folder, paths)
    manifest = only(folder, "manifest")
    shutil.move(only(folder, "pixels"), tmp_path / "elsewhere")
    header = json.JSONDecoder().raw_decode(manifest.read_text())[0] | {"pixels": "../elsewhere"}
    lines = manifest.read_bytes().split(b"\n", 1)[1]
    manifest.write_bytes(cache_files._line(header) + lines)
    assert assert_mended(folder, paths) == []
    assert (tmp_path / "elsewhere").exists()


def test_cache_begun_afresh_leaves_those_who_read_the_old_one_alone(folder, paths):
    images = images_of()
    old = opened(folder, paths)
    old.add(ROWS[:4], images, ROWS[:4])
    places, pixels = old.find(ROWS[:4]), old.images
    only(folder, "manifest").write_bytes(b"garbage")
    assert assert_mended(folder, paths) == []
    np.testing.assert_array_equal(pixels[places], images[:4])
    old.add(ROWS, images, ROWS)  # into files without a name
    assert_all_right(old, images)
    old.close()
    assert_mended(folder, paths)


def test_manifest_cut_while_it_is_used_costs_no_pixel(folder, paths):
    images = images_of()
    user = opened(folder, paths)
    user.add(ROWS[:3], images, ROWS[:3])
    assert assert_right(user, images).tolist() == [0, 1, 2]
    manifest = only(folder, "manifest")
    os.truncate(manifest, manifest.read_bytes().index(b"\n") + 1)
    filled(folder, paths[::-1], images[::-1])  # must not take the places of what is believed
    assert assert_right(user, images).tolist()[:3] == [0, 1, 2]
    fill(user, images)
    assert_all_right(user, images)
    user.close()
    assert_mended(folder, paths)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_opened(folder, paths, make):
    filled(folder, paths)
    manifest = only(folder, "manifest")
    manifest.unlink()
    make(manifest)
    with pytest.warns(RuntimeWarning, match="takes no images: .*(not a regular|directory)"):
        kept = opened(folder, paths)
    assert (kept.find(ROWS) == -1).all()
    kept.close()


# --- Folders that cannot be written ---------------------------------------------------------------


def assert_off(kept: DiskCache) -> None:
    """Check that the cache, of which a warning has told, does no harm."""
    fill(kept, images_of())
    assert (kept.find(ROWS) == -1).all()
    assert len(kept.images) == 0
    kept.close()


def test_folder_that_is_a_file_is_named_once(folder, paths):
    folder.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="cache'.*File exists.*name a folder") as told:
        kept = opened(folder, paths)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert_off(kept)


def test_folder_below_a_file_is_named_once(folder, paths):
    folder.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="Not a directory") as told:
        kept = opened(folder / "deeper", paths)
    assert len(told) == 1
    assert_off(kept)


def test_folder_that_no_name_can_be_is_named_once(paths):
    with pytest.warns(RuntimeWarning, match="null") as told:
        kept = DiskCache("/nul\0", TARGET, paths, "")
    assert len(told) == 1
    assert_off(kept)


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Refuse all writing, as a read-only file system does; root may write anywhere else."""
    real = os.open

    def refuse(number: int) -> None:
        def open_(path, flags, *args, **kwargs):
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", open_)

    return refuse


REFUSALS = [errno.EROFS, errno.EACCES, errno.EPERM]


@pytest.mark.parametrize("number", REFUSALS)
def test_read_only_folder_without_a_cache_is_named_once(folder, paths, read_only, number):
    folder.mkdir()
    read_only(number)
    with pytest.warns(RuntimeWarning, match=os.strerror(number)) as told:
        kept = opened(folder, paths)
    assert len(told) == 1
    assert_off(kept)


@pytest.mark.parametrize("number", REFUSALS)
def test_read_only_folder_with_a_cache_is_read(folder, paths, read_only, number):
    images = images_of()
    filled(folder, paths[:4])
    read_only(number)
    kept = opened(folder, paths[:4])
    fill(kept, images[:4])
    assert_all_right(kept, images[:4])  # without a word
    kept.close()
    kept = opened(folder, paths)
    with pytest.warns(RuntimeWarning, match=f"{os.strerror(number)}.*holds 4 of.* 6 files") as told:
        fill(kept, images)
    fill(kept, images)
    assert len(told) == 1
    assert assert_right(kept, images).tolist() == [0, 1, 2, 3]
    kept.close()


def test_read_only_folder_with_a_damaged_cache_is_named_once(folder, paths, read_only):
    filled(folder, paths)
    only(folder, "manifest").write_bytes(b"garbage")
    read_only(errno.EROFS)
    with pytest.warns(RuntimeWarning, match="Read-only"):
        kept = opened(folder, paths)
    assert_off(kept)


def test_read_only_folder_with_mostly_old_images_is_read(folder, paths, read_only):
    for version in range(3):
        for path in paths:
            later(path, 5 * version)
        filled(folder, paths, images_of() ^ version)
    read_only(errno.EROFS)
    kept = opened(folder, paths)
    assert_all_right(kept, images_of() ^ 2)
    kept.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_named_once(folder, paths):
    folder.mkdir(mode=0o500)
    with pytest.warns(RuntimeWarning, match="Permission denied"):
        kept = opened(folder, paths)
    assert_off(kept)


# --- Full disks -----------------------------------------------------------------------------------


def writes_until(monkeypatch: pytest.MonkeyPatch, calls: int, number: int, part: float) -> None:
    """Let so many writes succeed, then a part of one, then none."""
    real, left = os.pwrite, [calls]

    def pwrite(descriptor, data, offset):
        left[0] -= 1
        if left[0] >= 0:
            return real(descriptor, data, offset)
        if left[0] == -1 and (count := int(len(data) * part)):
            return real(descriptor, memoryview(data)[:count], offset)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", pwrite)


@pytest.mark.skipif(not hasattr(os, "pwrite"), reason="POSIX only")
@pytest.mark.parametrize("part", [0, 0.5, 0.99])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_disk_that_is_full_at_any_write_costs_images_only(folder, paths, monkeypatch, number, part):
    images = images_of()
    for calls in range(COUNT + 4):  # header, pixels of 4, lines, pixels of 2, lines
        with monkeypatch.context() as patch:
            writes_until(patch, calls, number, part)
            if calls == COUNT + 3:
                kept = opened_and_filled(folder, paths)
            else:
                with pytest.warns(RuntimeWarning, match=os.strerror(number)) as told:
                    kept = opened_and_filled(folder, paths)
                fill(kept, images)
                assert len(told) == 1
            found = assert_right(kept, images).tolist()
            # Lines that were written whole count, though their neighbours were not.
            assert set(found) >= set(range(0 if calls < 6 else 4 if calls < 9 else 6))
            kept.close()
        assert set(assert_mended(folder, paths)) >= set(found)
        shutil.rmtree(folder)


FULL_DISK = """
import json, resource, signal, sys, warnings
from pathlib import Path
from test_disk_cache import LARGE, TARGET, assert_right, fill, images_of, opened

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit, size, folder, *paths = sys.argv[1:]
target = {"small": TARGET, "large": LARGE}[size]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    kept = opened(Path(folder), paths, target)
    images = images_of(len(paths), target)
    fill(kept, images)
    fill(kept, images)
    found = assert_right(kept, images).tolist()
    kept.close()
print(json.dumps([found, [str(warning.message) for warning in told]]))
"""


@pytest.mark.skipif(not ON_LINUX, reason="sets RLIMIT_FSIZE")
@pytest.mark.parametrize(
    ("limit", "size", "least", "most"),
    [
        (100, "small", 0, 0),  # the header
        (2000, "small", 1, 15),  # lines
        (10 * LARGE_SLOT + 20, "large", 8, 8),  # pixels
        (10**6, "large", 40, 40),
    ],
)
def test_files_that_may_not_grow_keep_what_fits(folder, tmp_path, limit, size, least, most):
    paths = write_files(tmp_path / "photos", 40)
    output, errors = output_of(start_script(FULL_DISK, limit, size, folder, *paths))
    assert not errors
    found, told = json.loads(output)
    assert found == list(range(len(found)))
    assert least <= len(found) <= most
    assert len(told) == (len(found) < 40)
    assert all("File too large" in message for message in told)
    target = {"small": TARGET, "large": LARGE}[size]
    assert set(assert_mended(folder, paths, target)) >= set(found)


# --- Processes that die, and several at once ------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from test_disk_cache import fill, images_of, opened

folder, *paths = sys.argv[1:]
real = os.pwrite
for part in (0, 0.5, 1):
    for calls in range(len(paths) + 3):
        pid = os.fork()
        if pid:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            continue
        left = [calls]
        def pwrite(descriptor, data, offset):
            left[0] -= 1
            if left[0] < 0:
                real(descriptor, memoryview(data)[:int(len(data) * part)], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(descriptor, data, offset)
        os.pwrite = pwrite
        fill(opened(Path(folder) / f"{part}-{calls}", paths), images_of(len(paths)))
        os._exit(1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
def test_process_killed_at_any_write_leaves_a_valid_cache(folder, paths):
    folder.mkdir()
    _, errors = output_of(start_script(KILLED, folder, *paths))
    assert not errors
    for part in (0, 0.5, 1):
        for calls in range(COUNT + 3):
            one = folder / f"{part}-{calls}"
            for draft in (*one.glob("*.draft"), *one.glob("*.pixels")):
                os.utime(draft, (0, 0))
            # Header, pixels of 4, lines, pixels of 2, lines.
            complete = calls + (part == 1)
            least = 0 if complete < 6 else 4 if complete < 9 else 6
            assert set(assert_mended(one, paths)) >= set(range(least))


FILLING = """
import os, sys
from pathlib import Path
import numpy as np
from test_disk_cache import LARGE, assert_all_right, images_of, opened

seed, folder, *paths = sys.argv[1:]
images = images_of(len(paths), LARGE)
kept = opened(Path(folder), paths, LARGE)
print("ready", flush=True)
sys.stdin.readline()
rng = np.random.default_rng(int(seed))
order = rng.permutation(len(paths))
for start in range(0, len(order), 8):
    rows = order[start : start + 8]
    missing = rows[kept.find(rows) < 0]
    kept.add(missing, images, missing)
    places = kept.find(rows)
    assert (places >= 0).all()
    assert (kept.images[places] == images[rows]).all()
    print(start, flush=True)
assert_all_right(kept, images)
kept.close()
print("done")
"""


def start_filling(folder: Path, paths: Sequence[str], seed: int) -> subprocess.Popen[str]:
    return start_script(FILLING, seed, folder, *paths)


def say_go(scripts: Sequence[subprocess.Popen[str]]) -> None:
    for script in scripts:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
    for script in scripts:
        assert script.stdin is not None
        script.stdin.write("go\n")
        script.stdin.flush()


def test_processes_that_fill_one_cache_at_once_get_every_pixel_right(folder, tmp_path):
    paths = write_files(tmp_path / "photos", 300)
    scripts = [start_filling(folder, paths, seed) for seed in range(3)]
    say_go(scripts)
    for script in scripts:
        output, errors = output_of(script)
        assert not errors
        assert output.endswith("done\n")
    kept = opened(folder, paths, LARGE)
    assert_all_right(kept, images_of(300, LARGE))
    assert len(set(kept.find(np.arange(300)).tolist())) == 300
    kept.close()
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("batches", [1, 3, 7, 12, 20])
def test_process_killed_while_another_writes_costs_nothing(folder, tmp_path, batches):
    paths = write_files(tmp_path / "photos", 200)
    images = images_of(200, LARGE)
    victim, witness = (start_filling(folder, paths, seed) for seed in range(2))
    say_go([victim, witness])
    assert victim.stdout is not None
    for _ in range(batches):
        victim.stdout.readline()
    victim.kill()
    output_of(victim)
    output, errors = output_of(witness)
    assert not errors
    assert output.endswith("done\n")
    kept = opened(folder, paths, LARGE)
    assert_all_right(kept, images)
    kept.close()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="POSIX only")
def test_lock_of_a_stopped_process_blocks_nobody_for_long(folder, paths, monkeypatch):
    filled(folder, paths[:2])
    holder = start_script(
        "import fcntl, os, signal, sys\n"
        "file = open(sys.argv[1])\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSTOP)",
        only(folder, "manifest"),
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    for module in (cache_files, disk_cache):
        monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 1.0)
    images = images_of()
    kept = opened(folder, paths)  # opening takes no lock
    assert assert_right(kept, images).tolist() == [0, 1]
    started = time.perf_counter()
    with pytest.warns(RuntimeWarning, match="another process has locked it") as told:
        fill(kept, images, batch=1)
    assert len(told) == 1
    assert 1 <= time.perf_counter() - started < 3  # once, not for every batch
    assert assert_right(kept, images).tolist() == [0, 1]
    holder.kill()
    output_of(holder)
    fill(kept, images)
    assert_all_right(kept, images)
    kept.close()


def test_damaged_cache_that_is_locked_is_left_alone(folder, paths, monkeypatch):
    filled(folder, paths)
    user = opened(folder, paths)
    only(folder, "manifest").write_bytes(b"garbage")
    monkeypatch.setattr(cache_files, "LOCK_TIMEOUT_S", 0.1)
    with user._files.locked(1) as held:
        assert held
        with pytest.warns(RuntimeWarning, match="locked"):
            kept = opened(folder, paths)
        assert_off(kept)
    user.close()
    assert_mended(folder, paths)


def test_locks_that_the_system_does_not_have_turn_writing_off(folder, paths, monkeypatch):
    def no_lock(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(cache_files, "_try_lock", no_lock)
    kept = opened(folder, paths)
    with pytest.warns(RuntimeWarning, match="No locks available"):
        fill(kept, images_of())
    assert_off(kept)


# --- Threads --------------------------------------------------------------------------------------


def together(count: int, work: Callable[[int], object]) -> None:
    """Run some threads at once; raise what they raise."""
    barrier = threading.Barrier(count, timeout=30)
    raised = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_threads_that_add_at_once_keep_every_image_once(folder, tmp_path):
    paths, images = write_files(tmp_path / "photos", 200), images_of(200)
    kept = opened(folder, paths)

    def work(seed: int) -> None:
        for rows in np.random.default_rng(seed).permutation(200).reshape(-1, 8):
            kept.find(rows)
            kept.add(rows, images, rows)
            places = kept.find(rows)
            np.testing.assert_array_equal(kept.images[places], images[rows])

    together(6, work)
    assert_all_right(kept, images)
    assert len(kept.images) == 200
    kept.close()


@pytest.mark.parametrize("damage", [False, True])
def test_views_that_open_at_once_share_one_pair_of_files(tmp_path, paths, damage):
    for number in range(10):
        folder = tmp_path / str(number)
        if damage:
            filled(folder, paths)
            only(folder, "manifest").write_bytes(b"garbage")
        views: list[DiskCache] = []
        together(8, lambda _, folder=folder, views=views: views.append(opened(folder, paths)))
        assert len(list(folder.iterdir())) == 2
        fill(views[0], images_of())
        for view in views:
            assert_all_right(view, images_of())
            view.close()


def test_file_system_without_hard_links_is_no_trouble(folder, paths, monkeypatch):
    def hardlink_to(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", hardlink_to)
    filled(folder, paths)
    assert assert_mended(folder, paths) == list(range(COUNT))


def test_removed_folder_is_no_trouble(folder, paths):
    kept = opened(folder, paths)
    kept.add(ROWS[:3], images_of(), ROWS[:3])
    shutil.rmtree(folder)
    fill(kept, images_of())
    assert_all_right(kept, images_of())
    kept.close()
    assert assert_mended(folder, paths) == []


def test_reading_that_fails_costs_time(folder, paths, monkeypatch):
    filled(folder, paths)
    kept = opened(folder, paths)

    def fail(self, mapped):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(CacheFiles, "map", fail)
    with pytest.warns(RuntimeWarning, match="Input/output error"):
        assert (kept.find(ROWS) == -1).all()
    kept.add(ROWS, images_of(), ROWS)
    assert (kept.find(ROWS) == -1).all()
    kept.close()


def test_systems_without_positions_in_reads_and_writes_are_no_trouble(folder, paths, monkeypatch):
    for name in ("pread", "pwrite"):
        monkeypatch.delattr(os, name, raising=False)
    filled(folder, paths)
    assert assert_mended(folder, paths) == list(range(COUNT))

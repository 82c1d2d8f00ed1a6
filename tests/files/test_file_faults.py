"""Files that can't be written: saved pictures, and the cache of compiled kernels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import ON_LINUX, make_images
from PIL import Image
from pools import output_of, script_path, start_script

from fastaug import Generator

# --- `save_to_dir` --------------------------------------------------------------------------------

LIMIT = 1000  # bytes; a plain picture takes less, one of noise more
FORMATS = ["png", "jpeg", "bmp", "tiff"]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let this process write no file beyond LIMIT, where a write is cut short and the next fails.

    That is what a disk does that has space for a part of a file.
    """
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))  # Python ignores SIGXFSZ
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def saving_iterator(folder: Path, extension: str = "png"):
    """Batches of three images, of which the first one is plain."""
    images = make_images(3, 40, 50, 3)
    images[0] = 0
    next(Generator().flow(images, batch_size=3))  # compiles
    return Generator().flow(
        images, batch_size=3, shuffle=False, save_to_dir=folder, save_format=extension
    )


@pytest.mark.skipif(not ON_LINUX, reason="limits the size of files")
@pytest.mark.parametrize("extension", FORMATS)
def test_full_disk_while_pictures_are_saved_leaves_no_half_picture(tmp_path, extension):
    iterator = saving_iterator(tmp_path, extension)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        next(iterator)
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            picture.load()
            assert picture.size == (50, 40)
    next(iterator)  # there is space again
    assert len(list(tmp_path.iterdir())) >= 3


@pytest.mark.skipif(not ON_LINUX, reason="limits the size of files")
@pytest.mark.parametrize("extension", FORMATS)
def test_full_disk_while_pictures_are_saved_names_the_file(tmp_path, extension):
    iterator = saving_iterator(tmp_path, extension)
    with full_disk(), pytest.raises(OSError, match="File too large") as caught:
        next(iterator)
    assert str(tmp_path) in str(caught.value)
    assert f".{extension}" in str(caught.value)


def test_folder_that_vanished_before_pictures_are_saved_is_named(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    iterator = saving_iterator(folder)
    folder.rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        next(iterator)
    assert str(folder) in str(caught.value)
    folder.mkdir()
    next(iterator)
    assert len(list(folder.iterdir())) == 3


# --- The cache of compiled kernels ----------------------------------------------------------------

# A small kernel, compiled or taken from the cache.
KERNEL = """
import numpy as np
from fastaug.kernels.pointwise import shift_channels
values = np.arange(6, dtype=np.float32)
shift_channels(values, 0, 6, np.float32(2), np.float32(0), np.float32(5))
print(values.tolist())
"""
SHIFTED = "[2.0, 3.0, 4.0, 5.0, 5.0, 5.0]\n"
BATCH = """
import numpy as np
from fastaug import Generator
images = np.arange(2 * 5 * 7 * 3, dtype=np.uint8).reshape(2, 5, 7, 3)
print(next(Generator(rotation_range=30).flow(images, seed=1, shuffle=False)).tolist())
"""
# Numba asks by a temporary file whether it may write to a folder; root may write to all of them.
READ_ONLY = """
import tempfile
def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")
tempfile.TemporaryFile = refuse
"""
FULL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
"""


def run(code: str, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code with a folder for compiled kernels, or without one that Numba was told."""
    environment = {name: os.environ[name] for name in os.environ if name != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment
        | {"PYTHONPATH": os.pathsep.join(script_path())}
        | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def assert_shifted(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stdout == SHIFTED, done.stderr
    assert done.returncode == 0


def test_kernel_is_compiled_where_no_folder_can_be_written_to():
    assert_shifted(run(READ_ONLY + KERNEL))


@pytest.mark.long
def test_batch_is_made_where_no_folder_can_be_written_to():
    done, plain = run(READ_ONLY + BATCH), run(BATCH)
    assert done.stdout, done.stderr
    assert done.stdout == plain.stdout


@pytest.mark.skipif(not ON_LINUX, reason="limits the size of files")
def test_kernel_is_compiled_where_the_disk_is_full(tmp_path):
    assert_shifted(run(FULL_DISK + KERNEL, tmp_path))
    assert_shifted(run(KERNEL, tmp_path))  # what is left does no harm


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    """A folder with a compiled kernel."""
    folder = tmp_path_factory.mktemp("kernels")
    assert_shifted(run(KERNEL, folder))
    return folder


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["removed", "empty", "cut", "garbage"])
def test_kernel_is_compiled_anew_where_the_cache_is_damaged(compiled, tmp_path, suffix, damage):
    cache = tmp_path / "kernels"
    shutil.copytree(compiled, cache)
    [path] = cache.rglob(f"*{suffix}")
    size = path.stat().st_size
    if damage == "removed":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(size))
    else:
        os.truncate(path, 0 if damage == "empty" else size // 2)
    assert_shifted(run(KERNEL, cache))


def test_kernel_is_compiled_by_two_processes_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    scripts = [start_script(KERNEL) for _ in range(2)]
    assert [output_of(script)[0] for script in scripts] == [SHIFTED, SHIFTED]
    assert_shifted(run(KERNEL, tmp_path))
    assert len(list(tmp_path.rglob("*.nbi"))) == 1

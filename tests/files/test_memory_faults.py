"""Little memory, and memory that others write to."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ON_LINUX
from numpy.testing import assert_array_equal
from pools import COMPILING, draw_photos, numbered, output_of, script_path, start_script
from test_decode import huge_jpeg, huge_png

from fastaug import Generator
from fastaug.files.decoders.shared_memory import KIND_VARIABLE

COUNT, BATCH, SIZE = 24, 8, (33, 47)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw_photos(tmp_path / "photos" / "a", numbered(COUNT))
    return tmp_path / "photos"


# --- A small /dev/shm -----------------------------------------------------------------------------

# What needs more than Docker's 64 MB at once, and what needs little; then others take the rest.
READING = """
import sys
import numpy as np
from fastaug import Generator
# Numba wants a semaphore in /dev/shm for its first launch.
next(Generator(dtype="uint8").flow(np.zeros((1, 5, 7, 3), np.uint8)))
iterators = []
for size, batch_size in (((1000, 1000), 24), ((33, 47), 8)):
    try:
        iterators.append(Generator(workers=2, dtype="uint8").flow_from_directory(
            sys.argv[1], size, batch_size=batch_size, class_mode=None
        ))
    except OSError as error:
        print("refused:", error)
try:
    with open("/dev/shm/others", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
except OSError:
    print("full")
for iterator in iterators:
    batches = [next(iterator) for _ in range(len(iterator))]
    print("read", sum(map(len, batches)), batches[0].shape[1:])
    iterator.close()
"""


def with_small_shm(size: str, *command: str) -> list[str]:
    """Return a command that sees a /dev/shm of its own, or skip where nobody may mount."""
    mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm"
    for options in (["-m"], ["-rm"]):
        unshare = ["unshare", *options, "sh", "-c"]
        try:
            done = subprocess.run([*unshare, mount], check=False, capture_output=True)
        except FileNotFoundError:
            break
        if not done.returncode:
            return [*unshare, f'{mount} && exec "$0" "$@"', *command]
    pytest.skip("this system lets nobody mount a small /dev/shm")


@pytest.mark.skipif(not ON_LINUX, reason="only Linux has /dev/shm")
@pytest.mark.parametrize(
    ("size", "kind", "readable"),
    [
        ("64m", "memfd", [(1000, 1000, 3), (*SIZE, 3)]),
        ("64m", "shm", [(1000, 1000, 3), (*SIZE, 3)]),
        ("4k", "memfd", [(1000, 1000, 3), (*SIZE, 3)]),
        ("4k", "shm", []),
    ],
)
def test_small_dev_shm_works_or_fails_at_construction(folder, size, kind, readable):
    done = subprocess.run(
        with_small_shm(size, sys.executable, "-c", READING, str(folder)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(script_path()), KIND_VARIABLE: kind},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.replace(COMPILING, "")) == (0, "")
    lines = [line for line in done.stdout.split("\n")[:-1] if not line.startswith("Found")]
    refused, read = lines[: lines.index("full")], lines[lines.index("full") + 1 :]
    assert read == [f"read {COUNT} {shape}" for shape in readable]
    assert len(refused) == 2 - len(read)
    for line in refused:
        assert re.match(r"refused: .* cannot reserve [\d.]+ MiB of shared memory", line)


# --- Few descriptors, little memory ---------------------------------------------------------------


def test_64_descriptors_are_enough_for_training_and_validation(folder):
    code = """
import resource, sys
from fastaug import Generator
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
iterators = [
    Generator(workers=2, rotation_range=9).flow_from_directory(sys.argv[1], (32, 32), batch_size=8)
    for _ in range(2)
]
print(*(len(next(iterator)[0]) for _ in range(3) for iterator in iterators))
"""
    out, err = output_of(start_script(code, folder))
    assert (out.split("\n")[-2], err.replace(COMPILING, "")) == ("8 8 8 8 8 8", "")


@pytest.mark.skipif(not ON_LINUX, reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize("make", [huge_png, huge_jpeg])
def test_image_of_400_megapixels_takes_no_memory(tmp_path, make):
    (tmp_path / "huge.jpg").write_bytes(make())
    code = """
import resource, sys
import numpy as np
from fastaug.files.target import Target
from fastaug.errors import DecodeError
from peeks import decode_file
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for color_mode in ("rgb", "rgba", "grayscale"):
    target = Target(13, 17, color_mode, "nearest", False)
    try:
        decode_file(sys.argv[1], target, np.empty(target.slot_shape, target.slot_dtype))
    except DecodeError as error:
        print("DecompressionBombError" in str(error))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    out, err = output_of(start_script(code, tmp_path / "huge.jpg"))
    *told, kibibytes = out.split()
    assert (told, err) == (3 * ["True"], "")
    assert int(kibibytes) < 20_000  # decoded, it is 1.2 million


# --- Batches are yours ----------------------------------------------------------------------------


def digest(batch: np.ndarray) -> str:
    return hashlib.sha256(batch.tobytes()).hexdigest()


WAYS = [
    {"workers": 2, "rotation_range": 30},
    {"workers": 2, "dtype": "uint8"},
    {"workers": 0, "dtype": "uint8"},
    {"workers": 2, "cache": "memory", "dtype": "uint8"},
]


def iterator_of(folder: Path, options: dict[str, Any], **arguments: Any) -> Any:
    generator = Generator(keras_quirks=False, **options)
    return generator.flow_from_directory(
        folder, SIZE, batch_size=BATCH, seed=1, class_mode=None, **arguments
    )


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_50_kept_batches_of_files_are_untouched_while_200_more_are_made(folder, options):
    with iterator_of(folder, options) as iterator:
        kept = [next(iterator) for _ in range(50)]
        digests = [digest(batch) for batch in kept]
        assert len(set(digests)) == 50
        for _ in range(200):
            next(iterator)
        assert [digest(batch) for batch in kept] == digests
    assert [digest(batch) for batch in kept] == digests  # after the end, too


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_what_is_done_to_a_batch_shows_in_no_other(folder, options):
    with iterator_of(folder, options, shuffle=False) as alone:
        expected = [next(alone) for _ in range(3 * len(alone))]
    with iterator_of(folder, options, shuffle=False) as iterator:
        for batch in expected:
            found = next(iterator)
            assert_array_equal(found, batch)
            found[...] = 77

"""The measures of files that the README leads with: reading, starting, and what may go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from statistics import median
from time import process_time
from typing import Any

import decoding
import disk
import psutil
import pytest
from checks import check_as_keras, check_loosely
from disk import BATCH, SIZE, Reader, flow
from idle import wait_until_idle
from iterators import taking
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from peeks import processes
from pictures import Photos, enlarge_photos
from scaling import differences

from fastaug import Generator
from fastaug.kernels.resizing import pick_pixels
from fastaug.machine import usable_cores

pytestmark = pytest.mark.benchmark(group="headline")

TIMES = 2  # the rounds of other rows
NEXT = {"next_jpeg_299": disk.fastaug, "next_jpeg_299_cached": disk.fastaug_cache_memory}
CAMERA, LARGE_COUNT, SMALL_SIZE = (4032, 3024), 12, 224  # photos of 12 megapixels
EPOCHS = 2  # in the middle of which a process is killed
WORKER_IMPORTS = "import numpy, PIL.Image, simplejpeg, sys; print(); sys.stdin.read()"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be closed behind a benchmark."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("measure", NEXT)
def test_next(measure, compare, photos, stack):
    """`next()` beside Keras'."""
    reader = NEXT[measure](photos, stack)
    disk.check_as_keras_reads(reader.call, photos, reader.passed)
    compare(
        reader.call,
        ("keras", disk.keras(photos, stack).call),
        images=BATCH,
        round_s=reader.round_s,
        times=TIMES,
        drain=reader.drain,
        note=photos.kind,
    )


@pytest.fixture
def two_processes(photos, stack):
    """Start two decode processes on the photos; gives a function of what takes them over."""
    if usable_cores() < 2:
        pytest.skip("one core")

    def start(resize):
        call = stack.enter_context(decoding.pool(photos.files, SIZE, BATCH, resize, workers=2))
        return Reader(call, drain=lambda: call(decoding.READ_AHEAD + 1))

    return start


@pytest.mark.parametrize("measure", ["decode_only"])
def test_decode_only(measure, two_processes, compare, photos):
    """Two processes beside a loop in one; the photos keep their sizes."""
    untouched = decoding.Untouched()
    reader = two_processes(untouched)
    decoding.check_sizes_kept(reader.call, untouched, photos.files)
    beside = "decode_loop", decoding.loop(photos.files, BATCH)
    compare(reader.call, beside, images=BATCH, round_s=0.3, times=TIMES, drain=reader.drain)


@pytest.mark.parametrize("measure", ["decode_resize"])
def test_decode_resize(measure, two_processes, compare, photos):
    """Two processes, and a kernel that resizes, beside a loop in one that does both."""
    reader = two_processes(partial(pick_pixels, keep_aspect_ratio=False))
    decoding.check_resized(reader.call, photos.files, SIZE)
    loop = decoding.resize_loop(photos.files, SIZE, BATCH)
    decoding.check_resized(loop, photos.files, SIZE)
    beside = "decode_resize_loop", loop
    compare(reader.call, beside, images=BATCH, round_s=0.3, times=TIMES, drain=reader.drain)


@pytest.mark.parametrize("measure", ["parent_overhead"])
def test_parent_overhead(measure, two_processes, benchmark, photos, request):
    """Processor time of all threads of this process, while two others decode."""
    reader = two_processes(decoding.Untouched(keeps=False))
    loop = decoding.loop(photos.files, BATCH)
    calls = 1 if benchmark.disabled else len(photos.files) // BATCH
    per_thousand = 1000 / (calls * BATCH)
    ours, alone = [], []

    def turn() -> None:
        wait_until_idle()
        reader.drain()
        for seconds, call in (ours, reader.call), (alone, loop):
            started = process_time()
            call(calls)
            seconds.append((process_time() - started) * per_thousand)

    reader.drain()  # starts the processes
    benchmark.pedantic(turn, rounds=request.config.getoption("--rounds"))
    beside = {"name": "decode_loop", "seconds": median(alone)}
    benchmark.extra_info |= {"seconds": median(ours), "beside": beside}


@pytest.mark.parametrize("measure", ["first_batch_disk"])
def test_first_batch(measure, compare, photos, stack):
    """From a generator and its iterator to the first batch: processes start, kernels are ready."""
    opened: list[Any] = []

    def ours(_calls: int) -> Any:
        opened.append(flow(Generator, photos.folder))
        return next(opened[-1])

    def close() -> None:
        while opened:
            opened.pop().close()

    def theirs(_calls: int) -> Any:
        return next(flow(ImageDataGenerator, photos.folder))

    stack.callback(close)
    disk.check_as_keras_reads(ours, photos, count=1)
    close()
    compare(ours, ("keras", theirs), images=0, round_s=0, times=TIMES, drain=close)


@pytest.fixture(scope="session")
def large_photos(pictures, tmp_path_factory) -> Photos:
    """A dozen photos as large as those of a camera."""
    return enlarge_photos(pictures, tmp_path_factory.mktemp("large"), LARGE_COUNT, CAMERA)


@pytest.mark.parametrize("measure", ["photos_12mp_fast"])
def test_large_photos(measure, compare, large_photos, benchmark):
    """`decode="fast"` beside "exact", both in this process and not ahead of time."""
    options: dict[str, Any] = {"workers": 0, "read_ahead": 0}
    folder, shape = large_photos.folder, (SMALL_SIZE, LARGE_COUNT)
    ours = taking(flow(Generator, folder, *shape, decode="fast", **options))
    exact = taking(flow(Generator, folder, *shape, **options))
    expected, _ = next(flow(ImageDataGenerator, folder, *shape))
    check_as_keras(exact(1)[0], expected)
    check_loosely(ours(1)[0], expected * 255)
    found = differences(large_photos.files, SMALL_SIZE)
    assert all(one.mean < 3 for one in found.values())
    benchmark.extra_info["differences"] = {name: asdict(one) for name, one in found.items()}
    beside = "fastaug_exact", exact
    compare(ours, beside, images=LARGE_COUNT, round_s=0, times=TIMES, note=large_photos.kind)


@pytest.mark.filterwarnings("ignore:of the decode processes:RuntimeWarning")
@pytest.mark.parametrize("measure", ["killed_worker"])
def test_killed_worker(measure, compare, photos, stack, benchmark):
    """Kill one of the processes that read, and compare with an undisturbed run."""
    iterator = stack.enter_context(flow(Generator, photos.folder))
    call, half = taking(iterator), EPOCHS * len(iterator) // 2
    killed: list[int] = []

    def disturbed(_calls: int, behind: int = half) -> Any:
        call(half)
        killed.append(processes(iterator)[0])
        os.kill(killed[-1], signal.SIGKILL)
        return call(behind)

    # The first batch behind an epoch, at whose end a process was killed, must be Keras'.
    disk.check_as_keras_reads(partial(disturbed, behind=1), photos, half, count=1)
    compare(
        disturbed,
        ("fastaug_undisturbed", lambda _calls: call(2 * half)),
        images=0,
        round_s=0,
        times=TIMES,
        drain=lambda: call(disk.AHEAD),
    )
    assert len(set(killed)) == iterator.stats.workers_restarted > 1
    if benchmark.stats:
        longer = benchmark.stats["median"] - benchmark.extra_info["beside"]["seconds"]
        benchmark.extra_info |= {"longer_s": longer, "note": f"{longer:+.2f} s"}


@pytest.mark.parametrize("measure", ["worker_memory"])
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_worker_memory(measure, benchmark, photos):
    """Resident memory of the largest process; part of it is shared with the others."""

    def read_epochs() -> list[Any]:
        with flow(Generator, photos.folder) as iterator:
            taking(iterator)(EPOCHS * len(iterator))
            wait_until_idle()
            return [memory_of(pid) for pid in processes(iterator)]

    workers = benchmark.pedantic(read_epochs, rounds=1)
    largest = max(workers, key=lambda worker: worker["rss"])
    beside = {"name": "interpreter_decoders", "megabytes": interpreter_memory()["rss"]}
    benchmark.extra_info |= {
        "megabytes": largest["rss"],
        "beside": beside,
        "workers": workers,
        "note": f"{largest['uss']:.0f} MB its own",
    }


def memory_of(pid: int) -> dict[str, float]:
    """Return a process's resident memory, its share of it, and what it alone has, in MB."""
    found = psutil.Process(pid).memory_full_info()
    return {name: getattr(found, name) / 1e6 for name in ("rss", "pss", "uss")}


def interpreter_memory() -> dict[str, float]:
    """Return the memory of a process that has imported what decoders need, and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER_IMPORTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    with process:
        process.stdout.readline()
        return memory_of(process.pid)

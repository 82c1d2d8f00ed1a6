"""Kernels at their limits: memory, rounding, threads, and the interpreter in place of the compiler.

What pixels come out is the business of `test_oracles.py`; here it is who may touch what, and that
shortcuts give the same bits as the long way.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest
from conftest import ROOT, make_images
from oracles import (
    CVAL,
    FILL_MODES,
    MOVES,
    batch_of,
    reference_pull,
    reference_warp,
    shared_out_by_rows,
    some_draws,
)
from pools import script_path

import fastaug
from fastaug import Generator
from fastaug.kernels import launch
from fastaug.kernels.batch import Layout, make_scratch, rows_of_a_band
from fastaug.kernels.matrices import add_product
from fastaug.kernels.sampling import Band, sample_rows
from fastaug.kernels.warp import FILL_MODES as CODES
from fastaug.kernels.warp import warp_rows
from fastaug.pixels import batch as pipeline
from fastaug.transforms.keras import matrices as geometry
from fastaug.transforms.keras.draws import Draws

SIZES = ((1, 1), (1, 9), (9, 1), (2, 2), (5, 7), (33, 3))
FLIPS = tuple(itertools.product((False, True), repeat=2))
TIMEOUT_S = 250


def run_apart(
    function: Callable[..., None], *arguments: str, **environment: str
) -> subprocess.CompletedProcess:
    """Call a function of this module in a process of its own, which it may bring down."""
    code = f"import test_kernels; test_kernels.{function.__name__}(*{arguments!r})"
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(script_path())} | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


# Memory that is not ours.


class Island:
    """Pages of memory between two that nobody may touch."""

    def __init__(self, pages: int = 2) -> None:
        self.size = pages * mmap.PAGESIZE
        self._memory = mmap.mmap(-1, self.size + 2 * mmap.PAGESIZE)
        whole = np.frombuffer(self._memory, np.uint8)
        self.land = whole[mmap.PAGESIZE : -mmap.PAGESIZE]
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for offset in (0, self.size + mmap.PAGESIZE):
            place = whole.ctypes.data + offset
            assert protect(place, mmap.PAGESIZE, 0) == 0, os.strerror(ctypes.get_errno())

    def put(self, array: np.ndarray, at_the_end: bool) -> np.ndarray:
        """Return a copy of an array that begins or ends where the memory does."""
        start = self.size - array.nbytes if at_the_end else 0
        copy = self.land[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy


def leave_the_island() -> None:
    island = Island()
    island.land.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))[island.size]


def read_sources_on_an_island(dtype: str) -> None:
    """Augment images at both ends of the island in every way; the same images elsewhere decide."""
    island = Island()
    for size, channels, count, planar in itertools.product(
        SIZES, (1, 3, 4, 5), (1, 3), (False, True)
    ):
        images = make_images(count, *size, channels, dtype)
        if planar:
            images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
        data_format = "channels_first" if planar else "channels_last"
        for at_the_end in (False, True):
            source = island.put(images, at_the_end)
            for (down, right), moves in itertools.product(FLIPS, ({}, MOVES)):
                drawn = moves | {"flip_vertical": down, "flip_horizontal": right}
                modes = itertools.product(FILL_MODES, (0, 1)) if moves else [("nearest", 1)]
                for fill_mode, order in modes:
                    recipe = dict(fill_mode=fill_mode, order=order, data_format=data_format)
                    expected = batch_of(images, recipe, **drawn)
                    np.testing.assert_array_equal(batch_of(source, recipe, **drawn), expected)
                    with shared_out_by_rows():
                        np.testing.assert_array_equal(batch_of(source, recipe, **drawn), expected)


def scratch_on_islands(
    islands: list[Island], layout: Layout, at_the_end: bool
) -> tuple[np.ndarray, np.ndarray, Band]:
    """Return a source, room for a result and for a band, each where its island begins or ends."""
    scratch = make_scratch(layout, np.empty((0, 1), np.float32), True, np.empty(layout.height))
    out = np.empty(layout.height * layout.width * layout.channels, np.float32)
    # All bits set are NaNs: what is never written does not count.
    source, out, *band = (
        island.put(np.full(array.nbytes, 255, np.uint8).view(array.dtype), at_the_end)
        for island, array in zip(islands, [scratch.source, out, *scratch.band], strict=True)
    )
    return source, out, Band(*band)


def work_on_islands() -> None:
    """Warp with all scratch memory on islands: nothing is touched behind or before any of it."""
    islands = [Island(16) for _ in range(8)]
    ways = itertools.product((*SIZES, (3, 1000)), (1, 2, 3, 4), FILL_MODES, (0, 1), (False, True))
    for (height, width), channels, fill_mode, order, at_the_end in ways:
        image = make_images(1, height, width, channels, "float32")
        shape, asked = (height, width, channels), ((False, False), order, CODES[fill_mode], CVAL)
        affine = np.ascontiguousarray(reference_pull(0, height, width))
        pole = np.array([*affine[:2], [1.0, -0.5, -2.0]])
        for pull, size in itertools.product((affine, pole), (shape[:2], (4, 11))):
            layout = Layout(*size, channels, False, height, width)
            source, out, band = scratch_on_islands(islands, layout, at_the_end)
            source[: image.size] = image.ravel()
            for first in range(0, size[0], rows_of_a_band(layout)):
                last = min(first + rows_of_a_band(layout), size[0])
                sample_rows(source, pull, *asked, shape, size, band, out, first, last)
            if pull is affine and size == shape[:2]:
                expected = reference_warp(image, order, fill_mode).ravel()
            else:
                expected = np.empty_like(out)
                warp_rows(image.ravel(), pull, *asked, shape, size, expected, 0, size[0])
            np.testing.assert_array_equal(out, expected, f"{shape} {size} {order} {fill_mode}")


on_unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no mprotect")


@on_unix
def test_pages_beside_the_island_are_guarded() -> None:
    assert run_apart(leave_the_island).returncode == -signal.SIGSEGV


@on_unix
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_nothing_is_read_beside_a_source(dtype: str) -> None:
    run = run_apart(read_sources_on_an_island, dtype)
    assert run.returncode == 0, run.stderr


@on_unix
def test_warp_stays_within_its_scratch_memory() -> None:
    run = run_apart(work_on_islands)
    assert run.returncode == 0, run.stderr


class Banded:
    """Lends, as `BatchBuffers`, arrays in the middle of a pattern, at odd addresses."""

    BAND, PATTERN = 67, 0xA5  # elements, none of which is aligned to more than its own size

    def __init__(self) -> None:
        self._lent: list[tuple[np.ndarray, int]] = []

    def lend(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        size = int(np.prod(shape))
        whole = np.empty(size + 2 * self.BAND, dtype)
        whole.view(np.uint8)[:] = self.PATTERN
        self._lent.append((whole, size))
        return whole[self.BAND : self.BAND + size].reshape(shape)

    def check(self) -> None:
        """Fail if anything was written beside what was lent."""
        assert self._lent
        for whole, size in self._lent:
            for band in (whole[: self.BAND], whole[self.BAND + size :]):
                assert (band.view(np.uint8) == self.PATTERN).all()


def as_dtype(images: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "uint8":
        return np.clip(np.rint(images), 0, 255).astype(dtype)
    return images.astype(dtype)


def leave_alone(image: np.ndarray) -> np.ndarray:
    return image


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "float16"])
# A function is called between two kernels: the second one reads the batch of the first.
@pytest.mark.parametrize("function", [None, leave_alone], ids=["one kernel", "two kernels"])
def test_nothing_is_written_beside_a_batch(function: Any, dtype: str, data_format: str) -> None:
    for size, channels, by_rows in itertools.product(SIZES, range(1, 6), (False, True)):
        images = make_images(3, *size, channels, "float32")
        for fill_mode, order in itertools.product(FILL_MODES, (0, 1)):
            recipe = dict(
                dtype=np.dtype(dtype),
                data_format=data_format,
                preprocessing_function=function,
                quirks=False,
                fill_mode=fill_mode,
                order=order,
                cval=CVAL,
            )
            given = images
            if data_format == "channels_first":
                given = np.ascontiguousarray(np.moveaxis(images, -1, 1))
            buffers = Banded()
            with shared_out_by_rows() if by_rows else nullcontext():
                batch = batch_of(given, recipe, buffers, **MOVES)
            buffers.check()
            if data_format == "channels_first":
                batch = np.moveaxis(batch, 1, -1)
            expected = as_dtype(reference_warp(images, order, fill_mode), dtype)
            np.testing.assert_array_equal(batch, expected)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "float16"])
def test_nothing_is_written_beside_a_batch_that_takes_statistics(dtype: str) -> None:
    recipe = dict(
        dtype=np.dtype(dtype), samplewise_center=True, samplewise_normalize=True, rescale=1 / 255
    )
    drawn = MOVES | {"channel_shift_intensity": 20.0, "brightness": 1.3, "flip_horizontal": True}
    for size, channels, by_rows in itertools.product(SIZES, range(1, 6), (False, True)):
        images, buffers = make_images(3, *size, channels, "float32"), Banded()
        with shared_out_by_rows() if by_rows else nullcontext():
            batch = batch_of(images, recipe, buffers, **drawn)
        buffers.check()
        np.testing.assert_array_equal(batch, batch_of(images, recipe, **drawn))


# Shortcuts.


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_image_that_needs_no_warp_gets_the_bits_that_a_warp_gives(
    fill_mode: str, order: int
) -> None:
    # The smallest angle above zero goes through the warp, with the matrix of the identity.
    still, turned = some_draws(1), some_draws(1, theta=5e-324)
    assert not geometry.moves(still).any()
    assert geometry.moves(turned).all()
    recipe = dict(fill_mode=fill_mode, order=order)
    for (down, right), dtype, channels, by_rows in itertools.product(
        FLIPS, ("uint8", "float32"), (1, 3, 4, 5), (False, True)
    ):
        images = make_images(3, 35, 9, channels, dtype)
        flips = {"flip_vertical": down, "flip_horizontal": right}
        with shared_out_by_rows() if by_rows else nullcontext():
            copied = batch_of(images, recipe, **flips)
            np.testing.assert_array_equal(batch_of(images, recipe, theta=5e-324, **flips), copied)
        flipped = np.flip(images, [axis for axis, flip in ((1, down), (2, right)) if flip])
        np.testing.assert_array_equal(copied, flipped)


def test_images_with_and_without_a_warp_in_one_batch_do_not_disturb_each_other() -> None:
    images = make_images(3, 35, 9, 3)
    batch = batch_of(images, dict(), theta=(0.0, 30.0, 0.0))
    np.testing.assert_array_equal(batch[[0, 2]], images[[0, 2]])
    np.testing.assert_array_equal(batch[1], batch_of(images[1:2], dict(), theta=30.0)[0])


# Rounding.


def converted(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return float32 values after a trip through a batch."""
    images = np.ascontiguousarray(values, np.float32).reshape(1, 1, -1, 1)
    return batch_of(images, dict(dtype=np.dtype(dtype))).reshape(-1)


def test_float16_has_the_bits_of_numpy() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = np.sort(halves[np.isfinite(halves)].astype(np.float32))
    # Half way to where the next float16 would be, if there were one, a value becomes infinite.
    ends = np.float32([-65520, 65520])
    exact = np.concatenate([finite, (finite[1:] + finite[:-1]) / 2, ends])
    beside = [np.nextafter(exact, np.float32(to)) for to in (-np.inf, np.inf)]
    far = np.float32([1e-45, -1e-45, 1e38])
    values = np.concatenate([halves.astype(np.float32), exact, *beside, far])
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    found, missing = converted(values, "float16"), np.isnan(values)
    # NumPy keeps what is written in a NaN, of which no arithmetic takes notice.
    assert np.isnan(found[missing]).all()
    np.testing.assert_array_equal(
        found[~missing].view(np.uint16), expected[~missing].view(np.uint16)
    )


def test_uint8_is_rounded_half_to_even_and_clipped() -> None:
    halves = np.arange(-4, 260, 0.5, dtype=np.float32)
    values = np.concatenate(
        [halves, np.nextafter(halves, np.float32(999)), np.nextafter(halves, np.float32(-999))]
    )
    values = np.append(values, np.float32([-np.inf, -1e38, -1e-45, 1e-45, 1e38, np.inf]))
    expected = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(converted(values, "uint8"), expected)


# Matrices.


def many_draws(count: int) -> Draws:
    """Return draws of usual sizes, and of none: an option that is off gives 0, or 1 for zooms."""
    rng = np.random.default_rng(3)
    spans = {"theta": 180, "tx": 100, "ty": 100, "shear": 90, "zx": 0, "zy": 0}
    drawn: dict[str, Any] = {}
    for name, span in spans.items():
        on = rng.random(count) < 0.8
        numbers = rng.uniform(-span, span, count) if span else rng.uniform(0.05, 3, count)
        drawn[name] = tuple(np.where(on, numbers, 0.0 if span else 1.0))
    return some_draws(count, **drawn)


@pytest.mark.parametrize("quirks", [True, False])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (299, 299), (5, 7), (1, 1), (1080, 1919)])
def test_matrices_have_the_bits_of_products_of_matrices(
    height: int, width: int, quirks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = many_draws(5000)
    if quirks:
        shifts, centre = (draws.tx, draws.ty), (height / 2 - 0.5, width / 2 - 0.5)
    else:
        shifts, centre = (draws.ty, draws.tx), (width / 2 - 0.5, height / 2 - 0.5)
    expected = geometry.multiply_matrices(draws, *shifts, centre)
    pull = geometry.pull_matrices(draws, height, width, quirks=quirks)
    np.testing.assert_array_equal(pull, expected)
    # Where the processor's BLAS rounds in a way that we don't know.
    monkeypatch.setattr(geometry, "_blas_fuses", lambda: None)
    pull = geometry.pull_matrices(draws, height, width, quirks=quirks)
    np.testing.assert_array_equal(pull, expected)


def test_sum_of_products_is_rounded_once_where_it_is_fused() -> None:
    numbers = np.random.default_rng(4).uniform(-30, 30, (1000, 3)).tolist()
    for summand, one, other in numbers:
        exact = Fraction(summand) + Fraction(one) * Fraction(other)
        assert add_product(summand, one, other, True) == float(exact)
        assert add_product(summand, one, other, False) == summand + one * other


# Without the compiler.

ORACLES_WITHOUT_COMPILER = (
    "warp_order_0_wrap",
    "warp_order_1_constant",
    "warp_order_1_reflect",
    "channel_shift",
    "flip_horizontal",
    "samplewise_std_normalization",
    "preprocessing_caffe_and_rescale",
    "dtype_uint8",
    "dtype_float16",
)


def test_kernels_run_as_plain_python_with_the_same_results() -> None:
    test = "test_oracles.py::test_operation_agrees_with_its_reference"
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"{test}[{name}-5-7]" for name in ORACLES_WITHOUT_COMPILER),
        ],
        cwd=ROOT / "tests",
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(ORACLES_WITHOUT_COMPILER)} passed" in run.stdout


# Threads.


def training_and_validation(threads: int | None) -> tuple[Any, Any]:
    options = {"rotation_range": 30, "horizontal_flip": True, "channel_shift_range": 20.0}
    generator = Generator(threads=threads, samplewise_center=True, **options)
    images = make_images(50, 24, 24, 3)
    return (
        generator.flow(images, np.arange(50), batch_size=8, shuffle=True, seed=1),
        Generator(threads=threads, rescale=1 / 255).flow(images, batch_size=7, shuffle=False),
    )


def take(iterator: Any, count: int) -> list[bytes]:
    """Return the bytes of the images of some batches."""
    batches = (next(iterator) for _ in range(count))
    images = (batch[0] if isinstance(batch, tuple) else batch for batch in batches)
    return [one.tobytes() for one in images]


def iterate_in_two_threads() -> None:
    """Iterate over training and validation at the same time, and one after the other."""
    count = 60
    for threads in (None, 1):
        expected = [take(iterator, count) for iterator in training_and_validation(threads)]
        found: dict[int, list[bytes]] = {}
        begin = threading.Barrier(2)

        def run(number: int, iterator: Any, begin: Any = begin, found: Any = found) -> None:
            begin.wait()
            found[number] = take(iterator, count)

        runs = [
            threading.Thread(target=run, args=(number, iterator))
            for number, iterator in enumerate(training_and_validation(threads))
        ]
        for one in runs:
            one.start()
        for one in runs:
            one.join()
        assert [found[0], found[1]] == expected
    print(numba.threading_layer())


def test_training_and_validation_in_two_threads_get_their_own_batches() -> None:
    # Numba's `workqueue` ends the process where two threads launch kernels at the same time.
    run = run_apart(
        iterate_in_two_threads, NUMBA_THREADING_LAYER="workqueue", NUMBA_NUM_THREADS="2"
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "workqueue"


@pytest.fixture
def threads_used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many threads each launch of a batch's kernels may use."""
    used: list[int] = []

    def note(kernel: Any, *arguments: Any) -> Any:
        used.append(numba.get_num_threads())
        return launch.launch(kernel, *arguments)

    monkeypatch.setattr(pipeline, "launch", note)
    return used


@pytest.fixture
def all_threads() -> Iterator[int]:
    """Give the number of threads, and allow all of them afterwards."""
    everything = numba.config.NUMBA_NUM_THREADS
    yield everything
    fastaug.set_num_threads(everything)


def test_process_may_be_limited_to_one_thread(threads_used: list[int], all_threads: int) -> None:
    images = make_images(4, 8, 11, 3)
    expected = batch_of(images, dict(), **{"theta": 30.0})
    fastaug.set_num_threads(1)
    for threads in (None, 1, all_threads):
        batch = batch_of(images, dict(threads=threads), theta=30.0)
        np.testing.assert_array_equal(batch, expected)
    fastaug.set_num_threads(np.int64(all_threads))
    batch_of(images, dict(), theta=30.0)
    assert threads_used == [all_threads, 1, 1, 1, all_threads]
    assert numba.get_num_threads() == all_threads


def test_generator_may_be_limited_to_one_thread(threads_used: list[int], all_threads: int) -> None:
    images = make_images(6, 8, 11, 3)
    with Generator(threads=1).flow(images, batch_size=2, seed=1) as iterator:
        for _ in range(6):
            next(iterator)
    assert len(threads_used) >= 6
    assert set(threads_used) == {1}
    assert numba.get_num_threads() == all_threads


def test_threads_of_numba_itself_are_a_limit_too(threads_used: list[int], all_threads: int) -> None:
    numba.set_num_threads(1)
    try:
        batch_of(make_images(4, 8, 11, 3), dict(threads=all_threads))
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(all_threads)
    assert threads_used == [1]


def test_threads_of_numba_are_as_before_when_a_batch_fails(all_threads: int) -> None:
    def fail(image: np.ndarray) -> np.ndarray:
        raise OSError("a bad image")

    with pytest.raises(OSError, match="a bad image"):
        batch_of(make_images(4, 8, 11, 3), dict(preprocessing_function=fail, threads=1))
    assert numba.get_num_threads() == all_threads


@pytest.mark.parametrize(
    ("n", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (10**6, ValueError),
        (1.0, TypeError),
        (True, TypeError),
        ("2", TypeError),
        (None, TypeError),
    ],
)
def test_number_of_threads_that_cannot_be_is_refused_by_its_name(
    n: Any, error: type[Exception], all_threads: int, threads_used: list[int]
) -> None:
    with pytest.raises(error, match=f"n(=| must be an integer, not ){n!r}"):
        fastaug.set_num_threads(n)
    batch_of(make_images(4, 8, 11, 3), dict())
    assert threads_used == [all_threads]

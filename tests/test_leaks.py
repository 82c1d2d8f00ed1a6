"""What is held does not grow: promise 7, measured.

One round is an epoch, an iterator that is dropped, an error, a `fit`.  After some rounds in which
caches fill, the rounds are halved; the medians of what each half held must agree.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import ON_LINUX, _children, _threads, make_images
from pools import draw_photos, numbered, wait_for

from fastaug import Generator
from fastaug.errors import DecodeError

pytestmark = pytest.mark.skipif(not ON_LINUX, reason="looks into /proc")

COUNT, BATCH, SIZE = 24, 8, (48, 64)
CHANGES = {"rotation_range": 20, "horizontal_flip": True, "keras_quirks": False}
WARM_UP = 10  # rounds
EPOCHS = [50, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
# How much more the second half of the rounds may hold than the first, by the medians of both: 20
# rounds apart with 50, and 495 with 1,000.
TOLERANCE = {
    "descriptors": 0,
    "threads": 0,
    "children": 0,
    # Pieces of the address space.  The C library keeps memory of some ended threads: two for each.
    "mappings": 6,
    # Of Python's allocator; every small object has one.  Caches of Python and Numba fill slowly: by
    # up to 360 blocks in 20 rounds, by none after 300 rounds.
    "blocks": 800,
    # Without pages of files, which belong to all who map them.  Up to four batches are kept for use
    # again, of 8 * 48 * 64 * 3 floats: 0.3 MB; one kept in every round would be 5.9 MB in 20.
    "nbytes": 1_500_000,
}


# Pages of freed objects go back to the system: kept ones would take in a leak without growing.
_trim_heap = getattr(ctypes.CDLL(None) if ON_LINUX else None, "malloc_trim", lambda _: None)


def held() -> tuple[int, ...]:
    """Count what this process holds now, in the order of TOLERANCE."""
    gc.collect()
    _trim_heap(0)
    # The thread that reads ahead goes by itself when all is made.
    wait_for(lambda: "fastaug-read-ahead" not in _threads())
    proc = Path("/proc/self")
    memory = dict(
        line.split()[:2] for line in (proc / "smaps_rollup").read_text().split("\n")[1:-1]
    )
    return (
        len(list((proc / "fd").iterdir())),
        len(list((proc / "task").iterdir())),
        len(_children()),
        (proc / "maps").read_text().count("\n"),
        sys.getallocatedblocks(),
        1024 * (int(memory["Pss_Anon:"]) + int(memory["Pss_Shmem:"])),
    )


def assert_flat(one_round: Callable[[], Any], rounds: int, warm_up: int = WARM_UP) -> None:
    """Do some rounds; nothing that this process holds may grow with them."""
    for _ in range(warm_up):
        one_round()
    found = np.zeros((rounds - warm_up, len(TOLERANCE)), np.int64)  # no object for each round
    for row in found:
        one_round()
        row[:] = held()
    half = len(found) // 2
    first, second = (np.median(part, axis=0) for part in (found[:half], found[-half:]))
    grown = dict(zip(TOLERANCE, map(int, second - first), strict=True))
    print(f"grown in {half} rounds:", grown)
    assert [name for name, n in grown.items() if n > TOLERANCE[name]] == []


def train() -> None:
    """Do what takes a moment, as a training step does: the next batches are made meanwhile."""
    time.sleep(0.0005)


def whole_epoch(iterator: Any) -> None:
    for _ in range(len(iterator)):
        next(iterator)
        train()


def epoch_of_keras(iterator: Any) -> None:
    iterator.on_epoch_begin()
    for index in range(len(iterator)):
        iterator[index]
        train()
    iterator.on_epoch_end()


def epoch_with_a_reset(iterator: Any) -> None:
    next(iterator)
    train()
    next(iterator)
    iterator.reset()
    whole_epoch(iterator)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for name in "ab":
        draw_photos(root / name, numbered(COUNT // 2))
    return root


@pytest.fixture(scope="module", autouse=True)
def light_heap(folder: Path) -> None:
    """Load all packages, so that a collection in every round need not look at them."""
    with Generator(workers=0).flow_from_directory(folder, SIZE) as iterator:
        keras.Sequential([keras.layers.Flatten()]).predict(iterator, verbose=0)
    gc.collect()
    gc.freeze()


Open = Callable[..., Any]
FILES = {
    "no workers": (0, None),
    "a worker": (1, None),
    "two workers": (2, None),
    "a cache": (2, "memory"),
}
KINDS = ("arrays", "no workers", "two workers")


@pytest.fixture
def open_iterator(folder: Path) -> Open:
    """Call it with a kind, one of KINDS, and options of a generator."""

    def open_iterator(kind: str, **options: Any) -> Any:
        if kind == "arrays":
            generator = Generator(**CHANGES, **options)
            labels = np.arange(COUNT)
            return generator.flow(make_images(COUNT, *SIZE, 3), labels, batch_size=BATCH, seed=1)
        workers, cache = FILES[kind]
        generator = Generator(workers=workers, cache=cache, **CHANGES, **options)
        return generator.flow_from_directory(folder, SIZE, batch_size=BATCH, seed=1)

    return open_iterator


@pytest.mark.parametrize("epochs", EPOCHS)
@pytest.mark.parametrize("epoch", [whole_epoch, epoch_of_keras, epoch_with_a_reset])
@pytest.mark.parametrize("kind", [*KINDS, "a cache"])
def test_epochs_leave_nothing(open_iterator, kind, epoch, epochs):
    with open_iterator(kind) as iterator:
        assert_flat(lambda: epoch(iterator), epochs)


@pytest.mark.parametrize("epochs", EPOCHS)
def test_epochs_on_all_ways_to_a_batch_leave_nothing(open_iterator, epochs):
    options = {
        "preprocessing_function": lambda image: image / 2,
        "zca_whitening": True,
        "featurewise_center": True,
        "brightness_range": (0.5, 1.5),
        "dtype": "uint8",
    }
    generator = Generator(**CHANGES, **options)
    images = make_images(COUNT, 8, 11, 3)
    generator.fit(images)
    with generator.flow(images, batch_size=BATCH, seed=1) as iterator:
        assert_flat(lambda: whole_epoch(iterator), epochs)


@pytest.mark.parametrize("rounds", [100, pytest.param(1000, marks=EPOCHS[1].marks)])
@pytest.mark.parametrize("kind", ["arrays", "a worker"])
def test_iterators_dropped_without_close_leave_nothing(open_iterator, kind, rounds):
    rounds_done = iter(range(2 * rounds))

    def open_and_drop() -> None:
        iterator = open_iterator(kind)
        # Some are dropped before a worker was started, others with batches under way.
        for _ in range((0, 0, 1, 2)[next(rounds_done) % 4]):
            next(iterator)
            train()
        del iterator
        wait_for(lambda: not _threads())

    assert_flat(open_and_drop, rounds)


@pytest.mark.parametrize("rounds", EPOCHS)
@pytest.mark.parametrize("kind", KINDS)
def test_errors_in_the_middle_of_an_epoch_leave_nothing(open_iterator, kind, rounds):
    calls = iter(range(10 * COUNT * rounds))

    def fail_sometimes(image: np.ndarray) -> np.ndarray:
        if next(calls) % COUNT == COUNT // 2:
            raise KeyError("the user's mistake")
        return image

    with open_iterator(kind, preprocessing_function=fail_sometimes) as iterator:
        failed = []

        def epoch_with_an_error() -> None:
            for _ in range(len(iterator)):
                try:
                    next(iterator)
                except KeyError as error:
                    failed.append(len(error.args))
                train()

        assert_flat(epoch_with_an_error, rounds)
    assert len(failed) >= rounds


@pytest.mark.parametrize("rounds", EPOCHS)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("workers", [0, 2])
def test_bad_files_leave_nothing(tmp_path, workers, on_error, rounds):
    paths = draw_photos(tmp_path / "a", numbered(COUNT))
    Path(paths[COUNT // 2]).write_bytes(b"no picture")
    generator = Generator(workers=workers, on_error=on_error)
    with generator.flow_from_directory(tmp_path, SIZE, batch_size=BATCH, seed=1) as iterator:
        failed = []

        def epoch_with_an_error() -> None:
            for _ in range(len(iterator)):
                try:
                    next(iterator)
                except DecodeError as error:
                    failed.append(error.path)
                train()

        def epoch_with_a_warning() -> None:
            with pytest.warns(RuntimeWarning, match="1 samples of this epoch can't be read"):
                whole_epoch(iterator)

        assert_flat(epoch_with_an_error if on_error == "raise" else epoch_with_a_warning, rounds)
        assert failed == (rounds * [paths[COUNT // 2]] if on_error == "raise" else [])


class Mistake(Exception):
    """Made by the user's function."""


@pytest.mark.parametrize("read_ahead", [0, 1])
def test_error_holds_no_batch_once_it_is_dropped(open_iterator, read_ahead):
    calls = iter(range(COUNT))

    def fail_in_the_third_batch(image: np.ndarray) -> np.ndarray:
        if next(calls) == 2 * BATCH + 2:
            raise Mistake
        return image

    options = {"preprocessing_function": fail_in_the_third_batch, "read_ahead": read_ahead}
    with open_iterator("arrays", **options) as iterator:
        next(iterator)
        train()
        next(iterator)
        wait_for(lambda: not _threads())
        assert next(calls) == 2 * BATCH + (3 if read_ahead else 0)
        gc.disable()  # it would come some time, for batches of any size
        try:
            next(iterator)
        except Mistake as error:  # pytest.raises would hold it
            held_error = weakref.ref(error)
        finally:
            gc.enable()
        assert held_error() is None


@pytest.mark.parametrize("fits", [20, pytest.param(200, marks=EPOCHS[1].marks)])
def test_fits_leave_nothing(open_iterator, fits):
    model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with open_iterator("two workers") as images, open_iterator("no workers") as validation:
        arguments = {"validation_data": validation, "epochs": 2, "verbose": 0}
        assert_flat(lambda: model.fit(images, **arguments), fits)


# --- The measure itself ---------------------------------------------------------------------------


@contextmanager
def running_thread() -> Iterator[None]:
    import threading

    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


@contextmanager
def child() -> Iterator[None]:
    import subprocess

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        yield


LEAKS = {
    "descriptors": lambda: Path("/dev/null").open(),  # noqa: SIM115
    "threads": running_thread,
    "children": child,
    "mappings": lambda: nullcontext(np.memmap("/dev/zero", np.uint8, "r", shape=4096)),
    "blocks": lambda: nullcontext([object() for _ in range(200)]),
    "nbytes": lambda: nullcontext(np.ones((BATCH, *SIZE, 3), np.float32)),
}


@pytest.mark.parametrize("name", LEAKS)
def test_leak_in_every_round_is_found(name):
    from contextlib import ExitStack

    with ExitStack() as kept, pytest.raises(AssertionError, match=name):
        assert_flat(lambda: kept.enter_context(LEAKS[name]()), 20, warm_up=4)

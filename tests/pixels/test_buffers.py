"""Memory of batches: it is used again, and never while anybody can see it."""

from __future__ import annotations

import gc
import hashlib
import itertools
import mmap
import os
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from conftest import make_images
from pools import script_path

from fastaug import Generator
from fastaug.pixels.buffers import BatchBuffers

SHAPE = (4, 8, 11, 3)
HANDFUL = 8  # batches: one that is looked at, those made ahead, and some to spare
TIMEOUT_S = 250


def digest(batch: Any) -> str:
    return hashlib.sha1(np.ascontiguousarray(batch).tobytes()).hexdigest()


def place(array: np.ndarray) -> int:
    return array.ctypes.data


@pytest.fixture
def buffers() -> BatchBuffers:
    return BatchBuffers()


# What is lent.


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), SHAPE, (3, 3, 17, 13), (7,), (), (2, 300, 300, 3)])
def test_lent_array_is_aligned_contiguous_and_writable(buffers, shape, dtype) -> None:
    lent = buffers.lend(shape, dtype)
    assert type(lent) is np.ndarray
    assert (lent.shape, lent.dtype) == (shape, dtype)
    assert lent.flags.c_contiguous
    assert lent.flags.aligned
    assert lent.flags.writeable
    assert place(lent) % 64 == 0
    lent[...] = 7
    assert (lent == 7).all()


@pytest.mark.parametrize("shape", [(0, 8, 11, 3), (4, 0), (0,)])
def test_array_without_values_can_be_lent(buffers, shape) -> None:
    for _ in range(3):
        assert buffers.lend(shape, np.float32).shape == shape


def test_arrays_that_are_lent_at_the_same_time_do_not_overlap(buffers) -> None:
    lent = [buffers.lend(SHAPE, np.float32) for _ in range(20)]
    for one, other in itertools.combinations(lent, 2):
        assert not np.shares_memory(one, other)


def test_memory_is_used_again_for_another_shape_and_dtype_of_that_size(buffers) -> None:
    batch = buffers.lend(SHAPE, np.float32)
    address = place(batch)
    del batch
    batch = buffers.lend(SHAPE[::-1], np.uint8)
    assert place(batch) == address


def test_memory_that_is_too_small_or_much_too_large_is_left_for_others(buffers) -> None:
    middle = buffers.lend((1000, 1000), np.float32)
    address = place(middle)
    del middle
    assert place(buffers.lend((1000, 1001), np.float32)) != address
    assert place(buffers.lend((10, 10), np.float32)) != address
    assert place(buffers.lend((1000, 999), np.float32)) == address


# When it is lent again.


class Owner:
    """An object that shares an array's memory by NumPy's interface."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.__array_interface__ = array, array.__array_interface__


def in_a_cycle(array: np.ndarray) -> list[Any]:
    cycle: list[Any] = [array]
    cycle.append(cycle)
    return cycle


HOLDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "nothing": lambda batch: None,
    "itself": lambda batch: batch,
    "slice": lambda batch: batch[1:3, ::2],
    "one image": lambda batch: batch[-1],
    "view of a view of a view": lambda batch: batch[1:][:, 1:][..., :1],
    "reshape": lambda batch: batch.reshape(len(batch), -1),
    "ravel": lambda batch: batch.ravel(),
    "transpose": lambda batch: batch.T,
    "moved axis": lambda batch: np.moveaxis(batch, -1, 1),
    "other dtype": lambda batch: batch.view(np.uint8),
    "real part": lambda batch: batch.real,
    "diagonal": lambda batch: batch.diagonal(),
    "broadcast": lambda batch: np.broadcast_to(batch, (2, *batch.shape)),
    "strides": lambda batch: np.lib.stride_tricks.sliding_window_view(batch, 2, axis=1),
    "np.asarray": np.asarray,
    "np.asarray of an owner": lambda batch: np.asarray(Owner(batch)),
    "matrix class": lambda batch: batch[0, 0].view(np.matrix),
    "iterator": iter,
    "flat": lambda batch: batch.flat,
    "np.nditer": np.nditer,
    "memoryview": memoryview,
    "slice of a memoryview": lambda batch: memoryview(batch)[1:],
    "np.frombuffer": lambda batch: np.frombuffer(batch, np.uint8),
    "pickle buffer": pickle.PickleBuffer,
    "ctypes": lambda batch: batch.ctypes,
    "DLPack capsule": lambda batch: batch.__dlpack__(),
    "DLPack array": np.from_dlpack,
    "in a cycle": in_a_cycle,
    "in a closure": lambda batch: lambda: batch,
}
TENSORS: dict[str, Callable[[np.ndarray], Any]] = {
    "jax.device_put": jax.device_put,
    "jnp.asarray": jnp.asarray,
    "jnp.from_dlpack": jnp.from_dlpack,
    "Keras tensor": keras.ops.convert_to_tensor,
    "part of a tensor": lambda batch: jax.device_put(batch)[1:],
}
HOLDERS |= TENSORS


@pytest.mark.parametrize("name", HOLDERS)
def test_memory_is_not_lent_again_while_it_is_seen(buffers, name: str) -> None:
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    batch = buffers.lend(SHAPE, np.float32)
    batch[...] = values
    address, alive = place(batch), weakref.ref(batch)
    holder = HOLDERS[name](batch)
    del batch
    if isinstance(holder, jax.Array) and holder.unsafe_buffer_pointer() != address:
        return  # a copy: see the next test
    assert (alive() is None) == (name == "nothing")
    others = [buffers.lend(SHAPE, np.float32) for _ in range(8)]
    assert (address in map(place, others)) == (name == "nothing")
    for other in others:
        other[...] = -1
    if name == "nothing":
        return
    np.testing.assert_array_equal(alive(), values)
    del holder
    gc.collect()
    assert place(buffers.lend(SHAPE, np.float32)) == address


@pytest.mark.parametrize("name", TENSORS)
def test_tensor_keeps_its_values_whether_it_shares_memory_or_not(buffers, name: str) -> None:
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    held = []
    for number in range(30):
        batch = buffers.lend(SHAPE, np.float32)
        batch[...] = values + number
        held.append(TENSORS[name](batch))
        del batch
    for number, tensor in enumerate(held):
        np.testing.assert_array_equal(tensor, (values + number)[-len(tensor) :])


def test_memory_of_a_dropped_batch_is_used_for_the_next_one(buffers) -> None:
    batch = buffers.lend(SHAPE, np.float32)
    address = place(batch)
    for _ in range(20):
        del batch
        batch = buffers.lend(SHAPE, np.float32)
        assert place(batch) == address


def test_batch_outlives_the_buffers_it_came_from() -> None:
    buffers = BatchBuffers()
    batch = buffers.lend(SHAPE, np.float32)
    batch[...] = 3
    del buffers
    gc.collect()
    assert (batch == 3).all()
    del batch  # and its memory has somewhere to go


def keep_tensors_of_tensorflow() -> None:
    """Make tensors of lent arrays in all ways and look at them when all memory was used again."""
    import tensorflow as tf

    buffers = BatchBuffers()
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    kinds = [
        tf.constant,
        tf.convert_to_tensor,
        tf.Variable,
        lambda batch: tf.reshape(batch, [-1]),
        lambda batch: tf.experimental.dlpack.from_dlpack(batch.__dlpack__()),
        lambda batch: tf.constant(batch)[1:],
    ]
    held, shared = [], 0
    for number in range(60):
        batch = buffers.lend(SHAPE, np.float32)
        batch[...] = values + number
        tensor = kinds[number % len(kinds)](batch)
        alive = weakref.ref(batch)
        del batch
        shared += alive() is not None
        held.append(tensor)
        buffers.lend(SHAPE, np.float32)[...] = -1
    for number, tensor in enumerate(held):
        expected = values + number
        found = np.asarray(tensor).reshape(-1, *SHAPE[1:])
        np.testing.assert_array_equal(found, expected[-len(found) :])
    print(shared)


@pytest.mark.skipif(not find_spec("tensorflow"), reason="TensorFlow is not installed")
def test_tensors_of_tensorflow_keep_their_values() -> None:
    # The suite's own process has another backend.
    code = "import test_buffers; test_buffers.keep_tensors_of_tensorflow()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(script_path())},
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert run.returncode == 0, run.stderr
    # Some of them share memory, or nothing was tested.
    assert int(run.stdout.split()[-1]) > 0


# Threads.


def test_threads_never_get_memory_that_another_one_has(buffers) -> None:
    passed: queue.SimpleQueue[Any] = queue.SimpleQueue()
    wrong: list[str] = []

    def check(held: tuple[int, np.ndarray]) -> None:
        number, batch = held
        if not (batch == number).all():
            wrong.append(f"{number} was overwritten: {np.unique(batch)}")

    def lend_and_drop(thread: int) -> None:
        kept: list[tuple[int, np.ndarray]] = []
        rng = np.random.default_rng(thread)
        for step in range(2000):
            number = step * 8 + thread
            batch = buffers.lend((int(rng.integers(1, 4)), 257), np.int64)
            batch[...] = number
            kept.append((number, batch[:, ::3]))
            del batch
            while len(kept) > 5:
                check(kept.pop(int(rng.integers(len(kept)))))
            # Some are dropped by another thread than the one that they were lent to.
            if kept and step % 3 == 0:
                passed.put(kept.pop())
            elif step % 3 == 1 and not passed.empty():
                check(passed.get())
        for held in kept:
            check(held)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=lend_and_drop, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


# Through an iterator.


def iterator_of(**options: Any) -> Any:
    generator = Generator(rotation_range=40, horizontal_flip=True, **options)
    images = make_images(20, 12, 12, 3, "float32")
    return generator.flow(images, np.arange(20), batch_size=4, seed=5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "float64"])
@pytest.mark.parametrize("read_ahead", [0, 2])
def test_kept_batches_are_untouched_while_others_are_made(read_ahead: int, dtype: str) -> None:
    with iterator_of(read_ahead=read_ahead, dtype=dtype) as iterator:
        kept = [next(iterator)[0] for _ in range(50)]
        digests = [digest(batch) for batch in kept]
        assert len(set(digests)) == 50
        for _ in range(200):
            next(iterator)
        assert [digest(batch) for batch in kept] == digests
        for one, other in itertools.combinations(kept, 2):
            assert not np.shares_memory(one, other)


def halve(image: np.ndarray) -> np.ndarray:
    return image / 2


@pytest.mark.parametrize(
    "options",
    [
        {"preprocessing_function": halve},
        {"preprocessing_function": halve, "dtype": "uint8"},
        {"zca_whitening": True, "featurewise_center": True},
        {"interpolation_order": 3},
        {"data_format": "channels_first"},
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_parts_of_kept_batches_are_untouched_on_every_way_to_a_batch(options) -> None:
    # Some of these take a second buffer for what is on its way.
    images = make_images(20, 12, 12, 3, "float32")
    if "data_format" in options:
        images = np.moveaxis(images, -1, 1).copy()
    generator = Generator(rotation_range=40, **options)
    generator.fit(images)
    with generator.flow(images, batch_size=4, seed=5) as iterator:
        kept = [next(iterator)[1:, ::2] for _ in range(20)]
        digests = [digest(part) for part in kept]
        for _ in range(50):
            next(iterator)
        assert [digest(part) for part in kept] == digests


def test_iterator_uses_the_memory_of_dropped_batches_again() -> None:
    with iterator_of() as iterator:
        places = {place(next(iterator)[0]) for _ in range(100)}
    assert len(places) <= HANDFUL


def test_memory_of_many_dropped_batches_is_given_back() -> None:
    with iterator_of() as iterator:
        kept = [next(iterator)[0] for _ in range(50)]
        maps = [weakref.ref(batch.base) for batch in kept]
        del kept
        assert sum(one() is not None for one in maps) <= HANDFUL
        # The same goes for all at the same time.
        kept = [next(iterator)[0] for _ in range(50)]
        maps = [weakref.ref(batch.base) for batch in kept]
        assert len({id(one()) for one in maps}) == 50


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' /proc")
def test_memory_in_use_falls_when_batches_are_dropped(buffers) -> None:
    shape, before = (8 * 2**20,), resident_mib()  # 8 MiB each
    kept = [buffers.lend(shape, np.uint8) for _ in range(20)]
    for batch in kept:
        batch[...] = 1
    assert resident_mib() - before > 150
    del kept, batch
    assert resident_mib() - before < 8 * HANDFUL


def test_fit_trains_while_kept_batches_stay_intact() -> None:
    class Seen(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.epochs = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1
            assert [digest(batch) for batch in kept] == digests

    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with iterator_of(rescale=1 / 255) as iterator:
        kept = [next(iterator)[0] for _ in range(10)]
        kept += [jax.device_put(next(iterator)[0]) for _ in range(10)]
        kept += [iterator[number][0] for number in range(len(iterator))]
        digests = [digest(batch) for batch in kept]
        seen = Seen()
        model.fit(iterator, epochs=3, verbose=0, callbacks=[seen])
    assert seen.epochs == 3
    assert [digest(batch) for batch in kept] == digests

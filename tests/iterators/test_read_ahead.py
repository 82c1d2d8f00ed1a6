"""Batches made ahead of time: the same ones, no more than asked for, and nothing left behind."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_images

from fastaug import Generator
from fastaug.iterators.read_ahead import ReadAhead

STUDY = {"rotation_range": 45, "horizontal_flip": True, "channel_shift_range": 20}
LONG_S = 0.002  # longer than it pays to wait for


class Maker:
    """Makes the square of a request and notes who asked for what."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.threads: set[str] = set()
        self.idle = threading.Condition()
        self.rests = 0

    def make(self, request: int) -> int:
        if request < 0:
            raise ValueError(f"{request} has no square root")
        with self.idle:
            self.made.append(request)
            self.threads.add(threading.current_thread().name)
            self.idle.notify_all()
        return request**2

    def rest(self) -> None:
        self.rests += 1

    def wait_for(self, count: int) -> None:
        with self.idle:
            assert self.idle.wait_for(lambda: len(self.made) >= count, timeout=30)


def slow_caller(maker: Maker) -> ReadAhead:
    """Return what reads ahead from the first request on: the caller is known to take its time."""
    ahead = ReadAhead(maker.make, maker.rest)
    ahead._delivery_time = 0.0
    return ahead


def ahead_of(*requests: int) -> Callable[[], tuple[int, ...]]:
    return lambda: requests


def take_in_a_row(iterator: Any, count: int, pause_s: float = 0.0) -> list[np.ndarray]:
    batches = []
    for _ in range(count):
        batches.append(next(iterator).copy())
        time.sleep(pause_s)
    return batches


def test_requests_ahead_are_made_by_another_thread_and_handed_out() -> None:
    maker = Maker()
    ahead = slow_caller(maker)
    assert ahead.take(3, ahead_of(4, 5)) == 9
    maker.wait_for(3)
    assert maker.made == [3, 4, 5]
    time.sleep(LONG_S)
    assert ahead.take(4, ahead_of(5)) == 16
    assert ahead.take(5, ahead_of()) == 25
    assert maker.made == [3, 4, 5]
    assert len(maker.threads) == 2
    ahead.close()


def test_nothing_is_made_ahead_for_a_caller_who_comes_back_at_once() -> None:
    maker = Maker()
    ahead = ReadAhead(maker.make, maker.rest)
    assert ahead.take(1, ahead_of(2)) == 1
    assert maker.made == [1]
    assert not ahead._futures
    ahead.close()


def test_request_that_was_not_guessed_drops_the_guesses() -> None:
    maker = Maker()
    ahead = slow_caller(maker)
    ahead.take(1, ahead_of(2, 3))
    maker.wait_for(3)
    time.sleep(LONG_S)
    assert ahead.take(10, ahead_of()) == 100
    assert not ahead._futures
    ahead.close()


def test_error_of_a_batch_made_ahead_comes_when_that_batch_is_asked_for() -> None:
    maker = Maker()
    ahead = slow_caller(maker)
    assert ahead.take(1, ahead_of(-1, 2)) == 1
    maker.wait_for(2)
    with pytest.raises(ValueError, match="no square root"):
        ahead.take(-1, ahead_of(2))
    assert ahead.take(2, ahead_of()) == 4
    ahead.close()


def test_closed_or_forgetful_it_makes_every_batch_when_asked() -> None:
    maker = Maker()
    ahead = slow_caller(maker)
    ahead.take(1, ahead_of(2))
    maker.wait_for(2)
    ahead.forget()
    assert ahead.take(2, ahead_of()) == 4
    assert maker.made == [1, 2, 2]
    ahead.close()
    assert ahead.take(3, ahead_of(4)) == 9
    assert maker.made == [1, 2, 2, 3]
    assert not ahead._futures


@pytest.mark.parametrize("read_ahead", [0, 1, 3])
@pytest.mark.parametrize("pause_s", [0.0, LONG_S])
def test_batches_do_not_depend_on_reading_ahead(read_ahead: int, pause_s: float) -> None:
    images = make_images(11, 8, 8, 3)
    expected = take_in_a_row(Generator(**STUDY).flow(images, batch_size=4, seed=5), 9)
    iterator = Generator(read_ahead=read_ahead, **STUDY).flow(images, batch_size=4, seed=5)
    for one, other in zip(take_in_a_row(iterator, 9, pause_s), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def counting(calls: list[int], delay_s: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    def count(image: np.ndarray) -> np.ndarray:
        calls.append(1)
        time.sleep(delay_s)
        return image

    return count


@pytest.mark.parametrize("read_ahead", [0, 1, 2])
def test_no_more_batches_are_made_ahead_than_allowed(read_ahead: int) -> None:
    calls: list[int] = []
    generator = Generator(read_ahead=read_ahead, preprocessing_function=counting(calls))
    iterator = generator.flow(make_images(30, 2, 2, 1), batch_size=3, seed=1)
    next(iterator)
    for taken in range(2, 5):
        time.sleep(LONG_S)
        next(iterator)
        deadline = time.monotonic() + 30
        while len(calls) < 3 * (taken + read_ahead) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(10 * LONG_S)  # for one that is not allowed
        assert len(calls) == 3 * (taken + read_ahead)


def test_slow_function_runs_while_the_model_trains() -> None:
    making_s = 0.05
    generator = Generator(preprocessing_function=counting([], making_s))
    iterator = generator.flow(make_images(8, 2, 2, 1), batch_size=1, seed=1)
    take_in_a_row(iterator, 2, LONG_S)
    time.sleep(4 * making_s)  # two batches are made meanwhile
    started = time.perf_counter()
    next(iterator)
    assert time.perf_counter() - started < making_s


def test_function_is_called_by_one_thread_at_a_time() -> None:
    running: list[int] = []
    most: list[int] = []

    def watch(image: np.ndarray) -> np.ndarray:
        running.append(1)
        most.append(len(running))
        time.sleep(0.0005)
        running.pop()
        return image

    iterator = Generator(preprocessing_function=watch).flow(make_images(40, 2, 2, 1), batch_size=2)

    def take() -> None:
        take_in_a_row(iterator, 5, LONG_S)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("rescale", 2.0), ("mean", np.full((1, 1, 1), 7.0)), ("zoom_range", [2, 2])]
)
def test_options_that_a_script_changes_count_for_the_next_batch(name: str, value: Any) -> None:
    images = make_images(12, 8, 8, 1)
    generators = []
    for pause_s in (0.0, LONG_S):
        generator = Generator(featurewise_center=True, rescale=1.0)
        generator.mean = np.zeros((1, 1, 1))
        iterator = generator.flow(images, batch_size=3, seed=2)
        batches = take_in_a_row(iterator, 2, pause_s)
        setattr(generator, name, value)
        generators.append(batches + take_in_a_row(iterator, 2, pause_s))
    changed, read_ahead = generators
    np.testing.assert_array_equal(read_ahead, changed)


def test_pictures_are_saved_of_batches_that_are_given_out_alone(tmp_path: Path) -> None:
    iterator = Generator().flow(make_images(8, 4, 4, 3), batch_size=2, seed=1, save_to_dir=tmp_path)
    take_in_a_row(iterator, 2, 5 * LONG_S)
    assert len(list(tmp_path.iterdir())) == 4


def test_thread_ends_when_there_is_nothing_more_to_make() -> None:
    def names() -> list[str]:
        return [one.name for one in threading.enumerate() if "fastaug-read-ahead" in one.name]

    iterator = Generator(preprocessing_function=counting([], 0.01)).flow(make_images(8, 4, 4, 3))
    take_in_a_row(iterator, 2, LONG_S)
    assert len(names()) == 1
    deadline = time.monotonic() + 30
    while names() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not names()


def test_dropped_iterator_is_collected_and_closed_one_goes_on() -> None:
    kept, dropped = (Generator().flow(make_images(8, 4, 4, 3), batch_size=2) for _ in range(2))
    for iterator in (kept, dropped):
        take_in_a_row(iterator, 2, LONG_S)
    gone = weakref.ref(dropped)
    del dropped, iterator
    deadline = time.monotonic() + 10  # the thread may hold it while it makes a batch
    while gone() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert gone() is None
    kept.close()
    assert len(next(kept)) == 2

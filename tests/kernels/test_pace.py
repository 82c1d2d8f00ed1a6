"""How many threads a launch gets where other processes hold the cores."""

from __future__ import annotations

import numpy as np
from conftest import make_images

from fastaug import Generator
from fastaug.kernels.launch import Pace

WORK = 32 * 1024  # pixels
USUAL_S = 0.0001


def stall(pace: Pace) -> None:
    """Take as long as a launch whose second thread waits for its turn."""
    pace.note(2, WORK, USUAL_S)
    pace.note(2, WORK, USUAL_S + 0.004)


def launches_alone(pace: Pace) -> int:
    """Count the launches with one thread until there are two again."""
    count = 0
    while pace.threads(2) == 1:
        count += 1
    return count


def test_launches_get_all_threads_as_long_as_they_are_fast() -> None:
    pace = Pace()
    for seconds in (3.0, USUAL_S, 2 * USUAL_S, USUAL_S, 9 * USUAL_S):  # the first one compiles
        assert pace.threads(2) == 2
        pace.note(2, WORK, seconds)
    assert pace.threads(2) == 2


def test_launches_get_one_thread_for_a_while_after_a_stall() -> None:
    pace = Pace()
    stall(pace)
    assert launches_alone(pace) == 40  # which lose 0.1 ms each
    assert pace.threads(2) == 2


def test_long_launches_get_one_thread_for_few_after_a_stall() -> None:
    pace = Pace()
    pace.note(2, WORK, 0.002)
    pace.note(2, WORK, 0.002 + 0.006)
    assert launches_alone(pace) == 3


def test_launches_get_one_thread_for_longer_the_more_often_they_stall() -> None:
    pace = Pace()
    counts = []
    for _ in range(20):
        stall(pace)
        counts.append(launches_alone(pace))
    assert counts[0] < counts[1] < counts[2]
    assert counts[-1] == counts[-2] <= 32 * counts[0]
    for _ in range(10_000):
        pace.note(2, WORK, USUAL_S)
    stall(pace)
    assert launches_alone(pace) == counts[0]


def test_long_launch_is_no_stall() -> None:
    pace = Pace()
    pace.note(2, WORK, USUAL_S)
    pace.note(2, 1000 * WORK, 2 * 1000 * USUAL_S)
    assert pace.threads(2) == 2


def test_launch_that_may_use_one_thread_alone_says_nothing_about_two() -> None:
    pace = Pace()
    pace.note(2, WORK, USUAL_S)
    pace.note(1, WORK, 1.0)
    assert pace.threads(2) == 2
    assert Pace().threads(1) == 1


def test_batches_after_a_stall_are_the_same() -> None:
    images = make_images(64, 8, 8, 3)
    options = {"rotation_range": 40, "channel_shift_range": 9, "samplewise_center": True}
    usual, stalled = (Generator(**options).flow(images, batch_size=16, seed=3) for _ in range(2))
    for _ in range(4):
        stall(stalled._pace)
        np.testing.assert_array_equal(next(usual), next(stalled))

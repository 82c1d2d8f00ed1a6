"""Threads that share a piece of work, and wait for none that comes late."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from fastaug.kernels.launch import COMPILED, inner
from fastaug.kernels.sharing import share, take_number


def numbers(counter: np.ndarray, stop: int) -> list[int]:
    """Take numbers as the kernels do."""

    @inner
    def take(counter, stop, out):
        count = 0
        number = take_number(counter)
        while number < stop:
            out[count] = number
            count += 1
            number = take_number(counter)
        return count

    out = np.empty(stop, np.int64)
    return out[: take(counter, stop, out)].tolist()


def test_every_number_is_taken_once_by_many_threads():
    counter, taken = np.zeros(1, np.int64), []
    threads = [
        threading.Thread(target=lambda: taken.extend(numbers(counter, 100_000))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(100_000))


def pieces(count: int, do: Callable[[int], None]) -> Callable[[], None]:
    turns = iter(range(count))

    def work() -> None:
        for turn in turns:
            do(turn)

    return work


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_all_pieces_are_done_when_it_returns(threads):
    for count in (0, 1, 30):
        done: list[int] = []
        share(pieces(count, done.append), threads)
        assert sorted(done) == list(range(count))


@pytest.mark.skipif(not COMPILED, reason="plain Python has no threads that help")
def test_others_help_and_are_waited_for_once_they_have_begun():
    begun, may_end, helpers = threading.Event(), threading.Event(), []
    here = threading.get_ident()

    def do(_: int) -> None:
        if threading.get_ident() == here:
            assert begun.wait(20)
            threading.Timer(0.05, may_end.set).start()
        else:
            begun.set()
            assert may_end.wait(20)
            helpers.append(threading.get_ident())

    share(pieces(2, do), 2)
    assert len(helpers) == 1


def test_late_thread_finds_nothing_to_do_and_is_not_waited_for(monkeypatch):
    late: list[Callable[[], None]] = []
    monkeypatch.setattr("_thread.start_new_thread", lambda help_, _: late.append(help_))
    calls: list[int] = []
    share(lambda: calls.append(1), 3)
    for help_ in late:
        help_()
    assert calls == [1]
    assert len(late) == (2 if COMPILED else 0)


def test_error_arrives_behind_those_that_have_begun():
    done: list[int] = []

    def do(turn: int) -> None:
        if turn == 3:
            raise KeyboardInterrupt
        done.append(turn)

    with pytest.raises(KeyboardInterrupt):
        share(pieces(4, do), 1)
    assert done == [0, 1, 2]

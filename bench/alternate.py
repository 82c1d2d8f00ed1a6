"""How two contenders are compared: in turn, round by round.

A shared machine is fast in one second and slow in the next, so contenders that are timed one after
the other are compared at two moments.  Here every round of a row times another contender first,
Keras in most groups, and then the row's own: their ratio never compares two moments.  pytest-
benchmark stays the runner: its row is the contender, the other one is the row's `setup`, and its
median goes into the row's `extra_info`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from idle import wait_until_idle

# Makes so many batches and returns the last one.
Contender = Callable[[int], Any]

ROUND_S = 0.05  # a round lasts at least as long: short calls are repeated within it


@dataclass(frozen=True)
class Comparison:
    """Times contenders with pytest-benchmark's fixture in so many rounds."""

    benchmark: Any
    rounds: int

    def __call__(
        self,
        contender: Contender,
        beside: tuple[str, Contender] | None = None,
        *,
        images: int,
        round_s: float = ROUND_S,
        times: float = 1,
        drain: Callable[[], object] | None = None,
        drain_beside: Callable[[], object] | None = None,
        **extra: Any,
    ) -> Any:
        """Time a contender and return what its last call made.

        Parameters
        ----------
        contender
            The row's own.
        beside
            Name and function of the one that it is compared with; None if it is that one itself.
        images
            How many images one call makes.
        round_s
            A round repeats calls until it lasts so many seconds; 0 is for one call, without a
            round to warm up.
        times
            Factor on the number of rounds, of which there are three at least.
        drain
            For a row that works ahead while nobody asks it to: takes all that lies ready, before
            each of its turns and untimed.  Then the other's turn begins when all processes are
            idle, too.
        drain_beside
            The same for the other, before its turn; then each turn begins when all are idle.
        **extra
            More for the row's `extra_info`.
        """
        smoke = self.benchmark.disabled
        calls = 1 if smoke else calls_for(contender, round_s)
        warm_up = int(round_s > 0)
        self.benchmark.extra_info |= {"images": images, "calls": calls, **extra}
        seconds = []
        if beside is not None:
            name, other = beside
            other_calls = 1 if smoke else calls_for(other, round_s)

        def turn() -> None:
            if drain is not None:
                wait_until_idle()
            if drain_beside is not None:
                drain_beside()
            if beside is not None:
                seconds.append(timed(other, other_calls) / other_calls)
            if drain_beside is not None:
                wait_until_idle()
            if drain is not None:
                drain()

        made = self.benchmark.pedantic(
            contender,
            (calls,),
            setup=turn,
            rounds=max(min(3, self.rounds), round(self.rounds * times)),
            warmup_rounds=warm_up,
        )
        if beside is not None:
            seconds = seconds[warm_up:] or seconds
            self.benchmark.extra_info["beside"] = {"name": name, "seconds": median(seconds)}
        return made


def timed(contender: Contender, calls: int) -> float:
    """Return the seconds of so many calls."""
    started = perf_counter()
    contender(calls)
    return perf_counter() - started


def calls_for(contender: Contender, seconds: float) -> int:
    """Return how many calls last at least so long; doubling finds it whatever a start costs."""
    calls = 1
    if not seconds:
        return calls
    contender(calls)
    while (lasted := timed(contender, calls)) < seconds:
        # The first of many calls may have been slow; never jump by more than ten.
        calls *= min(10, max(2, int(seconds / lasted)))
    return calls

"""NumPy's and Python's global random states, lent to functions of the user's that draw.

Keras seeds NumPy's global state before each batch, and a user's function that draws from it goes
on with that stream.  Here the state is the batch's own while such a function runs, and afterwards
it is what it was.  Both are of the process: whoever draws in another thread meanwhile draws from
the same, so that batches that need it are made by the thread that asks for them.
"""

from __future__ import annotations

import ctypes
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

_LENT = threading.RLock()  # the states can be lent once at a time


@contextmanager
def global_states(rng: np.random.RandomState, seed: int) -> Iterator[None]:
    """Let NumPy's global state be that of `rng`, which goes on where that ends; Python's is seeded.

    Parameters
    ----------
    rng
        The batch's stream.
    seed
        Of Python's `random`.
    """
    with _LENT:
        numpys, pythons = np.random.get_state(legacy=False), random.getstate()
        try:
            np.random.set_state(rng.get_state(legacy=False))
            random.seed(seed)
            yield
            rng.set_state(np.random.get_state(legacy=False))
        finally:
            np.random.set_state(numpys)
            random.setstate(pythons)


class DrawsSeen:
    """Tells whether anybody has drawn from a global state since this was made."""

    def __init__(self) -> None:
        self._before = _fingerprint()

    def __bool__(self) -> bool:
        return _fingerprint() != self._before


def _fingerprint() -> tuple[Any, ...]:
    return _numpys_state()(), random.getstate()


def _numpys_state() -> Callable[[], bytes]:
    """Return what reads NumPy's global state: 0.1 us where `get_state` takes 23."""
    return _reader(np.random.mtrand._rand)


@cache
def _reader(state: Any) -> Callable[[], bytes]:
    generator = state._bit_generator
    if type(generator) is not np.random.MT19937:  # the user has set another one
        return lambda: repr(state.get_state(legacy=False)).encode()
    memory = (ctypes.c_uint32 * 625).from_address(generator.ctypes.state_address)  # <mt19937.h>
    return lambda: bytes(memory)

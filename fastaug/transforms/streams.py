"""Where randomness comes from: (seed, batches seen) -> streams of numbers.

A batch is a pure function of the seed and of its number, so anyone can make any batch at any time.
Keras seeds NumPy's global generator with `seed + batches seen` before each batch; the same numbers
come out of a private `RandomState` here, and the global state is left alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np

# `numpy.random` itself draws from the global state; a RandomState has the same methods.
LegacyRng: TypeAlias = Any


SEEDS = 2**32  # RandomState accepts 0 to 2**32 - 1


def batch_stream(
    seed: int, batches_seen: int, rng: np.random.RandomState | None = None
) -> np.random.RandomState:
    """Return the generator whose numbers Keras would use for this batch.

    With `rng` it is that one, seeded anew: 1 us in place of 60.
    """
    seed = (seed + batches_seen) % SEEDS
    if rng is None:
        return np.random.RandomState(seed)
    rng.seed(seed)
    return rng


def transform_stream(seed: int, batches_seen: int, name: str) -> np.random.Generator:
    """Return the stream of one of our own transforms: adding one changes no other's numbers.

    References
    ----------
    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox).
    """
    key = np.random.SeedSequence([seed, batches_seen, crc32(name.encode())])
    return np.random.Generator(np.random.Philox(key))


class Streams(NamedTuple):
    """Where the numbers of a batch come from: Keras' stream, and the key of all others."""

    keras: LegacyRng
    seed: int
    batches_seen: int

    def of(self, name: str) -> np.random.Generator:
        """Return the stream of one of our own transforms."""
        return transform_stream(self.seed, self.batches_seen, name)


def streams_of_call(seed: int | None, *, keyed: bool) -> Streams:
    """Return the streams of a call with a seed; with None they come from NumPy's global state.

    `keyed` says whether a key for transforms is wanted, which would be drawn from there, too.
    """
    if seed is not None:
        return Streams(batch_stream(seed, 0), seed, 0)
    return Streams(np.random, int(np.random.randint(SEEDS, dtype=np.int64)) if keyed else 0, 0)

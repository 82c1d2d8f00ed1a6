"""Where randomness comes from: (seed, batches seen) -> streams of numbers."""

from __future__ import annotations

from typing import Any, TypeAlias
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

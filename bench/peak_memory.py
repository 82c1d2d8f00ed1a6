"""Print how much memory `flow` takes at most, above the array that it reads.

    python peak_memory.py fastaug|keras MEGABYTES

A process of its own: memory that was in use once is seldom given back.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
from study import LARGE, SEED

SIZE, BATCH, BATCHES = 299, 64, 30
STATUS = Path("/proc/self/status")


def megabytes(name: str) -> float:
    """Return an entry of the process's status: VmHWM is the most memory so far, VmRSS that of now.

    `getrusage` would do, were it not that on Linux it counts the process that started this one.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes, and no other number
    return peak / 1e6


def main(kind: str, array_megabytes: int) -> float:
    """Make batches from an array of so many megabytes; return what that took above it."""
    if kind == "fastaug":
        from fastaug import Generator
    else:
        from keras.src.legacy.preprocessing.image import ImageDataGenerator as Generator

    count = array_megabytes * 1_000_000 // (SIZE * SIZE * 3)
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    images[...] = np.arange(3, dtype=np.uint8)  # touches every page
    before = megabytes("VmRSS")
    flow = Generator(**LARGE).flow(images, batch_size=BATCH, seed=SEED)
    for _ in range(BATCHES):
        batch = next(flow)
        assert batch.shape[1:] == images.shape[1:]
    return megabytes("VmHWM") - before


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))

"""How long does a program wait for the first batch of a policy?  Each row is a whole process."""

from __future__ import annotations

import pytest
from bench_start import process

IMAGES = """
import numpy as np
from fastaug import Generator, transforms as T
images = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3)).astype(np.uint8)
def batch(**options):
    print(next(Generator(**options).flow(images, seed=7)).shape[1])
"""
PLAIN = IMAGES + "batch(rotation_range=45, horizontal_flip=True, rescale=1 / 255)\n"
ONE = IMAGES + (
    "batch(transforms=[T.RandomResizedCrop(48), T.HorizontalFlip(), T.ColorJitter(0.4, 0.4, 0.4), "
    'T.Normalize("imagenet")])\n'
)
OTHER = "batch(transforms=[T.Affine(15), T.RandAugment(2, 9), T.Equalize(), T.Normalize()])\n"
EMPTY = {"NUMBA_CACHE_DIR": "an empty folder"}

PROCESSES = {
    "plain_uncompiled": (PLAIN, EMPTY, "64\n"),
    "policy_uncompiled": (ONE, EMPTY, "48\n"),
    "policies_uncompiled": (ONE + OTHER, EMPTY, "48\n64\n"),
    "plain": (PLAIN, {}, "64\n"),
    "policy": (ONE, {}, "48\n"),
}


@pytest.mark.parametrize("contender", PROCESSES)
@pytest.mark.benchmark(group="first policy")
def test_first_policy(contender, compare):
    code, environment, expected = PROCESSES[contender]
    if contender.endswith("uncompiled"):
        beside = "plain_uncompiled", process(PLAIN, EMPTY)
    else:
        process(code)(1)  # compiles, where nothing is compiled yet
        beside = "plain", process(PLAIN)
    beside = None if contender == beside[0] else beside
    printed = compare(process(code, environment), beside, images=0, round_s=0, times=0.6)
    assert printed == expected

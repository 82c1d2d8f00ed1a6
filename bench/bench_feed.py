"""How fast does `fit` train a model that does next to nothing, beside the same on a constant?

The backend is TensorFlow.  A constant tensor needs no one to make it, so it is the limit.
"""

from __future__ import annotations

import math

import iterators
import pytest
from fitting import CONTENDERS, ROUND_S, constant_tensor

BATCHES = {32: 256, 299: 64}
STEPS = {32: 196, 299: 16}  # in a pass


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("size", BATCHES)
@pytest.mark.benchmark(group="feed")
def test_feed(contender, size, compare, pictures):
    batch = BATCHES[size]
    images = pictures.load(batch * STEPS[size], size)
    if contender == "fastaug":
        few = images[: 2 * batch]
        iterators.check("fastaug", iterators.fastaug(few, batch, None), few, batch)
    call, beside = CONTENDERS[contender](images, batch), None
    assert math.isfinite(call(1))
    if contender != "constant_tensor":
        beside = "constant_tensor", constant_tensor(images, batch)
    compare(call, beside, images=len(images), round_s=ROUND_S, times=0.6)

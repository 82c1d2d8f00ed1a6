"""How fast is a batch turned, shifted, zoomed and rescaled to float32?"""

from __future__ import annotations

import pytest
from drawn import Question, keras, moves
from oracles import FILL_MODES, ORACLES
from study import SCALE
from warps import CONTENDERS, check

COUNTS = {32: 64, 224: 8, 299: 8, 512: 8}  # images in a batch


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("size", COUNTS)
@pytest.mark.benchmark(group="warp")
def test_warp(contender, fill_mode, size, compare, pictures):
    images = pictures.load(COUNTS[size], size)
    if contender == "fastaug":
        ORACLES[f"warp_order_1_{fill_mode}"].check(images[:3, :31, :17])
    question = Question(images, moves(len(images), size), SCALE, fill_mode)
    call = CONTENDERS[contender](question)
    check(contender, call(1), question)
    beside = None if contender == "keras" else ("keras", keras(question))
    compare(call, beside, images=len(images))

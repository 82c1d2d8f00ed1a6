"""Augmentations that Keras does not have: one file each, listed in TRANSFORMS.

A transform is a frozen dataclass of one kind or more.  One that *moves* pixels is folded into the
batch's one warp, before Keras' own; one that *recolours* joins the one pass over the values, after
Keras' brightness; one that *repaints* gets a pass of its own, after that.
"""

from __future__ import annotations

from fastaug.transforms.base import Moves, Recolours, Repaints, Steps, Transform
from fastaug.transforms.geometry import Pull
from fastaug.transforms.quarter_turn import QuarterTurn
from fastaug.transforms.solarize import Solarize

TRANSFORMS: tuple[type[Transform], ...] = (
    QuarterTurn,
    Solarize,
)

__all__ = [  # noqa: PLE0604
    "TRANSFORMS",
    "Moves",
    "Pull",
    "Recolours",
    "Repaints",
    "Steps",
    "Transform",
    *(kind.__name__ for kind in TRANSFORMS),
]

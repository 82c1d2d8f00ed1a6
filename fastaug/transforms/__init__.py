"""Augmentations that Keras does not have: one file each, listed in TRANSFORMS.

A transform is a frozen dataclass of one of two kinds.  *Geometric* ones give pull matrices, which
are folded into the batch's one warp and act before Keras' own; *photometric* ones give steps, which
change the pixels of a warped image after Keras' brightness.  Each draws from a stream of its own,
named after its class, so that adding one changes no other's numbers.
"""

from __future__ import annotations

from fastaug.transforms.kinds import Geometric, Photometric, Transform
from fastaug.transforms.quarter_turn import QuarterTurn
from fastaug.transforms.solarize import Solarize

TRANSFORMS: tuple[type[Transform], ...] = (QuarterTurn, Solarize)

__all__ = ["TRANSFORMS", "Geometric", "Photometric", "QuarterTurn", "Solarize", "Transform"]

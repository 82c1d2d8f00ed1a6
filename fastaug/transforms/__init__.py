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


def check_transforms(name: str, value: object) -> None:
    """Raise a TypeError, with what would do, unless `value` is a list of transforms."""
    known = ", ".join(f"fastaug.transforms.{kind.__name__}()" for kind in TRANSFORMS)
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name}={value!r} is not a list of transforms, such as [{known}]")
    for transform in value:
        if isinstance(transform, type) or not isinstance(transform, Moves | Recolours | Repaints):
            raise TypeError(f"{name}={value!r}: {transform!r} is not a transform, such as {known}")

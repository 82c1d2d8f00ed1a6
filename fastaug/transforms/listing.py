"""Which transforms there are, by kind, and what can be said of a list of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from fastaug.transforms.base import (
    KINDS,
    Moves,
    Recolours,
    Repaints,
    Transform,
)
from fastaug.transforms.containers.augmix import AugMix
from fastaug.transforms.containers.choice import OneOf, RandomOrder, SomeOf
from fastaug.transforms.containers.published import AutoAugment, RandAugment, TrivialAugment
from fastaug.transforms.mixes.blends import CutMix, MixUp, Mosaic
from fastaug.transforms.moves.affine import Affine, Rotate, Scale, Shear, Translate
from fastaug.transforms.moves.box_crops import BoxSafeCrop, RandomIoUCrop
from fastaug.transforms.moves.crops import (
    CenterCrop,
    LargestSide,
    Letterbox,
    Pad,
    RandomCrop,
    RandomResizedCrop,
    Resize,
)
from fastaug.transforms.moves.distortions import Elastic, GridDistortion
from fastaug.transforms.moves.flips import HorizontalFlip, QuarterTurn, Transpose, VerticalFlip
from fastaug.transforms.moves.perspective import Perspective
from fastaug.transforms.recolours.channels import ChannelDrop, ChannelShift, ChannelShuffle
from fastaug.transforms.recolours.hues import ColorJitter, Grayscale, Hue, Saturation
from fastaug.transforms.recolours.normalize import Normalize
from fastaug.transforms.recolours.tones import (
    AutoContrast,
    Brightness,
    Contrast,
    Equalize,
    Gamma,
    Invert,
    Posterize,
    Solarize,
)
from fastaug.transforms.repaints.blurs import GaussianBlur, MotionBlur
from fastaug.transforms.repaints.compression import Downscale, JpegArtifacts
from fastaug.transforms.repaints.contrast import CLAHE, Sharpness
from fastaug.transforms.repaints.erasing import CoarseDropout, Erase, GridMask
from fastaug.transforms.repaints.noise import GaussianNoise, SaltAndPepper

MOVES: tuple[type[Transform], ...] = (
    Affine,
    Rotate,
    Translate,
    Scale,
    Shear,
    HorizontalFlip,
    VerticalFlip,
    QuarterTurn,
    Transpose,
    Perspective,
    RandomResizedCrop,
    RandomCrop,
    BoxSafeCrop,
    RandomIoUCrop,
    CenterCrop,
    Resize,
    LargestSide,
    Letterbox,
    Pad,
    Elastic,
    GridDistortion,
)
RECOLOURS: tuple[type[Transform], ...] = (
    Brightness,
    Contrast,
    Saturation,
    Hue,
    ColorJitter,
    Gamma,
    Grayscale,
    Invert,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    ChannelShift,
    ChannelShuffle,
    ChannelDrop,
    Normalize,
)
REPAINTS: tuple[type[Transform], ...] = (
    GaussianBlur,
    MotionBlur,
    GaussianNoise,
    SaltAndPepper,
    Sharpness,
    CLAHE,
    JpegArtifacts,
    Erase,
    CoarseDropout,
    GridMask,
    Downscale,
)
MIXES: tuple[type[Transform], ...] = (MixUp, CutMix, Mosaic)
CONTAINERS: tuple[type[Transform], ...] = (
    OneOf,
    SomeOf,
    RandomOrder,
    RandAugment,
    TrivialAugment,
    AutoAugment,
    AugMix,
)
TRANSFORMS = (*MOVES, *RECOLOURS, *REPAINTS, *MIXES, *CONTAINERS)


def plain_transforms(transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    """Return what is left of transforms without augmentation: what brings images to their size.

    A random crop becomes one of the middle.
    """
    plain = (
        each.plain() if hasattr(each, "plain") else each  # a user's own may have it, too
        for each in transforms
        if hasattr(each, "plain") or isinstance(each, _STEADY)
    )
    return tuple(each for each in plain if each is not None)


# What nothing is drawn for.
_STEADY = (CenterCrop, Resize, LargestSide, Letterbox, Pad, Normalize)


def words_of(transforms: Sequence[Transform], kind: type) -> list[str]:
    """Describe the transforms of a kind; one of several kinds is named for what it does there."""
    parts: dict[Any, str] = {
        Moves: "its moves",
        Recolours: "its colours",
        Repaints: "its repaints",
    }
    return [
        repr(each)
        + (f": {parts[kind]}" if sum(isinstance(each, part) for part in parts) > 1 else "")
        for each in transforms
        if isinstance(each, kind)
    ]


def named_transform(name: str) -> type[Transform]:
    """Return the class of a name; ValueError that lists the near ones."""
    known = {kind.__name__: kind for kind in TRANSFORMS}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise ValueError(f"there is no transform {name!r}; near ones are {', '.join(near)}")
    return known[name]


def check_transforms(name: str, value: object) -> None:
    """Raise a TypeError, with what would do, unless `value` is a list of transforms."""
    example = "fastaug.transforms.HorizontalFlip()"
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name}={value!r} is not a list of transforms, such as [{example}]")
    for transform in value:
        if isinstance(transform, type) and issubclass(transform, TRANSFORMS):
            raise TypeError(
                f"{name}={value!r}: {transform.__name__} is a class; write "
                f"{transform.__name__}(...)"
            )
        if isinstance(transform, type) or not isinstance(transform, (*KINDS, Normalize)):
            raise TypeError(
                f"{name}={value!r}: {transform!r} is not a transform, such as {example}"
            )
    last = [transform for transform in value if isinstance(transform, Normalize)]
    if len(last) > 1:
        raise ValueError(f"{name}={value!r}: there is more than one Normalize")

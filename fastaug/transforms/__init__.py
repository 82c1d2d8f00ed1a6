"""Augmentations that Keras' generator does not have, listed in TRANSFORMS.

A transform is a frozen dataclass of one kind or more.  One that *moves* pixels is folded into the
batch's one warp, before Keras' own; one that *recolours* joins the one pass over the values, after
Keras' brightness; one that *repaints* gets a pass of its own, after that; and one that *mixes*
images of a batch comes last.
"""

from __future__ import annotations

from fastaug.transforms.base import (
    Mixes,
    Moves,
    Partners,
    Recolours,
    Repaints,
    SeesBoxes,
    Steps,
    Transform,
)
from fastaug.transforms.containers.augmix import AugMix
from fastaug.transforms.containers.choice import (
    OneOf,
    RandomOrder,
    SomeOf,
)
from fastaug.transforms.containers.published import (
    AutoAugment,
    RandAugment,
    TrivialAugment,
)
from fastaug.transforms.geometry import (
    Pull,
)
from fastaug.transforms.listing import (
    CONTAINERS,
    MIXES,
    MOVES,
    RECOLOURS,
    REPAINTS,
    TRANSFORMS,
)
from fastaug.transforms.mixes.blends import (
    CutMix,
    MixUp,
    Mosaic,
)
from fastaug.transforms.moves.affine import (
    Affine,
    Rotate,
    Scale,
    Shear,
    Translate,
)
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
from fastaug.transforms.moves.distortions import (
    Elastic,
    GridDistortion,
)
from fastaug.transforms.moves.flips import (
    HorizontalFlip,
    QuarterTurn,
    Transpose,
    VerticalFlip,
)
from fastaug.transforms.moves.perspective import (
    Perspective,
)
from fastaug.transforms.recolours.channels import (
    ChannelDrop,
    ChannelShift,
    ChannelShuffle,
)
from fastaug.transforms.recolours.hues import (
    ColorJitter,
    Grayscale,
    Hue,
    Saturation,
)
from fastaug.transforms.recolours.normalize import (
    Normalize,
)
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
from fastaug.transforms.serial import (
    from_dict,
    to_dict,
)

__all__ = [
    "Affine",
    "AugMix",
    "AutoAugment",
    "AutoContrast",
    "Brightness",
    "BoxSafeCrop",
    "CLAHE",
    "CONTAINERS",
    "CenterCrop",
    "ChannelDrop",
    "ChannelShift",
    "ChannelShuffle",
    "CoarseDropout",
    "ColorJitter",
    "Contrast",
    "CutMix",
    "Downscale",
    "Elastic",
    "Equalize",
    "Erase",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "GridDistortion",
    "GridMask",
    "HorizontalFlip",
    "Hue",
    "Invert",
    "JpegArtifacts",
    "LargestSide",
    "Letterbox",
    "MIXES",
    "MOVES",
    "MixUp",
    "Mixes",
    "Mosaic",
    "MotionBlur",
    "Moves",
    "Normalize",
    "OneOf",
    "Pad",
    "Partners",
    "Perspective",
    "Posterize",
    "Pull",
    "QuarterTurn",
    "RECOLOURS",
    "REPAINTS",
    "RandAugment",
    "RandomCrop",
    "RandomIoUCrop",
    "RandomOrder",
    "RandomResizedCrop",
    "Recolours",
    "Repaints",
    "Resize",
    "Rotate",
    "SaltAndPepper",
    "Saturation",
    "Scale",
    "SeesBoxes",
    "Sharpness",
    "Shear",
    "Solarize",
    "SomeOf",
    "Steps",
    "TRANSFORMS",
    "Transform",
    "Translate",
    "Transpose",
    "TrivialAugment",
    "VerticalFlip",
    "from_dict",
    "to_dict",
]

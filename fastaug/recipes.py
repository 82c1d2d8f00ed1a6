"""Policies of papers, by name: lists of transforms for `Augmenter` and `Generator(transforms=...)`.

Stages have a fixed order here (moves, colours, repaints, `Normalize`, mixes), so where a paper's
code does one thing after another, each recipe says what differs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastaug import transforms as T
from fastaug.augmenter import Augmenter
from fastaug.transforms.base import Transform

Size = int | tuple[int, int]


def imagenet(size: Size = 224, *, normalize: bool = True) -> list[Transform]:
    """Return what ResNets are trained with: a random crop, a flip, and colour jitter.

    References
    ----------
    He et al., "Deep residual learning", CVPR 2016; Szegedy et al., "Going deeper with
    convolutions", CVPR 2015, for the crop; the jitter (0.4) of torchvision's ImageNet example.

    Examples
    --------
    >>> imagenet(176, normalize=False)
    [RandomResizedCrop(176), HorizontalFlip(), ColorJitter(0.4, 0.4, 0.4)]
    """
    return [
        T.RandomResizedCrop(size),
        T.HorizontalFlip(),
        T.ColorJitter(0.4, 0.4, 0.4),
        *_normalized(normalize),
    ]


def rsb_a2(size: Size = 224, *, normalize: bool = True) -> list[Transform]:
    """Return the A2 procedure of "ResNet strikes back".

    RandAugment of magnitude 7, MixUp of 0.1 or CutMix of 1.0, half of the batches each there; here
    half of the images each.  Its random erasing is off in A2; add `T.Erase(0.25)` for others.

    References
    ----------
    Wightman et al., "ResNet strikes back", 2021, table 2.
    """
    return [
        T.RandomResizedCrop(size),
        T.HorizontalFlip(),
        T.RandAugment(2, 7, bins=11),
        *_normalized(normalize),
        T.MixUp(0.1, probability=0.5),
        T.CutMix(1.0, probability=0.5),
    ]


def simclr(size: Size = 224, strength: float = 1.0, *, normalize: bool = False) -> list[Transform]:
    """Return SimCLR's view: draw two of the same images with two steps.

    References
    ----------
    Chen et al., "A simple framework for contrastive learning", ICML 2020, appendix A.
    """
    jitter = 0.8 * strength
    return [
        T.RandomResizedCrop(size, scale=(0.08, 1.0)),
        T.HorizontalFlip(),
        T.ColorJitter(jitter, jitter, jitter, 0.2 * strength, probability=0.8),
        T.Grayscale(0.2),
        T.GaussianBlur(_odd_tenth(size), sigma=(0.1, 2.0), probability=0.5),
        *_normalized(normalize),
    ]


def dino(
    size: Size = 224, local_size: Size = 96, *, normalize: bool = True
) -> tuple[list[Transform], list[Transform], list[Transform]]:
    """Return DINO's three kinds of view: two global ones, and that of the local crops.

    `multi_crop` makes all of them of the same images.

    References
    ----------
    Caron et al., "Emerging properties in self-supervised vision transformers", ICCV 2021,
    `DataAugmentationDINO` of its code.
    """

    def view(side: Size, scale: tuple[float, float], blur: float, solarize: float) -> Any:
        return [
            T.RandomResizedCrop(side, scale=scale),
            T.HorizontalFlip(),
            T.ColorJitter(0.4, 0.4, 0.2, 0.1, probability=0.8),
            T.Grayscale(0.2),
            *([T.Solarize(128, solarize)] if solarize else []),
            T.GaussianBlur(9, sigma=(0.1, 2.0), probability=blur),
            *_normalized(normalize),
        ]

    return (
        view(size, (0.4, 1.0), 1.0, 0.0),
        view(size, (0.4, 1.0), 0.1, 0.2),
        view(local_size, (0.05, 0.4), 0.5, 0.0),
    )


def multi_crop(
    images: Any, views: Sequence[Sequence[Transform]], step: int, *, seed: int = 0, locals_: int = 8
) -> list[np.ndarray[Any, Any]]:
    """Return several views of the same images: one of each but the last, of which `locals_`.

    Parameters
    ----------
    images
        (n, height, width, channels)
    views
        Of `dino`.
    step
        Which batch it is.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.zeros((2, 64, 48, 3), np.uint8)
    >>> [view.shape[1] for view in multi_crop(images, dino(32, 16), step=0, locals_=2)]
    [32, 32, 16, 16]
    """
    whole, last = list(views[:-1]), views[-1]
    made = []
    for number, view in enumerate([*whole, *[last] * locals_]):
        made.append(Augmenter(view, seed=seed + number)(images, step=step))
    return made


def unet(*, normalize: bool = False) -> list[Transform]:
    """Return what U-Nets are trained with: elastic deformations, turns, shifts, flips.

    References
    ----------
    Ronneberger et al., "U-Net", MICCAI 2015, section 3.1: smooth displacements with a deviation of
    10 pixels at points of a 3x3 grid; here `Elastic` with about as much.
    """
    return [
        T.Elastic(alpha=1200.0, sigma=16.0, probability=0.8),
        T.Affine(15, translate=(0.05, 0.05), scale=(0.9, 1.1)),
        T.HorizontalFlip(),
        T.VerticalFlip(),
        *_normalized(normalize),
    ]


def yolo(size: Size = 640, *, normalize: bool = False) -> list[Transform]:
    """Return what YOLOv5 to v8 are trained with: a mosaic, colours, shifts and scales, a flip.

    The mosaic comes last here: each of its four pictures is moved by itself.  Brightness stands for
    the V of HSV.  Fill the frame with `fill=114`.

    References
    ----------
    Ultralytics YOLOv5, `hyp.scratch-low.yaml`: hsv 0.015, 0.7, 0.4; translate 0.1; scale 0.5;
    fliplr 0.5; mosaic 1.0.
    """
    return [
        T.Letterbox(size),
        T.Affine(0, translate=(0.1, 0.1), scale=(0.5, 1.5)),
        T.HorizontalFlip(),
        T.Hue(0.015),
        T.Saturation(0.7),
        T.Brightness(0.4),
        *_normalized(normalize),
        T.Mosaic(),
    ]


RECIPES: dict[str, Callable[..., list[Transform]]] = {
    "imagenet": imagenet,
    "rsb-a2": rsb_a2,
    "simclr": simclr,
    "dino": lambda *size, **options: dino(*size, **options)[0],
    "unet": unet,
    "yolo": yolo,
}


def recipe(name: str, **options: Any) -> list[Transform]:
    """Return the transforms of a recipe; ValueError that lists the near names.

    Examples
    --------
    >>> recipe("unet")[-1]
    VerticalFlip()
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=3) or list(RECIPES)
        raise ValueError(f"there is no recipe {name!r}; near ones are {', '.join(near)}")
    return RECIPES[name](**options)


def _normalized(normalize: bool) -> list[Transform]:
    return [T.Normalize("imagenet")] if normalize else []


def _odd_tenth(size: Size) -> int:
    """Return an odd number of pixels, about a tenth of the size."""
    side = size if isinstance(size, int) else max(size)
    return side // 10 // 2 * 2 + 1

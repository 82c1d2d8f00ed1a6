"""Albumentations' counterparts of the policies, image by image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from policies import AFFINE, JITTER, Task, masks_of
from study import SEED

NORMAL = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def affine() -> Any:
    """Return turns, shifts, zooms and shears in one warp."""
    import albumentations as A

    degrees, shear = AFFINE["degrees"], AFFINE["shear"]
    shift = AFFINE["translate"][0]
    return A.Affine(
        rotate=(-degrees, degrees),
        translate_percent=dict.fromkeys("xy", (-shift, shift)),
        scale=AFFINE["scale"],
        shear={"x": shear, "y": (0, 0)},
        p=1,
    )


def five_moves() -> list[Any]:
    """Return the moves one by one, a warp each."""
    import albumentations as A

    return [
        A.Rotate((-30, 30), p=1),
        A.Affine(translate_percent=dict.fromkeys("xy", (-0.1, 0.1)), p=1),
        A.Affine(scale=(0.8, 1.2), p=1),
        A.Affine(shear={"x": (-10, 10), "y": (0, 0)}, p=1),
        A.Perspective((0.0, 0.15), keep_size=True, p=1),
    ]


def jitter() -> Any:
    import albumentations as A

    return A.ColorJitter(*JITTER, p=1)


def rand_augment() -> Any:
    """Return two of fourteen operations, with the strengths of magnitude 9 of 31."""
    import albumentations as A

    shear, turn, tone = 15.0, 9.0, 0.27
    return A.SomeOf(
        [
            A.NoOp(p=1),
            A.Affine(shear={"x": (-shear, shear), "y": (0, 0)}, p=1),
            A.Affine(shear={"x": (0, 0), "y": (-shear, shear)}, p=1),
            A.Affine(translate_percent={"x": (-0.2, 0.2), "y": (0, 0)}, p=1),
            A.Affine(translate_percent={"x": (0, 0), "y": (-0.2, 0.2)}, p=1),
            A.Rotate((-turn, turn), p=1),
            A.ColorJitter(tone, 0, 0, 0, p=1),
            A.ColorJitter(0, 0, tone, 0, p=1),
            A.ColorJitter(0, tone, 0, 0, p=1),
            A.Sharpen(p=1),
            A.Posterize(7, p=1),
            A.Solarize((0.7, 0.7), p=1),
            A.AutoContrast(p=1),
            A.Equalize(p=1),
        ],
        n=2,
        replace=True,
        p=1,
    )


def erase(probability: float) -> Any:
    import albumentations as A

    return A.Erasing(scale=(0.02, 0.33), ratio=(0.3, 3.3), fill=0, p=probability)


def imagenet() -> list[Any]:
    import albumentations as A

    return [
        A.RandomResizedCrop((224, 224)),
        A.HorizontalFlip(p=0.5),
        jitter(),
        rand_augment(),
        A.Normalize(**NORMAL),
        erase(0.25),
    ]


def one(name: str, *arguments: Any, **options: Any) -> Callable[[], list[Any]]:
    """Return a function that makes one transform by its name."""

    def make() -> list[Any]:
        import albumentations

        return [getattr(albumentations, name)(*arguments, **options)]

    return make


CHAINS: dict[str, Callable[[], list[Any]]] = {
    "rotate": one("Rotate", (-30, 30), p=1),
    "affine": lambda: [affine()],
    "affine_mask": lambda: [affine()],
    "flip": one("HorizontalFlip", p=0.5),
    "perspective": one("Perspective", (0.0, 0.15), keep_size=True, p=1),
    "five_moves": five_moves,
    "crop": one("RandomResizedCrop", (224, 224), p=1),
    "jitter": lambda: [jitter()],
    "equalize": one("Equalize", p=1),
    "blur": one("GaussianBlur", (5, 5), (0.1, 2.0), p=1),
    "noise": one("GaussNoise", (0.1, 0.1), p=1),
    "erase": lambda: [erase(0.5)],
    "rand_augment": lambda: [rand_augment()],
    "imagenet": imagenet,
}


def contender(task: Task, images: Any) -> Callable[[int], Any]:
    """Call the transforms image by image, into a batch."""
    import albumentations

    chain = albumentations.Compose(CHAINS[task.chain](), seed=SEED)
    if task.masks:
        return with_masks(chain, images)

    def call(calls: int) -> Any:
        for _ in range(calls):
            batch = np.stack([chain(image=image)["image"] for image in images])
        return batch

    return call


def with_masks(chain: Any, images: Any) -> Callable[[int], Any]:
    masks = masks_of(images)

    def call(calls: int) -> Any:
        for _ in range(calls):
            made = [
                chain(image=image, mask=mask) for image, mask in zip(images, masks, strict=True)
            ]
            pair = np.stack([each["image"] for each in made]), np.stack([m["mask"] for m in made])
        return pair

    return call

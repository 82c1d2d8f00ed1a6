"""torchvision's counterparts of the policies: transforms v2 on uint8 tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from policies import AFFINE, CLASSES, JITTER, Task, masks_of
from study import SEED

NORMAL = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def chains() -> dict[str, Any]:
    """Return the transforms of each policy; moves are bilinear."""
    import torch
    from torchvision.transforms import InterpolationMode, v2

    soft = {"interpolation": InterpolationMode.BILINEAR}

    def affine() -> Any:
        return v2.RandomAffine(**AFFINE, **soft)

    def perspective() -> Any:
        return v2.RandomPerspective(0.3, p=1, **soft)

    return {
        "rotate": v2.RandomRotation(30, **soft),
        "affine": affine(),
        "affine_mask": affine(),
        "flip": v2.RandomHorizontalFlip(),
        "perspective": perspective(),
        "five_moves": v2.Compose(
            [
                v2.RandomRotation(30, **soft),
                v2.RandomAffine(0, translate=(0.1, 0.1), **soft),
                v2.RandomAffine(0, scale=(0.8, 1.2), **soft),
                v2.RandomAffine(0, shear=(-10, 10), **soft),
                perspective(),
            ]
        ),
        "crop": v2.RandomResizedCrop(224),
        "jitter": v2.ColorJitter(*JITTER),
        "equalize": v2.RandomEqualize(1),
        "blur": v2.GaussianBlur(5, (0.1, 2.0)),
        "noise": v2.GaussianNoise(),
        "erase": v2.RandomErasing(0.5),
        "rand_augment": v2.RandAugment(2, 9, **soft),
        "imagenet": v2.Compose(
            [
                v2.RandomResizedCrop(224),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(*JITTER),
                v2.RandAugment(2, 9, **soft),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(*NORMAL),
                v2.RandomErasing(0.25),
            ]
        ),
    }


NAMES = (
    "rotate",
    "affine",
    "affine_mask",
    "flip",
    "perspective",
    "five_moves",
    "crop",
    "jitter",
    "equalize",
    "blur",
    "noise",
    "erase",
    "rand_augment",
    "imagenet",
)
MIXES = ("mixup", "cutmix")
OF_BATCHES = tuple(name for name in NAMES if name not in ("affine_mask", "imagenet"))


def tensors_of(images: Any) -> Any:
    """Return the images as torchvision decodes them: channels first, in one piece each."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))


def contender(task: Task, images: Any) -> Callable[[int], Any]:
    """Call the transforms image by image, whose draws differ, and stack a batch."""
    import torch

    torch.manual_seed(SEED)
    if task.chain in MIXES:
        return mixing(task, images)
    chain, tensors = chains()[task.chain], list(tensors_of(images))
    if task.masks:
        return with_masks(chain, tensors, images)

    def call(calls: int) -> Any:
        for _ in range(calls):
            batch = torch.stack([chain(image) for image in tensors])
        return batch

    return call


def of_batch(task: Task, images: Any) -> Callable[[int], Any]:
    """Call the transforms once: all images of a batch get the same."""
    chain, tensors = chains()[task.chain], tensors_of(images)

    def call(calls: int) -> Any:
        for _ in range(calls):
            batch = chain(tensors)
        return batch

    return call


def with_masks(chain: Any, tensors: list[Any], images: Any) -> Callable[[int], Any]:
    import torch
    from torchvision import tv_tensors

    masks = [tv_tensors.Mask(torch.from_numpy(mask)) for mask in masks_of(images)]
    pictures = [tv_tensors.Image(image) for image in tensors]

    def call(calls: int) -> Any:
        for _ in range(calls):
            made = [chain(*pair) for pair in zip(pictures, masks, strict=True)]
            batch = tuple(torch.stack(list(each)) for each in zip(*made, strict=True))
        return batch

    return call


def mixing(task: Task, images: Any) -> Callable[[int], Any]:
    """Mix a whole batch, as torchvision does, by one number."""
    import torch
    from torchvision.transforms import v2

    mix = (
        v2.MixUp(alpha=0.2, num_classes=CLASSES)
        if task.chain == "mixup"
        else v2.CutMix(num_classes=CLASSES)
    )
    tensors, labels = tensors_of(images), torch.arange(len(images)) % CLASSES

    def call(calls: int) -> Any:
        for _ in range(calls):
            batch = mix(tensors.float() if task.chain == "mixup" else tensors, labels)
        return batch

    return call

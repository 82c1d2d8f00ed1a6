"""Policies that are benchmarked, and how their batches are checked before they are timed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from names import TRANSFORMS
from numpy.typing import NDArray
from pictures import ROOT, Pictures
from study import SEED

from fastaug import Augmenter
from fastaug import transforms as T
from fastaug.transforms.base import of_image

sys.path.append(str(ROOT / "tests" / "transforms"))

from references import ROWS, Reference

Array = NDArray[Any]

JITTER = (0.4, 0.4, 0.4, 0.1)
AFFINE = {"degrees": 15, "translate": (0.1, 0.1), "scale": (0.8, 1.2), "shear": (-10, 10)}
CROPPED = (350, 400)  # height and width of what is cropped to 224x224
CLASSES = 10


@dataclass(frozen=True)
class Task:
    """A policy, and the batch that it is done to."""

    name: str
    transforms: tuple[T.Transform, ...]
    count: int = 64
    size: tuple[int, int] = (224, 224)
    masks: bool = False
    dtype: str | None = None

    @property
    def mixes(self) -> bool:
        """Whether it needs labels."""
        return any(isinstance(each, T.Mixes) for each in self.transforms)

    @property
    def chain(self) -> str:
        """The name of its transforms, which small images share with large ones."""
        return self.name.removesuffix("_32")

    def images(self, pictures: Pictures) -> Array:
        """Return the batch, uint8."""
        height, width = self.size
        large = pictures.load(self.count, max(height, width))
        return np.ascontiguousarray(large[:, :height, :width])


def imagenet() -> tuple[T.Transform, ...]:
    """Return the recipe of ImageNet with RandAugment and erasing."""
    return (
        T.RandomResizedCrop(224),
        T.HorizontalFlip(),
        T.ColorJitter(*JITTER),
        T.RandAugment(2, 9),
        T.Erase(0.25),
        T.Normalize("imagenet"),
    )


FIVE = (
    T.Rotate(30),
    T.Translate((0.1, 0.1)),
    T.Scale((0.8, 1.2)),
    T.Shear((-10, 10)),
    T.Perspective(0.3, probability=1),
)

LARGE = (
    Task("rotate", (T.Rotate(30),)),
    Task("affine", (T.Affine(**AFFINE),)),
    Task("flip", (T.HorizontalFlip(),)),
    Task("perspective", (T.Perspective(0.3, probability=1),)),
    Task("five_moves", FIVE),
    Task("crop", (T.RandomResizedCrop(224),), size=CROPPED),
    Task("affine_mask", (T.Affine(**AFFINE),), masks=True),
    Task("jitter", (T.ColorJitter(*JITTER),)),
    Task("equalize", (T.Equalize(1),)),
    Task("blur", (T.GaussianBlur(5),)),
    Task("noise", (T.GaussianNoise(),)),
    Task("erase", (T.Erase(0.5),)),
    Task("mixup", (T.MixUp(),), dtype="float32"),
    Task("cutmix", (T.CutMix(),)),
    Task("rand_augment", (T.RandAugment(2, 9),)),
    Task("imagenet", imagenet(), size=CROPPED),
)
OF_SMALL = ("flip", "affine", "five_moves", "jitter", "rand_augment")
SMALL = tuple(
    replace(task, name=f"{task.name}_32", count=256, size=(32, 32))
    for task in LARGE
    if task.name in OF_SMALL
)
TASKS = {task.name: task for task in (*LARGE, *SMALL)}
assert set(TASKS) <= set(TRANSFORMS)


def one_hot(count: int) -> Array:
    """Return labels of so many images."""
    return np.eye(CLASSES, dtype=np.float32)[np.arange(count) % CLASSES]


def masks_of(images: Array) -> Array:
    """Return a mask of three classes for each image: its dark, middle and bright pixels."""
    return (images[..., 1] // 86).astype(np.uint8)


def targets_of(task: Task, images: Array) -> dict[str, Array]:
    """Return what goes with the images."""
    targets = {"masks": masks_of(images)} if task.masks else {}
    return targets | ({"labels": one_hot(len(images))} if task.mixes else {})


def fastaug(task: Task, images: Array) -> Callable[[int], Any]:
    """Draw and make a batch in each call; gives images alone, or with what goes with them."""
    augmenter = Augmenter(task.transforms, seed=SEED, dtype=task.dtype)
    targets = targets_of(task, images)

    def call(calls: int) -> Any:
        for _ in range(calls):
            batch = augmenter(images, **targets)
        return batch

    return call


@cache
def check_fastaug(transforms: tuple[T.Transform, ...]) -> None:
    """Check transforms by their references in the tests, on small images with three channels."""
    for transform in transforms:
        if isinstance(transform, (T.RandAugment, T.RandomResizedCrop)):
            continue  # of other sizes and operations: the tests compare them
        oracle = OTHER_ORACLES.get(type(transform)) or reference_of(transform)
        if oracle is not None:
            check_by(transform, oracle)


def reference_of(transform: T.Transform) -> Reference | None:
    """Return the row of a transform's class in the tests, if it computes the pixels."""
    rows = [row for row in ROWS if type(row.transform) is type(transform)]
    return rows[0] if rows[0].function is not None else None


def check_by(transform: Any, oracle: Reference) -> None:
    """Compare three images with an oracle, pixel by pixel."""
    if "probability" in transform.__dataclass_fields__:
        transform = replace(transform, probability=1.0)
    images = np.random.default_rng(SEED).integers(0, 256, (3, 19, 26, 3), np.uint8)
    augmenter = Augmenter([transform], seed=SEED)
    drawn = augmenter.draw(len(images), images.shape[1:3])
    made = augmenter.apply(drawn, images)
    numbers = drawn.numbers[type(transform).__name__].numbers
    for i, image in enumerate(images):
        expected = oracle.function(image.astype(np.float64), of_image(numbers, i))
        off = np.abs(made[i] - expected) > oracle.tolerance
        assert off.mean() <= max(oracle.share, 0.01 * isinstance(transform, T.Moves)), transform


def blurred(image: Array, sigma: float) -> Array:
    """Blur with SciPy, by the weights of a bell at five pixels."""
    from scipy import ndimage

    weights = np.exp(-((np.arange(-2, 3) / sigma) ** 2) / 2)
    weights /= weights.sum()
    for axis in (0, 1):
        image = ndimage.correlate1d(image, weights, axis, mode="mirror")
    return image


def erased(image: Array, numbers: Any) -> Array:
    """Put zeros into the holes."""
    image = image.copy()
    for top, left, bottom, right in numbers.holes:
        image[top:bottom, left:right] = 0
    return image


def normalized(image: Array, _numbers: Any) -> Array:
    """Normalize by ImageNet's means and deviations."""
    return (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


OTHER_ORACLES: dict[type, Reference] = {
    T.GaussianBlur: Reference(None, blurred, 0.6, "bytes"),
    T.Erase: Reference(None, erased, 0, "bytes"),
    T.Normalize: Reference(None, normalized, 1e-5, "float32"),
}


def check_peer(made: Any, expected: Any, task: Task) -> None:
    """Check a batch that was drawn by other rules.

    Shape and dtype are certain.  Transforms with the same ranges leave nearly the same mean and
    spread over a batch; a fifth of the range catches one that is black or not of these pictures.
    """
    batch, ours = as_images(made), as_images(expected)
    assert batch.shape == ours.shape
    assert batch.dtype in (np.uint8, np.float32)
    normal = task.chain == "imagenet"
    scale = 255 if batch.dtype == np.float32 and batch.max() < 10 and not normal else 1
    span = 5 if normal else 255  # of values behind `Normalize`, about
    assert abs(batch.mean() * scale - ours.mean()) < 0.2 * span
    assert abs(batch.std() * scale - ours.std()) < 0.2 * span
    assert batch.std() * scale > 0.05 * span
    if task.masks:
        assert made[1].shape == expected["segmentation_masks"].shape
        assert set(np.unique(made[1])) <= {0, 1, 2}


def as_images(made: Any) -> Array:
    """Return a batch's images alone, channels last."""
    if isinstance(made, dict):
        made = made["images"]
    batch = np.asarray(made[0] if isinstance(made, tuple) else made)
    return np.moveaxis(batch, 1, -1) if batch.shape[1] == 3 else batch


def check_pixels(made: Any, expected: Array, tolerance: float, share: float) -> None:
    """Check a batch that was made of the same numbers: nearly all values are near."""
    off = np.abs(as_images(made).astype(np.float64) - expected)
    assert (off > tolerance).mean() <= share, (off.max(), (off > tolerance).mean())

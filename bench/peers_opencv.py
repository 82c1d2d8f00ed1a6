"""The policies by hand with OpenCV, image by image, from numbers that fastaug drew before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from policies import Task, masks_of
from study import SEED

from fastaug import Augmenter

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
    "mixup",
    "cutmix",
)
MOVES = NAMES[:2] + NAMES[4:6]
# What values may differ by, and for which share they may differ more: OpenCV weighs in steps of
# 1/32 pixel, blends borders, resizes without antialiasing, and rounds between colours.
TOLERANCES = {name: (9, 0.05) for name in MOVES} | {
    "flip": (0, 0),
    "jitter": (9, 0.01),
    "equalize": (8, 0.05),
    "blur": (2, 0),
    "erase": (0, 0),
    "mixup": (1, 0),
    "cutmix": (0, 0),
}


def contender(task: Task, images: Any) -> Callable[[int], Any]:
    """Make a batch of the first numbers again and again."""
    augmenter = Augmenter(task.transforms, seed=SEED, dtype=task.dtype)
    drawn = augmenter.draw(len(images), images.shape[1:3], step=0)
    if task.masks:
        return with_masks(drawn, images)
    work = WORKS.get(task.chain, warped)(drawn, images)
    height, width = drawn.pull.size
    batch = np.empty((len(images), height, width, 3), task.dtype or np.uint8)

    def call(calls: int) -> Any:
        for _ in range(calls):
            for i, out in enumerate(batch):
                work(i, images[i], out)
        return batch

    return call


def warped(drawn: Any, _images: Any, flag: str = "INTER_LINEAR") -> Any:
    """Return a function that warps once, whatever the number of moves."""
    import cv2

    swap = [1, 0, 2]
    pulls = drawn.pull.matrices[:, swap][:, :, swap]
    affine = np.allclose(pulls[:, 2], [0, 0, 1])
    options = {"flags": getattr(cv2, flag) | cv2.WARP_INVERSE_MAP}
    size = drawn.pull.size[::-1]

    def work(i: int, image: Any, out: Any) -> None:
        if affine:
            cv2.warpAffine(image, pulls[i, :2], size, dst=out, **options)
        else:
            cv2.warpPerspective(image, pulls[i], size, dst=out, **options)

    return work


def with_masks(drawn: Any, images: Any) -> Callable[[int], Any]:
    soft, hard = warped(drawn, images), warped(drawn, images, "INTER_NEAREST")
    masks = masks_of(images)
    batch, seen = np.empty_like(images), np.empty_like(masks)

    def call(calls: int) -> Any:
        for _ in range(calls):
            for i in range(len(images)):
                soft(i, images[i], batch[i])
                hard(i, masks[i], seen[i])
        return batch, seen

    return call


def flipped(drawn: Any, _images: Any) -> Any:
    import cv2

    def work(i: int, image: Any, out: Any) -> None:
        if drawn.pull.flips[i, 1]:
            cv2.flip(image, 1, dst=out)
        else:
            np.copyto(out, image)

    return work


def cropped(drawn: Any, _images: Any) -> Any:
    import cv2

    crops = np.stack(drawn.numbers["RandomResizedCrop"].numbers, axis=1).tolist()

    def work(i: int, image: Any, out: Any) -> None:
        top, left, height, width = crops[i]
        cv2.resize(image[top : top + height, left : left + width], (224, 224), dst=out)

    return work


def jittered(drawn: Any, _images: Any) -> Any:
    """Return tables, blends and a turn of the hue in HSV, in each image's order."""
    import cv2

    numbers, levels = drawn.numbers["ColorJitter"].numbers, np.arange(256)

    def brightness(image: Any, factor: float) -> Any:
        return cv2.LUT(image, np.clip(np.rint(levels * factor), 0, 255).astype(np.uint8))

    def contrast(image: Any, factor: float) -> Any:
        mean = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
        blend = np.rint(levels * factor + (1 - factor) * mean)
        return cv2.LUT(image, np.clip(blend, 0, 255).astype(np.uint8))

    def saturation(image: Any, factor: float) -> Any:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(image, factor, grey, 1 - factor, 0)

    def hue(image: Any, turns: float) -> Any:
        turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
        table = ((levels + round(turns * 256)) % 256).astype(np.uint8)
        turned[..., 0] = cv2.LUT(turned[..., 0], table)
        return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL)

    steps = (brightness, contrast, saturation, hue)

    def work(i: int, image: Any, out: Any) -> None:
        for step in numbers.order[i]:
            image = steps[step](image, float(numbers[step][i]))
        np.copyto(out, image)

    return work


def equalized(_drawn: Any, _images: Any) -> Any:
    import cv2

    def work(_i: int, image: Any, out: Any) -> None:
        cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(image)], dst=out)

    return work


def blurred(drawn: Any, _images: Any) -> Any:
    import cv2

    sigmas = drawn.numbers["GaussianBlur"].numbers.tolist()
    return lambda i, image, out: cv2.GaussianBlur(
        image, (5, 5), sigmas[i], dst=out, borderType=cv2.BORDER_REFLECT_101
    )


def noisy(_drawn: Any, images: Any) -> Any:
    """Return noise by OpenCV's own generator, added in 16 bits, as bytes have no sign."""
    import cv2

    noise = np.empty(images.shape[1:], np.int16)

    def work(_i: int, image: Any, out: Any) -> None:
        cv2.randn(noise, (0, 0, 0), (25.5, 25.5, 25.5))
        cv2.add(image, noise, dst=out, dtype=cv2.CV_8U)

    return work


def erased(drawn: Any, _images: Any) -> Any:
    chosen = drawn.numbers["Erase"]
    holes = chosen.numbers.holes[:, 0].tolist()

    def work(i: int, image: Any, out: Any) -> None:
        np.copyto(out, image)
        if chosen.applied[i]:
            top, left, bottom, right = holes[i]
            out[top:bottom, left:right] = 0

    return work


def blended(drawn: Any, images: Any) -> Any:
    import cv2

    rows, shares = drawn.partners[0].rows[:, 0], drawn.partners[0].shares[:, 0].tolist()

    def work(i: int, image: Any, out: Any) -> None:
        other = images[rows[i]]
        cv2.addWeighted(image, shares[i], other, 1 - shares[i], 0, dst=out, dtype=cv2.CV_32F)

    return work


def pasted(drawn: Any, images: Any) -> Any:
    rows, areas = drawn.partners[0].rows[:, 0], drawn.partners[0].areas[:, 0].tolist()

    def work(i: int, image: Any, out: Any) -> None:
        np.copyto(out, image)
        top, left, bottom, right = areas[i]
        out[top:bottom, left:right] = images[rows[i]][top:bottom, left:right]

    return work


WORKS = {
    "flip": flipped,
    "crop": cropped,
    "jitter": jittered,
    "equalize": equalized,
    "blur": blurred,
    "noise": noisy,
    "erase": erased,
    "mixup": blended,
    "cutmix": pasted,
}

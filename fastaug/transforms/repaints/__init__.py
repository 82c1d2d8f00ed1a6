"""Transforms that repaint: what needs neighbours, noise or rectangles, in a pass of its own.

`draw(rng, count, size)` draws the numbers of all images of a batch, all of an image in one row, so
that they don't depend on the size of the batch.  `apply(images, numbers, rows)` changes in place
those images (n, height, width, channels) whose index is in `rows`: uint8, float32 or float64, with
values from 0 to 255, channels last or a view of a batch with channels first.  What erases tells
where: `holes(numbers, size)`.
"""

from __future__ import annotations

from fastaug.transforms.repaints.blurs import GaussianBlur, MotionBlur
from fastaug.transforms.repaints.compression import Downscale, JpegArtifacts
from fastaug.transforms.repaints.contrast import CLAHE, Sharpness
from fastaug.transforms.repaints.erasing import CoarseDropout, Erase, GridMask
from fastaug.transforms.repaints.noise import GaussianNoise, SaltAndPepper

REPAINTS = (
    GaussianBlur,
    MotionBlur,
    Sharpness,
    CLAHE,
    GaussianNoise,
    SaltAndPepper,
    Erase,
    CoarseDropout,
    GridMask,
    Downscale,
    JpegArtifacts,
)

__all__ = ["REPAINTS", *(kind.__name__ for kind in REPAINTS)]  # noqa: PLE0604

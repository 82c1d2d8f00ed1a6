"""What files do to images: JPEG's artifacts, and a resolution that is lost."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from fastaug.checks import check_one_of
from fastaug.kernels.downscaling import coarsen_images, soften_images
from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.planes import repaint, working_dtype
from fastaug.transforms.repaints.ranges import between, bounds, check_range, whole_between


@dataclass(frozen=True, slots=True, repr=False)
class JpegArtifacts(Written):
    """Write images as JPEG and read them again, at a random quality.

    The chroma of colours is stored at half the resolution, as by default in Pillow and torchvision.
    Images of floats are rounded to whole numbers.

    Parameters
    ----------
    quality
        A whole number from 1 (worst) to 100, or a range from which one is drawn for each image.
    probability
        Share of the images that are changed.

    Raises
    ------
    TypeError, ValueError
        If `quality` is no such number or range; when it is applied, if images have other than 1 or
        3 channels.

    References
    ----------
    torchvision 0.29, `transforms.v2.JPEG`; libjpeg-turbo does the work.

    Examples
    --------
    >>> import numpy as np
    >>> transform = JpegArtifacts((20, 80))
    >>> transform.draw(np.random.default_rng(0), 3, (8, 8))
    array([58, 36, 22])
    """

    quality: int | tuple[int, int] = (50, 100)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("JpegArtifacts: quality", self.quality, 1, 100, whole=True)
        check_range("JpegArtifacts: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.int64]:  # noqa: ARG002
        """Draw the quality for each image."""
        return whole_between(rng.random((count, 1))[:, 0], self.quality)

    def apply(self, images: NDArray[Any], numbers: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Compress the images of `rows` (m,) among (n, height, width, channels), in place."""
        channels = images.shape[-1]
        if channels not in (1, 3):
            raise ValueError(f"JpegArtifacts: images must have 1 or 3 channels, not {channels}")

        def change(i: int) -> None:
            images[i] = compressed(images[i], int(numbers[i]))

        threads = min(numba.get_num_threads(), len(rows))
        if threads < 2:
            for i in rows:
                change(i)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="fastaug-jpeg") as pool:
            list(pool.map(change, rows))


def compressed(image: NDArray[Any], quality: int) -> NDArray[np.uint8]:
    """Return an image (height, width, 1 or 3), as JPEG's bytes give it back."""
    whole = image if image.dtype == np.uint8 else np.clip(np.rint(image), 0, 255)
    pixels = np.ascontiguousarray(whole, np.uint8)
    data = io.BytesIO()
    # Pillow writes: simplejpeg takes a coarse transform below a quality of 96, which is a third
    # faster, but up to 16 levels beside what others get.  Both read the same, simplejpeg faster.
    picture = Image.fromarray(pixels if image.shape[-1] == 3 else pixels[..., 0])
    picture.save(data, "JPEG", quality=quality)
    space = "RGB" if image.shape[-1] == 3 else "GRAY"
    return simplejpeg.decode_jpeg(data.getvalue(), space).reshape(image.shape)


@dataclass(frozen=True, slots=True, repr=False)
class Downscale(Written):
    """Make images smaller and as large again.

    Parameters
    ----------
    scale
        Size of the smaller image over that of the image, above 0 and up to 1: a number, or a range
        from which one is drawn for each image.
    interpolation
        "nearest" or "bilinear", both ways; pixels in between are skipped, not averaged.
    probability
        Share of the images that are changed.

    Raises
    ------
    TypeError, ValueError
        If `scale` is no such number or range, or `interpolation` neither of the two.

    References
    ----------
    Albumentations 2.0.8, `Downscale`; pixels are found as by OpenCV's `resize` with INTER_NEAREST
    and INTER_LINEAR.

    Examples
    --------
    >>> import numpy as np
    >>> transform = Downscale(0.5)
    >>> images = np.arange(8, dtype=np.uint8).reshape(1, 1, 8, 1)
    >>> transform.apply(images, transform.draw(np.random.default_rng(0), 1, (1, 8)), np.arange(1))
    >>> images.ravel()
    array([0, 0, 2, 2, 4, 4, 6, 6], dtype=uint8)
    """

    scale: float | tuple[float, float] = (0.25, 0.25)
    interpolation: str = "nearest"
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("Downscale: scale", self.scale, 0, 1)
        if bounds(self.scale)[0] == 0:
            raise ValueError(f"Downscale: scale={self.scale!r} must be above 0")
        check_one_of("Downscale: interpolation", self.interpolation, ("nearest", "bilinear"))
        check_range("Downscale: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.float64]:  # noqa: ARG002
        """Draw the scale for each image."""
        return between(rng.random((count, 1))[:, 0], self.scale)

    def apply(self, images: NDArray[Any], numbers: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Change the images of `rows` (m,) among (n, height, width, channels), in place."""
        scales = np.asarray(numbers, np.float64)
        if self.interpolation == "nearest":
            repaint(coarsen_images, images, rows, scales)
            return
        memory = numba.get_num_threads(), int(np.prod(images.shape[1:]))
        repaint(soften_images, images, rows, scales, np.empty(memory, working_dtype(images)))

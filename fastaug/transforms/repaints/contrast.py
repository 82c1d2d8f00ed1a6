"""Change contrast where it depends on the pixels around: sharpness, adaptive equalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer
from fastaug.kernels.equalizing import equalize_images
from fastaug.kernels.filters import sharpen_images
from fastaug.transforms.arguments import Written
from fastaug.transforms.geometry import Size
from fastaug.transforms.repaints.planes import repaint, working_dtype
from fastaug.transforms.repaints.ranges import between, check_range


@dataclass(frozen=True, slots=True, repr=False)
class Sharpness(Written):
    """Make images sharper or smoother.

    A factor of 0 gives the image smoothed over 3 x 3 pixels, 1 the image itself, 2 one that differs
    from the smoothed image twice as much.  Pixels at the edges stay as they are.

    Parameters
    ----------
    factor
        A number of at least 0, or a range from which one is drawn for each image.
    probability
        Share of the images that are changed.

    Raises
    ------
    TypeError, ValueError
        If `factor` is no such number or range.

    References
    ----------
    Pillow 13, `ImageEnhance.Sharpness`; torchvision 0.29, `RandomAdjustSharpness`.  Both cut to
    whole numbers twice on the way, here results are rounded once.

    Examples
    --------
    >>> import numpy as np
    >>> transform = Sharpness(2.0)
    >>> images = np.full((1, 3, 3, 1), 100, np.uint8)
    >>> images[0, 1, 1] = 126
    >>> transform.apply(images, transform.draw(np.random.default_rng(0), 1, (3, 3)), np.arange(1))
    >>> int(images[0, 1, 1, 0])
    142
    """

    factor: float | tuple[float, float]
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("Sharpness: factor", self.factor, 0)
        check_range("Sharpness: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.float64]:  # noqa: ARG002
        """Draw the factor for each image."""
        return between(rng.random((count, 1))[:, 0], self.factor)

    def apply(self, images: NDArray[Any], numbers: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Sharpen the images of `rows` (m,) among (n, height, width, channels), in place."""
        repaint(sharpen_images, images, rows, np.asarray(numbers, working_dtype(images)))


# What red, green and blue count for the brightness (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, repr=False)
class CLAHE(Written):
    """Equalise histograms within tiles of the image, with limited contrast.

    Of images with three channels the brightness is equalised, 0.299 red + 0.587 green + 0.114 blue,
    and its change is added to all three.  Of four, likewise; the last one is transparency and stays
    as it is.  Other channels are equalised each on its own.  Of floats, the histogram is that of
    the values rounded to whole numbers.

    Parameters
    ----------
    clip_limit
        How often a level may be found in a tile, as a multiple of what it would be if all levels
        were equally frequent.  A number of at least 1, or a range from which one is drawn for each
        image.
    tile_grid_size
        How many tiles there are from top to bottom, and from left to right.
    probability
        Share of the images that are equalised.

    Raises
    ------
    TypeError, ValueError
        If `clip_limit` is no such number or range, or a number of tiles is not whole and positive.

    References
    ----------
    Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.  Single
    channels are those of OpenCV's `createCLAHE`.  Albumentations 2.0.8, `CLAHE`, equalises the
    lightness of CIELAB, where this one takes the luma of YCbCr, which is several times faster.

    Examples
    --------
    >>> import numpy as np
    >>> transform = CLAHE(clip_limit=2.0, tile_grid_size=(1, 1))
    >>> images = np.arange(100, 116, dtype=np.uint8).reshape(1, 4, 4, 1)
    >>> transform.apply(images, transform.draw(np.random.default_rng(0), 1, (4, 4)), np.arange(1))
    >>> images.ravel()
    array([ 16,  32,  48,  64,  80,  96, 112, 128, 143, 159, 175, 191, 207,
           223, 239, 255], dtype=uint8)
    """

    clip_limit: float | tuple[float, float] = (1.0, 4.0)
    tile_grid_size: tuple[int, int] = (8, 8)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("CLAHE: clip_limit", self.clip_limit, 1)
        if not isinstance(self.tile_grid_size, tuple | list) or len(self.tile_grid_size) != 2:
            raise ValueError(
                f"CLAHE: tile_grid_size={self.tile_grid_size!r} must be (down, across)"
            )
        for count in self.tile_grid_size:
            check_integer("CLAHE: each of tile_grid_size", count, minimum=1)
        check_range("CLAHE: probability", self.probability, 0, 1)

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.float64]:  # noqa: ARG002
        """Draw the limit for each image."""
        return between(rng.random((count, 1))[:, 0], self.clip_limit)

    def apply(self, images: NDArray[Any], numbers: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Equalise the images of `rows` (m,) among (n, height, width, channels), in place."""
        channels = images.shape[-1]
        is_colour = channels in (3, 4)
        repaint(
            equalize_images,
            images,
            rows,
            np.asarray(numbers, np.float64),
            (int(self.tile_grid_size[0]), int(self.tile_grid_size[1])),
            _LUMA if is_colour else np.ones(1, np.float32),
            3 if is_colour else channels,
        )

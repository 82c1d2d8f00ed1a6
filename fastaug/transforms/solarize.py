"""Invert bright values at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.launch import launch
from fastaug.kernels.pointwise import solarize


@dataclass(frozen=True, slots=True)
class Solarize:
    """Replace every value v at or above `threshold` by 255 - v, in some of the images.

    Parameters
    ----------
    threshold
        From 0 (invert everything) to 256 (nothing).
    probability
        Share of the images that are solarised.

    References
    ----------
    Cubuk et al., "AutoAugment", CVPR 2019, table 6; Pillow's `ImageOps.solarize`.

    Examples
    --------
    >>> import numpy as np
    >>> Solarize(probability=1.0).draw(np.random.default_rng(0), 2)
    array([ True,  True])
    """

    threshold: float = 128.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        for name, value, limit in (
            ("threshold", self.threshold, 256),
            ("probability", self.probability, 1),
        ):
            if not 0 <= value <= limit:
                raise ValueError(f"Solarize: {name}={value!r} must be from 0 to {limit}")

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
        """Draw which images are solarised."""
        return rng.random(count) < self.probability

    def apply(self, images: NDArray[Any], draw: NDArray[Any]) -> None:
        """Solarise (n, height, width, channels) float images with values in [0, 255], in place."""
        launch(solarize, images, draw, images.dtype.type(self.threshold))

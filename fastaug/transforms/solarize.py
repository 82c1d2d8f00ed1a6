"""Invert bright values at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.pointwise import NOTHING, SOLARIZE
from fastaug.transforms.base import Steps
from fastaug.transforms.geometry import Size


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
    >>> Solarize(probability=1.0).draw(np.random.default_rng(0), 2, (8, 8))
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

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> NDArray[np.bool_]:  # noqa: ARG002
        """Draw which images are solarised."""
        return rng.random(count) < self.probability

    def steps(self, numbers: NDArray[Any]) -> Steps:
        """Solarise the drawn images; values are in [0, 255]."""
        codes = np.where(numbers[:, np.newaxis], SOLARIZE, NOTHING).astype(np.int8)
        return Steps(codes, np.full((len(numbers), 1, 1), self.threshold, np.float64))

"""Invert bright values at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.pointwise import NOTHING, SOLARIZE


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

    def steps(self, draw: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Return the codes (n, 1) and the thresholds (n, 1, 1), for values in [0, 255]."""
        codes = np.where(draw, np.int8(SOLARIZE), np.int8(NOTHING))
        return codes[:, np.newaxis], np.full((len(draw), 1, 1), float(self.threshold))

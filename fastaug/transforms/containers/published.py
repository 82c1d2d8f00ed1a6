"""Policies that were searched for, or found to need no search: a choice for each image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer, check_one_of
from fastaug.transforms.containers.operations import (
    CODES,
    IDENTITY,
    MOVES,
    SHARPNESS,
    Chain,
    Operations,
    magnitudes,
    with_signs,
)
from fastaug.transforms.geometry import Size

# The strongest of each operation; shifts are shares of the size.
_SHIFT = 150.0 / 331.0
_FACTORS = ("Brightness", "Color", "Contrast", SHARPNESS)
RANDAUGMENT = dict.fromkeys(_FACTORS, 0.9) | {
    "ShearX": 0.3,
    "ShearY": 0.3,
    "TranslateX": _SHIFT,
    "TranslateY": _SHIFT,
    "Rotate": 30.0,
    "Posterize": 4,
}
TRIVIAL = dict.fromkeys(_FACTORS, 0.99) | {
    "ShearX": 0.99,
    "ShearY": 0.99,
    "TranslateX": 0.0,
    "TranslateY": 0.0,
    "pixels": 32.0,
    "Rotate": 135.0,
    "Posterize": 2,
}
_CHOICES = (IDENTITY, *MOVES, *(name for name in CODES if name != "Invert"), SHARPNESS)


@lru_cache(maxsize=64)
def _table(bins: int, size: Size, space: tuple[tuple[str, float], ...]) -> NDArray[np.float64]:
    """Return the numbers of all choices, (choices, bins)."""
    return np.stack([magnitudes(name, bins, size, dict(space)) for name in _CHOICES])


@dataclass(frozen=True, slots=True, repr=False)
class RandAugment(Chain):
    """Do n operations of fourteen, all equally strong, drawn for each image.

    Parameters
    ----------
    n
        How many operations are drawn; one of them is to do nothing.
    magnitude
        How strong they are, from 0 to `bins` - 1.
    bins
        How many strengths there are.
    probability
        Share of the images to which any is done.

    References
    ----------
    Cubuk et al., "RandAugment", CVPR Workshops 2020; torchvision 0.29, `v2.RandAugment`, where the
    operations of a batch are the same for all of its images.

    Examples
    --------
    >>> RandAugment(2, 9)
    RandAugment()
    """

    n: int = 2
    magnitude: int = 9
    bins: int = 31
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self._called("n"), self.n, minimum=0)
        check_integer(self._called("bins"), self.bins, minimum=2)
        check_integer(self._called("magnitude"), self.magnitude, minimum=0, maximum=self.bins - 1)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Operations:
        """Draw the operations of each image, and their signs."""
        u = rng.random((count, self.n, 2))
        chosen = np.floor(u[..., 0] * len(_CHOICES)).astype(np.intp)
        table = _table(self.bins, size, tuple(RANDAUGMENT.items()))
        names = np.array(_CHOICES)[chosen]
        return Operations(names, with_signs(names, table[chosen, self.magnitude], u[..., 1]))


@dataclass(frozen=True, slots=True, repr=False)
class TrivialAugment(Chain):
    """Do one operation of fourteen, of any strength, drawn for each image.

    Parameters
    ----------
    bins
        How many strengths there are.
    probability
        Share of the images to which any is done.

    References
    ----------
    Müller and Hutter, "TrivialAugment", ICCV 2021, the wide space; torchvision 0.29,
    `v2.TrivialAugmentWide`.
    """

    bins: int = 31
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self._called("bins"), self.bins, minimum=2)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Operations:
        """Draw an operation, its strength and its sign for each image."""
        u = rng.random((count, 1, 3))
        chosen = np.floor(u[..., 0] * len(_CHOICES)).astype(np.intp)
        strength = np.floor(u[..., 1] * self.bins).astype(np.intp)
        table = _table(self.bins, size, tuple(TRIVIAL.items()))
        names = np.array(_CHOICES)[chosen]
        return Operations(names, with_signs(names, table[chosen, strength], u[..., 2]))


# Pairs of operations: name, probability, strength of ten.
_SEARCHED = {
    "imagenet": """
        Posterize 0.4 8, Rotate 0.6 9
        Solarize 0.6 5, AutoContrast 0.6 -
        Equalize 0.8 -, Equalize 0.6 -
        Posterize 0.6 7, Posterize 0.6 6
        Equalize 0.4 -, Solarize 0.2 4
        Equalize 0.4 -, Rotate 0.8 8
        Solarize 0.6 3, Equalize 0.6 -
        Posterize 0.8 5, Equalize 1.0 -
        Rotate 0.2 3, Solarize 0.6 8
        Equalize 0.6 -, Posterize 0.4 6
        Rotate 0.8 8, Color 0.4 0
        Rotate 0.4 9, Equalize 0.6 -
        Equalize 0.0 -, Equalize 0.8 -
        Invert 0.6 -, Equalize 1.0 -
        Color 0.6 4, Contrast 1.0 8
        Rotate 0.8 8, Color 1.0 2
        Color 0.8 8, Solarize 0.8 7
        Sharpness 0.4 7, Invert 0.6 -
        ShearX 0.6 5, Equalize 1.0 -
        Color 0.4 0, Equalize 0.6 -
        Equalize 0.4 -, Solarize 0.2 4
        Solarize 0.6 5, AutoContrast 0.6 -
        Invert 0.6 -, Equalize 1.0 -
        Color 0.6 4, Contrast 1.0 8
        Equalize 0.8 -, Equalize 0.6 -
    """,
    "cifar10": """
        Invert 0.1 -, Contrast 0.2 6
        Rotate 0.7 2, TranslateX 0.3 9
        Sharpness 0.8 1, Sharpness 0.9 3
        ShearY 0.5 8, TranslateY 0.7 9
        AutoContrast 0.5 -, Equalize 0.9 -
        ShearY 0.2 7, Posterize 0.3 7
        Color 0.4 3, Brightness 0.6 7
        Sharpness 0.3 9, Brightness 0.7 9
        Equalize 0.6 -, Equalize 0.5 -
        Contrast 0.6 7, Sharpness 0.6 5
        Color 0.7 7, TranslateX 0.5 8
        Equalize 0.3 -, AutoContrast 0.4 -
        TranslateY 0.4 3, Sharpness 0.2 6
        Brightness 0.9 6, Color 0.2 8
        Solarize 0.5 2, Invert 0.0 -
        Equalize 0.2 -, AutoContrast 0.6 -
        Equalize 0.2 -, Equalize 0.6 -
        Color 0.9 9, Equalize 0.6 -
        AutoContrast 0.8 -, Solarize 0.2 8
        Brightness 0.1 3, Color 0.7 0
        Solarize 0.4 5, AutoContrast 0.9 -
        TranslateY 0.9 9, TranslateY 0.7 9
        AutoContrast 0.9 -, Solarize 0.8 3
        Equalize 0.8 -, Invert 0.1 -
        TranslateY 0.7 9, AutoContrast 0.9 -
    """,
    "svhn": """
        ShearX 0.9 4, Invert 0.2 -
        ShearY 0.9 8, Invert 0.7 -
        Equalize 0.6 -, Solarize 0.6 6
        Invert 0.9 -, Equalize 0.6 -
        Equalize 0.6 -, Rotate 0.9 3
        ShearX 0.9 4, AutoContrast 0.8 -
        ShearY 0.9 8, Invert 0.4 -
        ShearY 0.9 5, Solarize 0.2 6
        Invert 0.9 -, AutoContrast 0.8 -
        Equalize 0.6 -, Rotate 0.9 3
        ShearX 0.9 4, Solarize 0.3 3
        ShearY 0.8 8, Invert 0.7 -
        Equalize 0.9 -, TranslateY 0.6 6
        Invert 0.9 -, Equalize 0.6 -
        Contrast 0.3 3, Rotate 0.8 4
        Invert 0.8 -, TranslateY 0.0 2
        ShearY 0.7 6, Solarize 0.4 8
        Invert 0.6 -, Rotate 0.8 4
        ShearY 0.3 7, TranslateX 0.9 3
        ShearX 0.1 6, Invert 0.6 -
        Solarize 0.7 2, TranslateY 0.6 7
        ShearY 0.8 4, Invert 0.8 -
        ShearX 0.7 9, TranslateY 0.8 3
        ShearY 0.8 5, AutoContrast 0.7 -
        ShearX 0.7 2, Invert 0.1 -
    """,
}
_STRENGTHS = 10


@lru_cache(maxsize=64)
def _pairs(
    policy: str, size: Size
) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.float64]]:
    """Return names, probabilities and numbers of a policy's pairs: (25, 2) each."""
    lines = [line.strip() for line in _SEARCHED[policy].strip().splitlines()]
    words = [[part.split() for part in line.split(",")] for line in lines]
    names = np.array([[word[0] for word in pair] for pair in words])
    chances = np.array([[float(word[1]) for word in pair] for pair in words])
    values = [
        [
            0.0
            if strength == "-"
            else magnitudes(name, _STRENGTHS, size, RANDAUGMENT)[int(strength)]
            for name, _, strength in pair
        ]
        for pair in words
    ]
    return names, chances, np.array(values)


@dataclass(frozen=True, slots=True, repr=False)
class AutoAugment(Chain):
    """Do one of 25 pairs of operations that a search found, drawn for each image.

    Parameters
    ----------
    policy
        What it was searched on: "imagenet", "cifar10" or "svhn".
    probability
        Share of the images to which any is done.

    References
    ----------
    Cubuk et al., "AutoAugment", CVPR 2019, tables 7 to 9; torchvision 0.29, `v2.AutoAugment`.
    """

    policy: str = "imagenet"
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_one_of(self._called("policy"), self.policy, tuple(_SEARCHED))
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Operations:
        """Draw a pair, what is done of it, and signs for each image."""
        names, chances, values = _pairs(self.policy, size)
        u = rng.random((count, 5))
        chosen = np.floor(u[:, 0] * len(names)).astype(np.intp)
        done = np.where(u[:, 1:3] < chances[chosen], names[chosen], IDENTITY)
        return Operations(done, with_signs(done, values[chosen], u[:, 3:]))

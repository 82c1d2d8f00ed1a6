"""One of several transforms, some of them, or all in any order: drawn for each image.

A container has all faces: its moves join the warp, its recolours the pass over the values, and its
repaints get a pass for the images that they were drawn for.  An order counts within a stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag, check_integer, check_number
from fastaug.transforms.arguments import Written
from fastaug.transforms.base import (
    Chosen,
    Mixes,
    Moves,
    Recolours,
    Repaints,
    Steps,
    Transform,
    in_sequence,
    named,
    no_steps,
)
from fastaug.transforms.geometry import Pull, Size, still

ORDER = "order"


class Container(Written):
    """Draws for all of its transforms, and which of them are done to an image, in which order.

    Its numbers are a mapping: each transform's, and under "order" (n, k): which transform comes
    first, second ..., with -1 where there is none any more.
    """

    __slots__ = ()

    transforms: Sequence[Transform]

    def __post_init__(self) -> None:
        given = self.transforms
        if not isinstance(given, list | tuple) or not given:
            raise TypeError(f"{self._called('transforms')}={given!r} is not a list of transforms")
        for transform in given:
            if isinstance(transform, Mixes) and not isinstance(transform, Container):
                raise ValueError(
                    f"{self._called('transforms')}: {transform!r} mixes images of a batch, which a "
                    "container can't choose; give it a probability in the policy's own list"
                )
            if isinstance(transform, type) or not isinstance(
                transform, Moves | Recolours | Repaints
            ):
                raise TypeError(f"{self._called('transforms')}: {transform!r} is not a transform")
        object.__setattr__(self, "transforms", tuple(given))

    @property
    def on_bytes(self) -> bool:  # type: ignore[override]
        """Whether all of its repaints take images of bytes."""
        repaints = (each for each in self.transforms if isinstance(each, Repaints))
        return all(getattr(each, "on_bytes", False) for each in repaints)

    def choose(self, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        """Draw the order of each image's transforms, (count, k)."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> dict[str, Any]:
        """Draw for all transforms, from a stream each, and what is done to which image."""
        streams = rng.spawn(len(self.transforms))
        order = self.choose(rng, count)
        numbers: dict[str, Any] = {ORDER: order}
        for k, (name, transform) in enumerate(named(self.transforms)):
            applied = (order == k).any(axis=1)
            probability = getattr(transform, "probability", 1.0)
            if probability < 1:
                applied &= streams[k].random(count) < probability
            numbers[name] = Chosen(transform.draw(streams[k], count, size), applied)
        return numbers

    def pull(self, numbers: Mapping[str, Any], size: Size) -> Pull:
        """Return the moves of each image, in its order."""
        order = np.asarray(numbers[ORDER])
        whole = still(len(order), size)
        for slot in range(order.shape[1]):
            for k, (name, transform) in enumerate(named(self.transforms)):
                if isinstance(transform, Moves) and name in numbers:
                    chosen = _chosen(numbers[name], order)
                    here = chosen.applied & (order[:, slot] == k)
                    if here.any():
                        pull = transform.pull(chosen.numbers, size)
                        if pull.size != size:
                            raise ValueError(
                                f"{transform!r} changes the size of images, so it can't be chosen "
                                f"for some of them: take it out of {type(self).__name__}"
                            )
                        whole = pull.where(here).after(whole)
        return whole

    def steps(self, numbers: Mapping[str, Any]) -> Steps:
        """Return the recolours of each image, in its order."""
        order = np.asarray(numbers[ORDER])
        parts, places = [], []
        for k, (name, transform) in enumerate(named(self.transforms)):
            if isinstance(transform, Recolours) and name in numbers:
                chosen = _chosen(numbers[name], order)
                steps = transform.steps(chosen.numbers).where(chosen.applied)
                parts.append(steps)
                rank = np.where(order == k, np.arange(order.shape[1]), order.shape[1]).min(axis=1)
                places.append(np.repeat(rank[:, np.newaxis], steps.codes.shape[1], axis=1))
        if not parts:
            return no_steps(len(order))
        ranks = np.concatenate(places, axis=1)
        return in_sequence(parts).in_order(ranks.argsort(axis=1, kind="stable"))

    def apply(
        self, images: NDArray[Any], numbers: Mapping[str, Any], rows: NDArray[np.intp]
    ) -> None:
        """Repaint each image, in its order."""
        order = np.asarray(numbers[ORDER])
        for slot in range(order.shape[1]):
            for k, (name, transform) in enumerate(named(self.transforms)):
                if isinstance(transform, Repaints) and name in numbers:
                    chosen = _chosen(numbers[name], order)
                    here = rows[chosen.applied[rows] & (order[rows, slot] == k)]
                    if len(here):
                        transform.apply(images, chosen.numbers, here)


def _chosen(numbers: Any, order: NDArray[np.intp]) -> Chosen:
    """Return a transform's numbers; those of `Drawn.parameters` are of one image, and done."""
    return numbers if isinstance(numbers, Chosen) else Chosen(numbers, np.ones(len(order), bool))


@dataclass(frozen=True, slots=True, repr=False)
class OneOf(Container):
    """Do one of several transforms, drawn for each image.

    Parameters
    ----------
    transforms
        To choose from.
    weights
        How likely each is, relative to the others; None: equally.
    probability
        Share of the images to which any is done.

    References
    ----------
    Albumentations 2.0, `OneOf`; torchvision 0.29, `v2.RandomChoice`.  A transform's own probability
    counts once it is chosen.

    Examples
    --------
    >>> from fastaug import transforms as T
    >>> T.OneOf([T.Rotate(10), T.Shear(5)])
    OneOf((Rotate(10), Shear(5)))
    """

    transforms: Sequence[Transform]
    weights: Sequence[float] | None = None
    probability: float = 1.0

    def __post_init__(self) -> None:
        Container.__post_init__(self)
        self._check_probability()
        if self.weights is not None:
            if len(self.weights) != len(self.transforms):
                raise ValueError(
                    f"{self._called('weights')}={self.weights!r}: {len(self.transforms)} "
                    "are needed, one for each transform"
                )
            for weight in self.weights:
                check_number(self._called("weights"), weight, minimum=0)
            if not sum(self.weights):
                raise ValueError(f"{self._called('weights')}={self.weights!r}: all are 0")
            object.__setattr__(self, "weights", tuple(self.weights))

    def choose(self, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        """Draw one for each image."""
        weights = np.ones(len(self.transforms)) if self.weights is None else np.array(self.weights)
        ends = np.cumsum(weights) / weights.sum()
        chosen = np.searchsorted(ends, rng.random(count), side="right")
        return np.minimum(chosen, len(ends) - 1)[:, np.newaxis]


@dataclass(frozen=True, slots=True, repr=False)
class SomeOf(Container):
    """Do n of several transforms, drawn for each image, in a drawn order.

    Parameters
    ----------
    transforms
        To choose from.
    n
        How many; a pair (fewest, most).
    replace
        Whether a transform may be drawn more than once; it is done once.
    probability
        Share of the images to which any is done.

    References
    ----------
    Albumentations 2.0, `SomeOf`.
    """

    transforms: Sequence[Transform]
    n: int | tuple[int, int] = 1
    replace: bool = False
    probability: float = 1.0

    def __post_init__(self) -> None:
        Container.__post_init__(self)
        for number in self.n if isinstance(self.n, tuple | list) else (self.n,):
            check_integer(self._called("n"), number, minimum=0, maximum=len(self.transforms))
        if isinstance(self.n, tuple | list) and (len(self.n) != 2 or self.n[0] > self.n[1]):
            raise ValueError(f"{self._called('n')}={self.n!r} must be (fewest, most)")
        check_flag(self._called("replace"), self.replace)
        self._check_probability()

    def choose(self, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        """Draw how many, and which."""
        fewest, most = self.n if isinstance(self.n, tuple | list) else (self.n, self.n)
        u = rng.random((count, 1 + len(self.transforms)))
        numbers = fewest + np.floor(u[:, :1] * (most - fewest + 1)).astype(np.intp)
        if self.replace:
            order = np.floor(u[:, 1:] * len(self.transforms)).astype(np.intp)
        else:
            order = u[:, 1:].argsort(axis=1)
        order = order[:, : max(most, 1)]
        return np.where(np.arange(order.shape[1]) < numbers, order, -1)


@dataclass(frozen=True, slots=True, repr=False)
class RandomOrder(Container):
    """Do all transforms in a drawn order, within each stage.

    Parameters
    ----------
    transforms
        What is done.

    References
    ----------
    Albumentations 2.0 and torchvision 0.29, `RandomOrder`.
    """

    transforms: Sequence[Transform]

    def choose(self, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        """Draw an order."""
        return rng.random((count, len(self.transforms))).argsort(axis=1)

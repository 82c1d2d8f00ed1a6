"""All that is random in a batch, drawn once, as one value.

Pixels, captions and `get_random_transform` read the same `Drawn`, whoever asks, and when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastaug.checks import check_integer
from fastaug.transforms.base import (
    Moves,
    Numbers,
    Recolours,
    Repaints,
    Steps,
    Transform,
    in_sequence,
)
from fastaug.transforms.geometry import Pull, Size
from fastaug.transforms.keras.draws import Draws
from fastaug.transforms.keras.policy import KerasAugmentation
from fastaug.transforms.streams import Streams


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """All the randomness of a batch of n images, and what follows from it.

    Attributes
    ----------
    keras
        What Keras' parameters drew.
    numbers
        What each transform drew, by its name in the policy.
    pull
        Where the pixels come from.
    steps
        What is done to the values.
    passes
        What comes after that, in order: transforms with their numbers.
    """

    keras: Draws
    numbers: Mapping[str, Numbers]
    pull: Pull
    steps: Steps
    passes: tuple[tuple[Repaints, Numbers], ...] = ()

    def __len__(self) -> int:
        return len(self.pull)

    def parameters(self, i: int) -> dict[str, Any]:
        """Return image i's numbers: Keras' dictionary, and an entry for each transform."""
        ours = {name: _of_image(numbers, i) for name, numbers in self.numbers.items()}
        return self.keras.parameters(i) | ours


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done to images at random: Keras' parameters, and transforms of our own.

    Stages have a fixed order, and within a stage the order of the list counts.  Moves: those of
    `transforms`, then Keras', all in one warp.  Recolours: Keras', then those of `transforms`, all
    in one pass.  Then repaints, each in a pass of its own.

    Each transform draws from a stream of its own, named after its class, and the second one of a
    class from another: adding one changes no other's numbers.
    """

    keras: KerasAugmentation
    transforms: tuple[Transform, ...] = ()

    def named(self) -> Iterator[tuple[str, Transform]]:
        """Yield the transforms with their names: `Solarize`, and the next one `Solarize 2`."""
        seen: Counter[str] = Counter()
        for transform in self.transforms:
            name = type(transform).__name__
            seen[name] += 1
            yield name if seen[name] == 1 else f"{name} {seen[name]}", transform

    def draw(self, streams: Streams, count: int, size: Size) -> Drawn:
        """Draw for `count` images of that size."""
        if not self.transforms:  # nearly always, and 8 us of 200 for 32 small images
            return self._of_keras(self.keras.draw(streams.keras, count, size), size)
        numbers: dict[str, Numbers] = {}
        pull = None
        for name, transform in self.named():
            if isinstance(transform, Moves):
                numbers[name] = transform.draw(streams.of(name), count, size)
                pull = _behind(pull, _checked_pull(name, transform, numbers[name], count, size))
                size = pull.size
        keras = self.keras.draw(streams.keras, count, size)
        for name, transform in self.named():
            if name not in numbers:
                numbers[name] = transform.draw(streams.of(name), count, size)
        return self._drawn(keras, numbers, pull, size)

    def draw_each(self, streams: Streams, count: int, size: Size) -> Iterator[Drawn]:
        """Yield what `draw` gives one image at a time: Keras' numbers when the image is asked for.

        For code that draws from the same stream in between, as Keras' own loop over images lets it.
        """
        numbers: dict[str, Numbers] = {}
        warped = size  # what Keras' warp gets
        for name, transform in self.named():
            if isinstance(transform, Moves):
                numbers[name] = transform.draw(streams.of(name), count, warped)
                warped = transform.pull(numbers[name], warped).size
        for name, transform in self.named():
            if name not in numbers:
                numbers[name] = transform.draw(streams.of(name), count, warped)
        for i in range(count):
            keras = self.keras.draw(streams.keras, 1, warped)
            of_image = {name: _part_of(drawn, i) for name, drawn in numbers.items()}
            yield self.assemble(keras, of_image, size)

    def _of_keras(self, keras: Draws, size: Size) -> Drawn:
        return Drawn(keras, {}, self.keras.pull(keras, size), self.keras.steps(keras))

    def replay(self, parameters: Mapping[str, Any], size: Size) -> Drawn:
        """Return what a dictionary of `Drawn.parameters` says, for one image of that size.

        What it doesn't name changes nothing; unknown names are ignored, with one warning.
        """
        names = {name for name, _ in self.named()}
        keras = {name: value for name, value in parameters.items() if name not in names}
        numbers = {name: _as_batch(parameters[name]) for name in parameters if name in names}
        return self.assemble(self.keras.replay(keras), numbers, size)

    def assemble(self, keras: Draws, numbers: Mapping[str, Numbers], size: Size) -> Drawn:
        """Return what follows from numbers that are there already."""
        pull = None
        for name, transform in self.named():
            if isinstance(transform, Moves) and name in numbers:
                moved = _checked_pull(name, transform, numbers[name], len(keras), size)
                pull, size = _behind(pull, moved), moved.size
        return self._drawn(keras, numbers, pull, size)

    def _drawn(
        self, keras: Draws, numbers: Mapping[str, Numbers], pull: Pull | None, size: Size
    ) -> Drawn:
        drawn = [(name, transform) for name, transform in self.named() if name in numbers]
        steps = [self.keras.steps(keras)]
        steps += [
            _checked_steps(name, transform, numbers[name], len(keras))
            for name, transform in drawn
            if isinstance(transform, Recolours)
        ]
        return Drawn(
            keras,
            numbers,
            _behind(pull, self.keras.pull(keras, size)).tidied(),
            in_sequence(steps).tidied(),
            tuple(
                (transform, numbers[name])
                for name, transform in drawn
                if isinstance(transform, Repaints)
            ),
        )


def _checked_pull(name: str, transform: Moves, numbers: Numbers, count: int, size: Size) -> Pull:
    """Return a transform's pull, or raise an error that names it: kernels trust what they get."""
    pull = transform.pull(numbers, size)
    if not isinstance(pull, Pull):
        raise TypeError(f"{name}.pull(...) must return a Pull, not {type(pull).__name__}")
    shapes = np.shape(pull.matrices), np.shape(pull.moved), np.shape(pull.flips)
    if shapes != ((count, 3, 3), (count,), (count, 2)):
        raise ValueError(
            f"{name}.pull(...): matrices, moved and flips have the shapes {shapes}; for {count} "
            f"images they must be ({count}, 3, 3), ({count},) and ({count}, 2)"
        )
    for side in pull.size:
        check_integer(f"{name}.pull(...): each side of the size {pull.size}", side, minimum=1)
    if tuple(pull.size) != tuple(size) and not np.all(pull.moved):
        raise ValueError(
            f"{name}.pull(...) gives images of {tuple(pull.size)} for {tuple(size)} (height, "
            "width), and says that some are not moved; all are where the size changes"
        )
    return pull


def _checked_steps(name: str, transform: Recolours, numbers: Numbers, count: int) -> Steps:
    """Return a transform's steps, or raise an error that names it."""
    steps = transform.steps(numbers)
    if not isinstance(steps, Steps):
        raise TypeError(f"{name}.steps(...) must return Steps, not {type(steps).__name__}")
    codes, shape = np.shape(steps.codes), np.shape(steps.numbers)
    if (
        len(codes) != 2
        or len(shape) != 3
        or codes[0] != count
        or shape[:2] != codes
        or not shape[2]
    ):
        raise ValueError(
            f"{name}.steps(...): codes {codes} and numbers {shape} must be ({count}, k) and "
            f"({count}, k, m): k steps for each of {count} images, at least one number each"
        )
    if steps.extremes:
        raise ValueError(
            f"{name}.steps(...): extremes are those of the warped image, before Keras' brightness; "
            "only Keras' own steps, which come first, may ask for them"
        )
    return steps


def _behind(first: Pull | None, then: Pull) -> Pull:
    return then if first is None else then.after(first)


def _of_image(numbers: Numbers, i: int) -> Any:
    """Return one image's share of what a transform drew."""
    if isinstance(numbers, tuple):
        return _like(numbers, [_of_image(array, i) for array in numbers])
    return numbers[i].tolist()


def _part_of(numbers: Numbers, i: int) -> Numbers:
    """Return one image's share of what a transform drew, as a batch of one."""
    if isinstance(numbers, tuple):
        return _like(numbers, [_part_of(array, i) for array in numbers])
    return numbers[i : i + 1]


def _as_batch(numbers: Any) -> Numbers:
    """Return one image's numbers as those of a batch of one."""
    if isinstance(numbers, tuple):
        return _like(numbers, [_as_batch(number) for number in numbers])
    return np.asarray(numbers)[np.newaxis]


def _like(numbers: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    """Return items as a tuple of the same class, which may have names for them."""
    return type(numbers)(*items) if hasattr(numbers, "_fields") else tuple(items)

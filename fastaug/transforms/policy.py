"""All that is random in a batch, drawn once, as one value.

Pixels, masks, boxes, captions and `get_random_transform` read the same `Drawn`, whoever asks, and
when.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_integer
from fastaug.transforms.base import (
    Chosen,
    Mask,
    Mixes,
    Moves,
    Numbers,
    Partners,
    Recolours,
    Repaints,
    SeesBoxes,
    Steps,
    Transform,
    as_batch,
    in_sequence,
    named,
)
from fastaug.transforms.geometry import Boxes, Pull, Size, boxes_after
from fastaug.transforms.keras.draws import Draws
from fastaug.transforms.keras.policy import KerasAugmentation
from fastaug.transforms.streams import Streams


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """A repaint of a batch: its numbers, and which images get it."""

    name: str
    transform: Repaints
    numbers: Numbers
    rows: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """All the randomness of a batch of n images, and what follows from it.

    Attributes
    ----------
    keras
        What Keras' parameters drew.
    numbers
        What each transform drew, by its name in the policy, and for whom.
    pull
        Where the pixels come from.
    steps
        What is done to the values.
    passes
        What comes after that, in order.
    partners
        What is mixed at the end, in order.
    kept_boxes
        (n, k) bool: which boxes the moves keep; None: all.
    """

    keras: Draws
    numbers: Mapping[str, Chosen]
    pull: Pull
    steps: Steps
    passes: tuple[Pass, ...] = ()
    partners: tuple[Partners, ...] = ()
    kept_boxes: Mask | None = None

    def __len__(self) -> int:
        return len(self.pull)

    def parameters(self, i: int) -> dict[str, Any]:
        """Return image i's numbers: Keras' dictionary, and an entry for each transform done to it.

        A transform that draws nothing has an entry, too.
        """
        ours = {name: drawn.of_image(i) for name, drawn in self.numbers.items() if drawn.applied[i]}
        return self.keras.parameters(i) | ours


@dataclass(frozen=True)
class Policy:
    """What is done to images at random: Keras' parameters, and transforms of our own.

    Stages have a fixed order, and within a stage the order of the list counts.  Moves: those of
    `transforms`, then Keras', all in one warp.  Recolours: Keras', then those of `transforms`, all
    in one pass.  Then repaints, each in a pass of its own, and, behind the last steps, mixes.

    Each transform draws from a stream of its own, named after its class, and the second one of a
    class from another: adding one changes no other's numbers.
    """

    keras: KerasAugmentation
    transforms: tuple[Transform, ...] = ()

    @cached_property
    def named(self) -> tuple[tuple[str, Transform], ...]:
        """The transforms with their names."""
        return named(self.transforms)

    @cached_property
    def stages(self) -> Mapping[type, tuple[tuple[str, Any], ...]]:
        """The named transforms of each kind; to ask for every batch takes half of a draw."""
        return {
            kind: tuple(pair for pair in self.named if isinstance(pair[1], kind))
            for kind in (Moves, SeesBoxes, Recolours, Repaints, Mixes)
        }

    @property
    def sees_boxes(self) -> bool:
        """Whether a transform looks at the boxes before it draws."""
        return bool(self.stages[SeesBoxes])

    def draw(self, streams: Streams, count: int, size: Size, boxes: Boxes | None = None) -> Drawn:
        """Draw for `count` images of that size; `boxes` (n, k, 4) only where it sees boxes."""
        if not self.transforms:  # nearly always, and 8 us of 200 for 32 small images
            return self._of_keras(self.keras.draw(streams.keras, count, size), size)
        numbers, pull, warped = self._draw_moves(streams, count, size, boxes)
        keras = self.keras.draw(streams.keras, count, warped)
        numbers |= self._draw_rest(streams, count, warped, numbers)
        return self._drawn(keras, numbers, pull, warped)

    def draw_each(self, streams: Streams, count: int, size: Size) -> Iterator[Drawn]:
        """Yield what `draw` gives one image at a time: Keras' numbers when the image is asked for.

        For code that draws from the same stream in between, as Keras' own loop over images lets it.
        Mixes need the whole batch: see `draw_partners`.
        """
        numbers, _, warped = self._draw_moves(streams, count, size)
        numbers |= self._draw_rest(streams, count, warped, numbers)
        alone = Policy(
            self.keras, tuple(each for each in self.transforms if not isinstance(each, Mixes))
        )
        for i in range(count):
            keras = self.keras.draw(streams.keras, 1, warped)
            of_image = {name: drawn.part(i) for name, drawn in numbers.items()}
            yield alone.assemble(keras, of_image, size)

    def draw_partners(self, streams: Streams, count: int, size: Size) -> tuple[Partners, ...]:
        """Draw what `draw` does for the mixes alone, in images of the output's size."""
        return tuple(
            _partners(name, transform, _draw(name, transform, streams, count, size), size)
            for name, transform in self.stages[Mixes]
        )

    def size_after(self, size: Size) -> Size:
        """Return the size of the output for sources of a size."""
        for name, transform in self.stages[Moves]:
            numbers = transform.draw(np.random.default_rng(0), 1, size)
            size = _checked_pull(name, transform, numbers, 1, size).size
        return size

    def _draw_moves(
        self, streams: Streams, count: int, size: Size, boxes: Boxes | None = None
    ) -> tuple[dict[str, Chosen], Pull | None, Size]:
        """Draw for all that moves pixels, whose sizes follow from each other."""
        numbers: dict[str, Chosen] = {}
        pull = None
        for name, transform in self.stages[Moves]:
            if boxes is not None and (name, transform) in self.stages[SeesBoxes]:
                seen = _seen(boxes, pull, size)
                drawn = transform.draw_around(streams.of(name), seen, size)
                numbers[name] = Chosen(drawn, np.ones(count, bool))
            else:
                numbers[name] = _draw(name, transform, streams, count, size)
            pull = _behind(pull, _pull(name, transform, numbers[name], size))
            size = pull.size
        return numbers, pull, size

    def _draw_rest(
        self, streams: Streams, count: int, size: Size, done: Mapping[str, Chosen]
    ) -> dict[str, Chosen]:
        return {
            name: _draw(name, transform, streams, count, size)
            for name, transform in self.named
            if name not in done
        }

    def _of_keras(self, keras: Draws, size: Size) -> Drawn:
        return Drawn(keras, {}, self.keras.pull(keras, size), self.keras.steps(keras))

    def replay(self, parameters: Mapping[str, Any], size: Size) -> Drawn:
        """Return what a dictionary of `Drawn.parameters` says, for one image of that size.

        What it doesn't name changes nothing; unknown names are ignored, with one warning.
        """
        names = {name for name, transform in self.named if not isinstance(transform, Mixes)}
        keras = {name: value for name, value in parameters.items() if name not in dict(self.named)}
        numbers = {
            name: Chosen(as_batch(parameters[name]), np.ones(1, bool))
            for name in parameters
            if name in names
        }
        return self.assemble(self.keras.replay(keras), numbers, size)

    def assemble(self, keras: Draws, numbers: Mapping[str, Chosen], size: Size) -> Drawn:
        """Return what follows from numbers that are there already."""
        pull = None
        for name, transform in self.stages[Moves]:
            if name in numbers:
                moved = _pull(name, transform, numbers[name], size)
                pull, size = _behind(pull, moved), moved.size
        return self._drawn(keras, numbers, pull, size)

    def _drawn(
        self, keras: Draws, numbers: Mapping[str, Chosen], pull: Pull | None, size: Size
    ) -> Drawn:
        def drawn(kind: type) -> list[tuple[str, Any, Chosen]]:
            return [
                (name, one, numbers[name]) for name, one in self.stages[kind] if name in numbers
            ]

        steps = [self.keras.steps(keras)]
        steps += [
            _checked_steps(name, transform, chosen.numbers, len(keras)).where(chosen.applied)
            for name, transform, chosen in drawn(Recolours)
        ]
        whole = _behind(pull, self.keras.pull(keras, size)).tidied()
        return Drawn(
            keras,
            numbers,
            whole if pull is None else replace(whole, extends=True),
            in_sequence(steps).tidied(),
            tuple(
                Pass(name, transform, chosen.numbers, np.flatnonzero(chosen.applied))
                for name, transform, chosen in drawn(Repaints)
            ),
            tuple(
                _partners(name, transform, chosen, size) for name, transform, chosen in drawn(Mixes)
            ),
            _kept([one.kept(chosen.numbers) for _, one, chosen in drawn(SeesBoxes)]),
        )


def _draw(name: str, transform: Transform, streams: Streams, count: int, size: Size) -> Chosen:
    """Draw a transform's numbers, and from a stream beside them whom it is done to."""
    probability = getattr(transform, "probability", 1.0)
    applied: Mask = np.ones(count, bool)
    if probability < 1:
        applied = streams.of(f"{name}?").random(count) < probability
    return Chosen(transform.draw(streams.of(name), count, size), applied)


def _seen(boxes: Boxes, pull: Pull | None, size: Size) -> Boxes:
    """Return boxes as they are after the moves so far, cut at the edges; NaN where none is left."""
    if pull is None:
        return boxes
    edges = np.array([size[1], size[0], size[1], size[0]], np.float64)
    seen = boxes_after(boxes, pull).clip(0, edges)
    gone = ~(seen[..., 2:] > seen[..., :2]).all(axis=-1)
    seen[gone] = np.nan
    return seen


def _kept(each: Sequence[Mask]) -> Mask | None:
    """Return which boxes all crops keep; None: all of them."""
    return np.logical_and.reduce(each) if each and each[0].size else None


def _pull(name: str, transform: Moves, chosen: Chosen, size: Size) -> Pull:
    count = len(chosen.applied)
    pull = _checked_pull(name, transform, chosen.numbers, count, size)
    if pull.size != size and getattr(transform, "probability", 1.0) < 1:
        raise ValueError(
            f"{name} changes the size of images, so it must be done to all of them: it can have no "
            f"probability below 1"
        )
    return pull.where(chosen.applied)


def _partners(name: str, transform: Mixes, chosen: Chosen, size: Size) -> Partners:
    """Return a transform's partners; an image that is not mixed keeps to itself."""
    partners, applied = transform.partners(chosen.numbers, size), chosen.applied
    if not isinstance(partners, Partners):
        raise TypeError(f"{name}.partners(...) must return Partners, not {type(partners).__name__}")
    if applied.all():
        return replace(partners, name=name)
    rows = np.where(applied[:, np.newaxis], partners.rows, np.arange(len(applied))[:, np.newaxis])
    own = np.zeros_like(partners.shares)
    own[:, 0] = 1
    shares = np.where(applied[:, np.newaxis], partners.shares, own)
    areas = partners.areas
    if areas is not None:
        areas = np.where(applied[:, np.newaxis, np.newaxis], areas, 0)
    return Partners(rows, shares, areas, partners.shifts, name)


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

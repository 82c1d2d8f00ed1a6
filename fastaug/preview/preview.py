"""`Generator.preview`: what the model sees, beside what it was made of.

Pictures are made by the iterator's own source, draws and pipeline, for the positions that `next()`
would give out, and mapped back to 0 to 255 by undoing the standardisation.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastaug.errors import DecodeError
from fastaug.iterators.base import BatchIterator
from fastaug.iterators.files import FileIterator
from fastaug.iterators.passes import Position
from fastaug.iterators.substitutes import Unreadable
from fastaug.pixels.batch import make_batch
from fastaug.pixels.layout import Array, channels_last
from fastaug.pixels.standardization import Undone
from fastaug.preview.overlay import with_targets
from fastaug.preview.sheet import Pair, draw_sheet, scale_for
from fastaug.targets.following import Targets, follow
from fastaug.transforms.keras.draws import Draws
from fastaug.transforms.policy import Drawn

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MAX_IMAGES = 1000  # images on a sheet
_NEUTRAL = {"zx": 1.0, "zy": 1.0, "brightness": 1.0}
_SHORT = {
    "flip_horizontal": "flipped left-right",
    "flip_vertical": "flipped up-down",
    "channel_shift_intensity": "channels",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What `Generator.preview` made: a contact sheet, and what it was drawn from.

    Parameters
    ----------
    image
        The sheet, a Pillow image; a notebook shows it.
    batch
        (n, ...) the images exactly as the model gets them.
    pictures
        (n, height, width, channels) uint8, the same mapped back to 0 to 255.
    originals
        (n, height, width, channels) uint8, what they were made of.
    parameters
        What was drawn for each image, as `Generator.get_random_transform` names it.
    rows
        (n,) the images' numbers in the data set.
    notes
        What the sheet says of how its pictures are to be read.
    errors
        Files that can't be read, as (path, reason); others were shown in their places.
    """

    image: Image.Image
    batch: Array
    pictures: NDArray[np.uint8]
    originals: NDArray[np.uint8]
    parameters: list[dict[str, Any]]
    rows: NDArray[np.intp]
    notes: list[str]
    errors: list[Unreadable]

    def save(self, path: str | Path) -> None:
        """Save the sheet, in the format that the file's extension names."""
        self.image.save(path)

    def _repr_png_(self) -> bytes:
        """Return the sheet as PNG, for notebooks."""
        encoded = io.BytesIO()
        self.image.save(encoded, format="PNG")
        return encoded.getvalue()

    def __repr__(self) -> str:
        height, width = self.pictures.shape[1:3]
        return f"<Preview: {len(self.rows)} images of {height}x{width}, sheet {self.image.size}>"


@dataclass(frozen=True, slots=True)
class _PreviewImages:
    """Images: finished, with the standardisation undone, and as they were; what was drawn."""

    batch: Array
    undone: Undone
    originals: Array
    parameters: list[dict[str, Any]]
    captions: list[tuple[str, ...]]
    rows: NDArray[np.intp]
    targets: tuple[Targets, Targets] | None = None  # before and after


def preview_of(iterator: BatchIterator, n: int, title: str) -> Preview:
    """Return the preview of the next images of an iterator, whose state stays what it is."""
    if not iterator.n:
        raise ValueError("there is no image to be shown: the iterator is empty")
    channels = channels_last(np.empty(iterator.image_shape, bool), iterator.data_format).shape[-1]
    if channels not in _MODES:
        raise ValueError(f"preview shows images of 1, 3 or 4 channels, not of {channels}")
    shown = _first_images(iterator, min(n, iterator.n))
    unit = _unit(shown.originals)
    values = shown.undone.values * unit
    pictures, originals = _bytes(values), _bytes(shown.originals * unit)
    notes = _notes(iterator, shown.undone, values, unit)
    names = _names(iterator, shown.rows)
    seen: tuple[Any, ...] = originals, pictures
    if shown.targets is not None:
        classes = list(getattr(iterator, "class_indices", None) or ())
        seen = tuple(
            [
                with_targets(picture, targets, i, iterator.data_format, classes)
                for i, picture in enumerate(part)
            ]
            for part, targets in zip(seen, shown.targets, strict=True)
        )
    pairs = [
        Pair(_picture(left), _picture(right), name, caption)
        for left, right, name, caption in zip(*seen, names, shown.captions, strict=True)
    ]
    title = re.sub(r" at 0x[0-9a-f]+", "", title)  # of a function
    image = draw_sheet(title, notes, pairs)
    errors = iterator.errors if isinstance(iterator, FileIterator) else []
    made = image, shown.batch, pictures, originals, shown.parameters, shown.rows
    return Preview(*made, notes, errors)


def _first_images(iterator: BatchIterator, count: int) -> _PreviewImages:
    """Return the images that `next()` would give out first, of as many batches as it takes."""
    parts: list[_PreviewImages] = []
    if iterator._followers is not None:  # targets of several batches have several sizes
        count = min(count, iterator.batch_size)
    for position in _positions(iterator, count):
        parts.append(
            _make_images(iterator, position, count - sum(len(part.rows) for part in parts))
        )
    stopped = [part.undone for part in parts if part.undone.stopped_by]
    undone = (stopped or [parts[0].undone])[0]
    return _PreviewImages(
        np.concatenate([part.batch for part in parts]),
        undone._replace(values=np.concatenate([part.undone.values for part in parts])),
        np.concatenate([part.originals for part in parts]),
        [drawn for part in parts for drawn in part.parameters],
        [caption for part in parts for caption in part.captions],
        np.concatenate([part.rows for part in parts]),
        parts[0].targets,
    )


def _positions(iterator: BatchIterator, count: int) -> list[Position]:
    """Return which batches `next()` would give out, until there are so many images."""
    names = ("batch_index", "total_batches_seen", "_start", "_shown_start")
    with iterator.lock:
        state = {name: getattr(iterator, name) for name in names}
        try:
            positions, images = [], 0
            while images < count:
                positions.append(iterator._advance())
                images += len(BatchIterator._rows(iterator, positions[-1]))
        finally:
            for name, value in state.items():
                setattr(iterator, name, value)
    return positions


def _make_images(iterator: BatchIterator, position: Position, limit: int) -> _PreviewImages:
    """Make a batch as the iterator does, and keep at most so many of its images."""
    with iterator._read_ahead.paused():
        while True:
            try:
                return _make_once(iterator, position, limit)
            except DecodeError as error:
                if not (
                    isinstance(iterator, FileIterator)
                    and iterator._replace_unreadable(error, position)
                ):
                    raise


def _make_once(iterator: BatchIterator, position: Position, limit: int) -> _PreviewImages:
    iterator._note_options()
    if iterator._has_methods:
        names = ", ".join(iterator._methods.names())
        raise ValueError(
            f"a preview can't show what {names} of your generator give: it can't be undone"
        )
    request = iterator._request(position)
    rows = request[1]
    drawn, _ = iterator._draw(position, rows)
    recipe = iterator._recipe()
    last = recipe.standardization
    own = iterator._make_as_keras(position, rows, None) if iterator._needs_asker() else None
    with iterator._source.lend(request, []) as (images, picks):
        drawn = replace(drawn, partners=())  # shown as they are before they are mixed
        batch = own.images if own is not None else make_batch(recipe, images, picks, drawn)
        batch = batch[:limit]
        bare = None
        # A second call of the user's function could give something else.
        if last.known_part is not None and last.function is None:
            known = replace(recipe, dtype=recipe.working_dtype, standardization=last.known_part)
            bare = make_batch(known, images, picks, drawn)[:limit]
        originals = channels_last(images[picks[:limit]], iterator.data_format).copy()
    undone = last.undo(batch, bare)
    return _PreviewImages(
        batch,
        undone._replace(values=channels_last(undone.values, recipe.data_format)),
        originals,
        [drawn.parameters(i) for i in range(len(batch))],
        [_caption(drawn, i) for i in range(len(batch))],
        rows[:limit],
        _targets(iterator, rows, drawn),
    )


def _targets(
    iterator: BatchIterator, rows: NDArray[np.intp], drawn: Drawn
) -> tuple[Targets, Targets] | None:
    """Return the targets of a batch, before and after what was drawn."""
    if iterator._followers is None:
        return None
    before, settings = iterator._followers.of(rows), iterator._settings
    after = follow(
        before,
        drawn,
        settings.target_rules(),
        data_format=iterator.data_format,
        fill_mode=settings.fill_mode,
    )
    return before, after


def _caption(drawn: Drawn, i: int) -> tuple[str, ...]:
    """Return what was drawn for an image, as far as it changes something, in a few words."""
    words = [*_keras_words(drawn.keras, i)]
    for name, chosen in drawn.numbers.items():
        value = chosen.of_image(i)
        if chosen.applied[i] and (not isinstance(value, int | float) or value):
            number = f" {value:.3g}" if isinstance(value, int | float) and value is not True else ""
            words.append(name + number)
    return (*(f"{word}," for word in words[:-1]), *words[-1:]) or ("unchanged",)


def _keras_words(draws: Draws, i: int) -> Iterator[str]:
    """Yield those of Keras' parameters that change something."""
    for name, value in draws.parameters(i).items():
        if value is None or value == _NEUTRAL.get(name, 0):
            continue
        word = _SHORT.get(name, name)
        yield word if value is True else f"{word} {_number(name, value)}"


def _number(name: str, value: float) -> str:
    if name in ("zx", "zy", "brightness"):
        return f"{value:.2f}"
    return f"{value:+.1f}" if name == "channel_shift_intensity" else f"{value:.1f}"


def _unit(originals: Array) -> float:
    """Return 255 for images whose values are shares, else 1."""
    shares = originals.dtype.kind == "f" and originals.min() >= 0 and originals.max() <= 1
    return 255.0 if shares and originals.any() else 1.0


def _notes(iterator: BatchIterator, undone: Undone, values: Array, unit: float) -> list[str]:
    """Return how the sheet's pictures are to be read."""
    height, width = iterator._size
    shown = values.shape[1:3]
    scale = min(scale_for(width, height), scale_for(shown[1], shown[0]))
    size = f"images of {height}x{width}, "
    if shown != (height, width):
        size += f"for the model {shown[0]}x{shown[1]}, "
    size += "in their size" if scale == 1 else f"shown x {scale}"
    notes = [f"Left: source; right: what the model gets; {size}."]
    if undone.undone:
        notes.append(f"Undone for the eye: {', '.join(undone.undone)}.")
    if undone.stopped_by:
        notes.append(
            f"Not undone: {undone.stopped_by}. Values are shown as they are, cut to 0-255."
        )
    if unit != 1:
        notes.append("The source's values are 0 to 1: shown times 255.")
    outside = np.mean((values < -0.5) | (values > 255.5))
    if outside > 0:
        notes.append(f"{max(outside, 0.001):.1%} of the values lie outside 0 to 255 and are cut.")
    return notes


def _names(iterator: BatchIterator, rows: NDArray[np.intp]) -> list[str]:
    """Return what each image is called."""
    if isinstance(iterator, FileIterator):
        return [iterator.filenames[row] for row in rows]
    return [f"image {row}" for row in rows]


def _bytes(values: Array) -> NDArray[np.uint8]:
    """Round values, and cut them to 0 to 255."""
    return np.clip(np.rint(np.nan_to_num(values.astype(np.float64))), 0, 255).astype(np.uint8)


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(
        np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    )

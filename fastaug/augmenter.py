"""A policy as a function of arrays: images, masks, boxes, points and labels in, the same out."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastaug.checks import check_integer, check_number, check_one_of
from fastaug.kernels.warp import FILL_MODES
from fastaug.pixels.batch import Recipe, make_batch
from fastaug.pixels.buffers import BatchBuffers
from fastaug.pixels.layout import Array, check_dtype, size_of, working_dtype
from fastaug.pixels.standardization import Standardization, standardization
from fastaug.targets.boxes import BoxBatch, BoxRules, read_boxes
from fastaug.targets.following import (
    NAMES,
    TargetRules,
    Targets,
    follow,
    read_targets,
    write_targets,
)
from fastaug.transforms.base import Mixes, Moves, Recolours, Repaints, Transform
from fastaug.transforms.keras.policy import without_augmentation
from fastaug.transforms.listing import check_transforms, words_of
from fastaug.transforms.policy import Drawn, Policy
from fastaug.transforms.recolours.normalize import Normalize
from fastaug.transforms.serial import from_dict, to_dict
from fastaug.transforms.streams import SEEDS, Streams

# Keras' parameters draw from it, and they are all off.
_UNUSED = np.random.RandomState(0)
INTERPOLATIONS = {"nearest": 0, "bilinear": 1}
_OPTIONS = {
    "fill_mode": "constant",
    "fill": 0.0,
    "interpolation": "bilinear",
    "dtype": None,
    "data_format": "channels_last",
    "value_range": (0, 255),
    "bounding_box_format": "xyxy",
    "max_boxes": None,
    "min_visibility": 0.0,
    "min_area": 0.0,
    "mask_fill": 0,
    "erase_masks": False,
    "flip_pairs": None,
    "threads": None,
}


class Augmenter:
    """Augments a batch of arrays: a pure function of the seed and of a step.

    Parameters
    ----------
    transforms
        A list of `fastaug.transforms`.  Stages have a fixed order, and within a stage the list's
        counts: moves (one warp), recolours (one pass), repaints, `Normalize`, mixes; `describe()`
        tells it.
    seed
        A whole number; None draws one, which is kept as `seed`.
    fill_mode
        Where a picture ends: "constant", "nearest", "reflect" or "wrap".
    fill
        What pixels outside get, for "constant".
    interpolation
        "bilinear", or "nearest".
    dtype
        Of the images that come out: "uint8", "float16", "float32", "float64"; None is the one that
        they came in, or float32 behind `Normalize` and for other whole numbers.
    data_format
        "channels_last" or "channels_first".
    value_range
        Of images of floats: (0, 255), or (0, 1).  Bytes are always 0 to 255.
    bounding_box_format
        As in Keras 3: "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", or "rel_xyxy",
        "rel_yxyx", "rel_xywh", "rel_center_xywh".
    max_boxes
        How many boxes of an image a batch has room for; None: as many as came.
    min_visibility, min_area
        What must be left of a box in the picture: a share of its area, and square pixels.
    mask_fill
        What mask pixels from outside get, for "constant": the index to ignore.
    erase_masks
        Whether holes that are erased in images become `mask_fill` in masks.
    flip_pairs
        Pairs of numbers of keypoints that change places where an image is mirrored.
    threads
        How many threads a batch uses at most; None: all.

    Raises
    ------
    ValueError, TypeError
        For an argument that can't be, in its own words.

    Examples
    --------
    >>> import numpy as np
    >>> import fastaug
    >>> from fastaug import transforms as T
    >>> augment = fastaug.Augmenter([T.RandomResizedCrop(24), T.HorizontalFlip()], seed=1)
    >>> images = np.zeros((8, 32, 40, 3), np.uint8)
    >>> augment(images).shape
    (8, 24, 24, 3)
    >>> batch = augment(images, masks=images[..., 0], step=7)
    >>> sorted(batch)
    ['images', 'segmentation_masks']
    """

    def __init__(
        self,
        transforms: Sequence[Transform],
        seed: int | None = None,
        *,
        fill_mode: str = "constant",
        fill: float = 0.0,
        interpolation: str = "bilinear",
        dtype: Any = None,
        data_format: str = "channels_last",
        value_range: tuple[float, float] = (0, 255),
        bounding_box_format: str = "xyxy",
        max_boxes: int | None = None,
        min_visibility: float = 0.0,
        min_area: float = 0.0,
        mask_fill: float = 0,
        erase_masks: bool = False,
        flip_pairs: Sequence[tuple[int, int]] | None = None,
        threads: int | None = None,
    ) -> None:
        check_transforms("transforms", transforms)
        check_one_of("fill_mode", fill_mode, FILL_MODES)
        check_number("fill", fill)
        check_one_of("interpolation", interpolation, INTERPOLATIONS)
        check_one_of("data_format", data_format, ("channels_last", "channels_first"))
        if threads is not None:
            check_integer("threads", threads, minimum=1)
        if seed is not None:
            check_integer("seed", seed, minimum=0)
        self.transforms = tuple(transforms)
        self.seed = int(np.random.SeedSequence().entropy % SEEDS) if seed is None else int(seed)  # type: ignore[operator]
        self.dtype = None if dtype is None else check_dtype("dtype", dtype)
        self.fill_mode, self.fill, self.interpolation = fill_mode, fill, interpolation
        self.data_format, self.threads = data_format, threads
        self.value_range = _checked_range(value_range)
        self.rules = TargetRules(
            BoxRules(bounding_box_format, max_boxes, min_visibility, min_area),
            mask_fill,
            erase_masks,
            flip_pairs,  # type: ignore[arg-type]
        )
        self.policy = Policy(without_augmentation(), self.transforms)
        self.step = 0
        self._last: Drawn | None = None
        self._buffers, self._lock = BatchBuffers(), threading.Lock()

    def __call__(
        self,
        images: Any,
        *,
        masks: Any = None,
        boxes: Any = None,
        box_labels: Any = None,
        keypoints: Any = None,
        labels: Any = None,
        sample_weights: Any = None,
        step: int | None = None,
    ) -> Any:
        """Augment a batch.

        Parameters
        ----------
        images
            (n, height, width, channels), or channels first: bytes, or floats in `value_range`; any
            framework's array on the CPU.  Or a dictionary of all targets, by Keras' names.
        masks
            (n, height, width), or with channels; any dtype of whole numbers.
        boxes
            {"boxes": (n, k, 4), "labels": (n, k)}, padded with -1, or lists; or the boxes alone.
        box_labels
            (n, k), if `boxes` are alone.
        keypoints
            (n, k, 2) of x and y, or (n, k, 3) with a visibility, which becomes 0 outside.  Of the
            objects in boxes: (n, m, k, 2 or 3), or a list of (m, k, 2 or 3), in the order of the
            boxes; those of a box that is dropped become -1, -1, 0.
        labels
            (n, classes), or (n,) where nothing is mixed.
        sample_weights
            (n,)
        step
            Which batch it is: the same step gives the same; None counts them.

        Returns
        -------
        The images, or, with any target, a dictionary by Keras' names: "images",
        "segmentation_masks", "bounding_boxes", "keypoints" ("visibility", if they came without),
        "labels", "sample_weights".

        Raises
        ------
        ValueError
            For what does not fit together, and what can't be mixed.
        """
        given = {
            "masks": masks,
            "boxes": boxes,
            "box_labels": box_labels,
            "keypoints": keypoints,
            "labels": labels,
            "sample_weights": sample_weights,
        }
        if isinstance(images, Mapping):
            images, given, extra = _from_mapping(images, given)
            return extra | self._made(images, given, step, named=True)
        named = any(value is not None for value in given.values())
        return self._made(images, given, step, named=named)

    def draw(
        self,
        count: int,
        size: tuple[int, int],
        *,
        step: int | None = None,
        boxes: Any = None,
        box_labels: Any = None,
    ) -> Drawn:
        """Draw for `count` images of a size (height, width); None takes the next step.

        `boxes` are those of `__call__`, for transforms that look at them: `BoxSafeCrop` and
        `RandomIoUCrop`.
        """
        found = None
        if boxes is not None:
            found = read_boxes(boxes, box_labels, count, size, self.rules.boxes)
        return self._draw(count, size, step, found)

    def _draw(
        self, count: int, size: tuple[int, int], step: int | None, boxes: BoxBatch | None
    ) -> Drawn:
        with self._lock:
            if step is None:
                step = self.step
                self.step += 1
        check_integer("step", step, minimum=0)
        drawn = self.policy.draw(
            Streams(_UNUSED, self.seed, int(step)),
            int(count),
            (size[0], size[1]),
            None if boxes is None or not self.policy.sees_boxes else boxes.there,
        )
        self._last = drawn
        return drawn

    def apply(self, drawn: Drawn, images: Any, **targets: Any) -> Any:
        """Do what was drawn to images and targets, which `__call__` explains."""
        unknown = set(targets) - {
            "masks",
            "boxes",
            "box_labels",
            "keypoints",
            "labels",
            "sample_weights",
        }
        if unknown:
            raise TypeError(f"apply() got unknown targets: {sorted(unknown)}")
        images = self._checked(images)
        if len(images) != len(drawn):
            raise ValueError(f"drawn for {len(drawn)} images, and there are {len(images)}")
        named = any(value is not None for value in targets.values())
        return self._applied(drawn, images, self._read(images, targets), named=named)

    def parameters(self, i: int) -> dict[str, Any]:
        """Return what was done to image `i` of the last batch, an entry for each transform."""
        if self._last is None:
            raise ValueError("no batch was made yet")
        if not -len(self._last) <= i < len(self._last):
            raise IndexError(f"there is no image {i}: the last batch had {len(self._last)}")
        return {
            name: chosen.of_image(i)
            for name, chosen in self._last.numbers.items()
            if chosen.applied[i]
        }

    def describe(self) -> str:
        """Return what happens to a batch, in order, one numbered line each."""
        lines = []
        moves = words_of(self.transforms, Moves)
        if moves:
            outside = f"fill_mode={self.fill_mode!r}"
            if self.fill_mode == "constant":
                outside += f", fill={self.fill:g}"
            lines.append(f"warp, once: {'; '.join(moves)} ({outside}, {self.interpolation})")
        for kind in (Recolours, Repaints, Normalize, Mixes):
            lines += words_of(self.transforms, kind)
        kind_words = "the dtype that came" if self.dtype is None else self.dtype.name
        lines.append(f"give out as {kind_words}, {self.data_format}")
        numbered = [f"{number}. {line}" for number, line in enumerate(lines, start=1)]
        return "\n".join(["Each batch, in this order:", *numbered])

    def to_dict(self) -> dict[str, Any]:
        """Return transforms, seed and options as plain values, for JSON."""
        options = {name: getattr(self, name) for name in _OPTIONS if hasattr(self, name)}
        boxes = self.rules.boxes
        options |= {
            "bounding_box_format": boxes.box_format,
            "max_boxes": boxes.max_boxes,
            "min_visibility": boxes.min_visibility,
            "min_area": boxes.min_area,
            "mask_fill": self.rules.mask_fill,
            "erase_masks": self.rules.erase_masks,
            "flip_pairs": self.rules.flip_pairs,
            "dtype": None if self.dtype is None else self.dtype.name,
        }
        changed = {name: value for name, value in options.items() if value != _OPTIONS[name]}
        return to_dict(self.transforms) | {"seed": self.seed, "options": changed}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Augmenter:
        """Return the augmenter of a dictionary from `to_dict`, or read from JSON."""
        options: dict[str, Any] = {
            name: tuple(map(tuple, option)) if name == "flip_pairs" and option else option
            for name, option in value.get("options", {}).items()
        }
        unknown = set(options) - set(_OPTIONS)
        if unknown:
            raise ValueError(f"unknown options: {sorted(unknown)}; known are {sorted(_OPTIONS)}")
        if "value_range" in options:
            options["value_range"] = tuple(options["value_range"])
        return cls(from_dict(value), value.get("seed"), **options)

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict()` into a file."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, path: str | Path) -> Augmenter:
        """Return the augmenter of a file from `to_json`."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs: not the memory, nor the last batch."""
        return self.__dict__ | {"_lock": None, "_buffers": None, "_last": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._buffers, self._lock = BatchBuffers(), threading.Lock()

    def __repr__(self) -> str:
        return f"Augmenter({list(self.transforms)!r}, seed={self.seed})"

    def _made(self, images: Any, given: dict[str, Any], step: int | None, *, named: bool) -> Any:
        images = self._checked(images)
        targets = self._read(images, given)
        size = size_of(images.shape[1:], self.data_format)
        drawn = self._draw(len(images), size, step, targets.boxes)
        return self._applied(drawn, images, targets, named=named)

    def _read(self, images: Array, given: dict[str, Any]) -> Targets:
        size = size_of(images.shape[1:], self.data_format)
        return read_targets(len(images), size, self.data_format, self.rules, **given)

    def _checked(self, images: Any) -> Array:
        """Return images as an array of numbers of rank 4."""
        array = np.asarray(images)
        if array.dtype.kind not in "biuf" or array.ndim != 4:
            hint = ": one image is images[None]" if array.ndim == 3 else ""
            raise ValueError(
                f"images must be numbers of rank 4, (n, height, width, channels); found the shape "
                f"{array.shape}, dtype {array.dtype}{hint}"
            )
        if not all(array.shape[1:]):
            raise ValueError(f"images without a pixel: their shape is {array.shape}")
        return array

    def _applied(self, drawn: Drawn, images: Array, targets: Targets, *, named: bool) -> Any:
        after = follow(
            targets,
            drawn,
            self.rules,
            data_format=self.data_format,
            fill_mode=self.fill_mode,
            threads=self.threads,
        )
        batch = self._images(drawn, images)
        if not named:
            return batch
        return {"images": batch} | write_targets(after, drawn.pull.size, self.rules)

    def _images(self, drawn: Drawn, images: Array) -> Array:
        normalize = next((each for each in self.transforms if isinstance(each, Normalize)), None)
        dtype = self._dtype_of(images, normalize)
        scaled = images.dtype.kind == "f" and self.value_range == (0, 1)
        channels = images.shape[1 if self.data_format == "channels_first" else 3]
        last = standardization(
            channels,
            self.data_format,
            working_dtype(dtype),
            normalize=normalize,
            rescale=1 / 255 if scaled and normalize is None else None,
        )
        if scaled:
            images = images * images.dtype.type(255)
        recipe = Recipe(
            dtype=dtype,
            data_format=self.data_format,
            fill_mode=self.fill_mode,
            cval=self.fill * (255 if scaled else 1),
            order=INTERPOLATIONS[self.interpolation],
            standardization=last if last.steps else Standardization(),
            threads=self.threads,
        )
        return make_batch(recipe, images, np.arange(len(images)), drawn, buffers=self._buffers)

    def _dtype_of(self, images: Array, normalize: Normalize | None) -> np.dtype[Any]:
        if self.dtype is not None:
            if normalize is not None and self.dtype == np.uint8:
                raise ValueError("dtype='uint8' has no room for what Normalize gives")
            return self.dtype
        kept = images.dtype.kind == "f" or (images.dtype == np.uint8 and normalize is None)
        return images.dtype if kept else np.dtype(np.float32)


def _checked_range(value_range: Any) -> tuple[float, float]:
    pair = tuple(value_range) if isinstance(value_range, list | tuple) else ()
    if pair not in ((0, 255), (0, 1)):
        raise ValueError(f"value_range={value_range!r} must be (0, 255) or (0, 1)")
    return pair


def _from_mapping(
    batch: Mapping[str, Any], given: dict[str, Any]
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Take a dictionary of Keras' names apart: images, targets, and what only passes through."""
    if "images" not in batch:
        raise ValueError(f"a dictionary needs 'images'; it has {sorted(map(str, batch))}")
    if any(value is not None for value in given.values()):
        raise ValueError("give targets in the dictionary, or by name, not both")
    targets = given | {
        "masks": batch.get("segmentation_masks"),
        "boxes": batch.get("bounding_boxes"),
        "keypoints": batch.get("keypoints"),
        "labels": batch.get("labels"),
        "sample_weights": batch.get("sample_weights"),
    }
    extra = {name: value for name, value in batch.items() if name not in NAMES}
    return batch["images"], targets, extra

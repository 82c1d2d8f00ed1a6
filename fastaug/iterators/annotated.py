"""Batches for Keras of annotated pictures: COCO, YOLO, Pascal VOC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_one_of, listed
from fastaug.files.annotations.base import CROWD, Annotated, Annotations, class_mask
from fastaug.files.catalog import Catalog, part_of, split_of
from fastaug.iterators.files import FileIterator, checked_options
from fastaug.keras_settings import say
from fastaug.settings import Settings
from fastaug.targets.points import pairs_of_names

TARGETS = ("boxes", "masks", "keypoints")


class AnnotatedIterator(FileIterator):
    """Batches of annotated pictures, made by `flow_from_coco`, `flow_from_yolo`, `flow_from_voc`.

    Parameters
    ----------
    annotations
        Pictures and their objects.
    image_data_generator
        The generator whose options are followed.
    targets
        What follows the pictures: "boxes", "masks" (0 where nothing is, else class number + 1),
        "keypoints" (n, boxes, points, 3), or several.
    augment
        False gives images as they are: brought to their size and standardised, no more.
    target_size, color_mode, batch_size, shuffle, seed, data_format, subset, interpolation, \
keep_aspect_ratio, dtype
        As in `DirectoryIterator`.

    Attributes
    ----------
    class_indices
        Class names and their numbers.
    keypoint_names
        Names of the keypoints of each class, by its name, of which the file has any.
    skeleton
        Likewise pairs of numbers of keypoints, from 0, between which the file has lines.
    """

    def __init__(
        self,
        annotations: Annotations,
        image_data_generator: Settings,
        *,
        targets: Sequence[str] = ("boxes",),
        augment: bool = True,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> None:
        targets = _checked_targets(targets, annotations)
        options = checked_options(
            (None,),
            target_size=target_size,
            color_mode=color_mode,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            class_mode=None,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=image_data_generator.data_format,
            subset=subset,
            save_to_dir=None,
            save_prefix="",
            save_format="png",
            dtype=image_data_generator.dtype,
        )
        self.split = split_of(subset, image_data_generator._validation_split)
        self.annotations = replace(
            annotations, images=part_of(list(annotations.images), self.split)
        )
        images = self.annotations.images
        objects = sum(len(image.labels) for image in images)
        say(
            f"Found {len(images)} images with {objects} objects of "
            f"{len(annotations.class_names)} classes."
        )
        indices = {name: number for number, name in enumerate(annotations.class_names)}
        points = annotations.keypoints
        named = list(zip(annotations.class_names, points.names, points.skeletons, strict=False))
        self.keypoint_names = {name: list(some) for name, some, _ in named if some}
        self.skeleton = {name: list(lines) for name, _, lines in named if lines}
        with_points = "keypoints" in targets
        boxed = with_points or "boxes" in targets
        paths = [image.path for image in images]
        catalog = Catalog("", paths, indices, None)
        super().__init__(
            catalog,
            image_data_generator,
            options,
            augment=augment,
            boxes=[_plain(image, image.boxes) for image in images] if boxed else None,
            labels=[_plain(image, image.labels) for image in images] if boxed else None,
            box_format="xyxy" if boxed else None,
            keypoints=[
                np.reshape(_plain(image, image.keypoints), (-1, points.count, 3)).astype(float)
                for image in images
            ]
            if with_points
            else None,
            flip_pairs=[pairs_of_names(some) for some in points.names],
            with_boxes="boxes" in targets,
            drawn_masks=self._draw_mask if "masks" in targets else None,
            sizes=[image.size for image in images],
        )
        self.class_indices, self.num_classes = indices, len(annotations.class_names)
        for row, image in enumerate(images):
            if image.error is not None:
                self._substitutes.add(image.error, np.array([row]), paths.__getitem__)

    def _draw_mask(self, row: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the mask of a picture as it lies in its file."""
        return class_mask(self.annotations.images[row], size)


def _plain(image: Annotated, values: list[Any]) -> list[Any]:
    """Return what an image's objects have, without crowds."""
    return [value for value, crowd in zip(values, image.crowds, strict=True) if not crowd]


def _checked_targets(targets: Any, annotations: Annotations) -> tuple[str, ...]:
    """Return targets as a tuple; an error that names the argument unless annotations have them."""
    names = (targets,) if isinstance(targets, str) else targets
    if not isinstance(names, Sequence) or not names:
        raise ValueError(f"targets={targets!r} must be some of {listed(TARGETS)}")
    for name in names:
        check_one_of("targets", name, TARGETS)
    if "keypoints" in names and not annotations.keypoints.count:
        raise ValueError(
            f"targets={targets!r}: these annotations have no keypoints; those of COCO have them"
        )
    if "masks" in names:
        objects = [segment for image in annotations.images for segment in image.segments]
        if objects and not any(objects):
            raise ValueError(
                f"targets={targets!r}: none of the {len(objects)} objects has a polygon, or runs "
                "of pixels, of which a mask is made; targets='boxes' needs none"
            )
        if len(annotations.class_names) >= CROWD:
            raise ValueError(
                f"targets={targets!r}: masks of bytes have no room for "
                f"{len(annotations.class_names)} classes, beside 0 for nothing and {CROWD} for "
                "crowds"
            )
    return tuple(names)

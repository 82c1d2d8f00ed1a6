"""Masks: exactly the image's geometry, the nearest pixel, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_images

from fastaug import Augmenter
from fastaug import transforms as T

COUNT, HEIGHT, WIDTH = 4, 37, 51
IMAGES = make_images(COUNT, HEIGHT, WIDTH, 3)
MASKS = IMAGES[..., 0]
GEOMETRY = {
    "affine": [T.Affine(30, (0.2, 0.1), (0.7, 1.4), 15)],
    "perspective": [T.Perspective(0.5, 1)],
    "crop": [T.RandomCrop((30, 24), padding=6)],
    "elastic": [T.Elastic(80, 5)],
    "grid": [T.GridDistortion()],
    "turns": [T.QuarterTurn(), T.HorizontalFlip(), T.VerticalFlip()],
    "resized crop": [T.RandomResizedCrop((20, 26), antialias=False)],
    "all": [T.RandomResizedCrop(30), T.HorizontalFlip(), T.Rotate(40), T.Elastic(50, 6)],
}
FILL_MODES = ("constant", "nearest", "reflect", "wrap")


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("name", GEOMETRY)
def test_image_that_is_its_mask_stays_it(name, fill_mode):
    # With the nearest pixel, an image and its mask are the same numbers.
    augmenter = Augmenter(GEOMETRY[name], seed=2, interpolation="nearest", fill_mode=fill_mode)
    made = augmenter(MASKS[..., np.newaxis], masks=MASKS)
    np.testing.assert_array_equal(made["images"][..., 0], made["segmentation_masks"])


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "int64", "bool", "float32", "float64"]
)
def test_masks_of_any_dtype_keep_it(dtype):
    masks = MASKS > 99 if dtype == "bool" else MASKS.astype(dtype) * 1
    made = Augmenter(GEOMETRY["all"], seed=2)(IMAGES, masks=masks)["segmentation_masks"]
    assert made.dtype == dtype
    whole = Augmenter(GEOMETRY["all"], seed=2)(IMAGES, masks=MASKS)["segmentation_masks"]
    inside = whole != 0
    expected = whole > 99 if dtype == "bool" else whole
    np.testing.assert_array_equal(made[inside], expected.astype(dtype)[inside])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_masks_of_several_channels_move_together(channels):
    masks = make_images(COUNT, HEIGHT, WIDTH, channels)
    made = Augmenter(GEOMETRY["all"], seed=2)(IMAGES, masks=masks)["segmentation_masks"]
    for channel in range(channels):
        alone = Augmenter(GEOMETRY["all"], seed=2)(IMAGES, masks=masks[..., channel])
        np.testing.assert_array_equal(made[..., channel], alone["segmentation_masks"])
    first = Augmenter(GEOMETRY["all"], seed=2, data_format="channels_first")(
        np.moveaxis(IMAGES, -1, 1), masks=np.moveaxis(masks, -1, 1)
    )
    np.testing.assert_array_equal(np.moveaxis(first["segmentation_masks"], 1, -1), made)


def test_nothing_but_geometry_touches_a_mask():
    colours = [T.ColorJitter(0.4, 0.4, 0.4, 0.1), T.Equalize(1), T.GaussianBlur(5), T.Erase(1)]
    colours += [T.GaussianNoise(), T.JpegArtifacts(), T.Normalize()]
    made = Augmenter(colours, seed=1)(IMAGES, masks=MASKS)
    np.testing.assert_array_equal(made["segmentation_masks"], MASKS)
    assert not np.array_equal(made["images"], IMAGES)


def test_outside_gets_the_index_to_ignore():
    transforms = [T.Affine(0, (0.5, 0.5)), T.Rotate(45)]
    made = Augmenter(transforms, seed=1, mask_fill=255, fill=0)(
        np.ones((COUNT, HEIGHT, WIDTH, 1), np.uint8), masks=np.ones_like(MASKS)
    )
    assert set(np.unique(made["segmentation_masks"])) == {1, 255}
    # Where the image is whole, the mask is there; where it is all fill, the mask is ignored.
    whole, gone = made["images"][..., 0] == 1, made["images"][..., 0] == 0
    assert (made["segmentation_masks"][whole] == 1).mean() > 0.95
    assert (made["segmentation_masks"][gone] == 255).all()
    negative = Augmenter(transforms, seed=1, mask_fill=-1)(IMAGES, masks=MASKS.astype(np.int16))[
        "segmentation_masks"
    ]
    assert negative.min() == -1
    with pytest.raises(ValueError, match="mask_fill=-1 is no number of the masks' dtype, uint8"):
        Augmenter(transforms, mask_fill=-1)(IMAGES, masks=MASKS)


def test_holes_are_in_masks_where_that_is_asked_for():
    images = np.full((COUNT, HEIGHT, WIDTH, 3), 200, np.uint8)
    for transform in (T.Erase(1, value=7), T.CoarseDropout((3, 5), fill=7), T.GridMask(fill=7)):
        augmenter = Augmenter([transform], seed=1, mask_fill=255, erase_masks=True)
        made = augmenter(images, masks=np.ones_like(MASKS))
        holes = (made["images"] == 7).all(axis=-1)
        assert holes.any()
        np.testing.assert_array_equal(made["segmentation_masks"] == 255, holes)


def test_sources_are_not_changed():
    masks = MASKS.copy()
    masks.flags.writeable = False
    Augmenter(GEOMETRY["all"], seed=1)(IMAGES, masks=masks)
    np.testing.assert_array_equal(masks, MASKS)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (MASKS[:, :-1], "masks are 36x51, and their images 37x51 (height x width)"),
        (MASKS[:2], "for 4 images"),
        (MASKS[0], "for 4 images"),
        (np.full(MASKS.shape, "a"), "masks must hold numbers"),
        (MASKS.astype(complex), "masks must hold numbers"),
    ],
)
def test_wrong_masks_are_told(masks, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked
        Augmenter([T.HorizontalFlip()])(IMAGES, masks=masks)
    assert words in str(caught.value)

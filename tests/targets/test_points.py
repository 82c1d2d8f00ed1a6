"""Keypoints: where they go, whether they are seen, and which change places."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_images
from hypothesis import given, settings
from hypothesis import strategies as st

from fastaug import Augmenter
from fastaug import transforms as T

HEIGHT, WIDTH = 48, 64
MOVES = [
    T.Affine(40, (0.2, 0.2), (0.8, 1.5), 15),
    T.Perspective(0.3, 1),
    T.RandomResizedCrop((40, 56), scale=(0.5, 1), antialias=False),
    T.QuarterTurn(),
    T.HorizontalFlip(1),
    T.VerticalFlip(1),
    T.Elastic(60, 8),
    T.GridDistortion(),
]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    moves=st.lists(st.sampled_from(MOVES), min_size=1, max_size=3, unique_by=type),
)
def test_points_and_pixels_agree(seed, moves):
    # A soft spot is painted at the point; its centre of mass moves with it.
    rng = np.random.default_rng(seed)
    x, y = rng.uniform((12, 12), (WIDTH - 12, HEIGHT - 12))
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    spot = 250 * np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / (2 * 1.5**2))
    augmenter = Augmenter(moves, seed=seed)
    made = augmenter(spot[np.newaxis, ..., np.newaxis], keypoints=[[[x, y]]])
    image, (to_x, to_y) = made["images"][0, ..., 0], made["keypoints"][0, 0]
    height, width = image.shape
    if not (8 < to_x < width - 8 and 8 < to_y < height - 8):
        return
    rows, cols = np.mgrid[:height, :width]
    near = (np.abs(rows - to_y) < 8) & (np.abs(cols - to_x) < 8)
    weights = image * near
    assert weights.sum() > 100
    found = (weights * cols).sum() / weights.sum(), (weights * rows).sum() / weights.sum()
    np.testing.assert_allclose((to_x, to_y), found, atol=0.6)
    assert made["visibility"][0, 0]


def test_points_outside_are_marked_and_keep_their_place():
    points = np.array([[[2.0, 3], [60, 40], [30, 20]]])
    images = make_images(1, HEIGHT, WIDTH, 3)
    made = Augmenter([T.CenterCrop((20, 30))])(images, keypoints=points)
    assert made["visibility"].tolist() == [[False, False, True]]
    np.testing.assert_array_equal(made["keypoints"], points - [17, 14])
    with_flags = np.concatenate([points, [[[2], [2], [1]]]], axis=2)
    made = Augmenter([T.CenterCrop((20, 30))])(images, keypoints=with_flags)
    assert made["keypoints"][0, :, 2].tolist() == [0, 0, 1]
    assert "visibility" not in made


@pytest.mark.parametrize(
    ("moves", "mirrored"),
    [
        ([T.HorizontalFlip(1)], True),
        ([T.VerticalFlip(1)], True),
        ([T.HorizontalFlip(1), T.VerticalFlip(1)], False),  # a half turn
        ([T.Rotate((90, 90))], False),
        ([T.Rotate((30, 30)), T.HorizontalFlip(1)], True),
        ([T.Transpose(1)], True),
    ],
    ids=repr,
)
def test_pairs_change_places_where_an_image_is_mirrored(moves, mirrored):
    images = make_images(2, HEIGHT, WIDTH, 3)
    points = np.tile([[[20.0, 20], [40, 20], [30, 30]]], (2, 1, 1))
    plain = Augmenter(moves)(images, keypoints=points)["keypoints"]
    paired = Augmenter(moves, flip_pairs=[(0, 1)])(images, keypoints=points)["keypoints"]
    np.testing.assert_array_equal(paired, plain[:, [1, 0, 2]] if mirrored else plain)


def test_labels_swap_with_the_visibility_of_their_point():
    images = make_images(1, HEIGHT, WIDTH, 3)
    points = [[[2.0, 20, 1], [60, 20, 2]]]
    made = Augmenter([T.HorizontalFlip(1)], flip_pairs=[(0, 1)])(images, keypoints=points)
    assert made["keypoints"].tolist() == [[[3, 20, 2], [61, 20, 1]]]


@pytest.mark.parametrize(
    ("points", "options", "words"),
    [
        (np.ones((2, 3)), {}, "keypoints have the shape (2, 3)"),
        (np.ones((2, 3, 4)), {}, "keypoints have the shape (2, 3, 4)"),
        ([[[1, 1]], [[np.nan, 1]]], {}, "image 1, keypoint 0: [nan, 1.0] is no place"),
        ([[["a", "b"]]] * 2, {}, "keypoints must be numbers"),
        (np.ones((2, 3, 2)), {"flip_pairs": [(0, 3)]}, "there are 3"),
    ],
)
def test_wrong_points_are_told(points, options, words):
    augmenter = Augmenter([T.HorizontalFlip(1)], **options)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked
        augmenter(make_images(2, HEIGHT, WIDTH, 3), keypoints=points)
    assert words in str(caught.value)


def test_points_nobody_sees_may_be_no_number():
    points = [[[np.nan, np.nan, 0], [5, 6, 2]]]
    made = Augmenter([T.HorizontalFlip(1)])(make_images(1, HEIGHT, WIDTH, 3), keypoints=points)
    assert made["keypoints"][0, :, 2].tolist() == [0, 2]

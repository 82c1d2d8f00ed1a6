"""Keypoints: where they go, whether they are seen, and which change places."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_images
from hypothesis import given, settings
from hypothesis import strategies as st

from fastaug import Augmenter
from fastaug import transforms as T
from fastaug.targets.points import pairs_of_names

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


# --- Points of objects ----------------------------------------------------------------------------

# Of two pictures: two objects and none; three points each.
OBJECTS = [
    [[[10.0, 12, 2], [16, 12, 1], [13, 20, 0]], [[40, 30, 2], [50, 30, 2], [45, 38, 2]]],
    [],
]
BOXES = [[[8, 10, 20, 24], [36, 26, 56, 42]], []]


def objects_of(moves, *, columns: int = 3, boxes=BOXES, points=OBJECTS, **options):
    given = [[[point[:columns] for point in each] for each in some] for some in points]
    images = make_images(len(boxes), HEIGHT, WIDTH, 3)
    return Augmenter(moves, seed=1, **options)(
        images, boxes=boxes, box_labels=[[7] * len(some) for some in boxes], keypoints=given
    )


def test_points_of_objects_come_out_with_their_boxes():
    made = objects_of([T.HorizontalFlip(0)], max_boxes=4)
    points = made["keypoints"]
    assert points.shape == (2, 4, 3, 3)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points[0, :2], OBJECTS[0])
    assert (points[0, 2:] == [-1, -1, 0]).all()
    assert (points[1] == [-1, -1, 0]).all()
    assert "visibility" not in made


def test_points_of_objects_may_come_without_a_visibility():
    made = objects_of([T.HorizontalFlip(1)], columns=2)
    assert made["keypoints"].shape == (2, 2, 3, 2)
    assert made["visibility"].tolist() == [[[True] * 3] * 2, [[False] * 3] * 2]
    assert made["keypoints"][0, 0].tolist() == [[53, 12], [47, 12], [50, 20]]
    assert (made["keypoints"][1] == -1).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    moves=st.lists(st.sampled_from(MOVES), min_size=1, max_size=3, unique_by=type),
)
def test_points_of_objects_go_where_points_of_images_go(seed, moves):
    """One object after the other, each as if it were alone in the picture."""
    rng = np.random.default_rng(seed)
    images = make_images(3, HEIGHT, WIDTH, 3)
    low = rng.uniform(0, (WIDTH - 20, HEIGHT - 20), (3, 2, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 20, (3, 2, 2))], axis=-1)
    points = np.concatenate(
        [rng.uniform(0, 48, (3, 2, 4, 2)), rng.integers(0, 3, (3, 2, 4, 1))], -1
    )
    augmenter = Augmenter(moves, seed=seed, flip_pairs=[(0, 2)])
    made = augmenter(images, boxes=boxes, keypoints=points, step=0)
    there = (made["bounding_boxes"]["boxes"] != -1).any(axis=-1)
    alone = [augmenter(images, keypoints=points[:, j], step=0)["keypoints"] for j in range(2)]
    for j in range(2):
        one = augmenter(images, boxes=boxes[:, j : j + 1], step=0)["bounding_boxes"]["boxes"]
        for i in range(3):
            if (one[i] == -1).all():
                continue
            place = int(np.flatnonzero((made["bounding_boxes"]["boxes"][i] == one[i]).all(-1))[0])
            np.testing.assert_array_equal(made["keypoints"][i, place], alone[j][i])
    assert (made["keypoints"][~there] == [-1, -1, 0]).all()


def test_object_that_is_dropped_takes_its_points_along():
    # The first box is cut to a fifth, and the second one moves to its place.
    made = objects_of([T.CenterCrop((HEIGHT, 30))], min_visibility=0.5)
    assert made["bounding_boxes"]["boxes"][0].tolist() == [[19, 26, 30, 42], [-1] * 4]
    assert made["keypoints"][0].tolist() == [
        [[23, 30, 2], [33, 30, 0], [28, 38, 2]],
        [[-1, -1, 0]] * 3,
    ]


def test_pairs_change_places_object_by_object():
    plain = objects_of([T.HorizontalFlip(1)])["keypoints"]
    paired = objects_of([T.HorizontalFlip(1)], flip_pairs=[(0, 1)])["keypoints"]
    np.testing.assert_array_equal(paired, plain[:, :, [1, 0, 2]])


def test_names_that_differ_by_left_and_right_are_pairs():
    assert pairs_of_names(["nose", "left_eye", "right_eye"]) == ((1, 2),)
    assert pairs_of_names(["Right Hip", "knee", "Left Hip"]) == ((2, 0),)
    assert pairs_of_names(["elbow_right", "elbow_left", "left", "bright"]) == ((1, 0),)
    assert pairs_of_names([]) == ()


@pytest.mark.parametrize("mix", [T.MixUp(), T.CutMix(), T.Mosaic()], ids=repr)
def test_points_of_objects_cannot_be_mixed(mix):
    with pytest.raises(ValueError, match=f"keypoints can't follow.*take {type(mix).__name__} out"):
        objects_of([mix])


def test_batch_without_any_object_has_no_points():
    made = objects_of([T.HorizontalFlip(1)], boxes=[[], []], points=[[], []], flip_pairs=[(0, 1)])
    assert made["keypoints"].shape == (2, 0, 0, 3)
    images = make_images(2, HEIGHT, WIDTH, 3)
    made = Augmenter([T.Affine(20)], max_boxes=2)(
        images, boxes=np.zeros((2, 0, 4)), keypoints=np.zeros((2, 0, 5, 3))
    )
    assert made["keypoints"].shape == (2, 2, 5, 3)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.ones((2, 2, 3, 4)), "image 0: its keypoints have the shape (2, 3, 4)"),
        (np.ones((3, 2, 3, 3)), "keypoints are of 3 images; there are 2"),
        ([OBJECTS[0][:1], []], "image 0 has keypoints of 1 objects, and 2 boxes"),
        ([OBJECTS[0], OBJECTS[0]], "image 1 has keypoints of 2 objects, and 0 boxes"),
        ([[[[1, 1]], [[1, 1], [2, 2]]], []], "image 0: its objects have different numbers"),
        ([OBJECTS[0], [[[1, 1, 0]]]], "have the shapes [(1, 3), (3, 3)]"),
        ([[[[np.nan, 1]], [[1, 1]]], []], "image 0, object 0, keypoint 0: [nan, 1.0] is no place"),
        ([[[["a", "b"]]] * 2, []], "image 0: keypoints must be numbers"),
    ],
)
def test_wrong_points_of_objects_are_told(points, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked
        Augmenter([T.HorizontalFlip(1)])(
            make_images(2, HEIGHT, WIDTH, 3), boxes=BOXES, keypoints=points
        )
    assert words in str(caught.value)


def test_points_of_objects_need_boxes():
    with pytest.raises(ValueError, match="those of objects need boxes"):
        Augmenter([])(make_images(2, HEIGHT, WIDTH, 3), keypoints=np.ones((2, 2, 3, 3)))

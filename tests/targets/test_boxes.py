"""Boxes: formats, what is refused, what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_images
from hypothesis import given, settings
from hypothesis import strategies as st

import fastaug
from fastaug import Augmenter
from fastaug import transforms as T
from fastaug.targets.boxes import FORMATS, from_xyxy, to_xyxy

HEIGHT, WIDTH = SIZE = (40, 60)
IMAGES = make_images(3, *SIZE, 3)
BOXES = np.array([[3, 5, 20, 30], [30.5, 2, 50, 20.25], [0, 0, 60, 40]], np.float64)


@pytest.mark.parametrize("box_format", FORMATS)
def test_formats_are_those_of_keras(box_format):
    from keras.utils import bounding_boxes

    theirs = bounding_boxes.convert_format(
        {"boxes": BOXES[np.newaxis].astype("float32"), "labels": np.zeros((1, 3))},
        source="xyxy",
        target=box_format,
        height=HEIGHT,
        width=WIDTH,
    )["boxes"]
    ours = from_xyxy(BOXES, box_format, SIZE)
    np.testing.assert_allclose(ours, np.asarray(theirs)[0], rtol=1e-5)
    np.testing.assert_allclose(to_xyxy(ours, box_format, SIZE), BOXES, atol=1e-9)


def test_all_formats_of_keras_are_known():
    from keras.src.layers.preprocessing.image_preprocessing.bounding_boxes import bounding_box

    assert bounding_box.SUPPORTED_FORMATS == FORMATS


@pytest.mark.parametrize("box_format", FORMATS)
def test_boxes_come_and_go_in_a_format(box_format):
    given_boxes = np.stack([from_xyxy(BOXES, box_format, SIZE)] * 3)
    made = Augmenter([T.HorizontalFlip(1)], bounding_box_format=box_format)(
        IMAGES, boxes={"boxes": given_boxes, "labels": [[1, 2, 3]] * 3}
    )["bounding_boxes"]
    flipped = BOXES.copy()
    flipped[:, [0, 2]] = WIDTH - BOXES[:, [2, 0]]
    np.testing.assert_allclose(
        made["boxes"], np.stack([from_xyxy(flipped, box_format, SIZE)] * 3), atol=1e-5
    )
    np.testing.assert_array_equal(made["labels"], [[1, 2, 3]] * 3)
    assert made["boxes"].dtype == np.float32


def test_rows_without_boxes_are_minus_one():
    boxes = [BOXES[:1], np.empty((0, 4)), BOXES]
    labels = [[7], [], [7, 8, 9]]
    made = Augmenter([T.VerticalFlip(1)], max_boxes=5)(IMAGES, boxes=boxes, box_labels=labels)
    made = made["bounding_boxes"]
    assert made["boxes"].shape == (3, 5, 4)
    np.testing.assert_array_equal((made["labels"] >= 0).sum(axis=1), [1, 0, 3])
    assert (made["boxes"][made["labels"] < 0] == -1).all()
    again = Augmenter([T.VerticalFlip(1)], max_boxes=5)(IMAGES, boxes=made)["bounding_boxes"]
    np.testing.assert_array_equal(again["boxes"][2, :3], BOXES)


def test_more_boxes_than_room_is_an_error():
    with pytest.raises(ValueError, match="max_boxes=2: an image of this batch has 3 boxes"):
        Augmenter([T.HorizontalFlip()], max_boxes=2)(IMAGES, boxes=[BOXES] * 3)


# Clipping, as torchvision's and Albumentations' own tests have it.


class _Shift:
    """Moves a picture by whole pixels."""

    def __init__(self, down, right):
        self.down, self.right = down, right

    def draw(self, rng, count, size):
        return np.zeros(count)

    def pull(self, numbers, size):
        from fastaug.transforms.geometry import moved_by

        matrices = np.tile(np.eye(3), (len(numbers), 1, 1))
        matrices[:, 0, 2], matrices[:, 1, 2] = -self.down, -self.right
        return moved_by(matrices, size)


@pytest.mark.parametrize(
    ("right", "down", "expected"),
    [
        (0, 0, [10, 10, 20, 20]),
        (-5, 0, [5, 10, 15, 20]),
        (-15, 0, [0, 10, 5, 20]),  # cut at the left
        (45, 0, [55, 10, 60, 20]),  # at the right
        (0, -15, [10, 0, 20, 5]),
        (0, 25, [10, 35, 20, 40]),
        (-20, 0, None),  # touches the border: nothing is left
        (-21, 0, None),
        (50, 0, None),
        (0, 30, None),
        (-15, -15, [0, 0, 5, 5]),
    ],
)
def test_boxes_are_cut_at_the_picture_and_dropped_beyond(right, down, expected):
    made = Augmenter([_Shift(down, right)])(
        IMAGES, boxes=[[[10, 10, 20, 20]]] * 3, box_labels=[[4]] * 3
    )["bounding_boxes"]
    if expected is None:
        assert (made["labels"] == -1).all()
        assert (made["boxes"] == -1).all()
    else:
        np.testing.assert_array_equal(made["boxes"][0, 0], expected)
        assert made["labels"][0, 0] == 4


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, True),
        ({"min_visibility": 0.5}, True),  # exactly half is left
        ({"min_visibility": 0.51}, False),
        ({"min_area": 50}, True),
        ({"min_area": 50.5}, False),
        ({"min_area": 10, "min_visibility": 0.9}, False),
    ],
)
def test_too_little_of_a_box_is_dropped_with_its_label(options, kept):
    boxes = [[[10, 10, 20, 20], [40, 10, 50, 20]]] * 3
    made = Augmenter([_Shift(0, -15)], **options)(IMAGES, boxes=boxes, box_labels=[[4, 5]] * 3)
    labels = made["bounding_boxes"]["labels"][0].tolist()
    assert labels == ([4, 5] if kept else [5, -1])


def test_box_of_a_turned_picture_holds_its_corners():
    box = np.array([[20.0, 10, 40, 30]])
    made = Augmenter([T.Rotate((45, 45))])(IMAGES, boxes=[box] * 3)["bounding_boxes"]["boxes"]
    half = 20 * np.sqrt(2) / 2  # a square about the centre of the picture
    np.testing.assert_allclose(made[0, 0], [30 - half, 20 - half, 30 + half, 20 + half], atol=1e-4)


MOVES = [
    T.Affine(40, (0.2, 0.2), (0.6, 1.5), 20),
    T.Perspective(0.4, 1),
    T.RandomResizedCrop((33, 47)),
    T.QuarterTurn(),
    T.HorizontalFlip(),
    T.Elastic(60, 6),
    T.GridDistortion(),
    T.Letterbox((50, 50)),
    T.Transpose(1),
]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    moves=st.lists(st.sampled_from(MOVES[:5]), min_size=1, max_size=3),
    last=st.sampled_from(MOVES),
)
def test_boxes_of_a_masks_object_hold_the_object_that_moved(seed, moves, last):
    rng = np.random.default_rng(seed)
    left, top = rng.integers(0, (WIDTH - 12, HEIGHT - 12), (2,))
    wide, tall = rng.integers(8, 12, (2,))
    mask = np.zeros((1, *SIZE), np.uint8)
    mask[0, top : top + tall, left : left + wide] = 1
    box = [[[left, top, left + wide, top + tall]]]
    transforms = [*moves, last] if last not in moves else moves
    sizes = [each for each in transforms if isinstance(each, T.RandomResizedCrop | T.Letterbox)]
    if len(sizes) > 1:
        return
    made = Augmenter(transforms, seed=seed)(IMAGES[:1], masks=mask, boxes=box)
    mask, boxes = made["segmentation_masks"][0], made["bounding_boxes"]["boxes"][0]
    height, width = mask.shape
    rows, cols = np.nonzero(mask)
    if len(boxes) == 0 or boxes[0, 0] == -1:
        assert len(rows) <= max(2, 0.02 * wide * tall)  # a pixel whose centre is at the border
        return
    (found,) = boxes
    assert 0 <= found[0] < found[2] <= width
    assert 0 <= found[1] < found[3] <= height
    if len(rows):
        # A curve can leave the lines between nine points of a side by a little.
        slack = (
            1.0 if any(isinstance(m, T.Elastic | T.GridDistortion) for m in transforms) else 0.51
        )
        assert found[0] <= cols.min() + slack
        assert found[1] <= rows.min() + slack
        assert found[2] >= cols.max() + 1 - slack
        assert found[3] >= rows.max() + 1 - slack


# Bad boxes.


@pytest.mark.parametrize(
    ("boxes", "options", "words"),
    [
        ([[20, 5, 10, 30]], {}, ("image 1, box 0", "[20.0, 5.0, 10.0, 30.0] (xyxy)", "is no box")),
        ([[5, 5, 5, 30]], {}, ("image 1, box 0", "is no box")),
        ([[np.nan, 5, 10, 30]], {}, ("image 1, box 0", "nan", "not finite")),
        ([[5, 5, 10, 30], [5, 5, 61, 30]], {}, ("image 1, box 1", "out of its picture of 40x60")),
        ([[-3, 5, 10, 30]], {}, ("image 1, box 0", "out of its picture")),
        ([[0.5, 0.5, 0.2, 0.9]], {"bounding_box_format": "rel_xyxy"}, ("0.5", "(rel_xyxy)")),
        ([[5, 5, 0, 9]], {"bounding_box_format": "xywh"}, ("is no box", "(xywh)")),
        ([[5, 5, 9]], {}, ("shape (1, 3)",)),
    ],
)
def test_what_is_no_box_is_named(boxes, options, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked
        Augmenter([T.HorizontalFlip()], **options)(IMAGES, boxes=[[], boxes, []])
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ({"boxes": np.ones((2, 1, 4))}, "boxes have the shape (2, 1, 4)"),
        ({"boxes": np.ones((3, 4))}, "boxes have the shape (3, 4)"),
        ({"boxes": [BOXES] * 3, "box_labels": [[1]] * 3}, "there must be a label for each box"),
        ({"box_labels": [[1]] * 3}, "box_labels need boxes"),
        ({"boxes": {"box": [BOXES] * 3}}, "they must be 'boxes' and 'labels'"),
        ({"boxes": [BOXES] * 3, "labels": [[1, 2, 3]] * 3}, "pass them as box_labels="),
        ({"labels": [1, 2]}, "labels have the shape (2,)"),
        ({"sample_weights": [1.0]}, "sample_weights have the shape (1,)"),
    ],
)
def test_what_does_not_fit_together_is_told(targets, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked
        Augmenter([T.HorizontalFlip()])(IMAGES, **targets)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bounding_box_format": "coco"}, "bounding_box_format='coco'"),
        ({"max_boxes": 0}, "max_boxes=0"),
        ({"min_visibility": 1.5}, "min_visibility=1.5 must be from 0 to 1"),
        ({"min_area": -1}, "min_area=-1"),
        ({"mask_fill": "a"}, "mask_fill"),
        ({"erase_masks": 2}, "erase_masks=2"),
        ({"flip_pairs": [(1, 2, 3)]}, "flip_pairs=[(1, 2, 3)]"),
        ({"flip_pairs": 3}, "flip_pairs=3"),
    ],
)
def test_wrong_rules_are_told_by_augmenters_and_generators(options, words):
    for make in (lambda: Augmenter([], **options), lambda: fastaug.Generator(**options)):
        with pytest.raises((TypeError, ValueError)) as caught:
            make()
        assert words in str(caught.value)


def test_keras_dictionary_goes_in_and_comes_out():
    batch = {
        "images": IMAGES,
        "bounding_boxes": {"boxes": np.stack([BOXES] * 3), "labels": np.ones((3, 3), int)},
        "labels": np.eye(3),
        "name": ["a", "b", "c"],
    }
    made = Augmenter([T.HorizontalFlip(1)])(batch)
    assert set(made) == set(batch)
    assert made["name"] == ["a", "b", "c"]
    np.testing.assert_array_equal(made["images"], IMAGES[:, :, ::-1])
    with pytest.raises(ValueError, match="a dictionary needs 'images'"):
        Augmenter([])({"image": IMAGES})
    with pytest.raises(ValueError, match="not both"):
        Augmenter([])(batch, labels=np.eye(3))

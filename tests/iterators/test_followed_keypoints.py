"""Flows whose keypoints follow the images, object by object: COCO, and arrays beside boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import make_images
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from fastaug import Generator, transforms

SIZE = (20, 30)  # height, width
NAMES = ["nose", "left_eye", "right_eye", "chin"]
# Of each picture: boxes, and keypoints of what is in them.  The second picture has nothing.
BOXES = [
    [[2, 3, 12, 15], [14, 2, 28, 18]],
    [],
    [[5, 5, 25, 15]],
]
POINTS = [
    [
        [[7, 5, 2], [4, 8, 2], [10, 8, 1], [7, 14, 2]],
        [[20, 4, 2], [16, 6, 0], [26, 6, 2], [20, 16, 1]],
    ],
    [],
    [[[15, 6, 2], [10, 8, 2], [20, 8, 2], [0, 0, 0]]],
]
MOVES = {
    "rotation_range": 20,
    "width_shift_range": 0.1,
    "zoom_range": 0.2,
    "horizontal_flip": True,
}


def here(**options: Any) -> Generator:
    """A generator that makes everything in the caller."""
    return Generator(**{"workers": 0, "read_ahead": 0, "keras_quirks": False, **options})


@pytest.fixture
def folder(tmp_path) -> Path:
    content: dict[str, Any] = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(len(BOXES))],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 4]]}],
        "annotations": [],
    }
    for number, (boxes, points) in enumerate(zip(BOXES, POINTS, strict=True)):
        Image.fromarray(images()[number]).save(tmp_path / f"{number}.png")
        for (left, top, right, bottom), three in zip(boxes, points, strict=True):
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                    "keypoints": np.ravel(three).tolist(),
                }
            )
    crowd = {"bbox": [0, 0, 9, 9], "iscrowd": 1, "segmentation": {"counts": [600], "size": SIZE}}
    content["annotations"].insert(0, {"id": 99, "image_id": 0, "category_id": 1, **crowd})
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return tmp_path


def images() -> np.ndarray:
    return make_images(len(BOXES), *SIZE, 3)


def of_coco(generator: Generator, folder: Path, **options: Any):
    options = {"target_size": SIZE, "targets": ("boxes", "keypoints"), "shuffle": False} | options
    return generator.flow_from_coco(folder / "coco.json", folder, **options)


def of_arrays(generator: Generator, **options: Any):
    kinds = [[0] * len(some) for some in BOXES]
    options = {"shuffle": False} | options
    return generator.flow(images(), boxes=BOXES, box_labels=kinds, keypoints=POINTS, **options)


def batches(iterator: Any) -> list[Any]:
    with iterator:
        return [next(iterator) for _ in range(len(iterator))]


def test_keypoints_of_a_coco_file_are_padded_like_their_boxes(folder):
    flow = of_coco(here(max_boxes=3), folder)
    assert flow.keypoint_names == {"person": NAMES}
    assert flow.skeleton == {"person": [(0, 3)]}
    _, targets = batches(flow)[0]
    assert sorted(targets) == ["bounding_boxes", "keypoints"]
    points, boxes = targets["keypoints"], targets["bounding_boxes"]["boxes"]
    assert points.shape == (3, 3, 4, 3)
    assert points.dtype == np.float32
    for number, (some, theirs) in enumerate(zip(BOXES, POINTS, strict=True)):
        for place in range(3):
            there = place < len(some)
            assert_array_equal(boxes[number, place], some[place] if there else [-1] * 4)
            assert_array_equal(points[number, place], theirs[place] if there else [[-1, -1, 0]] * 4)


@pytest.mark.parametrize("moves", [{}, MOVES, {"transforms": [transforms.BoxSafeCrop(16)]}])
def test_files_and_arrays_give_the_same(folder, moves):
    """Pairs that names tell are those that an array needs to be told."""
    options = moves | {"max_boxes": 2}
    coco = batches(of_coco(here(**options), folder, seed=3, batch_size=2))
    arrays = batches(of_arrays(here(flip_pairs=[(1, 2)], **options), seed=3, batch_size=2))
    for (ours, targets), (theirs, expected) in zip(coco, arrays, strict=True):
        assert_array_equal(ours, theirs)
        keras.tree.assert_same_structure(targets, expected)
        assert_array_equal(targets["keypoints"], expected["keypoints"])
        assert_array_equal(targets["bounding_boxes"]["boxes"], expected["bounding_boxes"]["boxes"])


@pytest.mark.parametrize(
    ("given", "order"),
    [(None, [0, 2, 1, 3]), ((), [0, 1, 2, 3]), ([(0, 3)], [3, 1, 2, 0])],
    ids=str,
)
def test_left_and_right_change_places_by_their_names_unless_it_is_said(folder, given, order):
    generator = here(transforms=[transforms.HorizontalFlip(1)], flip_pairs=given)
    _, targets = batches(of_coco(generator, folder))[0]
    mirrored = np.array(POINTS[2][0], float)[order]
    mirrored[:, 0] = SIZE[1] - 1 - mirrored[:, 0]
    assert_array_equal(targets["keypoints"][2, 0], mirrored)


def test_left_and_right_change_places_by_the_names_of_their_class(folder):
    content = json.loads((folder / "coco.json").read_text())
    hand = {"id": 2, "name": "hand", "keypoints": ["left_end", "right_end"]}
    content["categories"] += [hand, {"id": 3, "name": "ball"}]
    ends = [3, 4, 2, 9, 5, 1]
    for category, points in ((2, ends), (3, None)):
        thing = {"id": 70 + category, "image_id": 2, "category_id": category, "bbox": [1, 2, 9, 9]}
        content["annotations"].append(thing | ({"keypoints": points} if points else {}))
    (folder / "coco.json").write_text(json.dumps(content))
    generator = here(transforms=[transforms.HorizontalFlip(1)], max_boxes=4)
    flow = of_coco(generator, folder)
    assert flow.keypoint_names == {"person": NAMES, "hand": ["left_end", "right_end"]}
    _, targets = batches(flow)[0]
    assert targets["keypoints"].shape == (3, 4, 4, 3)
    assert_array_equal(targets["bounding_boxes"]["labels"][2], [0, 1, 2, -1])
    person, hand, ball, nothing = targets["keypoints"][2]
    right = SIZE[1] - 1
    assert_array_equal(person[:3], [[right - 15, 6, 2], [right - 20, 8, 2], [right - 10, 8, 2]])
    assert_array_equal(hand[:2], [[right - 9, 5, 1], [right - 3, 4, 2]])
    assert not hand[2:, 2].any()
    assert not ball[:, 2].any()
    assert_array_equal(nothing, [[-1, -1, 0]] * 4)


def test_keypoints_are_in_pixels_of_the_target(folder):
    """A point is the middle of a pixel; in pictures twice as large that is between two."""
    _, targets = batches(of_coco(here(), folder, target_size=(40, 90)))[0]
    scaled = (np.array(POINTS[2][0]) + [0.5, 0.5, 0]) * [3, 2, 1] - [0.5, 0.5, 0]
    assert_allclose(targets["keypoints"][2, 0], scaled)


def test_keypoints_that_are_cut_off_are_not_seen(folder):
    flow = of_coco(here(), folder, target_size=(20, 20), keep_aspect_ratio=True)
    _, targets = batches(flow)[0]  # columns 5 to 24
    assert_array_equal(targets["keypoints"][0, 0, :, 2], [2, 0, 1, 2])
    assert_array_equal(targets["keypoints"][0, 1, :, 2], [2, 0, 0, 1])
    assert_array_equal(targets["keypoints"][0, 0, 0], [2, 5, 2])


def test_box_that_is_dropped_takes_its_keypoints_along(folder):
    generator = here(transforms=[transforms.CenterCrop((20, 14))], min_visibility=0.5)
    _, targets = batches(of_coco(generator, folder))[0]  # columns 8 to 21
    assert_array_equal(targets["bounding_boxes"]["boxes"][0], [[6, 2, 14, 18], [-1] * 4])
    assert_array_equal(
        targets["keypoints"][0],
        [[[12, 4, 2], [8, 6, 0], [18, 6, 0], [12, 16, 1]], [[-1, -1, 0]] * 4],
    )


def test_keypoints_come_alone_or_with_masks(folder):
    _, points = batches(of_coco(here(), folder, targets="keypoints"))[0]
    assert points.shape == (3, 2, 4, 3)
    _, both = batches(of_coco(here(), folder, targets=("masks", "keypoints")))[0]
    assert sorted(both) == ["keypoints", "segmentation_masks"]
    _, all_three = batches(of_coco(here(), folder, targets=("boxes", "masks", "keypoints")))[0]
    assert sorted(all_three) == ["bounding_boxes", "keypoints", "segmentation_masks"]
    assert_array_equal(all_three["keypoints"], points)


def test_keypoints_cannot_follow_a_mix(folder):
    generator = here(transforms=[transforms.Mosaic()], max_boxes=8)
    with pytest.raises(ValueError, match="keypoints can't follow a mix of images: take Mosaic out"):
        batches(of_coco(generator, folder))


def test_too_many_flip_pairs_are_told(folder):
    generator = here(horizontal_flip=True, flip_pairs=[(2, 9)])
    with pytest.raises(ValueError, match="names the points 2 and 9; there are 4"):
        batches(of_coco(generator, folder))


def test_subsets_have_the_keypoints_of_their_pictures(folder):
    generator = here(validation_split=0.34)
    _, targets = batches(of_coco(generator, folder, subset="validation", augment=False))[0]
    assert_array_equal(targets["keypoints"], [POINTS[0]])
    _, targets = batches(of_arrays(generator, subset="validation", augment=False))[0]
    assert_array_equal(targets["keypoints"], [POINTS[0]])


def test_batches_are_the_same_however_they_are_made(folder):
    plain = batches(of_coco(here(**MOVES), folder, seed=1, batch_size=2))
    ahead = batches(of_coco(here(workers=1, read_ahead=2, **MOVES), folder, seed=1, batch_size=2))
    for (_, one), (_, other) in zip(plain, ahead, strict=True):
        assert_array_equal(one["keypoints"], other["keypoints"])


def test_model_learns_keypoints(folder):
    keras.utils.set_random_seed(0)
    source = keras.Input((*SIZE, 3))
    flow = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(source))
    given = keras.layers.Reshape((2, 4, 3))(keras.layers.Dense(24)(flow))
    model = keras.Model(source, given)

    def distance(truth, given):
        ops = keras.ops
        seen = ops.cast(truth[..., 2:] > 0, "float32")
        return ops.sum(seen * ops.abs(truth - given)[..., :2]) / (ops.sum(seen) + 1e-6)

    model.compile("adam", distance)
    generator = here(rescale=1 / 255, max_boxes=2, horizontal_flip=True)
    with of_coco(generator, folder, targets="keypoints") as pictures:
        losses = model.fit(pictures, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_preview_draws_the_keypoints_of_objects(folder):
    generator = here()
    with of_coco(generator, folder) as both, of_coco(generator, folder, targets="boxes") as boxes:
        drawn, plain = generator.preview(both, 3), generator.preview(boxes, 3)
    assert (np.asarray(drawn.image) != np.asarray(plain.image)).any()

"""Crops that look at boxes: what stays, and what is dropped."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_images

import fastaug
from fastaug import Augmenter
from fastaug import transforms as T

HEIGHT, WIDTH = SIZE = (60, 90)
COUNT = 64


def some_boxes(rng: np.random.Generator, k: int) -> np.ndarray:
    """Return k boxes of whole pixels: left, top, right, bottom."""
    corner = rng.integers(0, (WIDTH - 20, HEIGHT - 20), (k, 2))
    return np.concatenate([corner, corner + rng.integers(4, 20, (k, 2))], axis=1).astype(float)


RNG = np.random.default_rng(3)
BOXES = [some_boxes(RNG, i % 4) for i in range(COUNT)]
LABELS = [np.arange(len(boxes)) for boxes in BOXES]
IMAGES = make_images(COUNT, *SIZE, 3)


def overlap(crop, box) -> float:
    left, top = max(crop[0], box[0]), max(crop[1], box[1])
    right, bottom = min(crop[2], box[2]), min(crop[3], box[3])
    shared = max(right - left, 0) * max(bottom - top, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (crop, box)]
    return shared / (sum(areas) - shared)


def crops_of(augmenter: Augmenter, name: str) -> list[tuple[float, float, float, float]]:
    found = [augmenter.parameters(i)[name] for i in range(COUNT)]
    return [(c.left, c.top, c.left + c.width, c.top + c.height) for c in found]


def test_safe_crop_keeps_every_box():
    augmenter = Augmenter([T.BoxSafeCrop((50, 40))], seed=1)
    made = augmenter(IMAGES, boxes=BOXES, box_labels=LABELS)
    assert made["images"].shape == (COUNT, 50, 40, 3)
    labels = made["bounding_boxes"]["labels"]
    for i, crop in enumerate(crops_of(augmenter, "BoxSafeCrop")):
        assert sorted(labels[i][labels[i] >= 0]) == LABELS[i].tolist()
        for box, after in zip(BOXES[i], made["bounding_boxes"]["boxes"][i], strict=False):
            assert crop[0] <= box[0]
            assert crop[1] <= box[1]
            assert crop[2] >= box[2]
            assert crop[3] >= box[3]
            scale = 40 / (crop[2] - crop[0]), 50 / (crop[3] - crop[1])
            expected = (box - np.array(crop[:2] * 2)) * np.array(scale * 2)
            np.testing.assert_allclose(after, expected, atol=1e-3)
        if not len(BOXES[i]):
            assert crop == (0, 0, WIDTH, HEIGHT)
    assert len(set(crops_of(augmenter, "BoxSafeCrop"))) > 40


def test_eroded_crop_cuts_into_the_boxes_at_most_so_far():
    augmenter = Augmenter([T.BoxSafeCrop(40, erosion_rate=0.4)], seed=1)
    augmenter(IMAGES, boxes=BOXES)
    cut = 0
    for crop, boxes in zip(crops_of(augmenter, "BoxSafeCrop"), BOXES, strict=True):
        if len(boxes):
            around = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
            reach = (around[2:] - around[:2]) * 0.2
            assert (np.array(crop[:2]) <= around[:2] + reach).all()
            assert (np.array(crop[2:]) >= around[2:] - reach).all()
            cut += (np.array(crop[:2]) > around[:2]).any()
    assert cut


@pytest.mark.parametrize("option", [0.1, 0.3, 0.7])
def test_iou_crop_overlaps_a_box_whose_centre_it_holds(option):
    augmenter = Augmenter([T.RandomIoUCrop(40, sampler_options=[option])], seed=2)
    made = augmenter(IMAGES, boxes=BOXES, box_labels=LABELS)["bounding_boxes"]
    cut = 0
    for i, crop in enumerate(crops_of(augmenter, "RandomIoUCrop")):
        centres = (BOXES[i][:, :2] + BOXES[i][:, 2:]) / 2
        inside = [crop[0] < x < crop[2] and crop[1] < y < crop[3] for x, y in centres]
        whole = crop == (0, 0, WIDTH, HEIGHT)
        kept = [label for label, stays in zip(LABELS[i], inside, strict=True) if stays or whole]
        assert made["labels"][i][made["labels"][i] >= 0].tolist() == kept
        if not whole:
            overlaps = [
                overlap(crop, box) for box, stays in zip(BOXES[i], inside, strict=True) if stays
            ]
            assert max(overlaps) >= option
            wide, tall = crop[2] - crop[0], crop[3] - crop[1]
            assert 0.5 <= wide / tall <= 2
            assert wide >= 0.3 * WIDTH - 1
            assert tall >= 0.3 * HEIGHT - 1
            cut += 1
    # Small boxes can't fill a large share of a crop: then images stay whole.
    assert cut > 20 if option < 0.3 else cut < COUNT


def test_iou_crop_of_1_and_images_without_boxes_stay_whole():
    for transform in (T.RandomIoUCrop(SIZE, sampler_options=[1.0]), T.RandomIoUCrop(SIZE)):
        boxes = BOXES if transform.sampler_options == (1.0,) else [np.empty((0, 4))] * COUNT
        made = Augmenter([transform], seed=2)(IMAGES, boxes=boxes)
        np.testing.assert_array_equal(made["images"], IMAGES)
    np.testing.assert_array_equal(Augmenter([T.RandomIoUCrop(SIZE)])(IMAGES), IMAGES)


def test_boxes_are_seen_as_the_moves_before_left_them():
    flip = T.HorizontalFlip(1)
    augmenter = Augmenter([flip, T.BoxSafeCrop(40)], seed=1)
    augmenter(IMAGES, boxes=BOXES)
    for crop, boxes in zip(crops_of(augmenter, "BoxSafeCrop"), BOXES, strict=True):
        for left, top, right, bottom in boxes:
            assert crop[0] <= WIDTH - right
            assert WIDTH - left <= crop[2]
            assert crop[1] <= top
            assert bottom <= crop[3]


def test_iterators_let_crops_see_the_boxes_of_their_rows():
    options = {"boxes": BOXES, "box_labels": LABELS, "batch_size": 5, "seed": 4, "shuffle": True}
    generator = fastaug.Generator(transforms=[T.BoxSafeCrop(30)], dtype="uint8")
    batches = generator.flow(IMAGES, **options)
    seen = []
    for _ in range(len(batches)):
        _, targets = next(batches)
        seen += [labels[labels >= 0].tolist() for labels in targets["labels"]]
    assert sorted(seen) == sorted(labels.tolist() for labels in LABELS)
    with fastaug.Generator(transforms=[T.BoxSafeCrop(30)], read_ahead=0, threads=1).flow(
        IMAGES, **options
    ) as again:
        np.testing.assert_array_equal(
            next(again)[1]["boxes"], next(iter(reset(batches)))[1]["boxes"]
        )


def reset(iterator):
    iterator.reset()
    iterator.total_batches_seen = 0
    return iterator


def test_drawn_batch_is_applied_again():
    augmenter = Augmenter([T.RandomIoUCrop(40)], seed=2)
    drawn = augmenter.draw(COUNT, SIZE, step=3, boxes=BOXES, box_labels=LABELS)
    again = augmenter.apply(drawn, IMAGES, boxes=BOXES, box_labels=LABELS)
    made = augmenter(IMAGES, boxes=BOXES, box_labels=LABELS, step=3)
    np.testing.assert_array_equal(made["images"], again["images"])
    np.testing.assert_array_equal(
        made["bounding_boxes"]["labels"], again["bounding_boxes"]["labels"]
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.BoxSafeCrop(0), "size"),
        (lambda: T.BoxSafeCrop(9, erosion_rate=1.5), "erosion_rate=1.5 must be from 0 to 1"),
        (lambda: T.RandomIoUCrop(9, min_scale=0.9, max_scale=0.5), "in order"),
        (lambda: T.RandomIoUCrop(9, max_scale=2), "at most 1"),
        (lambda: T.RandomIoUCrop(9, min_aspect_ratio=0), "above 0"),
        (lambda: T.RandomIoUCrop(9, sampler_options=[]), "no list of overlaps"),
        (lambda: T.RandomIoUCrop(9, trials=0), "trials=0"),
    ],
)
def test_bad_arguments_are_told(make, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert words in str(caught.value)

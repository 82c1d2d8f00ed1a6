"""Mixes: pixels, masks, boxes, labels and weights, beside plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_images

import fastaug
from fastaug import Augmenter
from fastaug import transforms as T

COUNT, HEIGHT, WIDTH, CLASSES = 6, 37, 51, 4
IMAGES = make_images(COUNT, HEIGHT, WIDTH, 3)
LABELS = np.eye(CLASSES, dtype=np.float32)[np.arange(COUNT) % CLASSES]
WEIGHTS = np.linspace(0.5, 2, COUNT)
MASKS = np.repeat(np.arange(COUNT, dtype=np.uint8), HEIGHT * WIDTH).reshape(COUNT, HEIGHT, WIDTH)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_mixup_blends_by_shares(dtype):
    augmenter = Augmenter([T.MixUp(1.0)], seed=3)
    made = augmenter(IMAGES.astype(dtype), labels=LABELS, sample_weights=WEIGHTS)
    assert made["images"].dtype == dtype
    partners = set()
    for i in range(COUNT):
        partner, share, *_ = augmenter.parameters(i)["MixUp"]
        expected = share * IMAGES[i].astype(float) + (1 - share) * IMAGES[partner]
        atol = 0.51 if dtype == "uint8" else 1e-4
        np.testing.assert_allclose(made["images"][i], expected, atol=atol)
        mixed = share * LABELS[i] + (1 - share) * LABELS[partner]
        np.testing.assert_allclose(made["labels"][i], mixed, atol=1e-6)
        weight = share * WEIGHTS[i] + (1 - share) * WEIGHTS[partner]
        assert made["sample_weights"][i] == pytest.approx(weight)
        partners.add(partner)
    assert len(partners) == COUNT  # a permutation: no image is lost from a batch


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_cutmix_pastes_a_rectangle(data_format):
    augmenter = Augmenter([T.CutMix(1.0)], seed=3, data_format=data_format)
    first = data_format == "channels_first"
    images = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1)) if first else IMAGES
    made = augmenter(images, labels=LABELS, masks=MASKS)
    pictures = np.moveaxis(made["images"], 1, -1) if first else made["images"]
    for i in range(COUNT):
        partner = augmenter.parameters(i)["CutMix"].partner
        pasted = made["segmentation_masks"][i] != i
        if partner == i:
            continue
        rows, cols = np.nonzero(pasted)
        if len(rows):
            area = np.zeros_like(pasted)
            area[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] = True
            np.testing.assert_array_equal(pasted, area)  # it is a rectangle
            assert set(made["segmentation_masks"][i][pasted]) == {partner}
        expected = np.where(pasted[..., np.newaxis], IMAGES[partner], IMAGES[i])
        np.testing.assert_array_equal(pictures[i], expected)
        share = pasted.mean()
        mixed = (1 - share) * LABELS[i] + share * LABELS[partner]
        np.testing.assert_allclose(made["labels"][i], mixed, atol=1e-6)


def test_cutmix_pastes_as_much_as_was_drawn():
    numbers = T.CutMix(1.0).draw(np.random.default_rng(0), 4000, (200, 300))
    partners = T.CutMix(1.0).partners(numbers, (200, 300))
    inside = (np.abs(numbers.row - 0.5) < 0.1) & (np.abs(numbers.col - 0.5) < 0.1)
    inside &= numbers.share > 0.5
    # What is cut off at a border counts as the image's own: only those in the middle are whole.
    np.testing.assert_allclose(partners.shares[inside, 0], numbers.share[inside], atol=0.02)


def four_corners(i: int, parts, centre) -> np.ndarray:
    """Put a mosaic together pixel by pixel: each picture's corner lies at the centre."""
    out = np.empty_like(IMAGES[0])
    row, col = (round(share * side) for share, side in zip(centre, (HEIGHT, WIDTH), strict=True))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            part = 2 * (y >= row) + (x >= col)
            from_y = y - row if y >= row else y + HEIGHT - row
            from_x = x - col if x >= col else x + WIDTH - col
            out[y, x] = IMAGES[parts[part], from_y, from_x]
    return out


def test_mosaic_shows_four_corners():
    augmenter = Augmenter([T.Mosaic()], seed=3)
    made = augmenter(IMAGES, labels=LABELS)
    for i in range(COUNT):
        others, centre = augmenter.parameters(i)["Mosaic"]
        np.testing.assert_array_equal(made["images"][i], four_corners(i, [i, *others], centre))
    np.testing.assert_allclose(made["labels"].sum(axis=1), 1, atol=1e-6)


def boxed(images: np.ndarray) -> tuple[np.ndarray, list, list]:
    """Paint a rectangle of a value of its own into each image; return its box and its label."""
    rng, images, boxes = np.random.default_rng(5), np.zeros_like(images), []
    for i, image in enumerate(images):
        left, top = rng.integers(0, (WIDTH - 15, HEIGHT - 15))
        wide, tall = rng.integers(6, 15, 2)
        image[top : top + tall, left : left + wide] = 20 + i
        boxes.append([[left, top, left + wide, top + tall]])
    return images, boxes, [[20 + i] for i in range(len(images))]


def test_boxes_of_a_mosaic_are_around_what_is_shown():
    images, boxes, labels = boxed(np.repeat(IMAGES, 4, axis=0))
    made = Augmenter([T.Mosaic()], seed=1)(images, boxes=boxes, box_labels=labels)
    shown = 0
    for image, box, label in zip(
        made["images"], made["bounding_boxes"]["boxes"], made["bounding_boxes"]["labels"],
        strict=True,
    ):  # fmt: skip
        expected = []
        for value in np.unique(image[image > 0]):
            rows, cols = np.nonzero(image[..., 0] == value)
            expected.append((value, cols.min(), rows.min(), cols.max() + 1, rows.max() + 1))
        found = [(v, *b) for v, b in zip(label, box, strict=True) if v >= 0]
        # A picture can be its own partner: then its box is there twice.
        if len({v for v, *_ in found}) == len(found):
            assert sorted(found) == sorted(expected)
            shown += len(found)
    assert shown > 10


def test_mixup_keeps_the_boxes_of_both():
    images, boxes, labels = boxed(IMAGES)
    augmenter = Augmenter([T.MixUp(1.0)], seed=2)
    made = augmenter(images, boxes=boxes, box_labels=labels)["bounding_boxes"]
    for i in range(COUNT):
        partner = augmenter.parameters(i)["MixUp"].partner
        expected = {labels[i][0], labels[partner][0]}
        assert set(made["labels"][i]) - {-1} == expected
        np.testing.assert_array_equal(made["boxes"][i][0], boxes[i][0])


def test_images_that_are_not_mixed_keep_their_label():
    augmenter = Augmenter([T.MixUp(1.0, probability=0.5)], seed=3)
    made = augmenter(IMAGES, labels=LABELS)
    alone = [i for i in range(COUNT) if "MixUp" not in augmenter.parameters(i)]
    assert 0 < len(alone) < COUNT
    np.testing.assert_array_equal(made["images"][alone], IMAGES[alone])
    np.testing.assert_array_equal(made["labels"][alone], LABELS[alone])


@pytest.mark.parametrize("mix", [T.MixUp(), T.CutMix(), T.Mosaic()], ids=repr)
def test_batch_of_one_is_its_own_partner(mix):
    made = Augmenter([mix], seed=0)(IMAGES[:1], labels=LABELS[:1])
    np.testing.assert_allclose(made["labels"], LABELS[:1])
    if not isinstance(mix, T.Mosaic):
        np.testing.assert_array_equal(made["images"], IMAGES[:1])


@pytest.mark.parametrize(
    ("mix", "targets", "words"),
    [
        (
            T.MixUp(),
            {"labels": np.arange(COUNT)},
            "MixUp needs one-hot labels: class_mode='categor",
        ),
        (T.CutMix(), {"labels": np.arange(COUNT)}, "CutMix needs one-hot labels: class_mode='cat"),
        (T.MixUp(), {"masks": MASKS}, "masks"),
        (T.CutMix(), {"boxes": [[[0, 0, 9, 9]]] * COUNT}, "CutMix cuts through boxes"),
        (T.Mosaic(), {"keypoints": np.ones((COUNT, 2, 2))}, "keypoints can't follow a mix"),
    ],
)
def test_what_cannot_be_mixed_is_an_error(mix, targets, words):
    with pytest.raises(ValueError, match=words):
        Augmenter([mix], seed=1)(IMAGES, **targets)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.MixUp(0), "alpha=0 must be above 0"),
        (lambda: T.CutMix(-1), "alpha"),
        (lambda: T.MixUp("a"), "alpha must be a number, not 'a'"),
        (lambda: T.MixUp(probability=2), "probability=2 must be from 0 to 1"),
        (lambda: T.Mosaic((0.8, 0.2)), "center_range"),
        (lambda: T.Mosaic((0.5, 1.2)), "center_range"),
    ],
)
def test_bad_arguments_are_told(make, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert words in str(caught.value)


# In iterators.


@pytest.mark.parametrize("read_ahead", [0, 2])
@pytest.mark.parametrize("mix", [T.MixUp(1.0), T.CutMix(), T.Mosaic()], ids=repr)
def test_iterators_mix_images_labels_and_weights(mix, read_ahead):
    # Each image has one value, and a class of its own: its label says what the picture is made of.
    values = 10.0 * np.arange(1, COUNT + 1, dtype=np.float32)
    images = np.ones_like(IMAGES, np.float32) * values.reshape(-1, 1, 1, 1)
    generator = fastaug.Generator(transforms=[mix], read_ahead=read_ahead)
    options = {"sample_weight": WEIGHTS, "batch_size": COUNT, "seed": 2}
    batches = generator.flow(images, np.eye(COUNT, dtype=np.float32), **options)
    made, labels, weights = next(batches)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), labels @ values, rtol=1e-5)
    np.testing.assert_allclose(weights, labels @ WEIGHTS, rtol=1e-5)
    assert ((labels > 0) & (labels < 1)).any()


def test_whole_labels_of_a_folder_are_refused_in_its_words(tmp_path):
    from PIL import Image

    for i, image in enumerate(IMAGES):
        path = tmp_path / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    generator = fastaug.Generator(transforms=[T.MixUp()], workers=0)
    options = {"target_size": (HEIGHT, WIDTH), "batch_size": 4, "seed": 1}
    with (
        generator.flow_from_directory(tmp_path, class_mode="sparse", **options) as batches,
        pytest.raises(ValueError, match="MixUp needs one-hot labels: class_mode='categorical'"),
    ):
        next(batches)
    with generator.flow_from_directory(tmp_path, **options) as batches:
        _, labels = next(batches)
        np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
        assert ((labels > 0) & (labels < 1)).any()


def test_one_column_of_class_numbers_is_refused_and_one_of_shares_is_not():
    numbers = np.arange(COUNT)[:, np.newaxis]
    with pytest.raises(ValueError, match="one-hot labels"):
        Augmenter([T.MixUp()], seed=1)(IMAGES, labels=numbers)
    made = Augmenter([T.MixUp(1.0)], seed=1)(IMAGES, labels=(numbers % 2).astype(np.float32))
    assert ((made["labels"] > 0) & (made["labels"] < 1)).any()

"""Flows whose masks and boxes follow the images: arrays, folders, frames, COCO, YOLO, VOC."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import make_images
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from fastaug import DecodeError, Generator, transforms
from fastaug.files.annotations.polygons import fill_polygon
from fastaug.targets.boxes import FORMATS

COUNT, TARGET = 7, (16, 24)
SIZES = [(20, 30), (24, 32), (30, 20), (16, 24), (40, 40), (21, 33), (18, 18)]
# Left, top, right, bottom; the second picture has no box, and the others one to three.
BOXES = [
    [[2, 3, 12, 9]] + [[5 + i, 4, 11 + i, 14 - i] for i in range(number % 3)] if number != 1 else []
    for number in range(COUNT)
]
LABELS = [[(number + i) % 2 for i in range(len(boxes))] for number, boxes in enumerate(BOXES)]
GEOMETRY = {
    "rotation_range": 40,
    "width_shift_range": 0.2,
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "vertical_flip": True,
    "interpolation_order": 0,
}


@dataclass(frozen=True)
class Data:
    """Pictures that are their masks, with boxes, in every layout."""

    root: Path
    masks: list[np.ndarray]

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def arrays(self) -> np.ndarray:
        """Masks of one size, (n, height, width, 1), as bytes."""
        return make_images(COUNT, *TARGET, 1)


def write_coco(root: Path) -> None:
    content: dict[str, Any] = {
        "images": [
            {"id": 100 - number, "file_name": f"a/{number}.png", "height": high, "width": wide}
            for number, (high, wide) in enumerate(SIZES)
        ],
        "categories": [{"id": 5, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [],
    }
    for number, (boxes, labels) in enumerate(zip(BOXES, LABELS, strict=True)):
        for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": 100 - number,
                    "category_id": [2, 5][label],
                    "bbox": [left, top, right - left, bottom - top],
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                }
            )
    content["annotations"].reverse()
    content["annotations"].sort(key=lambda item: item["image_id"] % 3)  # each one's stay reversed
    (root / "coco.json").write_text(json.dumps(content))


def write_yolo(root: Path, number: int) -> None:
    high, wide = SIZES[number]
    lines = [
        f"{label} {(box[0] + box[2]) / 2 / wide!r} {(box[1] + box[3]) / 2 / high!r} "
        f"{(box[2] - box[0]) / wide!r} {(box[3] - box[1]) / high!r}"
        for box, label in zip(BOXES[number], LABELS[number], strict=True)
    ]
    if lines:
        (root / "labels" / "a" / f"{number}.txt").write_text("\n".join(lines))


def write_voc(root: Path, number: int) -> None:
    items = "".join(
        f"<object><name>{['cat', 'dog'][label]}</name><bndbox><xmin>{box[0] + 1}</xmin><ymin>"
        f"{box[1] + 1}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for box, label in zip(BOXES[number], LABELS[number], strict=True)
    )
    text = f"<annotation><filename>{number}.png</filename>{items}</annotation>"
    (root / "voc" / f"{number}.xml").write_text(text)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    root = tmp_path_factory.mktemp("data")
    for folder in ("images/a", "masks/a", "labels/a", "voc"):
        (root / folder).mkdir(parents=True)
    masks = [make_images(1, *size, 1, seed=number)[0] for number, size in enumerate(SIZES)]
    for number, mask in enumerate(masks):
        Image.fromarray(mask[..., 0]).save(root / "masks" / "a" / f"{number}.png")
        picture = Image.fromarray(np.repeat(mask, 3, axis=2))
        picture.save(root / "images" / "a" / f"{number}.png")
        write_yolo(root, number)
        write_voc(root, number)
    write_coco(root)
    return Data(root, masks)


def frame(data: Data, **more: Any):
    pandas = pytest.importorskip("pandas")
    numbers = range(COUNT)
    return pandas.DataFrame(
        {
            "filename": [f"images/a/{number}.png" for number in numbers],
            "mask": [f"masks/a/{number}.png" for number in numbers],
            "boxes": BOXES,
            "kinds": LABELS,
            "class": ["u", "v"] * 3 + ["u"],
            "weight": np.arange(7.0),
            **more,
        }
    )


def of_arrays(generator: Generator, data: Data, **options: Any):
    masks = data.arrays
    images = np.repeat(masks, 3, axis=3)
    if generator.data_format == "channels_first":
        images, masks = np.moveaxis(images, -1, 1), np.moveaxis(masks, -1, 1)
    boxes = [[[min(x, y) for x, y in zip(box, [24, 16] * 2, strict=True)] for box in part]
             for part in BOXES]  # fmt: skip
    return generator.flow(images, masks=masks, boxes=boxes, box_labels=LABELS, **options)


def of_masks(generator: Generator, data: Data, **options: Any):
    images = np.repeat(data.arrays, 3, axis=3)
    return generator.flow(images, masks=data.arrays, **options)


def of_folder(generator: Generator, data: Data, **options: Any):
    options = {"class_mode": None, "target_size": TARGET} | options
    return generator.flow_from_directory(data.images, mask_directory=data.root / "masks", **options)


def of_frame(generator: Generator, data: Data, **options: Any):
    columns = {"mask_col": "mask", "boxes_col": "boxes", "box_labels_col": "kinds"}
    options = {"class_mode": None, "target_size": TARGET, **columns} | options
    return generator.flow_from_dataframe(frame(data), data.root, **options)


def of_coco(generator: Generator, data: Data, **options: Any):
    options = {"target_size": TARGET, "targets": ("boxes", "masks")} | options
    return generator.flow_from_coco(data.root / "coco.json", data.images, **options)


def of_yolo(generator: Generator, data: Data, **options: Any):
    options = {"target_size": TARGET, "classes": ["cat", "dog"]} | options
    return generator.flow_from_yolo(data.images / "a", **options)


def of_voc(generator: Generator, data: Data, **options: Any):
    options = {"target_size": TARGET} | options
    return generator.flow_from_voc(data.root / "voc", data.images / "a", **options)


MAKERS = {
    "arrays": of_arrays,
    "folder": of_folder,
    "frame": of_frame,
    "coco": of_coco,
    "yolo": of_yolo,
    "voc": of_voc,
}
FILES = ["folder", "frame", "coco", "yolo", "voc"]
every_kind = pytest.mark.parametrize("kind", MAKERS)


def here(**options: Any) -> Generator:
    """A generator that makes everything in the caller."""
    return Generator(**{"workers": 0, "read_ahead": 0, "keras_quirks": False, **options})


def batches(iterator: Any, count: int | None = None) -> list[Any]:
    """Return batches, a pass of them unless there is a count, and close."""
    with iterator:
        return [next(iterator) for _ in range(len(iterator) if count is None else count)]


def leaves(batch: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in keras.tree.flatten(batch)]


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal in structure, dtypes and values."""
    keras.tree.assert_same_structure(ours, theirs)
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        assert one.dtype == other.dtype
        assert_array_equal(one, other)


def boxes_of(targets: Any) -> tuple[np.ndarray, np.ndarray]:
    found = targets.get("bounding_boxes", targets)
    return found["boxes"], found["labels"]


# --- Masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["nearest"])
@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
def test_pictures_that_are_their_masks_stay_equal_from_a_folder(
    data, interpolation, keep_aspect_ratio
):
    flow = of_folder(
        here(**GEOMETRY), data, seed=1, batch_size=3, keep_aspect_ratio=keep_aspect_ratio
    )
    for images, masks in batches(flow, 6):
        assert masks.dtype == np.uint8
        assert masks.shape == (*images.shape[:3], 1)
        assert_array_equal(images[..., :1], masks)


def test_pictures_that_are_their_masks_stay_equal_from_arrays(data):
    for images, masks in batches(of_masks(here(**GEOMETRY), data, seed=1, batch_size=3), 6):
        assert_array_equal(images[..., :1], masks)


def test_pictures_that_are_their_masks_stay_equal_from_a_frame(data):
    flow = of_frame(here(**GEOMETRY), data, seed=2, batch_size=3)
    for images, targets in batches(flow, 6):
        assert_array_equal(images[..., :1], targets["segmentation_masks"])


def test_masks_are_not_standardised(data):
    options = {"rescale": 1 / 255, "samplewise_center": True}
    plain = batches(of_masks(here(**GEOMETRY), data, seed=1))
    changed = batches(of_masks(here(**GEOMETRY, **options), data, seed=1))
    assert_array_equal(plain[0][1], changed[0][1])
    assert abs(changed[0][0]).max() < 2


def test_masks_without_channels_stay_without(data):
    flow = here(**GEOMETRY).flow(data.arrays, masks=data.arrays[..., 0], seed=1)
    images, masks = batches(flow)[0]
    assert_array_equal(images[..., 0], masks)


def test_masks_of_16_bits_keep_their_numbers(tmp_path):
    masks = (make_images(2, *TARGET, 1).astype(np.uint16) * 200)[..., 0]
    for number, mask in enumerate(masks):
        for folder, picture in (("x", (mask // 200).astype(np.uint8)), ("y", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / folder / f"{number}.png")
    flow = here().flow_from_directory(
        tmp_path / "x", TARGET, class_mode=None, mask_directory=tmp_path / "y", shuffle=False
    )
    _, got = batches(flow)[0]
    assert got.dtype == np.int32
    assert_array_equal(got[..., 0], masks)


def voc_masks(root: Path) -> np.ndarray:
    """JPEGImages, and SegmentationClass with a palette and 255 between the objects."""
    numbers = np.random.default_rng(0).choice([0, 1, 15, 255], (3, *TARGET)).astype(np.uint8)
    for name, mask in zip("abc", numbers, strict=True):
        for folder in ("JPEGImages", "SegmentationClass"):
            (root / folder).mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "JPEGImages" / f"{name}.jpg")
        picture = Image.fromarray(mask)
        picture.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype(np.uint8))
        assert picture.mode == "P"
        picture.save(root / "SegmentationClass" / f"{name}.png")
    return numbers


def test_palette_masks_give_the_numbers_of_classes(tmp_path):
    numbers = voc_masks(tmp_path)
    flow = here().flow_from_directory(
        tmp_path / "JPEGImages",
        TARGET,
        class_mode=None,
        mask_directory=tmp_path / "SegmentationClass",
        shuffle=False,
    )
    assert_array_equal(batches(flow)[0][1][..., 0], numbers)


def test_masks_of_coco_are_those_of_its_boxes(data):
    """Polygons that are boxes: where there is a class, there is a box of it, and its mask."""
    flow = of_coco(here(), data, target_size=(40, 40), batch_size=COUNT, shuffle=False)
    _, targets = batches(flow)[0]
    masks = targets["segmentation_masks"][..., 0]
    boxes, labels = boxes_of(targets)
    assert masks.dtype == np.uint8
    assert not masks[1].any()
    for mask, some, kinds in zip(masks, boxes, labels, strict=True):
        assert set(np.unique(mask)) <= {0} | {kind + 1 for kind in kinds if kind >= 0}
        for left, top, right, bottom in some[kinds >= 0]:
            assert mask[round((top + bottom) / 2), round((left + right) / 2)]
            assert (
                mask[int(np.ceil(top)) : int(bottom), int(np.ceil(left)) : int(right)] > 0
            ).all()


def test_drawn_masks_move_with_the_picture(tmp_path):
    """Both kinds of masks of one COCO file: drawn by polygons, and drawn into the pictures."""
    polygon = [3.2, 4.1, 25, 6.5, 20.4, 17, 6, 15]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [3, 4, 22, 13],
             "segmentation": [polygon]}
        ],
    }  # fmt: skip
    (tmp_path / "coco.json").write_text(json.dumps(content))
    picture = np.zeros((20, 30), np.uint8)
    fill_polygon(picture, polygon, 1)
    Image.fromarray(picture).save(tmp_path / "a.png")
    flow = here(**GEOMETRY).flow_from_coco(
        tmp_path / "coco.json", tmp_path, targets="masks", target_size=(17, 23), seed=4
    )
    seen = 0
    for images, masks in batches(flow, 8):
        assert_array_equal(images[..., :1], masks)
        seen += masks.sum()
    assert seen


# --- Boxes ----------------------------------------------------------------------------------------


def expected_boxes() -> np.ndarray:
    """Boxes of all pictures in pixels of TARGET, padded with -1."""
    out = np.full((COUNT, 3, 4), -1.0)
    for number, boxes in enumerate(BOXES):
        high, wide = SIZES[number]
        for place, box in enumerate(boxes):
            scale = [TARGET[1] / wide, TARGET[0] / high] * 2
            out[number, place] = np.array(box) * scale
    return out


def expected_labels() -> np.ndarray:
    return np.array([labels + [-1] * (3 - len(labels)) for labels in LABELS])


@pytest.mark.parametrize("kind", FILES[1:])
def test_boxes_are_those_of_the_file_in_pixels_of_the_target(data, kind):
    flow = MAKERS[kind](here(), data, shuffle=False, batch_size=COUNT)
    _, targets = batches(flow)[0]
    boxes, labels = boxes_of(targets)
    order = np.argsort(-labels, axis=1) if kind == "coco" else None
    assert boxes.dtype == np.float32
    assert labels.dtype == np.int64
    expected, kinds = expected_boxes(), expected_labels()
    if order is not None:  # its annotations are out of order
        boxes, labels, expected, kinds = map(in_order, (boxes, labels, expected, kinds))
    assert_allclose(boxes, expected, rtol=1e-5, atol=1e-4)
    assert_array_equal(labels, kinds)


def in_order(values: np.ndarray) -> np.ndarray:
    """Return values of each picture in an order of their own."""
    if values.ndim == 2:
        return np.sort(values, axis=1)
    return np.stack([part[np.lexsort(part.T)] for part in values])


@pytest.mark.parametrize("box_format", FORMATS)
@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
def test_boxes_of_every_format_are_those_that_keras_converts(data, kind, box_format):
    plain, given = (
        batches(
            MAKERS[kind](here(bounding_box_format=name), data, shuffle=False, batch_size=COUNT)
        )[0][1]
        for name in ("xyxy", box_format)
    )
    (boxes, labels), (found, _) = boxes_of(plain), boxes_of(given)
    converted = keras.utils.bounding_boxes.convert_format(
        boxes, source="xyxy", target=box_format, height=TARGET[0], width=TARGET[1]
    )
    expected = np.where(labels[..., np.newaxis] >= 0, np.asarray(converted), -1)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("box_format", ["yxyx", "xywh", "rel_center_xywh"])
def test_boxes_of_a_frame_come_in_the_generators_format(data, box_format):
    given = [
        np.asarray(
            keras.utils.bounding_boxes.convert_format(
                np.array(boxes, np.float32).reshape(-1, 4),
                source="xyxy", target=box_format, height=size[0], width=size[1],
            )
        ).tolist()
        for boxes, size in zip(BOXES, SIZES, strict=True)
    ]  # fmt: skip
    generator = here(bounding_box_format=box_format)
    flow = generator.flow_from_dataframe(
        frame(data, boxes=given), data.root, class_mode=None, target_size=TARGET, shuffle=False,
        boxes_col="boxes", box_labels_col="kinds",
    )  # fmt: skip
    found, _ = boxes_of(batches(flow)[0][1])
    boxes = keras.utils.bounding_boxes.convert_format(
        found, source=box_format, target="xyxy", height=TARGET[0], width=TARGET[1]
    )
    valid = expected_labels() >= 0
    assert_allclose(np.asarray(boxes)[valid], expected_boxes()[valid], rtol=1e-4, atol=1e-3)


def test_boxes_of_a_crop_are_those_of_what_is_left(data):
    flow = of_yolo(here(), data, target_size=(20, 20), keep_aspect_ratio=True, shuffle=False)
    boxes, _ = boxes_of(batches(flow)[0][1])
    # Of 20x30 the middle 20 columns stay, from 5 on.
    assert_allclose(boxes[0, 0], [0, 3, 7, 9], atol=1e-4)


def test_boxes_are_about_what_they_were_about(tmp_path):
    """A white rectangle on black, and the box around it, through flips and quarter turns."""
    image = np.zeros((30, 30, 3), np.uint8)
    image[4:12, 6:20] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 0.43333333 0.26666667 0.46666667 0.26666667")
    generator = here(
        transforms=[transforms.QuarterTurn()], horizontal_flip=True, vertical_flip=True
    )
    seen = set()
    for images, targets in batches(
        generator.flow_from_yolo(tmp_path, target_size=(30, 30), seed=0), 12
    ):
        rows, cols = np.nonzero(images[0, ..., 0] > 128)
        around = [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]
        assert_allclose(targets["boxes"][0, 0], around, atol=0.01)
        seen.add(tuple(around))
    assert len(seen) > 3


def test_labels_have_one_dtype_whether_a_batch_has_boxes_or_not(data):
    for _, targets in batches(of_yolo(here(), data, batch_size=1, shuffle=False)):
        assert boxes_of(targets)[1].dtype == np.int64
    flow = of_frame(here(), data, batch_size=1, shuffle=False, mask_col=None)
    assert {boxes_of(targets)[1].dtype.name for _, targets in batches(flow)} == {"int64"}


def test_max_boxes_pads_and_says_what_is_too_much(data):
    flow = of_coco(here(max_boxes=5), data, batch_size=2, shuffle=False)
    for _, targets in batches(flow):
        boxes, labels = boxes_of(targets)
        assert boxes.shape[1:] == (5, 4)
        assert_array_equal(boxes[labels < 0], -1)
    with pytest.raises(ValueError, match="max_boxes=2: an image of this batch has 3 boxes"):
        batches(of_coco(here(max_boxes=2), data))


def test_small_boxes_are_dropped(data):
    flow = of_yolo(here(min_area=40), data, batch_size=COUNT, shuffle=False)
    boxes, labels = boxes_of(batches(flow)[0][1])
    kept = boxes[labels >= 0]
    assert len(kept)
    assert ((kept[:, 2] - kept[:, 0]) * (kept[:, 3] - kept[:, 1])).min() >= 40


# --- The same batches, however they are made ------------------------------------------------------

ROUND = {**GEOMETRY, "keras_quirks": False}
_expected: dict[str, list[Any]] = {}


def expected_batches(kind: str, data: Data) -> list[Any]:
    """Batches of a pass and the beginning of another, made in the caller by one thread."""
    if kind not in _expected:
        generator = here(**GEOMETRY, threads=1)
        _expected[kind] = batches(MAKERS[kind](generator, data, seed=3, batch_size=3), 4)
    return _expected[kind]


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 2, "workers": 0, "read_ahead": 0},
        {"threads": 1, "workers": 0, "read_ahead": 3},
        {"threads": 2, "workers": 2, "read_ahead": 2},
        {"workers": 0, "cache": "memory"},
    ],
    ids=str,
)
@every_kind
def test_batches_are_the_same_however_they_are_made(data, kind, options):
    flow = MAKERS[kind](Generator(**ROUND, **options), data, seed=3, batch_size=3)
    for ours, theirs in zip(batches(flow, 4), expected_batches(kind, data), strict=True):
        assert_same(ours, theirs)


def test_masks_are_kept_in_a_folder_apart_from_their_pictures(data, tmp_path):
    for _ in range(2):
        generator = here(**GEOMETRY, cache=str(tmp_path))
        flow = of_frame(generator, data, seed=3, batch_size=3)
        for ours, theirs in zip(batches(flow, 4), expected_batches("frame", data), strict=True):
            assert_same(ours, theirs)


@every_kind
def test_channels_first_gives_the_same(data, kind):
    flow = MAKERS[kind](here(**GEOMETRY, data_format="channels_first"), data, seed=3, batch_size=3)
    for ours, theirs in zip(batches(flow, 4), expected_batches(kind, data), strict=True):
        for one, other in zip(leaves(ours), leaves(theirs), strict=True):
            moved = np.moveaxis(one, 1, -1) if one.ndim == 4 else one
            assert_array_equal(moved, other)


@every_kind
def test_seed_repeats_and_another_one_does_not(data, kind):
    make = MAKERS[kind]
    again = batches(make(here(**GEOMETRY), data, seed=3, batch_size=3), 4)
    other = batches(make(here(**GEOMETRY), data, seed=4, batch_size=3), 4)
    for ours, theirs in zip(again, expected_batches(kind, data), strict=True):
        assert_same(ours, theirs)
    assert any((one[0] != two[0]).any() for one, two in zip(again, other, strict=True))


@every_kind
def test_targets_do_not_change_the_pictures(data, kind):
    """They are those that a flow without targets gives out for the seed."""
    with MAKERS[kind](here(**GEOMETRY), data, seed=3, batch_size=3) as flow:
        flow._followers = None
        for theirs in expected_batches(kind, data):
            assert_array_equal(next(flow), theirs[0])


@every_kind
def test_length_last_batch_and_index_are_those_of_the_pass(data, kind):
    with MAKERS[kind](here(**GEOMETRY), data, seed=3, batch_size=3) as flow:
        assert len(flow) == 3
        assert flow.n == COUNT
        sizes = [{len(leaf) for leaf in leaves(next(flow))} for _ in range(6)]
        assert sizes == [{3}, {3}, {1}] * 2
    with MAKERS[kind](here(**GEOMETRY), data, seed=3, batch_size=3) as flow:
        for index, expected in enumerate(expected_batches(kind, data)[:3]):
            assert_same(flow[index], expected)
        flow.on_epoch_end()
        assert_same(flow[0], expected_batches(kind, data)[3])


@every_kind
def test_reset_starts_a_new_pass(data, kind):
    with MAKERS[kind](here(), data, shuffle=False, batch_size=3) as flow:
        first = next(flow)
        next(flow)
        flow.reset()
        assert_same(next(flow), first)


@every_kind
def test_order_without_shuffle_is_that_of_the_files(data, kind):
    flow = MAKERS[kind](here(), data, shuffle=False, batch_size=COUNT)
    images = batches(flow)[0][0]
    for number, image in enumerate(images):
        if kind == "arrays":
            expected = data.arrays[number]
        else:
            whole = Image.fromarray(data.masks[number][..., 0])
            expected = np.array(whole.resize(TARGET[::-1], Image.Resampling.NEAREST))[..., None]
        assert_array_equal(image[..., :1], expected)


# --- Without augmentation -------------------------------------------------------------------------


@every_kind
def test_without_augmentation_there_are_size_and_standardisation_alone(data, kind):
    changing = here(
        **GEOMETRY, rescale=0.5, channel_shift_range=50, transforms=[transforms.Solarize()]
    )
    ours = batches(MAKERS[kind](changing, data, shuffle=False, augment=False, batch_size=3))
    plain = batches(MAKERS[kind](here(rescale=0.5), data, shuffle=False, batch_size=3))
    for one, other in zip(ours, plain, strict=True):
        assert_same(one, other)


def test_without_augmentation_labels_are_not_mixed(data):
    images, labels = np.repeat(data.arrays, 3, axis=3), np.eye(COUNT)
    generator = here(transforms=[transforms.CutMix()])
    flow = generator.flow(images, labels, masks=data.arrays, shuffle=False, augment=False)
    x, targets = batches(flow)[0]
    assert_array_equal(x, images)
    assert_array_equal(targets["labels"], labels)
    assert_array_equal(targets["segmentation_masks"], data.arrays)


def test_validation_that_is_augmented_warns_once_and_without_augmentation_not(data):
    generator = here(**GEOMETRY, validation_split=0.4)
    with pytest.warns(UserWarning, match="augment=False"):
        of_coco(generator, data, subset="validation").close()
    for subset, count in (("validation", 2), ("training", 5)):
        with of_coco(generator, data, subset=subset, augment=False, shuffle=False) as flow:
            assert flow.n == count


@pytest.mark.parametrize("kind", FILES)
def test_subsets_have_the_targets_of_their_pictures(data, kind):
    generator = here(validation_split=0.4)
    make = MAKERS[kind]
    whole = batches(make(here(), data, shuffle=False, batch_size=1))
    parts = [
        batch
        for subset in ("validation", "training")
        for batch in batches(
            make(generator, data, shuffle=False, subset=subset, batch_size=1, augment=False)
        )
    ]
    for ours, theirs in zip(parts, whole, strict=True):
        assert_same(ours, theirs)


# --- What is given out ----------------------------------------------------------------------------


def test_order_of_targets_does_not_matter(data):
    one, other = (
        batches(of_coco(here(), data, targets=targets, seed=1))[0]
        for targets in (("boxes", "masks"), ["masks", "boxes"])
    )
    assert_same(one, other)
    assert list(one[1]) == ["segmentation_masks", "bounding_boxes"]


def test_one_target_is_given_out_alone(data):
    _, masks = batches(of_coco(here(), data, targets="masks"))[0]
    assert isinstance(masks, np.ndarray)
    _, boxes = batches(of_coco(here(), data, targets=("boxes",)))[0]
    assert list(boxes) == ["boxes", "labels"]


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ((), "targets=.* must be some of 'boxes', 'masks'"),
        (None, "targets=None must be some of"),
        (5, "targets=5 must be some of"),
        ("mask", "targets='mask' is not one of 'boxes', 'masks'"),
        (("boxes", "points"), "targets='points' is not one of"),
        (("boxes", "keypoints"), "coco.json has no keypoints: none of its 2 categories"),
    ],
)
def test_unknown_targets_list_the_known(data, targets, words):
    with pytest.raises(ValueError, match=words):
        of_coco(here(), data, targets=targets)


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_masks_of_annotations_that_have_boxes_alone_are_refused(data, kind):
    with pytest.raises(ValueError, match="none of the 11 objects has a polygon"):
        MAKERS[kind](here(), data, targets=("boxes", "masks"))


def test_classes_are_named_by_their_numbers(data):
    for kind in ("coco", "yolo", "voc"):
        with MAKERS[kind](here(), data) as flow:
            assert flow.class_indices == {"cat": 0, "dog": 1}
            assert flow.num_classes == 2


def test_labels_of_pictures_come_beside_their_masks(data):
    _, targets = batches(of_folder(here(), data, class_mode="categorical"))[0]
    assert list(targets) == ["segmentation_masks", "labels"]
    assert_array_equal(targets["labels"], np.ones((COUNT, 1)))
    flow = of_frame(here(), data, class_mode="binary", shuffle=False)
    _, targets = batches(flow)[0]
    assert list(targets) == ["segmentation_masks", "bounding_boxes", "labels"]
    assert targets["labels"].tolist() == [0, 1] * 3 + [0]


def test_sample_weights_come_with_targets_with_labels_and_without(data):
    weights = np.arange(COUNT) / 2
    for labels in (None, np.arange(COUNT)):
        flow = here().flow(
            data.arrays, labels, masks=data.arrays, sample_weight=weights, batch_size=3, seed=1
        )
        for images, targets, given in batches(flow):
            masks = targets if labels is None else targets["segmentation_masks"]
            rows = [
                next(row for row in range(COUNT) if (data.arrays[row] == image).all())
                for image in images
            ]
            assert_array_equal(given, weights[rows])
            assert_array_equal(masks, data.arrays[rows])


@pytest.mark.parametrize("class_mode", [None, "sparse", "raw"])
def test_sample_weights_of_a_frame_come_with_targets(data, class_mode):
    flow = of_frame(here(), data, class_mode=class_mode, weight_col="weight", shuffle=False)
    _, targets, weights = batches(flow)[0]
    assert weights.tolist() == list(range(COUNT))
    assert ("labels" in targets) == (class_mode is not None)


def test_function_that_draws_nothing_goes_with_targets(data):
    halved = here(**GEOMETRY, preprocessing_function=lambda image: image / 2)
    for ours, theirs in zip(
        batches(of_frame(halved, data, seed=3, batch_size=3), 4),
        expected_batches("frame", data),
        strict=True,
    ):
        assert_array_equal(ours[0], theirs[0] / 2)
        assert_same(ours[1], theirs[1])


def test_function_that_draws_is_refused(data):
    generator = here(preprocessing_function=lambda image: image + np.random.rand())
    with of_masks(generator, data) as flow:  # noqa: SIM117
        with pytest.raises(ValueError, match="let preprocessing_function draw nothing"):
            next(flow)


# --- What is wrong --------------------------------------------------------------------------------


def test_missing_mask_of_a_folder_is_named(data, tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(data.masks[0][..., 0]).save(tmp_path / "masks" / "0.png")
    with pytest.raises(FileNotFoundError) as caught:
        here().flow_from_directory(data.images, mask_directory=tmp_path / "masks")
    assert "6 of 7" in str(caught.value)
    assert str(tmp_path / "masks" / "a" / "1.png") in str(caught.value)


def test_pictures_without_folders_of_classes_need_no_class_mode(data):
    folders = data.images / "a", data.root / "masks" / "a"
    with pytest.raises(ValueError, match="no folder for a class: class_mode=None takes them"):
        here().flow_from_directory(folders[0], mask_directory=folders[1])
    for split, subset, count in ((0.0, None, 7), (0.3, "validation", 2), (0.1, "validation", 0)):
        flow = here(validation_split=split).flow_from_directory(
            folders[0], mask_directory=folders[1], class_mode=None, subset=subset
        )
        assert flow.n == count
        flow.close()


def test_missing_mask_of_a_frame_is_named(data):
    table = frame(data)
    table.loc[2, "mask"] = "masks/gone.png"
    with pytest.raises(FileNotFoundError, match=r"mask_col='mask' names 1 files.*gone\.png"):
        here().flow_from_dataframe(table, data.root, class_mode=None, mask_col="mask")


@pytest.mark.parametrize("column", ["mask_col", "boxes_col"])
def test_missing_column_is_named(data, column):
    with pytest.raises(ValueError, match=f"{column}='gone' is no column.*'filename'"):
        here().flow_from_dataframe(frame(data), data.root, class_mode=None, **{column: "gone"})


def test_labels_of_boxes_need_boxes(data):
    with pytest.raises(ValueError, match="box_labels_col='kinds' needs boxes_col"):
        here().flow_from_dataframe(frame(data), data.root, box_labels_col="kinds")


def test_mask_of_another_size_is_named_with_its_picture(data):
    table = frame(data)
    table.loc[1, "mask"] = "masks/a/0.png"
    with pytest.raises(ValueError, match=r"masks/a/0\.png is 20x30.*a/1\.png 24x32"):
        here().flow_from_dataframe(table, data.root, class_mode=None, mask_col="mask")


def test_mask_of_another_size_far_behind_is_named_when_it_is_read(data):
    pandas = pytest.importorskip("pandas")
    table = pandas.concat([frame(data)] * 2, ignore_index=True)
    table.loc[12, "mask"] = "masks/a/2.png"  # turned by a quarter
    table.loc[12, "filename"] = "images/a/0.png"
    flow = here().flow_from_dataframe(
        table, data.root, class_mode=None, mask_col="mask", shuffle=False, target_size=TARGET
    )
    with pytest.raises(ValueError, match=r"masks/a/2\.png is 30x20.*a/0\.png 20x30"):
        batches(flow)


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_and_coloured_masks_are_named(data, tmp_path, workers):
    for name, mask in (("0.png", b"no picture"), ("1.png", None)):
        table = frame(data)
        table["mask"] = [str(data.root / name) for name in table["mask"]]
        path = tmp_path / name
        if mask is None:
            Image.fromarray(np.repeat(data.masks[1], 3, axis=2)).save(path)
        else:
            path.write_bytes(mask)
        table.loc[int(name[0]), "mask"] = str(path)
        with pytest.raises(DecodeError, match=f"{name}"):
            batches(
                here(workers=workers).flow_from_dataframe(
                    table, data.root, class_mode=None, mask_col="mask", target_size=TARGET
                )
            )


def test_mask_with_larger_numbers_than_the_first_is_named(data, tmp_path):
    deep = np.full(SIZES[3], 300, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    table = frame(data)
    table.loc[3, "mask"] = str(tmp_path / "deep.png")
    flow = here().flow_from_dataframe(
        table, data.root, class_mode=None, mask_col="mask", target_size=TARGET
    )
    with pytest.raises(ValueError, match=r"deep\.png holds 300, and the first one, .*0\.png"):
        batches(flow)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([[5, 5, 2, 9]], "is no box"),
        ([[5, 5, float("nan"), 9]], "not finite"),
        ([[5, 5, 60, 9]], "reaches out of its picture of 24x32"),
        ("[[1, 2, 3, 4]]", "have the shape"),
        (float("nan"), "have the shape"),
        ([[1, 2, 3]], "have the shape"),
    ],
    ids=str,
)
def test_bad_boxes_of_a_frame_are_named_with_their_picture(data, boxes, words):
    table = frame(data)
    table["boxes"] = [boxes if row == 1 else part for row, part in enumerate(BOXES)]
    flow = here().flow_from_dataframe(
        table, data.root, class_mode=None, boxes_col="boxes", target_size=TARGET
    )
    with pytest.raises(ValueError, match=rf"images/a/1\.png: .*{words}"):
        batches(flow)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"masks": np.zeros((COUNT, 5, 5, 1))}, "masks are 5x5, and their images 16x24"),
        ({"masks": np.zeros((3, *TARGET, 1))}, "for 7 images"),
        ({"boxes": [[[1, 2, 30, 5]]] * COUNT}, "image 0, box 0: .* reaches out"),
        ({"boxes": [[[5, 2, 3, 5]]] * COUNT}, "image 0, box 0: .* is no box"),
        ({"box_labels": [[1]] * COUNT}, "box_labels need boxes"),
    ],
    ids=str,
)
def test_bad_targets_of_arrays_are_named(data, given, words):
    with pytest.raises(ValueError, match=words):
        here().flow(data.arrays, **given)


def test_images_of_another_size_can_not_be_set_once_masks_follow(data):
    flow = of_masks(here(), data)
    flow.x = 255 - flow.x
    with pytest.raises(ValueError, match=r"\(16, 20, 3\), and masks.*make a new flow"):
        flow.x = flow.x[:, :, :20]


def test_target_size_can_not_be_set_once_masks_follow(data):
    with of_folder(here(), data) as flow:  # noqa: SIM117
        with pytest.raises(ValueError, match="make a new flow for other target_size"):
            flow.target_size = (8, 8)


def test_flow_that_is_closed_starts_no_process(data):
    flow = of_folder(here(workers=1), data)
    flow.close()
    with pytest.raises(RuntimeError, match="closed"):
        flow._followers.of(np.arange(2))


def test_relative_folders_are_those_of_the_beginning(data, monkeypatch):
    monkeypatch.chdir(data.root)
    flow = here().flow_from_yolo("images/a", target_size=TARGET, shuffle=False, batch_size=1)
    monkeypatch.chdir("/")
    assert len(batches(flow)) == COUNT


def test_turned_photo_is_followed_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(make_images(1, 20, 30, 3)[0]).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.txt").write_text("0 0.5 0.25 1 0.5")  # the upper half of 30x20
    for upright in (False, True):
        flow = here(exif_transpose=upright).flow_from_yolo(tmp_path, target_size=(30, 20))
        _, targets = batches(flow)[0]
        assert_allclose(targets["boxes"][0, 0], [0, 0, 20, 15], atol=1e-4)


def test_photo_that_annotations_show_upright_must_be_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(make_images(1, 20, 30, 3)[0]).save(tmp_path / "a.jpg", exif=exif)
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 30, "width": 20}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 18, 8, 10]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    for upright in (True, False):
        flow = here(exif_transpose=upright).flow_from_coco(
            tmp_path / "coco.json", tmp_path, target_size=(30, 20)
        )
        if upright:
            _, targets = batches(flow)[0]
            assert targets["boxes"].tolist() == [[[2, 18, 10, 28]]]
        else:
            with pytest.raises(ValueError, match=r"a\.jpg is 20x30.*30x20.*exif_transpose=True"):
                batches(flow)


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_masks_and_pictures_can_be_skipped(data, tmp_path, workers):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    table = frame(data)
    table.loc[0, "mask"] = str(tmp_path / "broken.png")
    table.loc[4, "filename"] = str(tmp_path / "broken.png")
    flow = here(on_error="skip", workers=workers).flow_from_dataframe(
        table, data.root, class_mode=None, mask_col="mask", target_size=TARGET, batch_size=3
    )
    with pytest.warns(RuntimeWarning, match="2 samples of this epoch can't be read"):
        got = batches(flow)
    assert [len(masks) for _, masks in got] == [3, 3, 1]
    for images, masks in got:
        assert_array_equal(images[..., :1], masks)


def damaged(data: Data, root: Path, **change: bytes | None) -> Data:
    """A copy of all data in which some pictures have other bytes, or none and are not there."""
    shutil.copytree(data.root, root, dirs_exist_ok=True)
    for name, content in change.items():
        path = root / "images" / "a" / f"{name.removeprefix('of_')}.png"
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    return Data(root, data.masks)


def half_of(path: Path) -> bytes:
    """A picture whose header can be read, and its pixels can't."""
    return path.read_bytes()[: path.stat().st_size // 2]


ANNOTATED = ["coco", "yolo", "voc"]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ANNOTATED)
def test_pictures_of_annotations_that_cannot_be_read_are_skipped(data, tmp_path, kind, workers):
    half = half_of(data.images / "a" / "4.png")
    change = {"of_2": b"no picture", "of_4": half} | ({} if kind == "yolo" else {"of_5": None})
    broken = damaged(data, tmp_path, **change)
    options = {"shuffle": False, "batch_size": COUNT, "targets": "boxes"}
    generator = here(on_error="skip", workers=workers, max_boxes=3)
    flow = MAKERS[kind](generator, broken, **options)
    with pytest.warns(RuntimeWarning, match=f"{len(change)} samples of this epoch can't be read"):
        ((_, targets),) = batches(flow)
    assert {Path(path).stem for path, _ in flow.errors} == {name[-1] for name in change}
    whole = MAKERS[kind](here(max_boxes=3), data, **options)
    _, expected = batches(whole)[0]
    kept = [row for row in range(COUNT) if f"of_{row}" not in change]
    for name in ("boxes", "labels"):
        assert_array_equal(targets[name][kept], expected[name][kept])
    instead = [row for row in range(COUNT) if row not in kept]
    for row in instead:  # others, with their own boxes
        assert any((targets["boxes"][row] == expected["boxes"][other]).all() for other in kept)


@pytest.mark.parametrize("kind", ANNOTATED)
def test_picture_of_annotations_that_cannot_be_read_is_named(data, tmp_path, kind):
    broken = damaged(data, tmp_path, of_2=b"no picture")
    with pytest.raises(DecodeError, match=r"2\.png"):
        batches(MAKERS[kind](here(), broken, targets="boxes"))


@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_missing_pictures_of_annotations_are_named(data, tmp_path, kind):
    broken = damaged(data, tmp_path / "one", of_2=None)
    with pytest.raises(FileNotFoundError, match=r"names files that are not there: .*2\.png"):
        MAKERS[kind](here(), broken)
    every = damaged(data, tmp_path / "all", **dict.fromkeys(map("of_{}".format, range(COUNT))))
    with pytest.raises(FileNotFoundError, match=r"not there \(all 7\)"):
        MAKERS[kind](here(on_error="skip"), every)


def test_annotations_without_a_picture_that_can_be_read_say_so(data, tmp_path):
    every = dict.fromkeys(map("of_{}".format, range(COUNT)), b"no picture")
    flow = of_yolo(here(on_error="skip"), damaged(data, tmp_path, **every))
    with pytest.raises(DecodeError, match="no file is left that can be read"):
        batches(flow)


def test_pictures_that_cannot_be_read_keep_the_numbers_of_classes(data, tmp_path):
    broken = damaged(data, tmp_path, of_2=b"no picture")
    (tmp_path / "labels" / "a" / "2.txt").write_text("5 0.5 0.5 1 1")
    with of_yolo(here(on_error="skip"), broken, classes=None) as flow:
        assert flow.num_classes == 6


def test_transforms_that_look_at_boxes_skip_pictures_too(data, tmp_path):
    broken = damaged(data, tmp_path, of_2=b"no picture")
    generator = here(on_error="skip", transforms=[transforms.BoxSafeCrop(12)])
    with pytest.warns(RuntimeWarning, match="1 samples of this epoch can't be read"):
        assert len(batches(of_coco(generator, broken, batch_size=3))) == 3


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_subsets_skip_their_own_pictures(data, tmp_path, subset):
    broken = damaged(data, tmp_path, of_0=b"no picture", of_6=b"no picture")
    generator = here(on_error="skip", validation_split=0.5)
    flow = of_yolo(generator, broken, subset=subset, augment=False)
    with pytest.warns(RuntimeWarning, match="1 samples of this epoch can't be read"):
        batches(flow)


# --- Training -------------------------------------------------------------------------------------


def tiny_unet(size: tuple[int, int], classes: int) -> keras.Model:
    layers = keras.layers
    image = keras.Input((*size, 3))
    above = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    below = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(above))
    joined = layers.Concatenate()([above, layers.UpSampling2D()(below)])
    return keras.Model(image, layers.Conv2D(classes, 1, activation="softmax")(joined))


@pytest.mark.parametrize("name", ["camvid", "pets"])
def test_u_net_learns_from_real_masks(real_data, name):
    folder = real_data / "masks" / name
    keras.utils.set_random_seed(0)
    generator = Generator(rescale=1 / 255, horizontal_flip=True, rotation_range=10, workers=1)
    generator.keras_quirks = False
    model = tiny_unet((32, 48), 12)
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=255)
    model.compile(keras.optimizers.Adam(0.01), loss)
    with generator.flow_from_directory(
        folder / "images", (32, 48), class_mode=None, batch_size=8, seed=1,
        mask_directory=folder / "masks",
    ) as flow:  # fmt: skip
        _, masks = flow[0]
        assert set(np.unique(masks)) <= {*range(12), 255}
        losses = model.fit(flow, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]

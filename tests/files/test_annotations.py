"""Readers of COCO, YOLO and Pascal VOC, and of which mask belongs to which picture."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from numpy.testing import assert_array_equal
from PIL import Image

from fastaug import DecodeError, Generator
from fastaug.files.annotations.base import CROWD, Annotated, class_mask, size_of_file
from fastaug.files.annotations.coco import read_coco
from fastaug.files.annotations.polygons import fill_polygon
from fastaug.files.annotations.voc import read_voc
from fastaug.files.annotations.yolo import read_yolo
from fastaug.files.masks import check_sizes, mask_paths

SIZE = (20, 30)  # height, width of every picture
SQUARE = [2, 3, 12, 3, 12, 9, 2, 9]  # a polygon


def save_picture(path: Path, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_images(1, *size, 3)[0]).save(path, **options)
    return path


def assert_told(error: BaseException, *words: object) -> None:
    for word in words:
        assert str(word) in str(error)


# --- COCO -----------------------------------------------------------------------------------------


def an_object(number: int = 1, image: int = 1, category: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [2, 3, 10, 6],
        **more,
    }


class Coco:
    """A folder with pictures and a COCO file of them."""

    def __init__(self, root: Path, count: int = 2) -> None:
        self.root, self.path = root, root / "instances.json"
        self.content: dict[str, Any] = {
            "images": [
                {"id": number, "file_name": f"{number}.png", "height": 20, "width": 30}
                for number in range(1, count + 1)
            ],
            "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
            "annotations": [],
        }
        for item in self.content["images"]:
            save_picture(root / item["file_name"])

    def read(self, *annotations: dict[str, Any], **options: Any):
        self.content["annotations"] = list(annotations)
        self.path.write_text(json.dumps(self.content))
        return read_coco(self.path, self.root, **options)

    def refuse(self, *annotations: dict[str, Any], **options: Any) -> ValueError:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - who calls looks at it
            self.read(*annotations, **options)
        return caught.value

    def mask(self, *annotations: dict[str, Any]) -> np.ndarray:
        """Return the mask of the first picture."""
        return class_mask(self.read(*annotations).images[0], SIZE)


@pytest.fixture
def coco(tmp_path) -> Coco:
    return Coco(tmp_path)


def lies_inside(x: Fraction, y: Fraction, polygon: list[float]) -> bool:
    """Tell whether a point lies in a polygon: whether an odd number of edges is on its left."""
    inside = False
    corners = [(Fraction(a), Fraction(b)) for a, b in zip(polygon[::2], polygon[1::2], strict=True)]
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y1 <= y) != (y2 <= y) and x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x:
            inside = not inside
    return inside


def drawn(value: int, *polygons: list[float], size: tuple[int, int] = SIZE) -> np.ndarray:
    """The mask of the pixels whose centres lie in one of the polygons: slow, exact, obvious."""
    half = Fraction(1, 2)
    mask = np.zeros(size, np.uint8)
    for row, col in np.ndindex(size):
        if any(lies_inside(col + half, row + half, polygon) for polygon in polygons):
            mask[row, col] = value
    return mask


def runs_of(mask: np.ndarray) -> list[int]:
    """Return the lengths of runs of a mask, by columns, off and on in turn."""
    runs = [(value, len(list(part))) for value, part in groupby(mask.T.ravel().tolist())]
    return [0] * bool(runs[0][0]) + [length for _, length in runs]


def as_text(counts: list[int]) -> str:
    """Write counts as pycocotools' `rleToString` does."""
    text = ""
    for place, count in enumerate(counts):
        value, more = count - (counts[place - 2] if place > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + 32 * more + 48)
    return text


def runs(mask: np.ndarray, *, text: bool = False) -> dict[str, Any]:
    counts = runs_of(mask)
    return {"counts": as_text(counts) if text else counts, "size": list(mask.shape)}


def noise(seed: int = 0, share: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).random(SIZE) < share


def test_coco_numbers_classes_by_the_ids_of_their_categories(coco):
    read = coco.read(an_object(1, category=7), an_object(2, category=3))
    assert read.class_names == ["cat", "dog"]
    assert read.images[0].labels == [1, 0]


def test_coco_boxes_are_left_top_width_height(coco):
    read = coco.read(an_object(bbox=[1.5, 2.25, 10, 4.5]))
    assert read.images[0].boxes == [[1.5, 2.25, 11.5, 6.75]]


def test_coco_pictures_come_in_the_files_order_and_some_have_nothing(coco):
    coco.content["images"].reverse()
    read = coco.read(
        an_object(1, image=1), an_object(2, image=2), an_object(3, image=1, category=7)
    )
    assert [Path(image.path).name for image in read.images] == ["2.png", "1.png"]
    assert [image.labels for image in read.images] == [[0], [0, 1]]
    assert [len(image.boxes) for image in coco.read(an_object(image=2)).images] == [1, 0]


def test_coco_without_any_object_has_pictures(coco):
    read = coco.read()
    assert len(read) == 2
    assert all(not image.boxes for image in read.images)


def test_coco_names_pictures_in_sub_folders(coco):
    save_picture(coco.root / "train" / "a" / "x.png")
    coco.content["images"][0]["file_name"] = "train/a/x.png"
    assert Path(coco.read().images[0].path) == coco.root / "train" / "a" / "x.png"


def test_coco_ids_may_be_words(coco):
    for place, item in enumerate(coco.content["images"]):
        item["id"] = f"image {place}"
    read = coco.read({**an_object(), "image_id": "image 1"})
    assert [len(image.boxes) for image in read.images] == [0, 1]


def test_coco_ids_may_be_floats_of_whole_numbers(coco):
    image = coco.read({**an_object(), "image_id": 1.0, "category_id": 7.0}).images[0]
    assert image.labels == [1]


def test_coco_that_says_no_size_takes_that_of_the_file(coco):
    del coco.content["images"][0]["height"]
    coco.content["images"][1]["width"] = None
    inside = coco.read(an_object(bbox=[20, 10, 10.5, 10]))
    assert inside.images[0].boxes == [[20, 10, 30, 20]]
    assert_told(coco.refuse(an_object(bbox=[20, 10, 15, 10])), "1.png", "20x30")


def test_coco_without_segmentations_gives_boxes(coco):
    image = coco.read(an_object(), an_object(2, segmentation=[])).images[0]
    assert image.segments == [[], []]
    assert len(image.boxes) == 2


def test_coco_file_with_a_mark_of_its_encoding_is_read(coco):
    coco.read()
    coco.path.write_bytes(b"\xef\xbb\xbf" + coco.path.read_bytes())
    assert len(read_coco(coco.path, coco.root)) == 2


# By name: polygons of one object.
POLYGONS: dict[str, list[list[float]]] = {
    "two": [[2.5, 3.2, 12.7, 3.9, 11.1, 14.6, 4, 12], [20, 2, 28, 5, 22, 18.5]],
    "two that overlap": [[2, 2, 15, 2, 15, 15, 2, 15], [10, 5, 25, 5, 25, 18, 10, 18]],
    "concave": [[3, 2, 27, 2, 27, 18, 20, 18, 20, 6, 10, 6, 10, 18, 3, 18]],
    "crossing itself": [[2, 2, 28, 18, 28, 2, 2, 18]],
    "twice around": [[5, 5, 20, 5, 20, 15, 5, 15, 5, 5, 10, 8, 15, 8, 15, 12, 10, 12, 10, 8]],
    "partly outside": [[-8.5, 4, 12, -7, 40, 9.25, 14, 33]],
    "all around": [[-5, -5, 99, -5, 99, 99, -5, 99]],
    "outside": [[-5, -5, -1, -5, -1, 30], [31, 2, 40, 2, 35, 9], [2, 21, 9, 21, 5, 30]],
    "thin": [[1, 1, 29, 18, 29, 18.5, 1, 1.5]],
    "between centres": [[3.6, 3.6, 4.4, 3.6, 4.4, 12.4, 3.6, 12.4]],
    "through centres": [[2.5, 2.5, 12.5, 2.5, 12.5, 12.5], [20, 2, 28, 10, 20, 18, 12, 10]],
    "a line": [[2, 2, 20, 10, 2, 2]],
    "a point": [[4.5, 4.5] * 4],
    "backwards": [[5, 15, 20, 15, 20, 5, 5, 5]],
    "closed": [[5, 5, 20, 5, 20, 15, 5, 15, 5, 5]],
}


@pytest.mark.parametrize("name", POLYGONS)
def test_pixels_of_a_polygon_are_those_whose_centres_lie_inside(coco, name):
    polygons = POLYGONS[name]
    mask = coco.mask(an_object(category=7, segmentation=polygons))
    assert_array_equal(mask, drawn(2, *polygons))
    empty = name in ("outside", "between centres", "a line", "a point")
    assert mask.any() == (not empty)


@pytest.mark.parametrize("size", [(13, 8), (5, 21), (1, 9)])
@pytest.mark.parametrize("grid", [None, 1, 2], ids=["any", "whole", "halves"])
def test_random_polygons_are_filled_like_the_slow_way(size, grid):
    rng = np.random.default_rng(size[0])
    for _ in range(20):
        corners = rng.uniform(-3, np.array(size[::-1]) + 3, (rng.integers(3, 9), 2))
        polygon = (corners if grid is None else np.round(corners * grid) / grid).ravel().tolist()
        mask = np.zeros(size, np.uint8)
        fill_polygon(mask, polygon, 7)
        assert_array_equal(mask, drawn(7, polygon, size=size))


def test_polygons_that_share_an_edge_have_no_pixel_in_common_and_leave_none():
    rng = np.random.default_rng(3)
    for _ in range(30):
        middle = rng.uniform(0, 16, 2).round(rng.integers(0, 3)).tolist()
        corners = [[0, 0], [30, 0], [30, 20], [0, 20]]
        covered = np.zeros(SIZE, int)
        for place, corner in enumerate(corners):
            part = np.zeros(SIZE, np.uint8)
            fill_polygon(part, [*corner, *corners[(place + 1) % 4], *middle], 1)
            covered += part
        assert (covered == 1).all()


def test_polygon_along_the_edges_of_pixels_has_those_pixels(coco):
    mask = coco.mask(an_object(segmentation=[SQUARE]))
    expected = np.zeros(SIZE, np.uint8)
    expected[3:9, 2:12] = 1  # as its box
    assert_array_equal(mask, expected)


def test_masks_are_those_of_pycocotools_but_for_pixels_on_the_outline(coco):
    """Of its 2.0.11, `merge(frPyObjects(polygons, 20, 30))`."""
    polygons = [[2.5, 3.25, 12.75, 4, 11, 14.5, 4, 12], [20, 2, 28, 5, 22, 18.5]]
    text = "o16>3M1O01O01O0000N2J`42eK7H3MN3M2N2M4MU1"
    theirs = coco.mask(an_object(segmentation={"counts": text, "size": list(SIZE)}))
    ours = coco.mask(an_object(segmentation=polygons))
    assert theirs.sum() == 146
    assert (ours != theirs).sum() <= 5


def test_one_polygon_may_come_without_a_list_around_it(coco):
    mask = coco.mask(an_object(segmentation=SQUARE))
    assert_array_equal(mask, drawn(1, SQUARE))


def test_what_comes_later_lies_above(coco):
    below = an_object(1, category=7, segmentation=[SQUARE])
    above = an_object(2, category=3, segmentation=[[5, 5, 20, 5, 20, 15]])
    mask = coco.mask(below, above)
    expected = drawn(2, SQUARE)
    expected[drawn(1, [5, 5, 20, 5, 20, 15]) > 0] = 1
    assert_array_equal(mask, expected)
    assert set(np.unique(mask)) == {0, 1, 2}


@pytest.mark.parametrize("text", [False, True], ids=["list", "text"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_runs_of_pixels_are_those_of_the_mask(coco, text, share):
    pixels = noise(1, share)
    mask = coco.mask(an_object(category=7, segmentation=runs(pixels, text=text)))
    assert_array_equal(mask, pixels * 2)


def test_known_text_of_pycocotools_is_read():
    """The example of its documentation."""
    counts, text = [6, 1, 40, 4, 5, 4, 5, 4, 21], "61X13mN000`0"
    assert as_text(counts) == text
    image = Annotated("", segments=[{"counts": text, "size": [9, 10]}], labels=[0], crowds=[False])
    assert runs_of(class_mask(image, (9, 10))) == counts


def test_crowds_are_in_the_mask_but_get_no_box(coco):
    pixels = noise(2)
    crowd = an_object(2, iscrowd=1, segmentation=runs(pixels))
    mask = coco.mask(an_object(1, segmentation=[SQUARE]), crowd)
    expected = drawn(1, SQUARE)
    expected[pixels] = CROWD
    assert_array_equal(mask, expected)
    batches = flow_of(coco, targets=("boxes", "masks"))
    _, targets = next(batches)
    assert targets["bounding_boxes"]["boxes"][0].tolist() == [[2, 3, 12, 9]]
    assert CROWD in targets["segmentation_masks"][0]


NAN, INFINITE = float("nan"), float("inf")


def flow_of(coco: Coco, **options: Any):
    generator = Generator(workers=0, read_ahead=0)
    return generator.flow_from_coco(
        coco.path, coco.root, target_size=SIZE, shuffle=False, **options
    )


# --- Keypoints ------------------------------------------------------------------------------------

NAMES = ["nose", "left_eye", "right_eye"]
FACE = [12.5, 4, 2, 8, 9, 1, 0, 0, 0]


@pytest.fixture
def faces(coco) -> Coco:
    """Persons have a face, dogs have none."""
    coco.content["categories"] = [
        {"id": 7, "name": "dog"},
        {"id": 3, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]},
    ]
    return coco


def test_keypoints_are_those_of_their_objects(faces):
    read = faces.read(
        an_object(1, keypoints=FACE, num_keypoints=2),
        an_object(2, category=7),
        an_object(3, image=2, keypoints=[0] * 9, num_keypoints=0),
        an_object(4, image=2, num_keypoints=0),
        an_object(5, image=2, iscrowd=1, segmentation=runs(noise())),
        keypoints=True,
    )
    assert read.images[0].keypoints == [FACE, [0] * 9]
    assert read.images[1].keypoints == [[0] * 9] * 3
    assert read.keypoints.count == 3
    assert read.class_names == ["person", "dog"]
    assert read.keypoints.names == (tuple(NAMES), ())
    assert read.keypoints.skeletons == (((0, 1), (0, 2)), ())


def test_keypoints_need_no_names(coco):
    read = coco.read(an_object(1, keypoints=FACE), an_object(2, category=7), keypoints=True)
    assert read.images[0].keypoints == [FACE, [0] * 9]
    assert read.keypoints.names == read.keypoints.skeletons == ((), ())


def test_keypoints_are_not_looked_at_where_they_are_not_wanted(faces):
    read = faces.read(an_object(keypoints="none"))
    assert read.images[0].keypoints == []
    assert not read.keypoints.count


def test_keypoints_of_a_box_that_is_left_out_are_left_out(faces):
    bad = an_object(1, bbox=[5, 5, 0, 4], keypoints=[1] * 9)
    read = faces.read(bad, an_object(2, keypoints=FACE), keypoints=True, on_bad_box="skip")
    assert read.images[0].keypoints == [FACE]


def test_keypoints_of_categories_with_fewer_are_padded(faces):
    hand = {"id": 9, "name": "hand", "keypoints": ["left_end", "right_end"], "skeleton": [[1, 2]]}
    faces.content["categories"].append(hand)
    read = faces.read(
        an_object(1, category=9, keypoints=[4, 5, 2, 6, 7, 1]),
        an_object(2, keypoints=FACE),
        an_object(3, category=7),
        keypoints=True,
    )
    assert read.keypoints.count == 3
    assert read.keypoints.names == (tuple(NAMES), (), ("left_end", "right_end"))
    assert read.keypoints.skeletons == (((0, 1), (0, 2)), (), ((0, 1),))
    assert read.images[0].keypoints == [[4, 5, 2, 6, 7, 1, 0, 0, 0], FACE, [0] * 9]
    error = faces.refuse(an_object(53, category=9, keypoints=FACE), keypoints=True)
    assert_told(error, "annotation 53", "must be 6 numbers", "each of 2", "found 9 numbers")


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (None, ("no 'keypoints'", "has 3", "'num_keypoints' 0")),
        ([], ("no 'keypoints'",)),
        (FACE[:-1], ("must be 9 numbers", "each of 3", "found 8 numbers")),
        (FACE + FACE[:3], ("must be 9 numbers", "found 12 numbers")),
        ({"nose": 1}, ("must be 9 numbers", "{'nose': 1}")),
        ("12345", ("must be 9 numbers", "'12345'")),
        ([*FACE[:3], NAN, 9, 1, 0, 0, 0], ("keypoint 1 is [nan, 9, 1]",)),
        ([*FACE[:3], "8", 9, 1, 0, 0, 0], ("keypoint 1 is ['8', 9, 1]",)),
        ([*FACE[:3], 8, 9, 3, 0, 0, 0], ("keypoint 1 is [8, 9, 3]", "0, 1 or 2")),
        pytest.param([10**400, 4, 2, *FACE[3:]], ("keypoint 0 is [1000",), id="giant"),
        ([*FACE[:3], 8, 9, 0.7, 0, 0, 0], ("keypoint 1", "0, 1 or 2")),
        ([FACE[:3], FACE[3:6], FACE[6:]], ("must be 9 numbers", "found 3 numbers")),
    ],
    ids=str,
)
def test_bad_keypoints_are_named_with_their_annotation(faces, points, words):
    bad = an_object(52, keypoints=points)
    error = faces.refuse(an_object(51, keypoints=FACE), bad, keypoints=True)
    assert_told(error, faces.path, "annotation 52", "1.png", *words)


def test_annotations_without_any_keypoints_are_named(coco, yolo):
    assert_told(coco.refuse(an_object(), keypoints=True), coco.path, "no keypoints", "2 categories")
    yolo.write("0 0.5 0.5 1 1")
    with pytest.raises(ValueError, match="targets='keypoints'.*have no keypoints"):
        Generator().flow_from_yolo(yolo.images, targets="keypoints")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keypoints": "nose"}, ("keypoints of category 'person'", "list of names", "'nose'")),
        ({"keypoints": [1, 2, 3]}, ("list of names",)),
        ({"skeleton": [[1, 4]]}, ("skeleton of category 'person'", "from 1 to 3", "[1, 4]")),
        ({"skeleton": [[0, 1]]}, ("skeleton", "[0, 1]")),
        ({"skeleton": 5}, ("skeleton", "5")),
    ],
    ids=str,
)
def test_bad_declarations_of_keypoints_are_named(faces, change, words):
    faces.content["categories"][1] |= change
    assert_told(faces.refuse(an_object(keypoints=FACE), keypoints=True), faces.path, *words)


# --- Bad boxes ------------------------------------------------------------------------------------

BAD_BOXES = [
    ([5, 5, 0, 4], "not beyond the other"),
    ([5, 5, 4, 0], "not beyond the other"),
    ([5, 5, -3, 4], "not beyond the other"),
    ([NAN, 5, 3, 4], "not finite"),
    ([5, 5, INFINITE, 4], "not finite"),
    ([25, 5, 10, 4], "reaches out"),
    ([-4, 5, 10, 4], "reaches out"),
    ([5, 15, 10, 9], "reaches out"),
    ([40, 40, 10, 9], "reaches out"),
]


@pytest.mark.parametrize(("box", "why"), BAD_BOXES, ids=str)
def test_bad_box_names_its_file_its_picture_and_its_numbers(coco, box, why):
    error = coco.refuse(an_object(81), an_object(82, bbox=box))
    assert_told(error, coco.path, "annotation 82", "1.png", why, "on_bad_box='clip' or 'skip'")
    assert_told(
        error, [float(box[0]), float(box[1]), float(box[0] + box[2]), float(sum(box[1::2]))]
    )


@pytest.mark.parametrize(("box", "why"), BAD_BOXES, ids=str)
def test_bad_box_can_be_left_out(coco, box, why):
    image = coco.read(an_object(81), an_object(82, category=7, bbox=box), on_bad_box="skip").images[
        0
    ]
    assert image.labels == [0]


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([25, 5, 10, 4], [25, 5, 30, 9]),
        ([-4, 5, 10, 4], [0, 5, 6, 9]),
        ([5, 15, 10, 9], [5, 15, 15, 20]),
        ([40, 40, 10, 9], None),
        ([5, 5, 0, 4], None),
        ([NAN, 5, 3, 4], None),
    ],
    ids=str,
)
def test_bad_box_can_be_clipped(coco, box, clipped):
    image = coco.read(an_object(bbox=box), on_bad_box="clip").images[0]
    assert image.boxes == ([] if clipped is None else [clipped])


def test_box_that_rounding_puts_outside_is_clipped(coco):
    image = coco.read(an_object(bbox=[-0.4, -0.9, 30.8, 21])).images[0]
    assert image.boxes == [[0, 0, 30, 20]]


def test_unknown_treatment_of_bad_boxes_lists_the_known(coco):
    error = coco.refuse(on_bad_box="ignore")
    assert_told(error, "on_bad_box='ignore'", "'raise'", "'clip'", "'skip'")


# --- Bad COCO files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"category_id": 4}, ("category_id 4", "isn't declared", "3, 7")),
        ({"category_id": None}, ("category_id None", "isn't declared")),
        ({"image_id": 99}, ("image_id 99", "isn't declared", "1, 2")),
        ({"image_id": "1"}, ("image_id '1'", "isn't declared")),
        ({"image_id": [1]}, ("image_id [1]", "isn't declared")),
        ({"bbox": None}, ("bbox None", "[left, top, width, height]")),
        ({"bbox": [1, 2, 3]}, ("bbox [1, 2, 3]", "[left, top, width, height]")),
        ({"bbox": ["1", 2, 3, 4]}, ("bbox ['1', 2, 3, 4]", "[left, top, width, height]")),
        ({"bbox": [True, 2, 3, 4]}, ("bbox [True, 2, 3, 4]",)),
        ({"bbox": {"x": 1}}, ("bbox {'x': 1}",)),
        pytest.param({"bbox": [10**400, 2, 3, 4]}, ("no box", "not finite"), id="giant box"),
        ({"iscrowd": "0"}, ("iscrowd is '0'", "0 or 1")),
        ({"iscrowd": 2}, ("iscrowd is 2", "0 or 1")),
        ({"category_id": True}, ("category_id True", "isn't declared")),
        ({"image_id": NAN}, ("image_id nan", "isn't declared")),
        ({"bbox": [1, 2, 3, "x"]}, ("bbox [1, 2, 3, 'x']", "[left, top, width, height]")),
        ({"segmentation": [[1, 2, 3, 4]]}, ("[1, 2, 3, 4] is no polygon", "three points")),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, ("is no polygon",)),
        ({"segmentation": [[1, 2, 3, 4, 5, NAN]]}, ("is no polygon",)),
        ({"segmentation": [["a", 2, 3, 4, 5, 6]]}, ("is no polygon",)),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, ("is no polygon",)),
        ({"segmentation": [[[1, 2], [3, 4], [5, 6]]]}, ("is no polygon",)),
        ({"segmentation": "counts"}, ("is no polygon",)),
        ({"segmentation": {"counts": [600]}}, ("'counts' and 'size'",)),
        ({"segmentation": {"counts": [5, 6], "size": [20, 30]}}, ("11 pixels", "20x30")),
        ({"segmentation": {"counts": [700, -100], "size": [20, 30]}}, ("[700, -100]", "lengths")),
        ({"segmentation": {"counts": [1, -1, 600], "size": [20, 30]}}, ("[1, -1, 600]",)),
        ({"segmentation": {"counts": [600.5], "size": [20, 30]}}, ("[600.5]", "lengths")),
        ({"segmentation": {"counts": ["600"], "size": [20, 30]}}, ("['600']", "lengths")),
        ({"segmentation": {"counts": None, "size": [20, 30]}}, ("'counts' is None",)),
        ({"segmentation": {"counts": [NAN], "size": [20, 30]}}, ("'counts' is [nan]",)),
        ({"segmentation": {"counts": [600], "size": 20}}, ("'size' is 20", "[height, width]")),
        ({"segmentation": {"counts": [600], "size": [20]}}, ("'size' is [20]",)),
        ({"segmentation": {"counts": [600], "size": [-20, -30]}}, ("'size' is [-20, -30]",)),
        ({"segmentation": {"counts": [600], "size": ["20", "30"]}}, ("'size' is ['20', '30']",)),
        # Lengths whose sum in 64 bits is 600.
        ({"segmentation": {"counts": [2**62] * 4 + [600], "size": [20, 30]}}, ("20x30",)),
        ({"segmentation": {"counts": [10**30], "size": [20, 30]}}, ("20x30",)),
        ({"segmentation": {"counts": "\u00e9", "size": [20, 30]}}, ("no string of pycocotools",)),
        ({"segmentation": {"counts": "61X", "size": [20, 30]}}, ("'61X'", "cut off")),
        ({"segmentation": {"counts": "??", "size": [20, 30]}}, ("runs of pixels", "20x30")),
    ],
    ids=str,
)
def test_bad_annotation_is_named_with_what_would_do(coco, change, words):
    assert_told(coco.refuse({**an_object(51), **change}), coco.path, "annotation 51", *words)


def test_annotation_that_says_nothing_is_named_by_its_place(coco):
    assert_told(coco.refuse(an_object(), {}), "annotation in place 1", "image_id None")


def test_annotations_of_one_id_are_all_read(coco):
    read = coco.read(an_object(5), an_object(5), an_object(5, image=2))
    assert [len(image.boxes) for image in read.images] == [2, 1]


@pytest.mark.parametrize("segmentation", [[[]], [[], SQUARE]], ids=["nothing", "a square"])
def test_empty_polygons_are_none(coco, segmentation):
    mask = coco.mask(an_object(segmentation=segmentation))
    assert mask.any() == (len(segmentation) == 2)


def test_runs_of_a_giant_size_take_no_memory(coco):
    coco.read(an_object(segmentation={"counts": [10**12], "size": [10**6, 10**6]}))
    with pytest.raises(ValueError, match=r"1\.png is 20x30.*are of 1000000x1000000"):
        next(flow_of(coco, targets="masks"))


def test_annotation_without_an_id_is_named_by_its_place(coco):
    bad = an_object(category=4)
    del bad["id"]
    assert_told(coco.refuse(an_object(), bad), "annotation in place 1")
    assert_told(coco.refuse(5), "annotation 0", "no object of JSON")


def test_segmentations_are_not_looked_at_where_only_boxes_are_wanted(coco):
    coco.read(an_object(segmentation=[[1, 2]]), segments=False)
    _, boxes = next(flow_of(coco, targets="boxes"))
    assert boxes["labels"].tolist() == [[0], [-1]]
    with pytest.raises(ValueError, match="is no polygon"):
        flow_of(coco, targets=("boxes", "masks"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("is no JSON file", "empty")),
        ("{", ("is no JSON file", "line 1")),
        ("[]", ("is no COCO file", "an object with the lists 'images'", "and is []")),
        ("5", ("is no COCO file", "and is 5")),
        pytest.param("[" * 100_000, ("is no COCO file", "nested too deep"), id="deep"),
        pytest.param("9" * 5000, ("is no JSON file", "digits"), id="long number"),
        ('{"images": []}', ("is no COCO file", "'annotations'", "it has 'images'")),
        (
            '{"images": {}, "annotations": [], "categories": []}',
            ("its 'images' is no list, but {}",),
        ),
        ('{"images": [], "annotations": [], "categories": []}', ("names no picture",)),
    ],
)
def test_file_that_is_no_coco_file_says_so(tmp_path, text, words):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="labels.json") as caught:
        read_coco(path, tmp_path)
    assert_told(caught.value, path, *words)


def test_picture_in_place_of_a_coco_file_is_named(tmp_path):
    path = save_picture(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is no JSON file"):
        read_coco(path, tmp_path)


@pytest.mark.parametrize(
    ("part", "item", "words"),
    [
        ("images", {"id": 5}, ("image 2 of 'images'", "'file_name'")),
        ("images", {"file_name": "1.png"}, ("image 2 of 'images'", "'id'")),
        ("images", {"id": 1, "file_name": "1.png"}, ("two images of the id 1",)),
        ("images", {"id": NAN, "file_name": "1.png"}, ("image 2 of 'images'", "'id'")),
        ("images", {"id": 5, "file_name": ""}, ("file_name of image 5 is ''",)),
        ("images", {"id": 5, "file_name": 1}, ("file_name of image 5 is 1,",)),
        ("images", {"id": 5, "file_name": "a\0.png"}, ("file_name of image 5",)),
        ("images", {"id": 5, "file_name": "1.png", "width": "30"}, ("image 5 (1.png)", "'30'")),
        ("images", {"id": 5, "file_name": "1.png", "width": -30}, ("image 5", "-30", "left out")),
        ("images", {"id": 5, "file_name": "1.png", "width": 30.5}, ("image 5", "30.5")),
        ("images", {"id": 5, "file_name": "1.png", "height": NAN}, ("image 5", "nan")),
        ("images", {"id": 5, "file_name": "1.png", "height": [20]}, ("image 5", "[20]")),
        ("categories", {"id": True, "name": "horse"}, ("category 2 of 'categories'", "'id'")),
        ("categories", {"id": 9, "name": ["horse"]}, ("category 2 of 'categories'", "'name'")),
        ("categories", {"id": 9}, ("category 2 of 'categories'", "'name'")),
        ("categories", {"id": 3, "name": "horse"}, ("two categories of the id 3",)),
        ("categories", "horse", ("category 2 of 'categories'", "'horse'")),
    ],
    ids=str,
)
def test_bad_image_or_category_is_named(coco, part, item, words):
    coco.content[part].append(item)
    assert_told(coco.refuse(), coco.path, *words)


def test_missing_pictures_are_named_and_counted(coco):
    names = [f"gone{number}.png" for number in range(5)]
    coco.content["images"] += [{"id": name, "file_name": name} for name in names]
    with pytest.raises(FileNotFoundError) as caught:
        coco.read()
    assert_told(caught.value, coco.path, coco.root / "gone0.png", "and 2 more")


def test_missing_coco_file_and_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        read_coco(tmp_path / "gone.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="directory: 'gone' does not exist"):
        read_coco(tmp_path / "gone.json", "gone")
    with pytest.raises(TypeError, match="path=5 is not the name of a file"):
        read_coco(5, tmp_path)
    with pytest.raises(TypeError, match="directory=None is not the name of a folder"):
        read_coco(tmp_path / "gone.json", None)


def test_annotations_of_another_size_than_the_file_are_named(coco):
    coco.content["images"][0] |= {"height": 30, "width": 20}
    coco.read(an_object())
    with pytest.raises(ValueError, match=r"1\.png is 20x30.*annotations are of 30x20"):
        next(flow_of(coco))


def test_runs_of_another_size_than_the_file_are_named(coco):
    coco.read(an_object(segmentation={"counts": [100], "size": [10, 10]}))
    with pytest.raises(ValueError, match=r"1\.png is 20x30.*are of 10x10"):
        next(flow_of(coco, targets="masks"))


# --- YOLO -----------------------------------------------------------------------------------------


class Yolo:
    """The layout of Ultralytics: images/train and labels/train."""

    def __init__(self, root: Path, names: str = "ab") -> None:
        self.root = root
        self.images, self.labels = root / "images" / "train", root / "labels" / "train"
        self.labels.mkdir(parents=True)
        for name in names:
            save_picture(self.images / f"{name}.png")

    def write(self, text: str, name: str = "a") -> Path:
        path = self.labels / f"{name}.txt"
        path.write_text(text)
        return path

    def refuse(self, text: str, **options: Any) -> ValueError:
        self.write(text)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - who calls looks at it
            read_yolo(self.images, **options)
        return caught.value


@pytest.fixture
def yolo(tmp_path) -> Yolo:
    return Yolo(tmp_path)


def test_yolo_boxes_are_shares_about_their_centre(yolo):
    yolo.write("1 0.5 0.5 0.2 0.4\n0 0.1 0.25 0.2 0.5\n")
    image = read_yolo(yolo.images).images[0]
    assert image.labels == [1, 0]
    np.testing.assert_allclose(image.boxes, [[12, 6, 18, 14], [0, 0, 6, 10]])


@pytest.mark.parametrize("text", ["", "\n\n", None], ids=["empty", "blank", "missing"])
def test_yolo_picture_may_have_nothing(yolo, text):
    yolo.write("0 0.5 0.5 0.2 0.4")
    if text is not None:
        yolo.write(text, "b")
    read = read_yolo(yolo.images)
    assert [len(image.boxes) for image in read.images] == [1, 0]


def test_yolo_folder_without_any_text_file_warns(yolo):
    with pytest.warns(UserWarning, match=r"none of the 2 pictures in .*train.* has a text file"):
        read = read_yolo(yolo.images)
    assert [image.boxes for image in read.images] == [[], []]


def test_yolo_text_files_may_lie_beside_the_pictures(tmp_path):
    save_picture(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("2 0.5 0.5 1 1")
    read = read_yolo(tmp_path)
    assert read.images[0].boxes == [[0, 0, 30, 20]]
    assert read.class_names == ["0", "1", "2"]


def test_yolo_text_files_may_lie_in_a_folder_that_is_named(yolo, tmp_path):
    yolo.write("0 0.5 0.5 1 1")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text("1 0.5 0.5 1 1\n1 0.5 0.5 0.5 0.5")
    assert read_yolo(yolo.images, tmp_path / "more").images[0].labels == [1, 1]
    with pytest.raises(FileNotFoundError, match="labels: 'gone' does not exist"):
        read_yolo(yolo.images, "gone")


def test_yolo_folder_may_be_relative(yolo, monkeypatch):
    yolo.write("0 0.5 0.5 1 1")
    (yolo.root / "data.yaml").write_text("names: [cat]")
    monkeypatch.chdir(yolo.images)
    read = read_yolo(".")
    assert read.class_names == ["cat"]
    assert read.images[0].labels == [0]


def test_yolo_segments_become_polygons_and_the_boxes_around_them(yolo):
    yolo.write("1 0.1 0.2 0.5 0.25 0.4 0.8 0.2 0.7")
    image = read_yolo(yolo.images).images[0]
    polygon = [3, 4, 15, 5, 12, 16, 6, 14]
    np.testing.assert_allclose(image.boxes, [[3, 4, 15, 16]])
    np.testing.assert_allclose(image.segments[0], [polygon])
    assert_array_equal(class_mask(image, SIZE), drawn(2, polygon))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "cat\nwild dog\n\n"),
        ("data.yaml", "path: .\nnames: [cat, wild dog]\nnc: 2\n"),
        ("data.yaml", "nc: 2\nnames: ['cat', \"wild dog\"]  # two\n"),
        ("data.yaml", "names:\n- cat\n- wild dog\ntrain: images/train"),
        ("data.yaml", "names:\n  - 'cat'\n\n  - wild dog # not a pet\nother:\n  - x\n"),
        ("data.yaml", "names:\n  0: cat\n  1: wild dog\n\nnc: 2\n"),
        ("data.yaml", "names: # of two\n  1: wild dog\n  0: cat\n"),
        ("data.yaml", "names: {0: cat, 1: wild dog}\n"),
        ("data.yaml", "names: {1: 'wild dog', 0: 'cat'}\nkpts: [1, 2]\n"),
        ("data.yaml", "names: [cat,\n  wild dog,\n]\nother: [a, b]\n"),
        ("dataset.yaml", "names:\n  0: cat\n  1: wild dog\n"),
    ],
)
@pytest.mark.parametrize("place", ["", "labels/train", "images/train"])
def test_yolo_names_of_classes_are_found(yolo, file, text, place):
    yolo.write("1 0.5 0.5 1 1")
    (yolo.root / place / file).write_text(text)
    assert read_yolo(yolo.images).class_names == ["cat", "wild dog"]


@pytest.mark.parametrize("name", ["3d print", "it's", "a: b", "T-shirt", "été", "no. 5"])
def test_yolo_names_of_classes_may_be_anything(yolo, name):
    yolo.write("0 0.5 0.5 1 1")
    for text in (f'names: ["{name}", x]', f"names:\n  0: {name}\n  1: x"):
        (yolo.root / "data.yaml").write_text(text, encoding="utf-8")
        assert read_yolo(yolo.images).class_names == [name, "x"]


def test_yolo_file_of_names_without_a_name_says_so(yolo):
    (yolo.root / "data.yaml").write_text("names: coco.names\n")
    assert_told(yolo.refuse("0 0.5 0.5 1 1"), "data.yaml", "'names'", "coco.names")
    (yolo.root / "data.yaml").write_text("path: here\n")
    assert read_yolo(yolo.images).class_names == ["0"]


def test_yolo_given_names_come_before_files(yolo):
    yolo.write("1 0.5 0.5 1 1")
    (yolo.root / "classes.txt").write_text("cat\ndog\n")
    assert read_yolo(yolo.images, classes=["a", "b", "c"]).class_names == ["a", "b", "c"]
    with pytest.raises(TypeError, match="classes='cat' is not a list"):
        read_yolo(yolo.images, classes="cat")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cat 0.5 0.5 1 1", ("'cat 0.5 0.5 1 1'", "class and numbers")),
        ("0 0.5 0.5 1", ("'0 0.5 0.5 1'", "center x", "polygon")),
        ("0 0.5 0.5 1 1 0.9", ("center x", "polygon")),
        ("0,0.5,0.5,1,1", ("class and numbers",)),
        ("0 0,5 0,5 1 1", ("class and numbers",)),
        ("0 nan 0.5 0.1 0.2 0.3 0.4", ("no box", "not finite")),
        ("0 inf inf inf inf", ("no box", "not finite")),
        ("0 0.5 0.5 -1 1", ("no box", "not beyond")),
        ("0 1.1 0.1 1.2 0.1 1.2 0.2", ("no box", "reaches out")),
        ("-1 0.5 0.5 1 1", ("a class is a number from 0",)),
        ("0.5 0.5 0.5 1 1", ("a class is a number from 0",)),
        ("nan 0.5 0.5 1 1", ("a class is a number from 0",)),
        ("inf 0.5 0.5 1 1", ("a class is a number from 0",)),
        ("0 nan 0.5 1 1", ("no box", "not finite")),
        ("0 0.5 0.5 0 1", ("no box", "not beyond")),
        ("0 0.9 0.5 0.8 1", ("no box", "reaches out", "20x30")),
        ("0 15 10 6 4", ("no box", "reaches out", "20x30")),
        ("2 0.5 0.5 1 1", ("class 2 isn't declared", "there are 2", "'cat', 'dog'")),
    ],
)
def test_yolo_bad_line_is_named_with_its_file_and_number(yolo, line, words):
    error = yolo.refuse(f"0 0.5 0.5 1 1\n\n{line}", classes=["cat", "dog"])
    assert_told(error, yolo.labels / "a.txt", "line 3", *words)


@pytest.mark.parametrize("label", ["1000000000", "99999999999999999999", "1e15"])
def test_yolo_class_without_a_name_is_no_giant_number(yolo, label):
    error = yolo.refuse(f"{label} 0.5 0.5 1 1")
    assert_told(error, yolo.labels / "a.txt", "line 1", "more than 99999", "classes=")


def test_yolo_lines_may_end_anyhow_and_classes_have_a_point(yolo):
    (yolo.labels / "a.txt").write_bytes(
        b"\xef\xbb\xbf1.0 0.5 0.5 1 1 \r\n\r\n  \t\r\n0\t.5\t.5\t.2\t.2"
    )
    image = read_yolo(yolo.images).images[0]
    assert image.labels == [1, 0]
    assert image.boxes == [[0, 0, 30, 20], [12, 8, 18, 12]]


def test_yolo_bad_box_can_be_clipped_or_left_out(yolo):
    yolo.write("0 0.9 0.5 0.4 1\n1 0.5 0.5 0.2 0.2")
    clipped = read_yolo(yolo.images, on_bad_box="clip").images[0]
    np.testing.assert_allclose(clipped.boxes[0], [21, 0, 30, 20])
    assert read_yolo(yolo.images, on_bad_box="skip").images[0].labels == [1]


def test_yolo_text_that_is_none_is_named(yolo):
    (yolo.labels / "a.txt").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match=r"a\.txt is no text file"):
        read_yolo(yolo.images)


def test_yolo_folder_without_pictures_names_its_folders(yolo):
    with pytest.raises(ValueError, match=r"images'? holds no picture; name one.*'train'"):
        read_yolo(yolo.root / "images")


def test_yolo_broken_picture_is_named(yolo):
    yolo.write("0 0.5 0.5 1 1")
    (yolo.images / "a.png").write_bytes(b"no picture")
    with pytest.raises(DecodeError, match=r"a\.png"):
        read_yolo(yolo.images)


# --- Pascal VOC -----------------------------------------------------------------------------------


def an_item(name: str, *corners: float, more: str = "") -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{side}>{number}</{side}>" for side, number in sides)
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


class Voc:
    """The layout of VOCdevkit: Annotations and JPEGImages."""

    def __init__(self, root: Path) -> None:
        self.annotations, self.images = root / "Annotations", root / "JPEGImages"
        self.annotations.mkdir()

    def write(self, items: str, name: str = "a", file: str | None = "a.jpg") -> Path:
        save_picture(self.images / f"{name}.jpg")
        path = self.annotations / f"{name}.xml"
        named = "" if file is None else f"<filename>{file}</filename>"
        path.write_text(f"<annotation><folder>VOC</folder>{named}{items}</annotation>")
        return path

    def read(self, **options: Any):
        return read_voc(self.annotations, self.images, **options)

    def refuse(self, items: str, **options: Any) -> ValueError:
        self.write(items)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - who calls looks at it
            self.read(**options)
        return caught.value


@pytest.fixture
def voc(tmp_path) -> Voc:
    return Voc(tmp_path)


def test_voc_counts_pixels_from_1_and_boxes_hold_their_last(voc):
    voc.write(an_item("cat", 1, 1, 1, 1) + an_item("cat", 3, 4, 30, 20))
    assert voc.read().images[0].boxes == [[0, 0, 1, 1], [2, 3, 30, 20]]


def test_voc_numbers_classes_by_the_alphabet_or_as_given(voc):
    voc.write(an_item("dog", 1, 1, 5, 5) + an_item("cat", 1, 1, 5, 5))
    voc.write(an_item("bird", 1, 1, 5, 5), "b", "b.jpg")
    read = voc.read()
    assert read.class_names == ["bird", "cat", "dog"]
    assert [image.labels for image in read.images] == [[2, 1], [0]]
    read = voc.read(classes=["dog", "bird", "cat", "horse"])
    assert [image.labels for image in read.images] == [[0, 2], [1]]


def test_voc_class_that_is_not_declared_is_named_with_near_ones(voc):
    error = voc.refuse(an_item("dogs", 1, 1, 5, 5), classes=["cat", "dog"])
    assert_told(error, voc.annotations / "a.xml", "object 1", "'dogs'", "isn't declared", "'dog'")


def test_voc_difficult_objects_can_be_left_out(voc):
    marks = ("<difficult>0</difficult>", "<difficult> 1 </difficult>", "")
    voc.write("".join(an_item("cat", 1, 1, 5 + n, 5, more=mark) for n, mark in enumerate(marks)))
    assert len(voc.read().images[0].boxes) == 3
    assert [box[2] for box in voc.read(difficult=False).images[0].boxes] == [5, 7]


def test_voc_picture_may_have_nothing(voc):
    voc.write("")
    voc.write(an_item("cat", 1, 1, 5, 5), "b", "b.jpg")
    assert [image.labels for image in voc.read().images] == [[], [0]]


def test_voc_parts_of_objects_are_no_objects(voc):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    voc.write(an_item("person", 2, 3, 8, 9, more=part))
    assert voc.read().class_names == ["person"]
    assert voc.read().images[0].boxes == [[1, 2, 8, 9]]


def test_voc_corners_may_have_fractions_and_count_from_0(voc):
    voc.write(an_item("cat", 45.7, 1, 60.2, 5).replace("45.7", "4.7").replace("60.2", "6.2"))
    np.testing.assert_allclose(voc.read().images[0].boxes, [[3.7, 0, 6.2, 5]])
    voc.write(an_item("cat", 0, 0, 5, 5))
    assert voc.read().images[0].boxes == [[0, 0, 5, 5]]


def test_voc_file_that_names_no_picture_means_the_one_of_its_name(voc):
    voc.write(an_item("cat", 1, 1, 5, 5), file=None)
    assert Path(voc.read().images[0].path).name == "a.jpg"
    (voc.images / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"a\.xml names no picture.*'filename'.*'png'"):
        voc.read()


def test_voc_missing_picture_is_named(voc):
    voc.write("", file="elsewhere.jpg")
    with pytest.raises(FileNotFoundError, match=r"Annotations.*elsewhere\.jpg"):
        voc.read()


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ("<object><bndbox/></object>", ("no 'name'",)),
        ("<object><name> </name><bndbox/></object>", ("no 'name'",)),
        ("<object><name>cat</name></object>", ("object 1", "no 'bndbox'")),
        ("<object><name>cat</name><bndbox/></object>", ("object 1", "no 'xmin'")),
        (
            an_item("cat", 1, 1, 5, 5).replace("<xmin>1", "<xmin>one"),
            ("object 1", "'xmin' is 'one', no number"),
        ),
        (an_item("cat", 1, 1, 5, 5).replace("<xmin>1", "<xmin>"), ("object 1", "no 'xmin'")),
        (an_item("cat", 1, 1, 5, 5).replace("<xmin>1", "<xmin>1,5"), ("object 1", "'1,5'")),
        (an_item("cat", 9, 1, 5, 5), ("object 1", "no box", "not beyond")),
        (
            an_item("cat", 1, 1, 40, 5),
            ("object 1", "reaches out", "20x30", "[0.0, 0.0, 40.0, 5.0]"),
        ),
        (an_item("cat", 1, 1, NAN, 5), ("object 1", "not finite")),
        ("<object>", ("is no XML file", "mismatched tag")),
    ],
    ids=str,
)
def test_voc_bad_object_is_named_with_its_file(voc, items, words):
    assert_told(voc.refuse(items), voc.annotations / "a.xml", *words)


BOMB = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"<!DOCTYPE x [<!ENTITY e0 'ha'>{BOMB}]><annotation>&e8;</annotation>", ("no XML file",)),
        (
            "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/hostname'>]>"
            "<annotation><filename>&a;</filename></annotation>",
            ("no XML file", "undefined entity"),
        ),
        ("<?xml version='1.0' encoding='none'?><annotation/>", ("no XML file", "encoding")),
        ("<html><object/></html>", ("no file of VOC", "'html'", "'annotation'")),
        ('{"images": []}', ("no XML file",)),
    ],
    ids=["bomb", "external", "encoding", "html", "json"],
)
def test_voc_file_that_is_none_is_named(voc, text, words):
    path = voc.write("")
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.xml is no") as caught:
        voc.read()
    assert_told(caught.value, path, *words)


def test_voc_empty_file_is_named(voc):
    path = voc.write("")
    path.write_text("")
    with pytest.raises(ValueError, match=r"a\.xml is no XML file: no element found"):
        voc.read()


def test_voc_folder_without_files_is_named(voc):
    voc.images.mkdir()
    with pytest.raises(ValueError, match=r"Annotations' holds no file that ends in \.xml"):
        voc.read()
    with pytest.raises(FileNotFoundError, match="annotations: 'gone' does not exist"):
        read_voc("gone", voc.images)


def test_voc_bad_box_can_be_clipped_or_left_out(voc):
    voc.write(an_item("cat", 1, 1, 40, 5) + an_item("dog", 1, 1, 4, 5))
    assert voc.read(on_bad_box="clip").images[0].boxes[0] == [0, 0, 30, 5]
    assert voc.read(on_bad_box="skip").images[0].labels == [1]


# --- Masks of pictures ----------------------------------------------------------------------------


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("a.jpg", "a.png"),
        ("a.jpg", "a_mask.png"),
        ("a.jpg", "a_mask.gif"),
        ("a.jpg", "a_gt.bmp"),
        ("a.jpg", "a_label.tif"),
        ("a.v1.jpg", "a.v1.png"),
        ("x/a.jpg", "x/a.PNG"),
        ("x/a.jpg", "a.png"),
        ("x/a.jpg", "x/a_mask.png"),
    ],
)
def test_mask_has_the_name_of_its_picture(tmp_path, name, mask):
    root = touch(tmp_path, mask, "y/other.png", "a.txt")
    assert mask_paths([name], root) == [str(root / mask)]


def test_mask_of_the_same_folder_comes_first(tmp_path):
    root = touch(tmp_path, "a.png", "x/a.png", "y/a_mask.png")
    names = ["x/a.jpg", "y/a.jpg", "z/a.jpg"]
    masks = [Path(path).relative_to(root).as_posix() for path in mask_paths(names, root)]
    assert masks == ["x/a.png", "y/a_mask.png", "a.png"]


def test_two_pictures_with_one_mask_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"'x/a\.jpg' and 'y/a\.jpg' have but one mask, .*a\.png"):
        mask_paths(["x/a.jpg", "y/a.jpg"], touch(tmp_path, "a.png"))


def test_missing_masks_are_counted_and_the_path_of_the_first_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        mask_paths(["a.jpg", "x/b.jpg", "x/c.jpg"], touch(tmp_path, "a.png"))
    assert_told(caught.value, "2 of 3", "'x/b.jpg'", tmp_path / "x" / "b.png")


def test_missing_folder_of_masks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="mask_directory: 'gone' does not exist"):
        mask_paths([], "gone")
    with pytest.raises(NotADirectoryError, match=r"mask_directory: .*a\.png' is not a folder"):
        mask_paths([], touch(tmp_path, "a.png") / "a.png")
    with pytest.raises(TypeError, match="mask_directory=5 is not the name of a folder"):
        mask_paths([], 5)


def turned_photo(path: Path) -> Path:
    """A photo of 20x30 that its EXIF data turn to 30x20."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return save_picture(path, exif=exif)


def test_size_of_a_photo_is_that_of_its_pixels_or_upright(tmp_path):
    photo = turned_photo(tmp_path / "a.jpg")
    assert size_of_file(str(photo)) == (20, 30)
    assert size_of_file(str(photo), upright=True) == (30, 20)


def test_mask_of_another_size_is_named_with_both(tmp_path):
    photo, mask = save_picture(tmp_path / "a.jpg"), save_picture(tmp_path / "a.png", (30, 20))
    with pytest.raises(
        ValueError, match=r"a\.png is 30x20, and its picture .*a\.jpg 20x30"
    ) as caught:
        check_sizes(str(photo), str(mask))
    assert "exif" not in str(caught.value)


def test_mask_of_a_turned_photo_must_be_turned_as_it_is(tmp_path):
    photo, mask = turned_photo(tmp_path / "a.jpg"), save_picture(tmp_path / "a.png", (30, 20))
    check_sizes(str(photo), str(mask), upright=True)
    with pytest.raises(ValueError, match="exif_transpose=True turns the picture"):
        check_sizes(str(photo), str(mask))

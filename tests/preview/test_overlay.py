"""Previews with targets: masks as colours, boxes and points with their names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import make_images
from PIL import Image

from fastaug import Generator
from fastaug import transforms as T
from fastaug.cli.main import main
from fastaug.preview.overlay import colour_of, with_targets
from fastaug.targets.following import TargetRules, read_targets

HEIGHT, WIDTH = 30, 44
GREY = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)


def drawn(picture=GREY, names=(), **targets) -> np.ndarray:
    read = read_targets(1, (HEIGHT, WIDTH), "channels_last", TargetRules(), **targets)
    return with_targets(picture, read, 0, "channels_last", names)


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != GREY).any(axis=-1)


def test_mask_is_laid_over_the_picture():
    mask = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    mask[0, 5:10, 7:20], mask[0, 12:20, 30:] = 1, 2
    picture = drawn(masks=mask)
    np.testing.assert_array_equal(changed(picture), mask[0] != 0)
    for number in (1, 2):
        (colour,) = np.unique(picture[mask[0] == number], axis=0)
        np.testing.assert_allclose(colour, 0.55 * 100 + 0.45 * np.array(colour_of(number)), atol=1)


def test_box_is_a_frame_with_its_name():
    boxes, labels = [[[4, 3, 40, 28]]], [[1]]
    picture = drawn(boxes=boxes, box_labels=labels, names=("cat", "dog"))
    assert (picture[3, 4:40] == colour_of(1)).all()
    assert (picture[27, 4:40] == colour_of(1)).all()
    assert (picture[3:28, 4] == colour_of(1)).all()
    assert (picture[3:28, 39] == colour_of(1)).all()
    assert not changed(picture)[28:].any()
    other = drawn(boxes=boxes, box_labels=labels, names=("cat", "cow"))
    assert not np.array_equal(picture, other)  # the name is written


def test_points_are_spots_and_those_nobody_sees_are_left_out():
    picture = drawn(keypoints=[[[10, 8, 1], [30, 20, 0]]])
    assert tuple(picture[8, 10]) == colour_of(0)
    assert not changed(picture)[:, 25:].any()


def test_grey_pictures_get_colours():
    mask = np.ones((1, HEIGHT, WIDTH), np.uint8)
    assert drawn(GREY[..., :1], masks=mask).shape == (HEIGHT, WIDTH, 3)


def test_sheet_shows_targets_of_sources_and_of_pictures():
    images = np.zeros((4, HEIGHT, WIDTH, 3), np.uint8)
    images[:, 8:20, 10:26] = 200
    masks = (images[..., 0] > 0).astype(np.uint8)
    generator = Generator(transforms=[T.Rotate(40), T.HorizontalFlip()], interpolation_order=0)
    with generator.flow(images, masks=masks, batch_size=4, seed=1) as batches:
        sheet = generator.preview(batches, n=4)
        made = next(batches)[1]
    # The sheet is three times as large, and shows the source of each picture beside it.
    sheet = np.asarray(sheet.image.convert("RGB")).astype(int)
    coloured = sheet.max(axis=-1) - sheet.min(axis=-1) > 20
    assert coloured.sum() == 9 * (masks.sum() + made.sum())


@pytest.fixture
def folders(tmp_path):
    """Three pictures, their masks, and a COCO file."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    coco = {"images": [], "annotations": [], "categories": [{"id": 3, "name": "house"}]}
    for number, image in enumerate(make_images(3, HEIGHT, WIDTH, 3)):
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[5:15, 8:20] = 1
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
        coco["images"].append(
            {"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH}
        )
        coco["annotations"].append(
            {
                "id": number,
                "image_id": number,
                "category_id": 3,
                "bbox": [8, 5, 12, 10],
                "area": 120,
                "iscrowd": 0,
                "segmentation": [[8, 5, 20, 5, 20, 15, 8, 15]],
            }
        )
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    return tmp_path


@pytest.mark.parametrize("target", [["--masks", "masks"], ["--coco", "coco.json"]], ids="-".join)
def test_command_draws_targets(folders, monkeypatch, capsys, target):
    monkeypatch.chdir(folders)
    options = ["--target-size", "30", "44", "--horizontal-flip", "-o", "sheet.png", "-n", "3"]
    assert main(["preview", "images", *target, *options]) == 0, capsys.readouterr().err
    with Image.open("sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    house = np.array(colour_of(1 if target[0] == "--masks" else 0))
    assert sheet.size[0] > 88
    assert len(pixels[(np.abs(pixels - house).sum(axis=-1) < 240)]) > 30


@pytest.mark.parametrize("name", ["rsb-a2", "simclr", "yolo", "unet", "imagenet"])
def test_command_shows_a_recipe(folders, monkeypatch, capsys, name):
    monkeypatch.chdir(folders)
    options = ["--masks", "masks", "--recipe", name, "-o", "sheet.png", "-n", "2"]
    assert main(["preview", "images", "--target-size", "30", "44", *options]) == 0, (
        capsys.readouterr().err
    )


def test_unknown_recipe_is_told_in_one_line(folders, monkeypatch, capsys):
    monkeypatch.chdir(folders)
    assert main(["preview", "images", "--recipe", "rsb-a3", "-o", "sheet.png"]) == 1
    assert "rsb-a2" in capsys.readouterr().err

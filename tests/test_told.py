"""What Keras keeps silent about is said once, when an iterator is made."""

from __future__ import annotations

import shutil
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_images
from PIL import Image
from pools import draw_photos, numbered

from fastaug import Generator
from fastaug.iterators.dataframes import DataFrameIterator
from fastaug.iterators.files import DirectoryIterator

IMAGES = make_images(12, 9, 7, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "ab":
        draw_photos(tmp_path / "photos" / name, numbered(4))
    return tmp_path / "photos"


def told(make, *args, **options) -> list[str]:
    """Return what is said when an iterator is made, of which the user's line is named."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(*args, **options)
    assert all(one.filename == __file__ for one in caught), caught
    return [str(one.message) for one in caught]


def test_nothing_is_said_of_what_is_well(folder):
    generator = Generator(validation_split=0.5)
    assert told(generator.flow_from_directory, folder, subset="training") == []
    assert told(Generator(brightness_range=(0.5, 1)).flow, IMAGES) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_brightness_of_fractions_is_black_and_that_is_said(dtype):
    images = IMAGES.astype(np.float64) / 255
    images = (images.round() if dtype == np.uint8 else images).astype(dtype)
    generator = Generator(brightness_range=(0.5, 0.9))
    (said,) = told(generator.flow, images)
    assert "from 0 to 1 come out black" in said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not next(generator.flow(images)).any()
    for options in ({"keras_quirks": False}, {"brightness_range": None}):
        assert told(Generator(**({"brightness_range": (0.5, 0.9)} | options)).flow, images) == []
    assert told(generator.flow, np.zeros_like(images)) == []


@pytest.mark.parametrize("count", [1, 3])
def test_binary_with_other_than_two_classes_is_said(folder, count):
    if count == 1:
        shutil.rmtree(folder / "b")
    else:
        shutil.copytree(folder / "b", folder / "c")
    (said,) = told(Generator().flow_from_directory, folder, class_mode="binary")
    assert f"there are {count} classes" in said


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_subset_without_a_split_is_said(folder, subset):
    for make, source in ((Generator().flow_from_directory, folder), (Generator().flow, IMAGES)):
        said = told(make, source, subset=subset)
        assert "without a validation_split" in said[0]


def test_subset_that_lacks_classes_is_said(folder):
    draw_photos(folder / "rare", numbered(1))
    generator = Generator(validation_split=0.25)
    (said,) = told(generator.flow_from_directory, folder, subset="validation")
    assert "no image of 'rare'" in said
    assert told(generator.flow_from_directory, folder, subset="training") == []


def test_subset_of_a_frame_that_lacks_classes_is_said(folder):
    names = [f"{name}/{path.name}" for name in "ab" for path in sorted((folder / name).iterdir())]
    frame = pd.DataFrame({"filename": names, "class": [name[0] for name in names]})
    generator = Generator(validation_split=0.25)
    (said,) = told(generator.flow_from_dataframe, frame, folder, subset="validation")
    assert "no image of 'b'" in said
    assert told(generator.flow_from_dataframe, frame, folder, subset="training") == []
    frame["class"] = [["a", "b"] if name == names[0] else [name[0]] for name in names]
    assert told(generator.flow_from_dataframe, frame, folder, subset="validation") == []


def test_folder_without_class_folders_is_said(folder, capsys):
    (said,) = told(Generator().flow_from_directory, folder / "a")
    assert "holds 4 images, but no folder for a class" in said
    assert "Found 0 images" in capsys.readouterr().out


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", "@eaDir"])
def test_class_that_nobody_meant_is_said(folder, name):
    shutil.copytree(folder / "a", folder / name)
    (said,) = told(Generator().flow_from_directory, folder)
    assert repr(name) in said
    assert told(Generator().flow_from_directory, folder, classes=["a", "b"]) == []


def test_no_picture_is_lost_in_save_to_dir(tmp_path):
    images = np.zeros((30, 4, 4, 3), np.uint8)
    generator = Generator()
    for seed in range(100):  # as many numbers are drawn from 10,000
        flow = generator.flow(images, batch_size=30, shuffle=False, seed=seed, save_to_dir=tmp_path)
        next(flow)
    next(generator.flow(images, batch_size=30, shuffle=False, seed=1, save_to_dir=tmp_path))
    found = sorted(path.name for path in tmp_path.iterdir())
    assert len(found) == 3030
    assert sum(name.count("_") == 3 for name in found) >= 30  # those of the seed that came twice


def test_pictures_are_saved_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def link(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    for _ in range(2):
        next(Generator().flow(IMAGES, seed=1, save_to_dir=tmp_path))
    assert len(list(tmp_path.iterdir())) == 24


EXTENSIONS = [("webp",), (".WEBP", "gif"), [".gif"], ("png", "Webp")]


@pytest.mark.parametrize("extensions", EXTENSIONS, ids=str)
def test_extensions_say_which_files_are_images(tmp_path, extensions):
    for name in ("1.png", "2.webp", "3.gif", "4.WebP", "5.txt"):
        path = tmp_path / "a" / name
        path.parent.mkdir(exist_ok=True)
        kind = "png" if name == "5.txt" else name[2:].lower()
        Image.new("RGB", (8, 6), (200, 100, 50)).save(path, format=kind)
    flow = Generator(workers=0).flow_from_directory(tmp_path, (6, 8), extensions=extensions)
    ends = tuple("." + end.lower().strip(".") for end in extensions)
    names = ("1.png", "2.webp", "3.gif", "4.WebP")
    assert flow.filenames == [f"a/{name}" for name in names if name.lower().endswith(ends)]
    assert next(flow)[0].max() > 150


@pytest.mark.parametrize("extensions", ["png", (), [3], ["txt"], [".eps"], 5])
def test_extensions_of_no_image_are_named(folder, extensions):
    with pytest.raises((TypeError, ValueError), match="extensions"):
        Generator().flow_from_directory(folder, extensions=extensions)


def test_white_list_of_a_subclass_counts(folder):
    Image.new("RGB", (8, 6)).save(folder / "a" / "9.webp")
    frame = pd.DataFrame({"filename": ["a/9.webp"], "class": ["a"]})

    class Webp(DirectoryIterator):
        white_list_formats = {"webp"}

    class WebpFrame(DataFrameIterator):
        white_list_formats = ("webp",)

    shutil.rmtree(folder / "b")
    assert Webp(folder, Generator(workers=0)).filenames == ["a/9.webp"]
    assert WebpFrame(frame, folder, Generator(workers=0)).filenames == ["a/9.webp"]


@pytest.mark.parametrize("steps", [None, 3])
def test_epoch_without_end_in_keras_2_is_said(monkeypatch, steps):
    # What `tf_keras.Model.fit` does with a generator, in a module of that name.
    code = """
def fit(x, steps_per_epoch=None):
    return peek(x)
def peek(x):
    return next(x)
"""
    module = types.ModuleType("tf_keras.engine")
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, "tf_keras", module)
    flow = Generator().flow(IMAGES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module.fit(flow, steps_per_epoch=steps)
        module.fit(flow)
        next(flow)
    said = [str(one.message) for one in caught]
    assert len(said) == (steps is None)
    assert all("steps_per_epoch=len(iterator)" in text for text in said)
    next(Generator().flow(IMAGES))  # asked for by this test

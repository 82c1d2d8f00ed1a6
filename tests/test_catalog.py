"""A folder or a data frame -> rows: the rows, labels and order of Keras."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fastaug import Generator
from fastaug.catalog import EXTENSIONS, scan_dataframe, scan_directory
from fastaug.errors import ColumnError

# Names that other orders than Keras' would put elsewhere: by locale, by number, by path component.
NAMES = [
    "b/10.jpg",
    "b/9.jpg",
    "b/a.JPEG",
    "b/B.png",
    "b/.hidden.jpg",
    "b/a/1.jpg",
    "b/a-1/2.jpg",
    "b/a.1/3.bmp",
    "b/a/deep/er/4.ppm",
    "b/\N{CAT FACE}.jpg",
    "b/line\nbreak.jpg",
    "b/notes.txt",
    "b/jpg",
    "b/archive.jpg.gz",
    "b/animation.gif",
    "b/folder.jpg/5.tif",
    "C/x.jpg",
    "a b/1.jpg",
    "a b/2.jpg",
    "a b/3.jpg",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Folder with three classes; a catalog opens no file, so they are empty."""
    for name in NAMES:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "tree" / "stray.jpg").touch()
    return tmp_path / "tree"


def both_directories(tree: Path, split: float = 0.0, **options):
    """Return our iterator and Keras'."""
    return (
        Generator(workers=0, validation_split=split).flow_from_directory(tree, **options),
        ImageDataGenerator(validation_split=split).flow_from_directory(tree, **options),
    )


def assert_same_files(ours, theirs) -> None:
    assert ours.filenames == theirs.filenames
    assert ours.filepaths == theirs.filepaths
    assert ours.samples == theirs.samples
    if hasattr(theirs, "class_indices"):
        assert ours.class_indices == theirs.class_indices
        assert list(ours.class_indices) == list(theirs.class_indices)
        assert list(ours.classes) == list(theirs.classes)
        assert type(ours.classes) is type(theirs.classes)


# --- Folders --------------------------------------------------------------------------------------


def test_extensions_are_those_of_keras():
    iterator = ImageDataGenerator().flow(np.zeros((1, 2, 2, 3)))
    assert set(iterator.white_list_formats) == set(EXTENSIONS)


@pytest.mark.parametrize("classes", [None, ["C", "b"], ["b"]])
@pytest.mark.parametrize("class_mode", ["categorical", "sparse", "input", None])
def test_folder_is_listed_as_by_keras(tree, classes, class_mode):
    ours, theirs = both_directories(tree, classes=classes, class_mode=class_mode)
    assert_same_files(ours, theirs)
    assert ours.classes.dtype == theirs.classes.dtype
    assert ours.num_classes == theirs.num_classes


@pytest.mark.parametrize("subset", ["training", "validation"])
@pytest.mark.parametrize("split", [0.1, 1 / 3, 0.5, 0.99])
def test_subset_of_a_folder_is_that_of_keras(tree, split, subset):
    assert_same_files(*both_directories(tree, split, subset=subset))


def test_subsets_share_no_file_and_lose_none(tree):
    parts = [scan_directory(str(tree), None, part, False) for part in ((0, 0.3), (0.3, 1), None)]
    training, validation, everything = (part.filenames for part in parts)
    assert not set(training) & set(validation)
    assert sorted(training + validation) == sorted(everything)


def test_real_photos_are_listed_as_by_keras(photos):
    ours, theirs = both_directories(photos / "train", 0.25, subset="training", class_mode="binary")
    assert_same_files(ours, theirs)
    assert ours.samples == 600


@pytest.mark.parametrize("follow_links", [False, True])
def test_links_are_followed_as_by_keras(tree, tmp_path, follow_links):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "linked.jpg").touch()
    (tree / "b" / "link").symlink_to(elsewhere)
    (tree / "b" / "again").symlink_to(elsewhere)
    (tree / "b" / "file.jpg").symlink_to(elsewhere / "deep" / "linked.jpg")
    (tree / "b" / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    (tree / "whole class").symlink_to(elsewhere)
    ours, theirs = both_directories(tree, follow_links=follow_links)
    assert_same_files(ours, theirs)
    assert ("b/again/deep/linked.jpg" in ours.filenames) == follow_links
    assert "whole class/deep/linked.jpg" in ours.filenames  # Keras follows these in any case


def test_link_loop_lists_every_file_once(tree):
    (tree / "b" / "loop").symlink_to(tree / "b")
    (tree / "b" / "a" / "up").symlink_to(tree)
    (tree / "b" / "self").symlink_to("self")
    before = scan_directory(str(tree), ["b"], None, follow_links=False).filenames
    after = scan_directory(str(tree), ["b"], None, follow_links=True).filenames
    # `up` leads to the other classes, but not back down into `b`.
    assert [name for name in after if "/up/" not in name] == before
    assert len(after) == len(set(after)) < 3 * len(before)


def test_empty_classes_are_warned_of_by_name(tree):
    (tree / "empty").mkdir()
    (tree / "without images").mkdir()
    (tree / "without images" / "notes.txt").touch()
    with pytest.warns(UserWarning, match="'empty', 'without images'") as told:
        iterator = Generator(workers=0).flow_from_directory(tree)
    assert [Path(warning.filename) for warning in told] == [Path(__file__)]
    assert iterator.class_indices == {"C": 0, "a b": 1, "b": 2, "empty": 3, "without images": 4}


def test_tiff_is_warned_of_once(tree):
    for name in ("one.tiff", "two.TIFF"):
        (tree / "b" / name).touch()
    with pytest.warns(UserWarning, match="multiple bands") as told:
        Generator(workers=0).flow_from_directory(tree)
    assert [Path(warning.filename) for warning in told] == [Path(__file__)]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "nowhere")):
        Generator().flow_from_directory(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=str(tmp_path / "file")):
        Generator().flow_from_directory(tmp_path / "file")


def test_missing_class_is_named(tree):
    with pytest.raises(FileNotFoundError, match=f"class 'd'.*{tree / 'd'}"):
        Generator().flow_from_directory(tree, classes=["b", "d"])
    with pytest.raises(TypeError, match="not 3"):
        Generator().flow_from_directory(tree, classes=["b", 3])


def test_folder_without_classes_has_no_files(tmp_path):
    catalog = scan_directory(str(tmp_path), None, None, follow_links=False)
    assert (catalog.filenames, catalog.class_indices, len(catalog.classes)) == ([], {}, 0)


@pytest.mark.skipif(os.name != "posix", reason="names that only POSIX allows")
def test_name_that_is_not_utf8_is_listed(tree):
    name = os.fsdecode(b"b/\xff.jpg")
    (tree / name).touch()
    ours, theirs = both_directories(tree)
    assert_same_files(ours, theirs)
    assert name in ours.filenames


# --- Data frames ----------------------------------------------------------------------------------

LABELS = ["x", "y", "x", "z", "y", "x", "z"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(len(LABELS)):
        (folder / f"{number}.png").touch()
    return folder


@pytest.fixture
def frame(files: Path) -> pd.DataFrame:
    count = len(LABELS)
    return pd.DataFrame(
        {
            "filename": [f"{number}.png" for number in range(count)],
            "class": LABELS,
            "pair": [["x", "y", "x", "y", "x", "y", "y"][number] for number in range(count)],
            "tags": [["x"], ("y", "z"), ["z", "x"], "y", ["x", "y", "z"], "z", ["z"]],
            "number": np.arange(count) * 1.5,
            "other": np.arange(count)[::-1],
            "weight": np.linspace(0.1, 1, count),
        },
        index=[7, 3, 3, 9, "a", None, -1],  # plays no part
    )


def both_frames(frame: pd.DataFrame, folder: Path | None, split: float = 0.0, **options):
    return (
        Generator(workers=0, validation_split=split).flow_from_dataframe(frame, folder, **options),
        ImageDataGenerator(validation_split=split).flow_from_dataframe(frame, folder, **options),
    )


def assert_same_rows(ours, theirs) -> None:
    assert_same_files(ours, theirs)
    assert hasattr(ours, "class_indices") == hasattr(theirs, "class_indices")
    if theirs.sample_weight is None:
        assert ours.sample_weight is None
    else:
        np.testing.assert_array_equal(ours.sample_weight, theirs.sample_weight)
    if theirs.class_mode == "multi_output":
        for mine, their in zip(ours.labels, theirs.labels, strict=True):
            np.testing.assert_array_equal(mine, their)
    elif theirs.class_mode == "raw":
        np.testing.assert_array_equal(ours.labels, theirs.labels)


VARIANTS = {
    "categorical": {"class_mode": "categorical"},
    "categorical, classes in another order": {"classes": ["z", "x", "y"]},
    "categorical, lists": {"class_mode": "categorical", "y_col": "tags"},
    "binary": {"class_mode": "binary", "y_col": "pair"},
    "binary, classes": {"class_mode": "binary", "y_col": "pair", "classes": ["y", "x"]},
    "sparse": {"class_mode": "sparse"},
    "input": {"class_mode": "input"},
    "None": {"class_mode": None},
    "None, no labels": {"class_mode": None, "y_col": None},
    "raw": {"class_mode": "raw", "y_col": "number"},
    "raw, columns": {"class_mode": "raw", "y_col": ["number", "other"]},
    "multi_output": {"class_mode": "multi_output", "y_col": ["number", "class"]},
    "weights": {"weight_col": "weight"},
    "weights, raw": {"class_mode": "raw", "y_col": "other", "weight_col": "weight"},
    "not validated": {"validate_filenames": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_data_frame_is_read_as_by_keras(frame, files, variant):
    before = frame.copy()
    assert_same_rows(*both_frames(frame, files, **VARIANTS[variant]))
    for subset in ("training", "validation"):
        assert_same_rows(*both_frames(frame, files, 0.4, subset=subset, **VARIANTS[variant]))
    pd.testing.assert_frame_equal(frame, before)


def test_absolute_names_need_no_folder(frame, files):
    frame["filename"] = [str(files / name) for name in frame["filename"]]
    assert_same_rows(*both_frames(frame, None))
    assert_same_rows(*both_frames(frame, files / "elsewhere"))


def test_invalid_names_are_counted_and_one_is_shown(frame, files):
    frame["filename"] = ["0.png", "gone.png", "2.png", "3.txt", "4.png", ".", "a\0b.png"]
    with pytest.warns(UserWarning, match="4 invalid.*first of them 'gone.png'") as told:
        ours = Generator(workers=0).flow_from_dataframe(frame, files)
    assert [Path(warning.filename) for warning in told] == [Path(__file__)]
    frame = frame[:-1]  # Keras' check cannot bear a NUL
    with pytest.warns(UserWarning, match="3 invalid"):
        theirs = ImageDataGenerator().flow_from_dataframe(frame, files)
    assert_same_rows(ours, theirs)


def test_labels_not_in_classes_are_warned_of_by_name(frame, files):
    options = {"y_col": "tags", "classes": ["z", "y"]}
    with pytest.warns(UserWarning, match=r"not in classes=\['z', 'y'\]: 'x' \(3x\). 1 row") as told:
        ours = Generator(workers=0).flow_from_dataframe(frame, files, **options)
    assert [Path(warning.filename) for warning in told] == [Path(__file__)]
    theirs = ImageDataGenerator().flow_from_dataframe(frame, files, **options)
    assert_same_rows(ours, theirs)
    assert ours.samples == len(LABELS) - 1


def test_class_without_rows_keeps_its_number(frame, files):
    assert_same_rows(*both_frames(frame, files, classes=["w", "x", "y", "z"]))


@pytest.mark.parametrize(
    ("options", "argument", "column"),
    [
        ({"x_col": "file"}, "x_col", "file"),
        ({"y_col": "label"}, "y_col", "label"),
        ({"weight_col": "mass"}, "weight_col", "mass"),
        ({"class_mode": "raw", "y_col": ["number", "label"]}, "y_col", "label"),
        ({"class_mode": "multi_output", "y_col": ["label", "number"]}, "y_col", "label"),
    ],
)
def test_missing_column_is_named(frame, files, options, argument, column):
    with pytest.raises(ColumnError, match=f"^{argument}='{column}' is not a column.*'tags'"):
        Generator().flow_from_dataframe(frame, files, **options)
    with pytest.raises(KeyError, match=column):  # as in Keras
        ImageDataGenerator().flow_from_dataframe(frame, files, **options)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"x_col": "number"}, TypeError, "x_col=number must be strings"),
        ({"y_col": "number"}, TypeError, "string, list or tuple"),
        ({"y_col": "number", "class_mode": "sparse"}, TypeError, "must be strings"),
        ({"y_col": "tags", "class_mode": "binary"}, TypeError, "must be strings"),
        ({"class_mode": "binary"}, ValueError, "must be 2 classes. Found 3"),
        ({"class_mode": "binary", "classes": ["x"]}, ValueError, "must be 2 classes"),
        ({"class_mode": "multi_output"}, TypeError, "y_col must be a list. Received str"),
        ({"weight_col": "class"}, TypeError, "weight_col=class must be numeric"),
    ],
)
def test_column_of_the_wrong_kind_is_an_error_as_in_keras(frame, files, options, error, says):
    with pytest.raises(error, match=says):
        Generator().flow_from_dataframe(frame, files, **options)
    with pytest.raises(error):
        ImageDataGenerator().flow_from_dataframe(frame, files, **options)


def test_classes_without_use_are_warned_of(frame, files):
    options = {"class_mode": None, "classes": ["x"]}
    with pytest.warns(UserWarning, match="`classes` will be ignored") as told:
        Generator(workers=0).flow_from_dataframe(frame, files, **options)
    assert [Path(warning.filename) for warning in told] == [Path(__file__)]


def test_empty_data_frame_has_no_rows(frame, files):
    catalog = scan_dataframe(
        frame[:0], str(files), "filename", "class", None, "categorical", None, None, True
    )
    assert (catalog.filenames, catalog.class_indices, catalog.classes) == ([], {}, [])


def test_scan_says_nothing_when_all_is_well(tree, frame, files):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan_directory(str(tree), None, None, follow_links=True)
        scan_dataframe(frame, str(files), "filename", "class", "weight", "sparse", None, None, True)

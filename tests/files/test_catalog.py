"""A folder or a data frame -> rows: the rows, labels and order of Keras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fastaug import Generator
from fastaug.errors import ColumnError, DecodeError
from fastaug.files import progress
from fastaug.files.catalog import EXTENSIONS
from fastaug.files.dataframes import scan_dataframe
from fastaug.files.folders import scan_directory

pytestmark = pytest.mark.filterwarnings("ignore:this subset has no image")

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


# Every character that sorts before or after the separator, and folders that start alike.
TRICKY = ["a", "a b", "a-b", "a.b", "a0", "aB", "ab", "A", "a!", "a~", "10", "9", "a\N{CAT FACE}"]


@pytest.mark.parametrize("follow_links", [False, True])
def test_names_that_sort_trickily_are_listed_as_by_keras(tmp_path, follow_links):
    for top in TRICKY:
        for inner in TRICKY:
            folder = tmp_path / top / inner / "a"
            folder.mkdir(parents=True)
            for parent in (folder, folder.parent, folder.parent.parent):
                (parent / f"{inner}.PNG").touch()
    ours, theirs = both_directories(tmp_path, 0.3, subset="training", follow_links=follow_links)
    assert_same_files(ours, theirs)
    assert_same_files(*both_directories(tmp_path, follow_links=follow_links))


def test_link_to_itself_is_no_class(tree):
    (tree / "self").symlink_to("self")
    assert_same_files(*both_directories(tree))


def test_folder_that_cannot_be_read_has_no_files(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "deep":
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    ours, theirs = both_directories(tree)
    assert_same_files(ours, theirs)
    assert "b/a/deep/er/4.ppm" not in ours.filenames


@pytest.fixture
def asked(monkeypatch) -> dict[str, list[str]]:
    """What the operating system is asked for: the paths of every kind of call."""
    calls: dict[str, list[str]] = {"scandir": [], "stat": [], "lstat": []}

    def noted(name: str):
        real = getattr(os, name)

        def call(path, *args, **options):
            calls[name].append(os.path.normpath(path))
            return real(path, *args, **options)

        return call

    for name in calls:
        monkeypatch.setattr(os, name, noted(name))
    return calls


@pytest.mark.parametrize("follow_links", [False, True])
def test_each_folder_is_listed_once_and_no_file_is_asked_for(tree, asked, follow_links):
    files = {str(tree / name) for name in NAMES}
    folders = {str(tree), *(os.path.dirname(file) for file in files), str(tree / "b/a/deep")}  # noqa: PTH120
    for paths in asked.values():
        paths.clear()
    found = scan_directory(str(tree), None, None, follow_links)
    assert len(found.filenames) == len(NAMES) - 3  # a text, an archive, a GIF
    assert Counter(asked["scandir"]) == dict.fromkeys(folders, 1)
    assert not files & {*asked["stat"], *asked["lstat"]}


def test_slow_scan_says_what_it_does_and_leaves_nothing(tree, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SHOW_AFTER_S", -1)
    scan_directory(str(tree), ["C"], None, follow_links=False)
    shown = capsys.readouterr()
    assert "Scanning tree: 1 files" in shown.err
    assert shown.err.endswith("\r")
    assert shown.err.split("\r")[-2].strip() == ""
    assert shown.out == ""


def test_quick_scan_shows_nothing(tree, frame, files, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SHOW_AFTER_S", 3600)
    scan_directory(str(tree), None, None, follow_links=False)
    scan_dataframe(frame, str(files), "filename", "class", None, "sparse", None, None, True)
    assert capsys.readouterr() == ("", "")


def test_progress_counts_what_it_hands_on(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SHOW_AFTER_S", -1)
    with progress.progress("Scanning photos") as counted:
        assert list(counted(range(45_678))) == list(range(45_678))
        assert list(counted([])) == []
    assert "Scanning photos: 1,000 files" in capsys.readouterr().err


@pytest.mark.parametrize("disabled", [False, True])
def test_progress_leaves_the_process_as_it_was(tree, disabled):
    """No thread, no start method of multiprocessing; tqdm only when it's needed, if at all."""
    program = f"""
import sys, threading
from multiprocessing import get_start_method
from fastaug.files import folders, progress
folders.scan_directory({str(tree)!r}, None, None, False)
assert "tqdm" not in sys.modules
progress._SHOW_AFTER_S = -1
folders.scan_directory({str(tree)!r}, None, None, False)
assert "tqdm" in sys.modules
assert threading.enumerate() == [threading.main_thread()]
assert get_start_method(allow_none=True) is None
"""
    environment = {**os.environ, **({"TQDM_DISABLE": "1"} if disabled else {})}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("Scanning tree" in done.stderr) != disabled


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
    "multi_output": {"class_mode": "multi_output", "y_col": ["number", "other"]},
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


# Enough names of a folder that it's listed, and too few.
@pytest.mark.parametrize("count", [3, 60])
@pytest.mark.parametrize("base", ["folder", "absolute", "working folder"])
def test_names_of_all_kinds_are_valid_as_in_keras(tmp_path, monkeypatch, count, base):
    root = tmp_path / "root"
    for place in ("", "sub", "sub/deep", "elsewhere"):
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / place / f"{number}.jpg").touch()
    (root / "sub" / "folder.png").mkdir()
    (root / "sub" / "link.png").symlink_to(root / "elsewhere" / "0.jpg")
    (root / "sub" / "link to a folder.png").symlink_to(root / "elsewhere")
    (root / "sub" / "dangling.png").symlink_to(root / "nowhere")
    (root / "sub" / "self.png").symlink_to("self.png")
    (root / "linked").symlink_to(root / "elsewhere")
    os.mkfifo(root / "sub" / "pipe.png")
    odd = ["folder", "link", "link to a folder", "dangling", "self", "pipe", "gone"]
    names = [f"sub/{name}.png" for name in odd]
    for place in ("", "sub/", "sub/deep/", "linked/", "sub//", "sub/../", "./", "gone/"):
        names += [f"{place}{number}.jpg" for number in range(count)]
    names += ["sub/0.jpg/", "sub/0.JPG", "sub/0.txt", "sub", "", "..", "../root/0.jpg", "0.jpg"]
    names = [names[row] for row in np.random.default_rng(0).permutation(len(names))]
    if base == "absolute":
        names = [f"{root}/{name}" for name in names]
    if base == "working folder":
        monkeypatch.chdir(root)
    frame = pd.DataFrame({"filename": names})
    with pytest.warns(UserWarning, match=f"{count + 12} invalid"):
        ours, theirs = both_frames(frame, root if base == "folder" else None, class_mode=None)
    assert_same_rows(ours, theirs)


def test_few_names_of_a_large_folder_are_valid(tmp_path):
    names = [f"{number}.jpg" for number in range(1000)]
    for name in names:
        (tmp_path / name).touch()
    few = pd.DataFrame({"filename": names[::50]})
    assert_same_rows(*both_frames(few, tmp_path, class_mode=None))


def test_folder_that_may_be_listed_but_not_entered_has_no_files(tmp_path, monkeypatch):
    names = [f"{number}.jpg" for number in range(20)]
    for name in names:
        (tmp_path / name).touch()
    stat = os.stat

    def refuse(path, *args, **options):
        if str(path).startswith(f"{tmp_path}/"):
            raise PermissionError(path)
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", refuse)
    frame = pd.DataFrame({"filename": names})
    with pytest.warns(UserWarning, match="20 invalid"):
        ours, theirs = both_frames(frame, tmp_path, class_mode=None)
    assert_same_rows(ours, theirs)
    assert ours.filenames == []


def test_names_of_a_data_frame_are_listed_not_asked_for(tmp_path, asked):
    names = [f"{place}{number}.jpg" for place in ("", "a/", "a/b/") for number in range(100)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for paths in asked.values():
        paths.clear()
    frame = pd.DataFrame({"filename": names})
    found = scan_dataframe(frame, str(tmp_path), "filename", None, None, None, None, None, True)
    assert found.filenames == names
    folders = [str(tmp_path / place) for place in ("", "a", "a/b")]
    assert Counter(asked["scandir"]) == dict.fromkeys(folders, 1)
    assert not {str(tmp_path / name) for name in names} & {*asked["stat"], *asked["lstat"]}


def test_slow_check_of_names_says_what_it_does(frame, files, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SHOW_AFTER_S", -1)
    scan_dataframe(frame, str(files), "filename", "class", None, "sparse", None, None, True)
    assert "Checking files: 7 files" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [0, 1])
def test_name_with_a_nul_is_named_when_it_is_read(files, workers):
    """Keras cannot bear one at all; where names are validated, it is invalid."""
    frame = pd.DataFrame({"filename": ["a\0b.png"]})
    options = {"class_mode": None, "validate_filenames": False, "target_size": (5, 7)}
    says = re.escape(repr(str(files / "a\0b.png")))
    for root_only in (False, True):
        options["root_only"] = root_only
        with (
            Generator(workers=workers).flow_from_dataframe(frame, files, **options) as iterator,
            pytest.raises(DecodeError, match=says),
        ):
            next(iterator)


# --- root_only ------------------------------------------------------------------------------------


@pytest.fixture
def outside(files: Path) -> Path:
    """A file beside the folder, whose own name starts like the folder's, and links between them."""
    folder = files.parent / "files, others"
    folder.mkdir()
    (folder / "x.png").touch()
    (files / "sub").mkdir()
    (files / "sub" / "y.png").touch()
    (files / "link in.png").symlink_to(files / "0.png")
    (files / "link out.png").symlink_to(folder / "x.png")
    (files / "dangling out.png").symlink_to(folder / "gone.png")
    (files / "folder in").symlink_to(files / "sub")
    (files / "folder out").symlink_to(folder)
    (folder / "link in.png").symlink_to(files / "0.png")
    (files.parent / "linked files").symlink_to(files)
    return folder


INSIDE = ["0.png", "sub/y.png", "sub/../1.png", "link in.png", "folder in/y.png", "../files/2.png"]
INSIDE += ["folder in/../3.png", "folder out/link in.png", "./4.png", "{files}/5.png"]
OUTSIDE = ["../files, others/x.png", "link out.png", "folder out/x.png", "sub/../../x.png", ".."]
OUTSIDE += [
    "dangling out.png",
    "/etc/passwd",
    "{outside}/x.png",
    "sub/../..",
    "folder out/../x.png",
]


def names_in(names: list[str], files: Path, outside: Path) -> pd.DataFrame:
    return pd.DataFrame({"filename": [name.format(files=files, outside=outside) for name in names]})


@pytest.mark.parametrize("folder", ["files", "linked files", "sub/../files"])
def test_root_only_accepts_what_stays_in_the_folder(files, outside, folder):
    folder = files.parent / folder if "/" not in folder else f"{files}/sub/.."
    frame = names_in(INSIDE, files, outside)
    options = {"class_mode": None, "root_only": True}
    iterator = Generator(workers=0).flow_from_dataframe(frame, folder, **options)
    assert iterator.filenames == frame["filename"].tolist()
    missing = names_in(["gone.png", "gone/gone.png", "a\0.png", "0.png"], files, outside)
    with pytest.warns(UserWarning, match="3 invalid.*'gone.png'"):
        iterator = Generator(workers=0).flow_from_dataframe(missing, folder, **options)
    assert iterator.filenames == ["0.png"]


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("name", OUTSIDE)
def test_root_only_refuses_what_leads_out_of_the_folder(files, outside, name, validated):
    frame = names_in(["0.png", name, "1.png", "../y.png"], files, outside)
    options = {"class_mode": None, "validate_filenames": validated}
    first = re.escape(repr(frame["filename"][1]))
    says = f"^root_only=True: 2 of the 4 .*'filename'.*{re.escape(repr(str(files)))}.*{first}$"
    with pytest.raises(ValueError, match=says):
        Generator().flow_from_dataframe(frame, files, root_only=True, **options)


@pytest.mark.parametrize("option", [{}, {"root_only": False}])
def test_names_may_lead_out_of_the_folder_by_default_as_in_keras(files, outside, option):
    frame = names_in(["0.png", "link out.png", "{outside}/x.png", OUTSIDE[0]], files, outside)
    ours = Generator(workers=0).flow_from_dataframe(frame, files, class_mode=None, **option)
    theirs = ImageDataGenerator().flow_from_dataframe(frame, files, class_mode=None)
    assert_same_rows(ours, theirs)
    assert ours.samples == 4


def test_root_only_with_the_root_of_all(files):
    frame = pd.DataFrame({"filename": [str(files / "0.png")]})
    options = {"class_mode": None, "root_only": True}
    assert Generator(workers=0).flow_from_dataframe(frame, "/", **options).samples == 1


@pytest.mark.parametrize("directory", [None, ""])
def test_root_only_needs_a_folder(frame, directory):
    with pytest.raises(ValueError, match="root_only=True needs directory"):
        Generator().flow_from_dataframe(frame, directory, root_only=True)


def test_root_only_checks_the_column_first(frame, files):
    with pytest.raises(ColumnError, match="x_col='file' is not a column"):
        Generator().flow_from_dataframe(frame, files, x_col="file", root_only=True)
    with pytest.raises(TypeError, match="x_col=number must be strings"):
        Generator().flow_from_dataframe(frame, files, x_col="number", root_only=True)

"""Every wrong argument: an error at construction that names the argument and what was given."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from conftest import make_images
from PIL import Image

import fastaug
from fastaug import Generator, transforms

SIZE, COUNT = (5, 7), 6
IMAGES, LABELS = make_images(COUNT, *SIZE, 3), np.arange(COUNT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six pictures of two classes."""
    root = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(IMAGES):
        path = root / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return root


class Frame(dict):
    """As much of a data frame as fastaug needs; pandas' are met in `test_iterators.py`."""

    columns = property(list)


FRAME = Frame(
    filename=np.array([f"{'ab'[number % 2]}/{number}.png" for number in range(COUNT)]),
    **{"class": np.array(list("ababab"))},
    number=np.arange(COUNT),
    two=np.array(["u", "v"] * 3),
    three=np.array(["u", "v", "w"] * 2),
)

# Words that every message about a choice must hold: all the accepted values.
FORMATS = ("channels_last", "channels_first")
FILLS = ("constant", "nearest", "reflect", "wrap")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
FLAG = ("neither True nor False",)

# Generator: (argument, wrong value, words in the message beside the argument's name).
OPTIONS = [
    ("rotation_range", "20", ("'20'", "number")),
    ("rotation_range", (-10, 10), ("(-10, 10)", "number")),
    ("rotation_range", float("nan"), ("nan", "finite")),
    ("width_shift_range", "0.1", ("'0.1'", "number")),
    ("width_shift_range", [[1, 2]], ("[[1, 2]]", "flat list")),
    ("width_shift_range", [1, "2"], ("'2'", "number")),
    ("height_shift_range", float("inf"), ("inf", "finite")),
    ("height_shift_range", [1, None], ("None", "number")),
    ("height_shift_range", {"a": 1}, ("{'a': 1}", "number")),
    ("shear_range", "x", ("'x'", "number")),
    ("zoom_range", [0.5], ("[0.5]", "two floats")),
    ("zoom_range", (1, 2, 3), ("[1, 2, 3]", "two floats")),
    ("zoom_range", ["a", "b"], ("['a', 'b']", "float")),
    ("zoom_range", float("nan"), ("nan", "finite")),
    ("channel_shift_range", "x", ("'x'", "number")),
    ("brightness_range", 0.5, ("0.5", "two floats")),
    ("brightness_range", (1, 2, 3), ("(1, 2, 3)", "two floats")),
    ("brightness_range", "ab", ("'ab'", "two floats")),
    ("brightness_range", [0.5, None], ("None", "number")),
    ("fill_mode", "edge", ("'edge'", *FILLS)),
    ("fill_mode", None, ("None", *FILLS)),
    ("fill_mode", ["nearest"], ("['nearest']", *FILLS)),
    ("cval", "black", ("'black'", "number")),
    ("cval", float("inf"), ("inf", "finite")),
    ("rescale", "1/255", ("'1/255'", "number")),
    ("rescale", float("nan"), ("nan", "finite")),
    ("zca_epsilon", -1e-6, ("-1e-06", "0")),
    ("zca_epsilon", None, ("None", "number")),
    ("preprocessing_function", "resnet", ("'resnet'", "function", "same shape")),
    ("data_format", "channels_middle", ("'channels_middle'", *FORMATS)),
    ("data_format", 3, ("3", *FORMATS)),
    ("validation_split", 1.5, ("1.5", "0", "1")),
    ("validation_split", -0.1, ("-0.1", "0", "1")),
    ("validation_split", "0.2", ("'0.2'", "number")),
    ("validation_split", [0.2], ("[0.2]", "number")),
    ("interpolation_order", 6, ("6", "from 0 to 5")),
    ("interpolation_order", -1, ("-1", "from 0 to 5")),
    ("interpolation_order", 1.0, ("1.0", "integer")),
    ("interpolation_order", "bilinear", ("'bilinear'", "integer")),
    ("dtype", "int32", ("'int32'", "float16", "float32", "float64", "uint8")),
    ("dtype", "nonsense", ("'nonsense'", "float32")),
    ("dtype", np.complex64, ("'complex64'", "float32")),
    ("pool", -1, ("-1", "at least 0")),
    ("pool", "four", ("'four'", "integer")),
    ("workers", -1, ("-1", "at least 0")),
    ("workers", 2.0, ("2.0", "integer")),
    ("workers", True, ("True", "integer")),
    ("threads", 0, ("0", "at least 1")),
    ("threads", "all", ("'all'", "integer")),
    ("read_ahead", -1, ("-1", "at least 0")),
    ("read_ahead", None, ("None", "integer")),
    ("timeout", 0, ("0", "above 0")),
    ("timeout", -5, ("-5", "above 0")),
    ("timeout", None, ("None", "number")),
    ("on_error", "ignore", ("'ignore'", "'raise'", "'skip'")),
    ("decode", "quick", ("'quick'", "'exact'", "'fast'")),
    ("decode", None, ("None", "'exact'", "'fast'")),
    ("exif_transpose", "yes", ("'yes'", *FLAG)),
    ("scale_16bit", [1], ("[1]", *FLAG)),
    ("cache", True, ("True", "'memory'", "folder")),
    ("cache", "", ("''", "'memory'", "folder")),
    ("cache_bytes", 0, ("0", "at least 1")),
    ("cache_bytes", 1.5e9, ("1500000000.0", "integer")),
    ("cache_bytes", 10**9, ("1000000000", "cache='memory'")),
    ("transforms", transforms.QuarterTurn(), ("QuarterTurn()", "list")),
    ("transforms", [transforms.QuarterTurn], ("QuarterTurn", "is a class")),
    ("transforms", ["flip"], ("'flip'", "not a transform", "HorizontalFlip()")),
    ("transforms", 3, ("3", "list")),
    ("transforms", None, ("None", "list")),
    ("bounding_box_format", "coco", ("'coco'", "'xyxy'", "'rel_xywh'")),
    ("max_boxes", 0, ("0", "at least 1")),
    ("max_boxes", "all", ("'all'", "integer")),
    ("min_visibility", 1.5, ("1.5", "from 0 to 1")),
    ("min_visibility", "half", ("'half'", "number")),
    ("min_area", -1, ("-1", "0")),
    ("mask_fill", None, ("None", "number")),
    ("erase_masks", "yes", ("'yes'", *FLAG)),
    ("flip_pairs", [(1, 2, 3)], ("[(1, 2, 3)]", "pairs")),
    ("flip_pairs", 3, ("3", "pairs")),
    ("dim_ordering", "nhwc", ("'nhwc'", "th", "tf", "default")),
    *[
        (name, value, (repr(value), *FLAG))
        for name, value in (
            ("featurewise_center", 20),  # a rotation_range that was given by position
            ("samplewise_center", "yes"),
            ("featurewise_std_normalization", [True]),
            ("samplewise_std_normalization", 0.5),
            ("zca_whitening", 1e-6),
            ("horizontal_flip", "False"),
            ("vertical_flip", float("nan")),
            ("keras_quirks", "no"),
        )
    ],
]
# What all three `flow` methods take.
COMMON = [
    ("batch_size", 0, ("0", "at least 1")),
    ("batch_size", -4, ("-4", "at least 1")),
    ("batch_size", 32.0, ("32.0", "integer")),
    ("batch_size", "32", ("'32'", "integer")),
    ("batch_size", None, ("None", "integer")),
    ("shuffle", "no", ("'no'", *FLAG)),
    ("shuffle", [True], ("[True]", *FLAG)),
    ("seed", -1, ("-1", "from 0 to 4294967295")),
    ("seed", 2**32, (str(2**32), "from 0 to 4294967295")),
    ("seed", 1.5, ("1.5", "integer")),
    ("seed", "1", ("'1'", "integer")),
    ("save_to_dir", "missing folder", ("'missing folder'", "existing folder")),
    ("save_to_dir", 3, ("3", "folder")),
    ("subset", "test", ("'test'", "training", "validation")),
    ("subset", ["training"], ("['training']", "training", "validation")),
    ("augment", "no", ("'no'", *FLAG)),
]
ARRAYS = [
    *COMMON,
    ("masks", IMAGES[:, :-1, :, 0], ("4x7", "5x7", "its image's size")),
    ("masks", IMAGES[:2, ..., 0], ("masks", "6 images")),
    ("boxes", [[[4, 1, 2, 3]]] * COUNT, ("image 0, box 0", "[4.0, 1.0, 2.0, 3.0]", "is no box")),
    ("boxes", [[[0, 0, 8, 3]]] * COUNT, ("image 0, box 0", "out of its picture of 5x7")),
    ("boxes", np.ones((2, 1, 4)), ("boxes", "6 images")),
    ("box_labels", [[1]] * COUNT, ("box_labels", "boxes")),
    ("keypoints", np.ones((COUNT, 2)), ("keypoints", "(6, 2)", "(6, k, 2)")),
]

FILES = [
    *COMMON,
    ("target_size", 224, ("224", "(height, width)")),
    ("target_size", (5, 7, 3), ("(5, 7, 3)", "(height, width)")),
    ("target_size", (0, 7), ("0", "at least 1")),
    ("target_size", (5, 7.5), ("7.5", "integer")),
    ("target_size", None, ("None", "(height, width)")),
    ("color_mode", "bgr", ("'bgr'", "rgb", "rgba", "grayscale")),
    ("color_mode", 3, ("3", "rgb", "rgba", "grayscale")),
    ("interpolation", "linear", ("'linear'", *INTERPOLATIONS)),
    ("interpolation", None, ("None", *INTERPOLATIONS)),
    ("keep_aspect_ratio", [1], ("[1]", *FLAG)),
    ("classes", "a", ("'a'", "list")),
    ("classes", 2, ("2", "list")),
    ("classes", [0, 1], ("[0, 1]", "names")),
]

FOLDER = [
    *FILES,
    ("class_mode", "one-hot", ("'one-hot'", "categorical", "binary", "sparse", "input", "None")),
    ("class_mode", "raw", ("'raw'", "categorical", "binary", "sparse", "input", "None")),
    ("follow_links", "yes", ("'yes'", *FLAG)),
    ("mask_directory", "no such folder", ("no such folder",)),
    ("mask_directory", 3, ("3", "folder")),
    ("extensions", ("png", "txt"), ("'.txt'", "'.webp'")),
]

COLUMNS = ("'filename'", "'class'", "'number'")
DATA_FRAME = [
    *[row for row in FILES if row[0] != "keep_aspect_ratio"],
    ("class_mode", "multi", ("'multi'", "categorical", "multi_output", "raw", "None")),
    ("x_col", "file", ("'file'", *COLUMNS)),
    ("x_col", ["filename"], ("['filename']", *COLUMNS)),
    ("x_col", "number", ("number", "strings")),
    ("y_col", "label", ("'label'", *COLUMNS)),
    ("y_col", "number", ("number", "string")),
    ("y_col", ["class"], ("['class']", "one column", "categorical")),
    ("weight_col", "weight", ("'weight'", *COLUMNS)),
    ("weight_col", ["number"], ("['number']", *COLUMNS)),
    ("weight_col", "two", ("two", "numeric")),
    ("validate_filenames", "no", ("'no'", *FLAG)),
    ("mask_col", "mask", ("'mask'", *COLUMNS)),
    ("mask_col", "number", ("number", "6 files that are not there")),
    ("boxes_col", "boxes", ("'boxes'", *COLUMNS)),
    ("box_labels_col", "number", ("box_labels_col", "boxes_col")),
    ("root_only", "no", ("'no'", *FLAG)),
]

WRONG = (ValueError, TypeError, FileNotFoundError, NotADirectoryError)


def assert_told(error: BaseException, *words: str) -> None:
    message = str(error)
    assert [word for word in words if word not in message] == [], message


def named(rows) -> list:
    return [pytest.param(*row, id=f"{row[0]}={row[1]!r:.40}") for row in rows]


@pytest.mark.parametrize(("name", "value", "words"), named(OPTIONS))
def test_wrong_option_of_a_generator(name, value, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        Generator(**{name: value})
    assert_told(caught.value, name, *words)


@pytest.mark.parametrize(("name", "value", "words"), named(ARRAYS))
def test_wrong_argument_of_flow(name, value, words):
    with pytest.raises(WRONG) as caught:
        Generator().flow(IMAGES, LABELS, **{name: value})
    assert_told(caught.value, name, *words)


@pytest.mark.parametrize(("name", "value", "words"), named(FOLDER))
def test_wrong_argument_of_flow_from_directory(name, value, words, folder):
    with pytest.raises(WRONG) as caught:
        Generator(workers=1).flow_from_directory(folder, **{"target_size": SIZE, name: value})
    assert_told(caught.value, name, *words)


@pytest.mark.parametrize(("name", "value", "words"), named(DATA_FRAME))
def test_wrong_argument_of_flow_from_dataframe(name, value, words, folder):
    arguments = {"target_size": SIZE, name: value}
    with pytest.raises(WRONG) as caught:
        Generator(workers=1).flow_from_dataframe(FRAME, folder, **arguments)
    assert_told(caught.value, name, *words)


def test_every_parameter_is_in_the_table():
    """A new parameter needs a row, or a reason why any value will do."""
    any_will_do = {
        "self", "x", "y", "sample_weight", "save_prefix", "save_format", "ignore_class_split",
        "directory", "dataframe", "kwargs",
    }  # fmt: skip
    for function, rows in (
        (Generator, OPTIONS),
        (Generator.flow, ARRAYS),
        (Generator.flow_from_directory, FOLDER),
        (Generator.flow_from_dataframe, DATA_FRAME),
    ):
        missing = set(inspect.signature(function).parameters) - {row[0] for row in rows}
        assert missing <= any_will_do


# Right, though it looks wrong.


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": float},
        {"dtype": np.float16},
        {"horizontal_flip": 1, "vertical_flip": np.True_, "samplewise_center": None},
        {"validation_split": 0.0},
        {"rotation_range": np.float32(3), "channel_shift_range": np.int64(4)},
        {"zoom_range": (np.float64(0.5), 1)},
        {"width_shift_range": (), "height_shift_range": np.arange(3)},
        {"rescale": 0, "brightness_range": None, "interpolation_order": np.int8(0)},
        {"pool": 2, "threads": 1, "read_ahead": 0, "timeout": 0.5},
    ],
    ids=str,
)
def test_unusual_option_is_accepted(options):
    Generator(**options)


def test_options_that_contradict_each_other():
    with pytest.raises(ValueError, match=r"workers=2.*pool=3.*not both"):
        Generator(workers=2, pool=3)
    with (
        pytest.warns(DeprecationWarning, match="dim_ordering='th'.*data_format='channels_first'"),
        pytest.raises(ValueError, match=r"dim_ordering='th'.*data_format='channels_last'"),
    ):
        Generator(dim_ordering="th", data_format="channels_last")


# Arrays: rank, dtype and shape in the message.


class Odd:
    """No number."""


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (IMAGES[0], ("rank 3", "(5, 7, 3)", "uint8", "rank 4")),
        (np.zeros((6, 5, 7), "float32"), ("rank 3", "(6, 5, 7)", "float32", "rank 4")),
        (np.zeros(()), ("rank 0", "()", "float64")),
        (np.zeros((2, 3, 4, 5, 6), "int16"), ("rank 5", "(2, 3, 4, 5, 6)", "int16")),
        (np.zeros((3, 5, 0, 3)), ("(3, 5, 0, 3)", "without a pixel")),
        (np.zeros((3, 5, 7, 3), complex), ("complex128", "(3, 5, 7, 3)")),
        (np.array(["a.png", "b.png"]), ("<U5", "(2,)")),
        (np.full((2, 5, 7, 3), Odd()), ("object", "(2, 5, 7, 3)")),
        (np.zeros((2, 5, 7, 3), "datetime64[s]"), ("datetime64[s]", "(2, 5, 7, 3)")),
        ("images.npy", ("<U10",)),
        ([], ("list of 0 items",)),
        (list(IMAGES), ("list of 6 items", "array of images")),
        ((IMAGES, LABELS, LABELS), ("tuple of 3 items", "other input")),
        ((IMAGES, LABELS[:2]), ("same length", "(6, 5, 7, 3)", "(2,)")),
        ((IMAGES, 5), ("same length", "(6, 5, 7, 3)", "()")),
        ((IMAGES, [LABELS, LABELS[:3]]), ("same length", "(3,)")),
        ((IMAGES, [[[1], [2, 3]]]), ("other input", "array")),
        (([[1], [2, 3]], LABELS), ("`x`", "array")),
    ],
)
def test_wrong_images(x, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        Generator().flow(x)
    assert_told(caught.value, "`x`", *words)


def test_wrong_images_for_fit():
    with pytest.raises(ValueError, match=r"rank 3, shape \(5, 7, 3\), dtype uint8"):
        Generator(featurewise_center=True).fit(IMAGES[0])
    with pytest.raises(ValueError, match="rounds=0"):
        Generator().fit(IMAGES, augment=True, rounds=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"y": LABELS[:4]}, ("`y`", "same length", "(6, 5, 7, 3)", "(4,)")),
        ({"y": 3}, ("`y`", "same length", "()")),
        ({"y": [[1], [2, 3], [], [], [], []]}, ("`y`", "array")),
        ({"sample_weight": LABELS[:4]}, ("`sample_weight`", "same length", "(4,)")),
        ({"sample_weight": 0.5}, ("`sample_weight`", "same length", "()")),
        ({"ignore_class_split": "yes"}, ("ignore_class_split='yes'", *FLAG)),
    ],
    ids=str,
)
def test_wrong_labels_and_weights(arguments, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        Generator().flow(IMAGES, **{"y": LABELS, "sample_weight": None, **arguments})
    assert_told(caught.value, *words)


def test_subset_that_has_not_all_classes():
    with pytest.raises(ValueError, match="different number of classes after the split"):
        Generator(validation_split=0.5).flow(IMAGES, LABELS, subset="training")


@pytest.mark.parametrize("shape", [(2, 5, 7, 2), (2, 5, 7, 5)])
def test_unusual_number_of_channels_warns(shape):
    with pytest.warns(UserWarning, match=rf"expects 1, 3 or 4 channels.*{shape[-1]}"):
        Generator().flow(np.zeros(shape, "uint8"))


# Pictures to save.


def test_unknown_picture_format_lists_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"save_format='jpgg' is not one of .*'jpg'.*'png'"):
        Generator().flow(IMAGES, save_to_dir=tmp_path, save_format="jpgg")


# Folders and data frames.


def test_missing_folder_is_named():
    with pytest.raises(FileNotFoundError, match="directory: 'no such folder' does not exist"):
        Generator().flow_from_directory("no such folder")


@pytest.mark.parametrize("directory", [5, None, ["a"]])
def test_directory_that_is_no_path_is_named(directory):
    with pytest.raises(TypeError, match="directory=.* is not the name of a folder"):
        Generator().flow_from_directory(directory)


def test_missing_folder_of_a_class_is_named(folder):
    with pytest.raises(FileNotFoundError) as caught:
        Generator().flow_from_directory(folder, classes=["a", "z"])
    assert_told(caught.value, "class 'z'", repr(str(folder / "z")), "does not exist")


def test_file_in_place_of_a_folder_is_named(folder):
    path = str(folder / "a" / "0.png")
    with pytest.raises(NotADirectoryError) as caught:
        Generator().flow_from_directory(path)
    assert_told(caught.value, "directory", repr(path))


def test_folder_without_pictures_says_so(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with (
        pytest.warns(UserWarning, match=r"no images \(png, .*'empty'"),
        Generator(workers=1).flow_from_directory(tmp_path) as iterator,
    ):
        assert len(iterator) == 0


@pytest.mark.parametrize("frame", [None, 5, "train.csv", {}, [1, 2], np.zeros(3)], ids=repr)
def test_what_is_no_data_frame_is_named(frame, folder):
    with pytest.raises(TypeError, match=r"dataframe must be a pandas data frame, not "):
        Generator().flow_from_dataframe(frame, folder)


def test_missing_folder_of_a_data_frame_is_named():
    with pytest.raises(FileNotFoundError, match="directory: 'no such folder' does not exist"):
        Generator().flow_from_dataframe(FRAME, "no such folder")


def test_missing_column_is_an_error_of_both_kinds(folder):
    """KeyError, as pandas raises; ValueError, as a wrong argument is."""
    for kind in (KeyError, ValueError):
        with pytest.raises(kind, match=r"^y_col='label' is not a column .*'class'"):
            Generator().flow_from_dataframe(FRAME, folder, y_col="label")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"class_mode": "binary", "y_col": "three"}, ("binary", "2 classes", "3")),
        ({"class_mode": "binary", "classes": ["a", "b", "c"]}, ("binary", "2 classes", "3")),
        ({"class_mode": "sparse", "y_col": "number"}, ("sparse", "number", "strings")),
        ({"class_mode": "multi_output", "y_col": "class"}, ("multi_output", "list", "str")),
        ({"class_mode": "multi_output", "y_col": ["class", "z"]}, ("y_col='z'", *COLUMNS)),
        ({"class_mode": "raw", "y_col": "z"}, ("y_col='z'", *COLUMNS)),
    ],
    ids=str,
)
def test_columns_that_do_not_suit_the_class_mode(arguments, words, folder):
    with pytest.raises((ValueError, TypeError)) as caught:
        Generator().flow_from_dataframe(FRAME, folder, **arguments)
    assert_told(caught.value, *words)


def test_invalid_filenames_are_counted_and_shown(folder):
    frame = Frame(filename=np.array(["a/0.png", "a/x.png"]), **{"class": np.array(["a", "b"])})
    with (
        pytest.warns(UserWarning, match=r'1 invalid image filename.*x_col="filename".*a/x.png'),
        Generator(workers=1).flow_from_dataframe(frame, folder, target_size=SIZE) as iterator,
    ):
        assert iterator.filenames == ["a/0.png"]


def test_absolute_names_need_no_folder(folder):
    names = [str(folder / name) for name in FRAME["filename"]]
    frame = Frame(FRAME, filename=np.array(names))
    generator = Generator(workers=1)
    for directory in (None, "no such folder"):
        with generator.flow_from_dataframe(frame, directory, target_size=SIZE) as iterator:
            assert len(iterator.filenames) == COUNT


# Iterators made without a generator's methods check the same.


def test_iterators_check_what_a_generator_would_have_checked(folder):
    for arguments, words in (
        ({"data_format": "nchw"}, ("data_format", "'nchw'", *FORMATS)),
        ({"dtype": "int8"}, ("dtype", "'int8'", "float32", "uint8")),
        ({"batch_size": 0}, ("batch_size", "0")),
    ):
        for make in (
            lambda options: fastaug.NumpyArrayIterator(IMAGES, LABELS, Generator(), **options),
            lambda options: fastaug.DirectoryIterator(folder, Generator(), **options),
            lambda options: fastaug.DataFrameIterator(FRAME, folder, Generator(), **options),
        ):
            with pytest.raises((ValueError, TypeError)) as caught:
                make(arguments)
            assert_told(caught.value, *words)


# While running.


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda image: image[:2], ("(2, 7, 3)", "(5, 7, 3)")),
        (lambda image: "text", ("'text'", "array of numbers")),
        (lambda image: None, ("None", "array of numbers")),
    ],
    ids=["another shape", "text", "nothing"],
)
def test_function_that_returns_something_else_is_named_with_its_sample(function, words):
    iterator = Generator(preprocessing_function=function).flow(IMAGES, shuffle=False)
    with pytest.raises(ValueError, match="preprocessing_function '<lambda>'") as caught:
        next(iterator)
    assert_told(caught.value, "sample 0", *words)


def test_statistics_of_another_shape_are_named():
    generator = Generator(featurewise_center=True)
    generator.mean = np.zeros(4)
    with pytest.raises(ValueError, match=r"mean has shape \(4,\).*\(5, 7, 3\)"):
        next(generator.flow(IMAGES))

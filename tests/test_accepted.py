"""What Keras takes, we take: the same batches, or an error that names the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_images
from keras.src.legacy.preprocessing import image as keras_image
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.testing import assert_array_equal
from pools import draw_photos, numbered

import fastaug
from fastaug import Generator

pytestmark = [
    pytest.mark.filterwarnings("ignore:as in Keras, "),  # quirks
    pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning"),
]
IMAGES = make_images(6, 9, 7, 3)
SIZE = (9, 7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "ab":
        draw_photos(tmp_path / "photos" / name, numbered(3))
    return tmp_path / "photos"


@pytest.fixture
def frame(folder: Path) -> pd.DataFrame:
    names = [f"{path.parent.name}/{path.name}" for path in sorted(folder.glob("*/*"))]
    labels = [name[0] for name in names]
    return pd.DataFrame({"filename": names, "class": labels, "number": range(len(names))})


RANGES = {
    "rotation_range": (-30, -12.5, None),
    "width_shift_range": (-0.3, -2.0, -2, None, [-1, 2], 0, range(-3, 2), np.array(3)),
    "height_shift_range": (-0.3, -3.5, -1, None, (-2,), np.array([1, 3])),
    "shear_range": (-20, None),
    "zoom_range": (-0.3, (1.4, 0.6)),
    "channel_shift_range": (-30.0, -7),
    "brightness_range": ((1.5, 0.5), None),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in RANGES.items() for value in values]
)
def test_range_is_drawn_from_as_by_keras(name, value):
    # Keras asks an array for its truth value.
    theirs_value = np.array(value).tolist() if isinstance(value, np.ndarray | range) else value
    ours = Generator(**{name: value}).flow(IMAGES, batch_size=3, seed=1)
    theirs = ImageDataGenerator(**{name: theirs_value}).flow(IMAGES, batch_size=3, seed=1)
    for _ in range(4):
        assert_array_equal(next(ours), next(theirs))


@pytest.mark.parametrize("name", ["zoom_range", "channel_shift_range"])
def test_none_is_no_range_where_keras_fails(name):
    batch = next(Generator(**{name: None}).flow(IMAGES, batch_size=3, seed=1))
    assert_array_equal(batch, next(Generator().flow(IMAGES, batch_size=3, seed=1)))


def sizes():
    import tensorflow as tf

    return {
        "array": np.array(SIZE),
        "small": np.array(SIZE, np.uint8),
        "generator": iter(SIZE),
        "series": pd.Series(SIZE),
        "mapping": {"height": 9, "width": 7},
        "values": {"height": 9, "width": 7}.values(),
        "TensorShape": tf.TensorShape(SIZE),
        "tensor": tf.constant(SIZE),
        "shape of images": IMAGES.shape[1:3],
    }


def test_target_size_is_any_two_whole_numbers(folder):
    for how, size in sizes().items():
        iterator = Generator(workers=0).flow_from_directory(folder, size)
        assert iterator.target_size == SIZE, how
        assert iterator.image_shape == (*SIZE, 3)


@pytest.mark.parametrize("size", ["97", {9, 7}, (9.5, 7), (9, 7, 3), 9, (True, 7), (0, 7), None])
def test_target_size_of_anything_else_is_named(folder, size):
    with pytest.raises((TypeError, ValueError), match="target_size"):
        Generator().flow_from_directory(folder, size)


def test_directory_is_any_path(folder):
    class Somewhere:
        def __fspath__(self) -> str:
            return str(folder)

    with os.scandir(folder.parent) as entries:
        entry = next(entry for entry in entries if entry.name == "photos")
    for directory in (folder, str(folder), os.fsencode(folder), entry, Somewhere()):
        iterator = Generator(workers=0).flow_from_directory(directory, SIZE, seed=1)
        assert iterator.n == 6
        assert len(next(iterator)[0]) == 6


def test_directory_of_a_frame_is_any_path(folder, frame):
    for directory in (folder, os.fsencode(folder)):
        generator = Generator(workers=0)
        for root_only in (False, True):
            iterator = generator.flow_from_dataframe(frame, directory, root_only=root_only)
            assert iterator.n == 6


@pytest.mark.parametrize("form", ["PNG", ".jpg", "JPEG", "jpg", ".Png"])
def test_pictures_are_saved_in_any_spelling_of_a_format(tmp_path, form):
    options = {"save_to_dir": os.fsencode(tmp_path), "save_format": form, "batch_size": 6}
    iterator = Generator().flow(IMAGES, seed=1, **options)
    next(iterator)
    found = list(tmp_path.iterdir())
    assert len(found) == 6
    assert {path.suffix for path in found} == {"." + form.removeprefix(".")}
    iterator.save_format = form  # what it is already
    assert iterator._saver is iterator._saver


def test_prefix_and_format_wait_for_a_folder(tmp_path):
    iterator = Generator().flow(IMAGES, seed=1, save_prefix="p", save_format="jpg", batch_size=6)
    iterator.save_to_dir = tmp_path
    next(iterator)
    assert len(list(tmp_path.glob("p_*.jpg"))) == 6


def test_unknown_argument_of_a_frame_is_ignored_with_a_warning(folder, frame):
    with pytest.warns(UserWarning, match="knows no argument 'has_extension', 'speed'"):
        flow = Generator(workers=0).flow_from_dataframe(
            frame, folder, has_extension=True, speed="high"
        )
    assert flow.n == 6


@pytest.mark.parametrize("form", [list, tuple, np.array, pd.Series, dict.fromkeys, pd.Index])
def test_classes_are_any_names(folder, frame, form):
    classes = form(["b", "a"])
    generator = Generator(workers=0)
    for flow in (
        generator.flow_from_directory(folder, classes=classes),
        generator.flow_from_dataframe(frame, folder, classes=classes),
    ):
        assert flow.class_indices == {"b": 0, "a": 1}
        json.dumps(flow.class_indices)


def test_class_named_twice_is_an_error(folder, frame):
    for make, source in (
        ("flow_from_directory", (folder,)),
        ("flow_from_dataframe", (frame, folder)),
    ):
        with pytest.raises(ValueError, match="classes names 'b' more than once"):
            getattr(Generator(), make)(*source, classes=["b", "a", "b"])


@pytest.mark.parametrize("column", ["filename", "class", "number"])
def test_column_that_is_there_twice_is_an_error(folder, frame, column):
    twice = pd.concat([frame, frame[[column]]], axis=1)
    with pytest.raises(ValueError, match=f"='{column}' is the name of more than one column"):
        Generator().flow_from_dataframe(twice, folder, weight_col="number")


RAW = {
    "lists": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]],
    "arrays": list(np.arange(12, dtype=np.float32).reshape(6, 2)),
    "tuples": [(k, k / 2) for k in range(6)],
}


@pytest.mark.parametrize("kind", RAW)
def test_raw_column_of_lists_gives_numbers(folder, frame, kind):
    frame["target"] = RAW[kind]
    flow = Generator(workers=0).flow_from_dataframe(
        frame, folder, y_col="target", class_mode="raw", shuffle=False
    )
    labels = next(flow)[1]
    assert labels.shape == (6, 2)
    assert labels.dtype.kind in "iuf"
    assert_array_equal(labels, np.array(RAW[kind]))


def test_raw_columns_of_mixed_numbers_give_numbers(folder, frame):
    frame["share"], frame["yes"] = np.linspace(0, 1, 6), [True, False] * 3
    columns = ["number", "share", "yes"]
    flow = Generator(workers=0).flow_from_dataframe(
        frame, folder, y_col=columns, class_mode="raw", shuffle=False
    )
    labels = next(flow)[1]
    assert labels.dtype.kind == "f"
    assert_array_equal(labels, frame[columns].to_numpy().astype(float))


@pytest.mark.parametrize("bad", [["x"] * 6, [[1], [2, 3]] * 3, [None] * 6])
def test_output_that_is_no_number_is_an_error_at_once(folder, frame, bad):
    frame["target"] = bad
    with pytest.raises(TypeError, match="column 'target' of y_col must hold numbers"):
        Generator().flow_from_dataframe(
            frame, folder, y_col=["number", "target"], class_mode="multi_output"
        )


def test_options_of_a_plain_generator_can_be_written_down():
    generator = Generator(rotation_range=20, zoom_range=0.2, horizontal_flip=True)
    generator.get_random_transform((9, 7, 3))
    ours = json.loads(json.dumps(vars(generator)))
    theirs = json.loads(json.dumps(vars(ImageDataGenerator(20, zoom_range=0.2))))
    assert theirs.keys() <= ours.keys()
    assert ours["zoom_range"] == [0.8, 1.2]


def test_generator_and_iterators_are_those_of_keras(folder, frame):
    generator = Generator(workers=0)
    assert isinstance(generator, ImageDataGenerator)
    assert issubclass(Generator, ImageDataGenerator)
    iterators = {
        "NumpyArrayIterator": generator.flow(IMAGES),
        "DirectoryIterator": generator.flow_from_directory(folder),
        "DataFrameIterator": generator.flow_from_dataframe(frame, folder),
    }
    for name, iterator in iterators.items():
        assert isinstance(iterator, getattr(keras_image, name))
        assert isinstance(iterator, keras_image.Iterator)
        assert isinstance(iterator, fastaug.Iterator)
        others = set(iterators) - {name}
        assert not any(isinstance(iterator, getattr(keras_image, other)) for other in others)


def test_nothing_of_keras_classes_is_used():
    # What ours lack would be Keras', and slow or wrong without a word.
    known = {"_api_export_path", "_api_export_symbol_id", "set_processing_attrs"}
    known |= {"get_classes", "_check_params", "_filter_classes", "_filter_valid_filepaths"}
    for name in ("NumpyArrayIterator", "DirectoryIterator", "DataFrameIterator", "Generator"):
        ours = getattr(fastaug, name)
        for cls in ours.__mro__:
            if cls.__module__ != keras_image.__name__:
                continue
            for attribute in set(vars(cls)) - known:
                if attribute.startswith("__") and attribute not in ("__getitem__", "__len__"):
                    continue
                found = next(c for c in ours.__mro__ if attribute in vars(c))
                assert found.__module__.startswith("fastaug"), (name, attribute)


def test_processing_attributes_can_be_set_as_in_keras(folder):
    flow = Generator(rescale=0.5, workers=0).flow_from_directory(folder, (20, 30), seed=1)
    next(flow)
    changed = Generator(rescale=2.0, workers=0)
    flow.set_processing_attrs(
        changed, SIZE, "grayscale", "channels_last", None, "", "png", None, "bilinear", False
    )
    wanted = changed.flow_from_directory(
        folder, SIZE, color_mode="grayscale", interpolation="bilinear", seed=1
    )
    next(wanted)
    assert_array_equal(next(flow)[0], next(wanted)[0])


def test_functions_of_keras_come_along():
    import keras

    for name in ("load_img", "img_to_array", "array_to_img", "save_img"):
        assert getattr(fastaug, name) is getattr(keras.utils, name)


def test_iterator_can_be_extended_as_in_keras():
    def squares(base):
        class Squares(base):
            def _get_batches_of_transformed_samples(self, index_array):
                return index_array**2 + np.random.uniform(size=len(index_array))

        iterator = Squares(10, 4, True, 3)
        return [next(iterator) for _ in range(7)] + [iterator[k] for k in range(3)]

    for ours, theirs in zip(squares(fastaug.Iterator), squares(keras_image.Iterator), strict=True):
        assert_array_equal(ours, theirs)


def test_import_stays_light_with_the_new_names():
    program = "import sys, fastaug; print('keras' in sys.modules, 'load_img' in dir(fastaug))"
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert said.split() == ["False", "True"]


def test_nothing_is_warned_of(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Generator(rotation_range=None, workers=0).flow_from_directory(folder, np.array(SIZE))


@pytest.mark.parametrize("form", [None, 5])
def test_format_that_is_no_name_is_an_error(tmp_path, form):
    with pytest.raises(TypeError, match="save_format=.* is not the name of a format"):
        Generator().flow(IMAGES, save_to_dir=tmp_path, save_format=form)


def test_statistics_changed_in_place_count_from_the_next_batch_on():
    import time

    generator = Generator(featurewise_center=True)
    generator.fit(IMAGES)
    flow = generator.flow(IMAGES, batch_size=3, seed=1, shuffle=False)
    next(flow)
    time.sleep(0.01)
    next(flow)  # others are made ahead now
    time.sleep(0.05)
    generator.mean *= 0
    assert_array_equal(next(flow), IMAGES[:3])


def test_statistics_are_found_in_any_path(folder):
    fitted = fastaug.fit_folder(os.fsencode(folder), target_size=SIZE)
    expected = fastaug.fit_folder(folder, target_size=SIZE)
    assert_array_equal(fitted.statistics.mean, expected.statistics.mean)

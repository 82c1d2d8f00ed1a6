"""Iterators beside Keras' own: attributes, methods, order; and what they promise beyond."""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import make_images
from keras.src.legacy.preprocessing.image import DataFrameIterator as KerasDataFrameIterator
from keras.src.legacy.preprocessing.image import DirectoryIterator as KerasDirectoryIterator
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from keras.src.legacy.preprocessing.image import NumpyArrayIterator as KerasNumpyArrayIterator
from numpy.testing import assert_array_equal
from PIL import Image

import fastaug
from fastaug import Generator, transforms

COUNT, SIZE = 11, (5, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Eleven pictures of two classes: a/0.png to a/5.png, b/6.png to b/10.png."""
    root = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(make_images(COUNT, *SIZE, 3)):
        path = root / "ab"[number // 6] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return root


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    return make_images(COUNT, *SIZE, 3), np.arange(COUNT)


def frame():
    """A pandas data frame of the pictures in `folder`."""
    pandas = pytest.importorskip("pandas")
    names = [f"{'ab'[number // 6]}/{number}.png" for number in range(COUNT)]
    rows = {"filename": names, "class": [name[0] for name in names], "weight": np.arange(11.0)}
    return pandas.DataFrame(rows | {"value": np.arange(COUNT) * 2, "other": np.arange(COUNT) % 3})


# What makes an iterator of a generator, Keras' or ours: (generator, folder) -> iterator.
X = make_images(COUNT, *SIZE, 3)
MAKERS = {
    "array": lambda g, _, **k: g.flow(
        X, np.arange(COUNT), batch_size=4, sample_weight=np.arange(COUNT) / 2, **k
    ),
    "array, validation": lambda g, _, **k: g.flow(
        X, np.arange(COUNT) % 2, subset="validation", batch_size=4, **k
    ),
    "array, two inputs": lambda g, _, **k: g.flow(
        (X, [np.arange(COUNT), np.ones(COUNT)]), batch_size=4, **k
    ),
    "folder": lambda g, folder, **k: g.flow_from_directory(
        str(folder), SIZE, batch_size=4, **k
    ),
    "folder, classes": lambda g, folder, **k: g.flow_from_directory(
        str(folder), SIZE, classes=["b", "a"], color_mode="grayscale", class_mode="binary", **k
    ),
    "folder, training": lambda g, folder, **k: g.flow_from_directory(
        str(folder), SIZE, subset="training", class_mode="input", keep_aspect_ratio=True, **k
    ),
    "frame": lambda g, folder, **k: g.flow_from_dataframe(
        frame(), str(folder), weight_col="weight", target_size=SIZE, batch_size=4, **k
    ),
    "frame, raw": lambda g, folder, **k: g.flow_from_dataframe(
        frame(), str(folder), y_col="value", class_mode="raw", target_size=SIZE, **k
    ),
    "frame, several": lambda g, folder, **k: g.flow_from_dataframe(
        frame(), str(folder), y_col=["value", "other"], class_mode="multi_output",
        target_size=SIZE, interpolation="bilinear", **k
    ),
    "frame, no labels": lambda g, folder, **k: g.flow_from_dataframe(
        frame(), str(folder), class_mode=None, target_size=SIZE, color_mode="rgba", **k
    ),
}  # fmt: skip


def generators(**options) -> tuple[ImageDataGenerator, Generator]:
    return ImageDataGenerator(**options), Generator(workers=2, **options)


def augmenting(workers: int = 2) -> Generator:
    """A generator with which no two batches are equal."""
    return Generator(rotation_range=90, horizontal_flip=True, keras_quirks=False, workers=workers)


def assert_same(ours, theirs) -> None:
    """Equal in structure, shapes, dtypes and values."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        assert_array_equal(ours, theirs)
    else:
        assert ours == theirs


# Not an attribute's value: objects of the iterator's own, and our array keeps its dtype.
OBJECTS = {"image_data_generator", "index_generator", "lock", "x"}


@pytest.mark.parametrize("kind", MAKERS)
def test_attributes_are_those_of_keras(kind, folder):
    theirs, ours = (
        MAKERS[kind](generator, folder, seed=3) for generator in generators(validation_split=0.25)
    )
    with ours:
        for name in vars(theirs):
            if not name.startswith("_") and name not in OBJECTS:
                assert_same(getattr(ours, name), getattr(theirs, name))
        for name in ("filepaths", "labels", "sample_weight", "num_classes", "class_indices"):
            if hasattr(theirs, name):
                assert_same(getattr(ours, name), getattr(theirs, name))
        for name in ("white_list_formats", "allowed_class_modes"):
            assert set(getattr(ours, name, ())) == set(getattr(theirs, name, ()))
        if hasattr(theirs, "x"):
            assert_array_equal(ours.x, theirs.x)
        assert ours.lock.acquire(blocking=False)
        ours.lock.release()
        assert len(ours) == len(theirs) == ours.num_batches == theirs.num_batches


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", MAKERS)
def test_next_gives_batches_in_keras_order_and_moves_its_counters(kind, shuffle, folder):
    theirs, ours = (
        MAKERS[kind](generator, folder, seed=3, shuffle=shuffle)
        for generator in generators(rescale=1 / 255, validation_split=0.25)
    )
    with ours:
        for step in range(8):
            if step == 5:  # in the midst of a pass
                theirs.reset()
                ours.reset()
            assert_same(ours.next() if step % 2 else next(ours), next(theirs))
            assert ours.batch_index == theirs.batch_index
            assert ours.total_batches_seen == theirs.total_batches_seen
            assert_array_equal(ours.index_array, theirs.index_array)


def test_index_generator_gives_rows_and_moves_next_on(arrays):
    theirs, ours = (generator.flow(*arrays, batch_size=4, seed=3) for generator in generators())
    for _ in range(4):
        assert_array_equal(next(ours.index_generator), next(theirs.index_generator))
        assert_same(next(ours), next(theirs))
    assert ours.total_batches_seen == theirs.total_batches_seen == 8


def test_seed_of_none_is_drawn_once_from_numpys_global_state(arrays):
    def passes() -> list[np.ndarray]:
        np.random.seed(5)
        iterator = augmenting().flow(*arrays, batch_size=4)
        np.random.seed(6)  # later draws don't matter
        return [next(iterator)[0] for _ in range(4)]

    assert_same(passes(), passes())


def test_seed_can_be_changed_as_in_keras(arrays):
    theirs, ours = (generator.flow(*arrays, batch_size=4, seed=3) for generator in generators())
    for step in range(6):
        assert_same(next(ours), next(theirs))
        if step == 2:
            ours.seed = theirs.seed = 17


def test_global_random_state_stays_as_it_was(arrays):
    iterator = augmenting().flow(*arrays, batch_size=4, seed=1)
    np.random.seed(9)
    before = np.random.get_state()[1].copy()
    next(iterator)
    iterator[1]
    iterator.on_epoch_end()
    assert_array_equal(np.random.get_state()[1], before)


# By index.


@pytest.mark.parametrize("shuffle", [True, False])
def test_peek_at_an_index_is_pure(arrays, shuffle):
    iterator = augmenting().flow(*arrays, batch_size=4, seed=3, shuffle=shuffle)
    first_pass = [next(iterator) for _ in range(3)]
    counters = iterator.batch_index, iterator.total_batches_seen
    for index in (2, 0, 1, 1, 0, 2):
        assert_same(iterator.peek(index), first_pass[index])
    assert_same(iterator[-1], first_pass[2])
    assert_same(iterator[np.int64(1)], first_pass[1])
    with pytest.raises(ValueError, match="index=3 is out of range"):
        iterator.peek(3)
    assert (iterator.batch_index, iterator.total_batches_seen) == counters


@pytest.mark.parametrize("shuffle", [True, False])
def test_index_asked_for_once_more_gives_its_batch_of_the_next_pass(arrays, shuffle):
    iterator = augmenting().flow(*arrays, batch_size=4, seed=3, shuffle=shuffle)
    passes = [[next(iterator) for _ in range(3)] for _ in range(3)]
    counters = iterator.batch_index, iterator.total_batches_seen
    for number, order in enumerate([(0, 1, 2), (2, 0, 1), (0, 2, 1)]):
        for index in order:
            assert_same(iterator[index], passes[number][index])
            rows = iterator.index_array[4 * index : 4 * index + 4]
            assert_array_equal(iterator.y[rows], passes[number][index][1])
    assert (iterator.batch_index, iterator.total_batches_seen) == counters


@pytest.mark.parametrize("shuffle", [True, False])
def test_on_epoch_end_lets_indices_show_the_next_pass(arrays, shuffle):
    iterator = augmenting().flow(*arrays, batch_size=4, seed=3, shuffle=shuffle)
    for _ in range(3):
        for index in range(3):
            assert_same(iterator[index], next(iterator))
        iterator.on_epoch_end()


def test_loop_over_an_epoch_by_hand_shows_each_pass_in_order(arrays):
    iterator = augmenting().flow(*arrays, batch_size=4, seed=3)
    for _ in range(3):
        iterator.on_epoch_begin()
        for index in (1, 2, 0):
            assert_same(iterator[index], next(iterator))
        iterator.on_epoch_end()


@pytest.mark.parametrize("index", [3, -4, 100])
def test_index_beyond_the_last_batch_names_both(arrays, index):
    iterator = Generator().flow(*arrays, batch_size=4)
    with pytest.raises(ValueError, match=rf"element {index}, but the Sequence has length 3"):
        iterator[index]


def test_several_inputs_come_in_a_tuple_by_index(arrays):
    """`next()` gives lists, as in Keras: with them `fit` fails on TensorFlow, and `predict` too."""
    images, labels = arrays
    options = {"batch_size": 4, "shuffle": False}
    with_labels = Generator().flow((images, labels), labels, **options)
    assert_same(with_labels[0], ((images[:4].astype("float32"), labels[:4]), labels[:4]))
    without = Generator().flow((images, [labels, labels]), **options)
    assert_same(without[0], ((images[:4].astype("float32"), labels[:4], labels[:4]),))


def test_iterator_is_a_keras_dataset(arrays):
    iterator = Generator().flow(*arrays, batch_size=4)
    assert isinstance(iterator, keras.utils.PyDataset)
    assert iter(iterator) is iterator


# What can be set.


def test_batch_size_can_be_changed_as_in_keras(arrays):
    theirs, ours = (generator.flow(*arrays, seed=3) for generator in generators())
    ours.batch_size = theirs.batch_size = 4
    assert len(ours) == len(theirs) == 3
    for _ in range(4):
        assert_same(next(ours), next(theirs))


def test_new_batch_size_starts_a_new_pass(folder):
    generator = Generator(workers=1, keras_quirks=False)
    with generator.flow_from_directory(folder, SIZE, batch_size=4, seed=3) as iterator:
        next(iterator)
        iterator.batch_size = 6
        assert len(next(iterator)[0]) == 6
        assert len(next(iterator)[0]) == 5
        assert iterator.batch_index == 0


def test_shuffle_can_be_switched_off_as_in_keras(arrays):
    theirs, ours = (generator.flow(*arrays, batch_size=4, seed=3) for generator in generators())
    next(ours)
    ours.shuffle = theirs.shuffle = False
    for index in range(3):
        assert_same(next(ours), next(theirs))
        assert_array_equal(ours[index][1], np.arange(COUNT)[4 * index : 4 * index + 4])


@pytest.mark.parametrize("value", [0, -2, 2.0, "4", None, True])
def test_wrong_batch_size_changes_nothing(arrays, value):
    iterator = Generator().flow(*arrays, batch_size=4)
    with pytest.raises((ValueError, TypeError), match=f"batch_size.*{value!r}"):
        iterator.batch_size = value
    assert iterator.batch_size == 4


def test_keras_enqueuer_stays_off(arrays):
    iterator = Generator().flow(*arrays)
    with pytest.warns(UserWarning, match=r"workers=4 is ignored.*Generator\(workers="):
        iterator.workers = 4
    iterator.workers = 1
    iterator.use_multiprocessing = False
    with pytest.raises(ValueError, match=r"use_multiprocessing=True.*Generator\(workers="):
        iterator.use_multiprocessing = True
    iterator.max_queue_size = 1
    assert (iterator.workers, iterator.use_multiprocessing) == (1, False)


# Threads.


def in_threads(count: int, work) -> None:
    errors = []

    def run(number: int) -> None:
        try:
            work(number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize("kind", ["array", "folder"])
def test_eight_threads_share_next_without_losing_a_batch(kind, folder):
    generator = augmenting()
    with MAKERS[kind](generator, folder, seed=3) as alone:
        wanted = Counter(next(alone)[0].tobytes() for _ in range(24))
    got: list[bytes] = []
    with MAKERS[kind](generator, folder, seed=3) as shared:
        in_threads(8, lambda _: got.extend([next(shared)[0].tobytes() for _ in range(3)]))
        assert shared.total_batches_seen == 24
    assert Counter(got) == wanted


@pytest.mark.parametrize("kind", ["array", "folder"])
def test_threads_share_an_epoch_without_losing_a_batch(kind, folder):
    generator = augmenting()
    with MAKERS[kind](generator, folder, seed=3) as iterator:
        wanted = Counter(iterator[index][0].tobytes() for index in range(3))
        got: list[bytes] = []
        iterator.on_epoch_begin()
        in_threads(3, lambda number: got.append(iterator[number][0].tobytes()))
        iterator.on_epoch_end()
    assert Counter(got) == wanted


# The end.


def test_closed_file_iterator_says_so(folder):
    iterator = Generator(workers=1).flow_from_directory(folder, SIZE, batch_size=4)
    batch = next(iterator)[0].copy()
    given = next(iterator)[0]
    kept = given.copy()
    iterator.close()
    iterator.close()
    assert_array_equal(given, kept)
    assert batch.shape == (4, *SIZE, 3)
    with pytest.raises(RuntimeError, match="the iterator is closed"):
        next(iterator)
    with pytest.raises(RuntimeError, match="the iterator is closed"):
        iterator[0]


def test_with_closes_also_after_an_error(folder):
    def train() -> None:
        with iterator:
            next(iterator)
            raise KeyError

    iterator = Generator(workers=1).flow_from_directory(folder, SIZE, batch_size=4)
    with pytest.raises(KeyError):
        train()
    with pytest.raises(RuntimeError, match="closed"):
        next(iterator)


def test_array_iterator_has_nothing_to_close(arrays):
    with Generator().flow(*arrays, batch_size=4) as iterator:
        next(iterator)
    assert len(next(iterator)[0]) == 4


def test_without_workers_files_are_read_by_the_caller(folder):
    batches = []
    for workers in (0, 2):
        generator = augmenting(workers=workers)
        with generator.flow_from_directory(folder, SIZE, batch_size=4, seed=3) as iterator:
            batches.append([next(iterator) for _ in range(4)])
    assert_same(*batches)


def test_repr_tells_what_is_iterated_over(arrays, folder):
    iterator = Generator().flow(*arrays, batch_size=4, seed=3)
    assert repr(iterator) == (
        "<NumpyArrayIterator: 11 images (5, 7, 3), 3 batches of 4, shuffle=True, seed=3>"
    )
    with Generator().flow_from_directory(folder, SIZE, shuffle=False) as iterator:
        assert "DirectoryIterator: 11 images" in repr(iterator)


# Signatures.


def parameters(function) -> list[tuple[str, object, object]]:
    return [
        (one.name, one.default, one.kind) for one in inspect.signature(function).parameters.values()
    ]


def keywords(**defaults) -> list[tuple[str, object, object]]:
    return [(name, value, inspect.Parameter.KEYWORD_ONLY) for name, value in defaults.items()]


def joined(theirs, own) -> list[tuple[str, object, object]]:
    """Return parameters with `own` behind them, but before `**kwargs`."""
    rest = [one for one in theirs if one[2] is inspect.Parameter.VAR_KEYWORD]
    return [one for one in theirs if one not in rest] + own + rest


# fastaug's own, after Keras'.
OF_ARRAYS = keywords(masks=None, boxes=None, box_labels=None, keypoints=None, augment=True)
OF_FOLDERS = keywords(extensions=None, mask_directory=None, augment=True)
OF_FRAMES = keywords(mask_col=None, boxes_col=None, box_labels_col=None, augment=True)


def test_generator_takes_keras_parameters_and_then_keywords_of_its_own():
    theirs, ours = parameters(ImageDataGenerator), parameters(Generator)
    assert ours[: len(theirs)] == theirs
    own = ours[len(theirs) :]
    assert own
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, _, kind in own)
    assert all(default is not inspect.Parameter.empty for _, default, _ in own)


@pytest.mark.parametrize(
    "name",
    [
        "flow",
        "flow_from_directory",
        "flow_from_dataframe",
        "standardize",
        "get_random_transform",
        "apply_transform",
        "random_transform",
        "fit",
    ],
)
def test_methods_take_keras_parameters(name):
    own = {
        "flow": OF_ARRAYS,
        "flow_from_directory": OF_FOLDERS,
        "flow_from_dataframe": OF_FRAMES,
    }.get(name, [])
    theirs = parameters(getattr(ImageDataGenerator, name))
    assert parameters(getattr(Generator, name)) == joined(theirs, own)


@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        (KerasNumpyArrayIterator, OF_ARRAYS),
        (KerasDirectoryIterator, OF_FOLDERS),
        (KerasDataFrameIterator, OF_FRAMES),
    ],
)
def test_iterators_take_keras_parameters(theirs, own):
    ours = parameters(getattr(fastaug, theirs.__name__))
    assert ours == joined(parameters(theirs), own)


# Words.


def test_repr_of_a_generator_shows_what_was_changed():
    assert repr(Generator()) == "Generator()"
    assert repr(Generator(rotation_range=0, zoom_range=0.0, fill_mode="nearest")) == "Generator()"
    generator = Generator(True, rescale=1 / 4, zoom_range=[0.5, 1], workers=3)
    assert repr(generator) == (
        "Generator(featurewise_center=True, zoom_range=[0.5, 1], rescale=0.25, workers=3)"
    )
    shifts = Generator(width_shift_range=np.array([1, 2]), transforms=[transforms.QuarterTurn()])
    assert repr(shifts) == (
        "Generator(width_shift_range=array([1, 2]), transforms=(QuarterTurn(),))"
    )


def shade(image: np.ndarray) -> np.ndarray:
    return image


def test_describe_tells_the_order_of_all_steps(capsys):
    Generator(
        True,
        True,
        True,
        True,
        rotation_range=30,
        height_shift_range=0.1,
        width_shift_range=[1, 2],
        shear_range=5,
        zoom_range=0.2,
        channel_shift_range=20,
        horizontal_flip=True,
        vertical_flip=True,
        brightness_range=(0.5, 2),
        preprocessing_function=shade,
        rescale=1 / 255,
        fill_mode="constant",
        cval=7,
        transforms=[transforms.Solarize(), transforms.QuarterTurn()],
    ).describe()
    printed = capsys.readouterr().out
    in_order = [
        "1. warp",
        "QuarterTurn()",
        "rotate by up to 30 degrees",
        "height_shift_range=0.1",
        "width_shift_range=[1, 2]",
        "shear by up to 5 degrees",
        "zoom by 0.8 to 1.2",
        "fill_mode='constant', cval=7",
        "2. add one number of up to +-20",
        "3. flip left to right",
        "4. flip upside down",
        "5. multiply by a brightness from 0.5 to 2",
        "6. Solarize(",
        "7. call preprocessing_function 'shade'",
        "8. multiply by rescale=0.00392157",
        "9. subtract the image's own mean",
        "10. divide by the image's own standard deviation",
        "11. subtract the data set's mean (not yet: call fit first)",
        "12. divide by the data set's standard deviation (not yet: call fit first)",
        "13. give out as float32, channels_last",
    ]
    places = [printed.index(words) for words in in_order]
    assert all(before < behind for before, behind in pairwise(places))


def test_describe_of_a_plain_generator_is_one_step(capsys):
    Generator(dtype="uint8", data_format="channels_first").describe()
    assert capsys.readouterr().out == (
        "Each image, in this order:\n1. give out as uint8, channels_first\n"
    )


# Dtypes, and the user's array.


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8"])
@pytest.mark.parametrize("kind", ["array", "folder", "frame"])
def test_batches_have_the_dtype_that_was_asked_for(kind, dtype, folder):
    generator = Generator(dtype=dtype, workers=1, horizontal_flip=True)
    with MAKERS[kind](generator, folder, seed=3) as iterator:
        images, labels = next(iterator)[:2]
        assert images.dtype == iterator.dtype == dtype
        by_keras = ImageDataGenerator(dtype="float64", horizontal_flip=True)
        theirs, their_labels = next(MAKERS[kind](by_keras, folder, seed=3))[:2]
    assert_array_equal(images, theirs)  # whole numbers up to 255 fit all of them
    assert_array_equal(labels, their_labels)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "bool", "float32", "float64"])
def test_the_users_array_stays_as_it_is(dtype):
    images = make_images(6, *SIZE, 3, dtype)
    images.flags.writeable = False
    iterator = augmenting().flow(images, batch_size=4)
    assert np.shares_memory(iterator.x, images)
    assert iterator.x.dtype == dtype
    assert next(iterator).dtype == "float32"
    assert np.shares_memory(iterator.x, images)


def test_memory_map_stays_on_disk(tmp_path):
    np.save(tmp_path / "images.npy", make_images(6, *SIZE, 3))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    iterator = Generator(horizontal_flip=True).flow(images, batch_size=4, shuffle=False)
    assert np.shares_memory(iterator.x, images)
    assert next(iterator).shape == (4, *SIZE, 3)


def test_subset_is_a_view_of_the_users_array(arrays):
    iterator = Generator(validation_split=0.5).flow(arrays[0], subset="training")
    assert len(iterator.x) == 6
    assert np.shares_memory(iterator.x, arrays[0])


# Nothing to iterate over.


def test_no_images_is_an_iterator_of_no_batches():
    empty = np.zeros((0, *SIZE, 3))
    theirs, ours = (generator.flow(empty, np.zeros(0)) for generator in generators())
    assert len(ours) == len(theirs) == 0
    assert_same(next(ours), next(theirs))
    with pytest.raises(ValueError, match="length 0"):
        ours[0]
    ours.on_epoch_begin()
    ours.on_epoch_end()


def test_batch_larger_than_the_data_holds_all_of_it(arrays):
    iterator = Generator().flow(*arrays, batch_size=100, seed=3)
    assert len(iterator) == 1
    assert sorted(next(iterator)[1]) == list(range(COUNT))

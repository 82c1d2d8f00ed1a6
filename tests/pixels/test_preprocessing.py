"""`preprocessing_function`: modes by name, Keras' functions for them, and functions of users."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from conftest import make_images
from keras.src.legacy.preprocessing.image import ImageDataGenerator

import fastaug
from fastaug import Generator
from fastaug.pixels import batch as pipeline
from fastaug.pixels.preprocessing import MODES, call_function, fused_mode

pytestmark = [
    # Keras 3.15 takes `affine_transform` from where SciPy had it before 1.8.
    pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning"),
    # Images that are not square show Keras' quirks.
    pytest.mark.filterwarnings("ignore:as in Keras:UserWarning"),
]

COUNT, BATCH_SIZE, SEED = 7, 3, 11
NAMES = sorted(MODES)
# A module of `keras.applications` for each mode.
MODE_OF = {"vgg16": "caffe", "resnet50": "caffe", "densenet": "torch"}
MODE_OF |= {"mobilenet_v2": "tf", "xception": "tf"}
APPLICATIONS = {
    name: module.preprocess_input
    for name, module in vars(keras.applications).items()
    if hasattr(module, "preprocess_input")
}
MOVES = {"rotation_range": 60, "horizontal_flip": True, "channel_shift_range": 30.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "alone": {},
    "with moves and rescale": MOVES | {"rescale": 1 / 255},
    "float64": {"dtype": "float64"},
    "statistics": {"featurewise_center": True, "featurewise_std_normalization": True},
}


def in_format(images: np.ndarray, data_format: str) -> np.ndarray:
    first = data_format == "channels_first"
    return np.ascontiguousarray(np.moveaxis(images, -1, 1)) if first else images


def batches_of(generator: Any, images: np.ndarray) -> list[np.ndarray]:
    """Return an epoch of batches, the last one short."""
    if generator.featurewise_center:
        generator.fit(images)
    iterator = generator.flow(images, batch_size=BATCH_SIZE, seed=SEED)
    return [next(iterator) for _ in range(len(iterator))]


def assert_same_batches(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for our_batch, their_batch in zip(ours, theirs, strict=True):
        assert our_batch.dtype == their_batch.dtype
        np.testing.assert_array_equal(our_batch, their_batch)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the functions that were called, in place of what the kernels do."""
    functions: list[Any] = []

    def note(function: Any, *arguments: Any) -> None:
        functions.append(function)
        call_function(function, *arguments)

    monkeypatch.setattr(pipeline, "call_function", note)
    return functions


@pytest.fixture
def keras_format() -> Iterator[Callable[[str], None]]:
    """Call it to set Keras' `image_data_format` for this test."""
    before = keras.config.image_data_format()
    yield keras.config.set_image_data_format
    keras.config.set_image_data_format(before)


# The modes of Keras.


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", MODE_OF)
def test_mode_by_name_gives_what_keras_gives_with_its_function(name: str, options, called) -> None:
    images = make_images(COUNT, 7, 11, 3)
    theirs = ImageDataGenerator(preprocessing_function=APPLICATIONS[name], **options)
    ours = Generator(preprocessing_function=MODE_OF[name], **options)
    assert_same_batches(batches_of(ours, images), batches_of(theirs, images))
    assert called == []


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("keras_says", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", APPLICATIONS)
def test_function_of_keras_gives_what_it_gives_in_keras(
    name: str, keras_says: str, data_format: str, keras_format
) -> None:
    keras_format(keras_says)
    # Wide enough for Keras to find three "channels" in the wrong place.
    images = in_format(make_images(COUNT, 7, 11, 3), data_format)
    options = MOVES | {"preprocessing_function": APPLICATIONS[name], "data_format": data_format}
    theirs, ours = ImageDataGenerator(**options), Generator(**options)
    assert_same_batches(batches_of(ours, images), batches_of(theirs, images))


@pytest.mark.parametrize("name", MODE_OF)
def test_function_of_keras_is_done_by_the_kernels(name: str, called) -> None:
    function = APPLICATIONS[name]
    assert fused_mode(function, 3, keras.config.image_data_format()) is MODES[MODE_OF[name]]
    batches_of(Generator(preprocessing_function=function), make_images(COUNT, 7, 11, 3))
    assert called == []


@pytest.mark.parametrize("name", MODE_OF)
def test_function_that_looks_like_that_of_keras_is_called(name: str, called) -> None:
    function = APPLICATIONS[name]

    @functools.wraps(function)
    def wrapped(image: np.ndarray) -> np.ndarray:
        return function(image) + 1

    def foreign(image: np.ndarray) -> np.ndarray:
        return image * 2

    foreign.__module__, foreign.__name__ = function.__module__, function.__name__
    images = make_images(COUNT, 7, 11, 3)
    for other in (wrapped, foreign, functools.partial(function)):
        assert fused_mode(other, 3, "channels_last") is None
        called.clear()
        ours = batches_of(Generator(preprocessing_function=other), images)
        # The first batch is made image by image: does the function draw?
        assert called == [other] * (len(ours) - 1) != []
        theirs = batches_of(ImageDataGenerator(preprocessing_function=other), images)
        assert_same_batches(ours, theirs)


def test_function_of_a_module_that_is_not_loaded_is_called(monkeypatch) -> None:
    def foreign(image: np.ndarray) -> np.ndarray:
        return image

    foreign.__module__ = "keras.src.applications.vgg16"
    monkeypatch.delitem(sys.modules, foreign.__module__)
    assert fused_mode(foreign, 3, "channels_last") is None


@pytest.mark.parametrize("name", ["vgg16", "densenet"])
@pytest.mark.parametrize("keras_says", ["channels_last", "channels_first"])
def test_function_of_keras_is_called_where_it_looks_for_channels_elsewhere(
    keras_says: str, name: str, called, keras_format
) -> None:
    function, images = APPLICATIONS[name], make_images(COUNT, 7, 11, 3)
    keras_format(keras_says)
    for data_format in ("channels_last", "channels_first"):
        called.clear()
        generator = Generator(preprocessing_function=function, data_format=data_format)
        batches_of(generator, in_format(images, data_format))
        assert bool(called) == (data_format != keras_says)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("mode", NAMES)
def test_mode_by_name_knows_where_the_channels_are(mode: str, data_format: str) -> None:
    images = make_images(COUNT, 7, 11, 3)
    last = Generator(preprocessing_function=mode, data_format="channels_last")
    found = Generator(preprocessing_function=mode, data_format=data_format)
    expected = [in_format(batch, data_format) for batch in batches_of(last, images)]
    assert_same_batches(batches_of(found, in_format(images, data_format)), expected)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("mode", ["caffe", "torch"])
def test_mode_for_colours_is_refused_for_other_images_by_its_name(mode: str, channels: int) -> None:
    generator = Generator(preprocessing_function=mode)
    message = f"'{mode}' needs images of 3 channels; these have {channels}"
    with pytest.raises(ValueError, match=message):
        batches_of(generator, make_images(COUNT, 7, 11, channels))
    with pytest.raises(ValueError, match=message):
        generator.standardize(make_images(1, 7, 11, channels, "float32")[0])


@pytest.mark.parametrize("channels", [1, 4])
def test_mode_for_any_image_takes_any_number_of_channels(channels: int) -> None:
    images = make_images(COUNT, 7, 11, channels)
    theirs = ImageDataGenerator(preprocessing_function=APPLICATIONS["xception"])
    ours = Generator(preprocessing_function="tf")
    assert_same_batches(batches_of(ours, images), batches_of(theirs, images))


@pytest.mark.parametrize("name", MODE_OF)
def test_function_of_keras_does_with_other_channels_what_it_does_in_keras(name: str) -> None:
    options = {"preprocessing_function": APPLICATIONS[name]}
    theirs, ours = ImageDataGenerator(**options), Generator(**options)
    images = make_images(COUNT, 7, 11, 4)
    assert_same_batches(batches_of(ours, images), batches_of(theirs, images))
    gray = make_images(COUNT, 7, 11, 1)
    if MODE_OF[name] == "tf":
        assert_same_batches(batches_of(ours, gray), batches_of(theirs, gray))
        return
    for generator in (theirs, ours):
        with pytest.raises(IndexError):
            batches_of(generator, gray)


@pytest.mark.parametrize("mode", ["pytorch", "TF", ""])
def test_unknown_mode_is_refused_with_those_that_are_known(mode: str) -> None:
    with pytest.raises(ValueError, match=f"one of 'tf', 'caffe', 'torch', not {mode!r}"):
        Generator(preprocessing_function=mode)


@pytest.mark.parametrize("function", [5, ["caffe"], b"tf"])
def test_what_is_no_function_is_refused_with_what_would_do(function: Any) -> None:
    with pytest.raises(TypeError, match="one of 'tf', 'caffe', 'torch', not"):
        Generator(preprocessing_function=function)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("mode", NAMES)
def test_standardize_does_what_a_batch_gets(mode: str, data_format: str) -> None:
    images = in_format(make_images(COUNT, 7, 11, 3, "float32"), data_format)
    generator = Generator(preprocessing_function=mode, rescale=1 / 3, data_format=data_format)
    batch = next(generator.flow(images, batch_size=COUNT, shuffle=False))
    np.testing.assert_array_equal(generator.standardize(images.copy()), batch)
    for image, expected in zip(images, batch, strict=True):
        np.testing.assert_array_equal(generator.standardize(image.copy()), expected)


def test_generator_tells_its_mode(capsys: pytest.CaptureFixture[str]) -> None:
    generator = Generator(preprocessing_function="caffe")
    assert repr(generator) == "Generator(preprocessing_function='caffe')"
    generator.describe()
    assert "mode 'caffe' of keras.applications" in capsys.readouterr().out


# Functions of the user.


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_function_gets_one_image_at_a_time_in_order(data_format: str) -> None:
    given: list[np.ndarray] = []

    def note(image: np.ndarray) -> np.ndarray:
        given.append(image.copy())
        return image

    images = in_format(make_images(COUNT, 7, 11, 3), data_format)
    generator = Generator(preprocessing_function=note, data_format=data_format, read_ahead=0)
    batches = batches_of(generator, images)
    assert {image.dtype.name for image in given} == {"float32"}
    np.testing.assert_array_equal(given, np.concatenate(batches))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8"])
def test_batched_function_gets_a_batch_at_a_time(dtype: str, data_format: str) -> None:
    given: list[np.ndarray] = []

    @fastaug.batched
    def note(images: np.ndarray) -> np.ndarray:
        given.append(images.copy())
        return 255 - images

    images = in_format(make_images(COUNT, 7, 11, 3, "float32"), data_format)
    generator = Generator(
        preprocessing_function=note, data_format=data_format, dtype=dtype, read_ahead=0
    )
    batches = batches_of(generator, images)
    assert [len(one) for one in given] == [BATCH_SIZE, BATCH_SIZE, COUNT % BATCH_SIZE]
    for one, batch in zip(given, batches, strict=True):
        assert one.dtype == ("float64" if dtype == "float64" else "float32")
        assert batch.dtype == dtype
        np.testing.assert_array_equal(batch, 255 - one)


@pytest.mark.parametrize("name", MODE_OF)
def test_batched_function_of_keras_gives_what_the_kernels_give(name: str, called) -> None:
    images, function = make_images(COUNT, 7, 11, 3), fastaug.batched(APPLICATIONS[name])
    batches = batches_of(Generator(preprocessing_function=function, **MOVES), images)
    assert called == [function] * len(batches)
    by_name = Generator(preprocessing_function=MODE_OF[name], **MOVES)
    assert_same_batches(batches, batches_of(by_name, images))


@pytest.mark.parametrize(
    "function",
    [
        lambda images: images[..., ::-1],
        lambda images: np.flip(images, (-3, -2)),
        lambda images: images.astype(np.float64),
        lambda images: images.astype(np.int16).tolist(),
        lambda images: np.multiply(images, 2, out=images),
        lambda images: images[..., :1],
    ],
    ids=["mirrored", "turned", "float64", "list", "in place", "one channel"],
)
@pytest.mark.parametrize("batched", [False, True])
def test_function_may_return_numbers_of_any_kind(batched: bool, function) -> None:
    # A view of what it got is copied onto itself.
    images = make_images(COUNT, 7, 11, 3, "float32")
    ours = Generator(preprocessing_function=fastaug.batched(function) if batched else function)
    theirs = ImageDataGenerator(preprocessing_function=function)
    assert_same_batches(batches_of(ours, images), batches_of(theirs, images))


def test_function_may_keep_what_it_gets() -> None:
    kept: list[np.ndarray] = []

    def keep(image: np.ndarray) -> np.ndarray:
        kept.append(image)
        return image

    # A batch of float32 is on its way to one of uint8.
    images = make_images(40, 7, 11, 3)
    generator = Generator(preprocessing_function=keep, dtype="uint8")
    with generator.flow(images, batch_size=4, shuffle=False) as iterator:
        for _ in range(10):
            next(iterator)
        first = kept[:40]
        for _ in range(10):
            next(iterator)
    np.testing.assert_array_equal(first, images)


def stop(images: np.ndarray) -> np.ndarray:
    raise StopIteration


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda images: None, ValueError, "returned .*None.*; it must return an array of numbers"),
        (lambda images: "words", ValueError, "returned .*words.*; it must return an array"),
        (lambda images: images.astype(complex), ValueError, "returned .*; it must return an array"),
        (lambda images: images[:-1], ValueError, r"returned shape .*; it must return .*7, 11, 3\)"),
        (lambda images: images.mean(), ValueError, r"returned shape \(\); it must return"),
        (lambda images: images[..., :2], ValueError, r"returned shape .* 2\); it must return"),
        (stop, RuntimeError, "raised StopIteration"),
    ],
    ids=["nothing", "words", "complex", "too few", "a number", "two channels", "StopIteration"],
)
def test_wrong_result_is_told_with_the_function_and_the_images(function, error, message) -> None:
    function.__name__ = "prepare"
    images = make_images(BATCH_SIZE, 7, 11, 3)
    for what, given in {
        "sample 0": function,
        "a batch of 3 images": fastaug.batched(function),
    }.items():
        generator = Generator(preprocessing_function=given)
        iterator = generator.flow(images, batch_size=BATCH_SIZE, shuffle=False)
        expected = f"(?s)preprocessing_function 'prepare', called on {what}, {message}"
        with pytest.raises(error, match=expected):
            next(iterator)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes came with Python 3.11")
def test_error_of_a_function_is_raised_as_it_is_with_a_note() -> None:
    def prepare(images: np.ndarray) -> np.ndarray:
        raise OSError("the disk is full")

    images = make_images(BATCH_SIZE, 7, 11, 3)
    for what, function in {
        "sample 0": prepare,
        "a batch of 3 images": fastaug.batched(prepare),
    }.items():
        generator = Generator(preprocessing_function=function)
        iterator = generator.flow(images, batch_size=BATCH_SIZE, shuffle=False)
        with pytest.raises(OSError, match="the disk is full") as caught:
            next(iterator)
        note = f"raised by preprocessing_function 'prepare', called on {what}"
        assert caught.value.__notes__ == [note]


def test_batched_function_is_still_that_function() -> None:
    @fastaug.batched
    def centre(images: np.ndarray) -> np.ndarray:
        """Centre them."""
        return images - 1

    assert centre.__name__ == "centre"
    assert centre.__doc__ == "Centre them."
    assert repr(centre) == "batched(centre)"
    assert centre(np.ones(3)).tolist() == [0, 0, 0]
    assert repr(Generator(preprocessing_function=centre)) == (
        "Generator(preprocessing_function=batched(centre))"
    )
    assert repr(fastaug.batched(functools.partial(np.add, 1))).startswith("batched(functools.part")


@pytest.mark.parametrize("function", [None, "caffe", 3])
def test_only_functions_can_be_batched(function: Any) -> None:
    with pytest.raises(TypeError, match=f"not {function!r}"):
        fastaug.batched(function)


def test_batched_imports_neither_keras_nor_numba() -> None:
    code = "import fastaug, sys; fastaug.batched(len); print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"keras", "numba", "tensorflow", "jax", "torch"} & set(loaded)


def test_batched_function_standardizes_a_lone_image_as_a_batch_of_one() -> None:
    shapes: list[tuple[int, ...]] = []

    @fastaug.batched
    def note(images: np.ndarray) -> np.ndarray:
        shapes.append(images.shape)
        return images * 2

    image = make_images(1, 5, 7, 3, "float32")[0]
    ours = Generator(preprocessing_function=note).standardize(image.copy())
    assert shapes == [(1, 5, 7, 3)]
    np.testing.assert_array_equal(ours, image * 2)


def test_mode_by_name_standardizes_whole_numbers_like_floats() -> None:
    image = make_images(1, 5, 7, 3)[0]
    generator = Generator(preprocessing_function="tf")
    expected = generator.standardize(image.astype(np.float32))
    np.testing.assert_array_equal(generator.standardize(image), expected)
    assert image.dtype == np.uint8


def test_function_that_returns_nothing_is_told_so() -> None:
    iterator = Generator(preprocessing_function=lambda image: None).flow(make_images(2, 5, 5, 3))
    with pytest.raises(ValueError, match="returned None; it must return an array of numbers"):
        next(iterator)

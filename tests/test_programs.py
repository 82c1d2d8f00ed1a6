"""What people's own code does with a generator or an iterator: as in Keras, or an error."""

from __future__ import annotations

import logging
import random
import time
import warnings

import numpy as np
import pytest
from conftest import make_images
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.testing import assert_array_equal

import fastaug
from fastaug import Generator

pytestmark = [
    pytest.mark.filterwarnings("ignore:as in Keras, "),  # quirks
    pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning"),
]

OPTIONS = {
    "rotation_range": 30,
    "width_shift_range": 0.2,
    "height_shift_range": [1, 2],
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "channel_shift_range": 20,
    "rescale": 1 / 255,
}
IMAGES, LABELS = make_images(11, 9, 7, 3), np.arange(11)


def noisy(image):
    """Draw from NumPy's global state."""
    return image + np.random.normal(0, 9, image.shape)


def sometimes_noisy(image):
    """Draw for one image in about three."""
    return image + np.random.normal(0, 9) if image.mean() > 130 else image


def quiet(image):
    """Draw nothing."""
    return image * 0.5


def first_batches(generator, count=7, **options):
    """Return what `next` gives for the same images."""
    flow = generator.flow(IMAGES, LABELS, batch_size=4, **{"seed": 1} | options)
    try:
        return [next(flow) for _ in range(count)]
    finally:
        if hasattr(flow, "close"):
            flow.close()


def assert_same_batches(ours, theirs):
    """Compare (images, labels) to the last bit."""
    assert len(ours) == len(theirs)
    for (images, labels), (expected, their_labels) in zip(ours, theirs, strict=True):
        assert_array_equal(images, expected)
        assert_array_equal(labels, their_labels)


def states():
    """Return the global random states."""
    name, keys, *rest = np.random.get_state()
    return name, keys.tolist(), rest, random.getstate()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("function", [noisy, quiet])
def test_function_gets_the_numbers_that_it_gets_in_keras(function, shuffle):
    options = OPTIONS | {"preprocessing_function": function}
    before = states()
    ours = first_batches(Generator(**options), shuffle=shuffle)
    assert states() == before
    theirs = first_batches(ImageDataGenerator(**options), shuffle=shuffle)
    assert_same_batches(ours, theirs)


@pytest.mark.parametrize("seed", range(4))
def test_function_that_draws_for_some_images_gets_them_too(seed):
    options = OPTIONS | {"preprocessing_function": sometimes_noisy}
    ours = first_batches(Generator(**options), seed=seed)
    assert_same_batches(ours, first_batches(ImageDataGenerator(**options), seed=seed))


def late(calls):
    """Return a function that begins to draw with its tenth call."""

    def function(image):
        calls.append(1)
        return image + np.random.normal() if len(calls) >= 10 else image

    return function


def test_function_that_draws_late_is_noticed_and_the_global_state_repeats():
    ours = first_batches(Generator(preprocessing_function=late([])), 3)
    again = first_batches(Generator(preprocessing_function=late([])), 3)
    assert_same_batches(ours[:2], again[:2])


def test_pythons_random_repeats_with_the_seed():
    def function(image):
        return image + random.random()

    options = {"preprocessing_function": function}
    before = states()
    once, again = first_batches(Generator(**options)), first_batches(Generator(**options))
    assert_same_batches(once, again)
    assert states() == before


def test_images_and_masks_stay_in_step_though_one_function_crops_at_random():
    def crop(image):
        top = np.random.randint(0, 3)
        return np.roll(image, top, 0)

    pairs = [Generator(preprocessing_function=crop, horizontal_flip=True) for _ in range(2)]
    images, masks = (first_batches(generator, 10, seed=5) for generator in pairs)
    assert_same_batches(images, masks)


@pytest.mark.parametrize("function", [noisy, quiet])
def test_function_is_called_once_for_each_image(function):
    calls = []

    def counted(image):
        calls.append(1)
        return function(image)

    with Generator(preprocessing_function=counted, read_ahead=0).flow(
        IMAGES, batch_size=4, seed=1
    ) as flow:
        for _ in range(6):
            next(flow)
    assert len(calls) == 22


class Overriding:
    """What subclasses replace; mixed into Keras' class and into ours."""

    def get_random_transform(self, img_shape, seed=None):
        parameters = super().get_random_transform(img_shape, seed)
        parameters["theta"] = np.random.choice([0, 90])
        parameters["another"] = 3
        return parameters


class Transforming:
    def apply_transform(self, x, transform_parameters):
        x = super().apply_transform(x, transform_parameters)
        return x + np.random.uniform(-5, 5)


class Standardizing:
    def standardize(self, x):
        x = super().standardize(x)
        return x - np.random.random()


OVERRIDES = {
    "draw": (Overriding,),
    "transform": (Transforming,),
    "standardize": (Standardizing,),
    "all": (Standardizing, Transforming, Overriding),
}


@pytest.mark.filterwarnings("ignore:transform_parameters holds unknown names")
@pytest.mark.parametrize("kinds", OVERRIDES.values(), ids=OVERRIDES)
@pytest.mark.parametrize("function", [None, noisy], ids=["plain", "function"])
def test_subclass_of_a_generator_gives_what_it_gives_in_keras(kinds, function, caplog):
    options = OPTIONS | {"preprocessing_function": function}
    ours, theirs = (type("Own", (*kinds, base), {}) for base in (Generator, ImageDataGenerator))
    before = states()
    with caplog.at_level(logging.INFO, "fastaug"):
        batches = first_batches(ours(**options))
    assert states() == before
    for kind in kinds:
        (name,) = [name for name in vars(kind) if not name.startswith("__")]
        assert name in caplog.text
    assert_same_batches(batches, first_batches(theirs(**options)))


def test_method_set_on_an_instance_later_counts_from_the_next_batch_on():
    results = []
    for kind in (Generator, ImageDataGenerator):
        generator = kind(**OPTIONS)
        flow = generator.flow(IMAGES, LABELS, batch_size=4, seed=1)
        batches = [next(flow)]
        generator.standardize = lambda image: image * 0 + 7
        batches.append(next(flow))
        results.append(batches)
    assert_same_batches(*results)
    assert (results[0][1][0] == 7).all()


def test_random_transform_is_not_called_for_batches_and_that_is_said():
    class Own(Generator):
        def random_transform(self, x, seed=None):
            raise AssertionError

    with pytest.warns(UserWarning, match="random_transform is not called"):
        first_batches(Own(**OPTIONS), 1)


@pytest.mark.filterwarnings("ignore:transform_parameters holds unknown names")
@pytest.mark.parametrize("kinds", OVERRIDES.values(), ids=OVERRIDES)
def test_fit_augments_by_the_users_methods(kinds):
    options = {"featurewise_center": True, "rotation_range": 20}
    means = []
    for base in (Generator, ImageDataGenerator):
        generator = type("Own", (*kinds, base), {})(**options)
        generator.fit(IMAGES, augment=True, rounds=2, seed=3)
        means.append(generator.mean)
    np.testing.assert_allclose(*means, rtol=1e-6)


def test_method_that_returns_no_image_is_named():
    class Own(Generator):
        def standardize(self, x):
            return None

    with pytest.raises(ValueError, match=r"standardize\(\.\.\.\) of your generator"):
        first_batches(Own(), 1)


def test_unknown_parameters_are_ignored_with_one_warning():
    image = IMAGES[0].astype("float32")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            result = Generator().apply_transform(image, {"theta": 20, "wholly_unknown": 1})
    assert [str(one.message).count("wholly_unknown") for one in said] == [1]
    assert_array_equal(result, ImageDataGenerator().apply_transform(image, {"theta": 20}))


def own_iterator(base):
    """Return a subclass of an iterator that mixes pairs of a batch."""

    class Mixing(base):
        def _get_batches_of_transformed_samples(self, index_array):
            images, labels = super()._get_batches_of_transformed_samples(index_array)
            share = np.random.beta(0.2, 0.2)
            return share * images + (1 - share) * images[::-1], labels

    return Mixing


def test_subclass_of_an_iterator_gives_what_it_gives_in_keras():
    from keras.src.legacy.preprocessing.image import NumpyArrayIterator

    results = []
    before = states()
    for kind, base in (
        (Generator, fastaug.NumpyArrayIterator),
        (ImageDataGenerator, NumpyArrayIterator),
    ):
        flow = own_iterator(base)(
            IMAGES, LABELS, kind(**OPTIONS), batch_size=4, shuffle=True, seed=1
        )
        results.append([next(flow) for _ in range(6)])
        if kind is Generator:
            assert states() == before
    assert_same_batches(*results)


def test_rows_of_the_index_generator_under_the_lock_give_the_batch_of_keras():
    results = []
    for kind in (Generator, ImageDataGenerator):
        flow = kind(**OPTIONS).flow(IMAGES, LABELS, batch_size=4, seed=1)
        batches = []
        for _ in range(5):
            with flow.lock:
                rows = next(flow.index_generator)
            batches.append(flow._get_batches_of_transformed_samples(rows))
        results.append(batches)
    assert_same_batches(*results)


def test_rows_of_ones_own_are_augmented_from_numpys_global_state():
    results = []
    for kind in (Generator, ImageDataGenerator):
        flow = kind(**OPTIONS).flow(IMAGES, LABELS, batch_size=4, seed=1)
        np.random.seed(7)
        results.append([flow._get_batches_of_transformed_samples(np.array([3, 3, 8]))])
        results[-1].append((np.random.random(2), 0))
    assert_same_batches(*results)


def test_own_flow_index_says_which_rows_come_next():
    from keras.src.legacy.preprocessing.image import NumpyArrayIterator

    results = []
    for kind, base in (
        (Generator, fastaug.NumpyArrayIterator),
        (ImageDataGenerator, NumpyArrayIterator),
    ):

        class Balanced(base):
            def _flow_index(self):
                while True:
                    np.random.seed(3)
                    yield np.random.randint(0, self.n, self.batch_size)

        flow = Balanced(IMAGES, LABELS, kind(**OPTIONS), batch_size=4, seed=1)
        results.append([next(flow) for _ in range(3)])
    assert_same_batches(*results)


def test_labels_are_those_of_when_a_batch_is_given_out(tmp_path):
    flow = Generator().flow(IMAGES, LABELS.copy(), batch_size=4, shuffle=False, seed=1)
    next(flow)
    flow.y = flow.y + 100
    assert_array_equal(next(flow)[1], [104, 105, 106, 107])
    flow.y[8:] = 7
    assert_array_equal(next(flow)[1], [7, 7, 7])


# Attributes of an iterator.


@pytest.fixture
def folder(tmp_path):
    """Three class folders of PNG files, 11 in all, of different sizes."""
    from PIL import Image

    for number, image in enumerate(IMAGES):
        place = tmp_path / "abc"[number % 3]
        place.mkdir(exist_ok=True)
        picture = Image.fromarray(image).resize((9 + number, 12))
        picture.save(place / f"{number:02}.png")
    return tmp_path


def _of_classes(flow):
    flow.classes = np.minimum(flow.classes, 1)


def _of_classes_in_place(flow):
    flow.classes[:] = 2


def _of_class_mode(flow):
    flow.class_mode = "sparse"


def _of_no_class_mode(flow):
    flow.class_mode = None


def _of_class_indices(flow):
    flow.class_indices["another"] = 3


def _of_paths(flow):
    flow._filepaths = flow._filepaths[::-1]


def _of_a_path_in_place(flow):
    flow._filepaths[3], flow._filepaths[5] = flow._filepaths[5], flow._filepaths[3]


def _of_size(flow):
    flow.target_size = (6, 7)
    flow.image_shape = (6, 7, 3)


def _of_shape_first(flow):
    flow.image_shape = (6, 7, 3)
    flow.target_size = (6, 7)


def _of_colour(flow):
    flow.color_mode = "rgba"
    flow.image_shape = (8, 9, 4)


def _of_interpolation(flow):
    flow.interpolation = "bilinear"


def _of_aspect(flow):
    flow.keep_aspect_ratio = True


def _of_dtype(flow):
    flow.dtype = "float64"


CHANGES = [value for name, value in list(globals().items()) if name.startswith("_of_")]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__[4:])
@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 2}, {"cache": "memory"}], ids=str)
def test_what_is_set_on_an_iterator_over_files_counts_from_the_next_batch_on(
    change, options, folder
):
    results = []
    for kind, own in ((Generator, options), (ImageDataGenerator, {})):
        generator = kind(horizontal_flip=True, rescale=1 / 255, **own)
        flow = generator.flow_from_directory(str(folder), (8, 9), batch_size=4, seed=1)
        batches = [next(flow), next(flow)]
        time.sleep(0.01)  # so that others are made ahead
        batches.append(next(flow))
        change(flow)
        batches += [next(flow) for _ in range(4)]
        results.append(batches)
        if kind is Generator:
            flow.close()
    for ours, theirs in zip(*results, strict=True):
        for one, other in zip(
            ours if isinstance(ours, tuple) else [ours],
            theirs if isinstance(theirs, tuple) else [theirs],
            strict=True,
        ):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_shape_that_does_not_fit_the_target_is_named(folder):
    with Generator().flow_from_directory(folder, (8, 9)) as flow:
        flow.image_shape = (3, 3, 3)
        with pytest.raises(ValueError, match=r"image_shape=.*target_size"):
            next(flow)


def test_images_that_are_set_come_with_their_labels():
    flow = Generator().flow(IMAGES, LABELS, batch_size=4, shuffle=False, seed=1)
    next(flow)
    flow.x = np.zeros_like(IMAGES)
    flow.y = flow.y + 100
    images, labels = next(flow)
    assert not images.any()
    assert_array_equal(labels, [104, 105, 106, 107])
    flow.x[:] = 5
    assert (next(flow)[0] == 5).all()
    with pytest.raises(ValueError, match="x holds 3 images for 11 samples"):
        flow.x = IMAGES[:3]


def test_number_of_samples_can_be_made_smaller():
    flow = Generator().flow(IMAGES, LABELS, batch_size=4, shuffle=False, seed=1)
    flow.n = 6
    assert len(flow) == 2
    assert [len(next(flow)[0]) for _ in range(4)] == [4, 2, 4, 2]
    with pytest.raises(ValueError, match="n=12 is out of range"):
        flow.n = 12


def test_pictures_are_saved_from_when_the_folder_is_set(tmp_path):
    flow = Generator().flow(IMAGES, batch_size=4, seed=1)
    next(flow)
    flow.save_to_dir, flow.save_prefix, flow.save_format = tmp_path, "p", "bmp"
    next(flow)
    assert len(list(tmp_path.glob("p_*.bmp"))) == 4


def test_order_that_is_set_is_that_of_the_pass():
    flow = Generator().flow(IMAGES, LABELS, batch_size=4, seed=1)
    order = np.arange(11)[::-1]
    flow.index_array = order
    labels = np.concatenate([flow[i][1] for i in range(3)])
    assert_array_equal(labels, order)
    assert_array_equal(flow.index_array, order)
    with pytest.raises(ValueError, match="index_array must hold row numbers"):
        flow.index_array = [0, 11]


def test_set_index_array_draws_an_order_from_numpys_global_state():
    results = []
    for kind in (Generator, ImageDataGenerator):
        flow = kind().flow(IMAGES, LABELS, batch_size=4, seed=1)
        np.random.seed(4)
        flow._set_index_array()
        results.append(np.concatenate([flow[i][1] for i in range(3)]))
    assert_array_equal(*results)


@pytest.mark.parametrize("property_name", ["labels", "sample_weight", "filepaths"])
def test_properties_of_a_subclass_count(property_name, folder):
    from keras.src.legacy.preprocessing.image import DirectoryIterator

    results = []
    for generator, base in (
        (Generator(workers=0), fastaug.DirectoryIterator),
        (ImageDataGenerator(), DirectoryIterator),
    ):

        def value(self):
            if property_name == "filepaths":
                return self._filepaths[::-1]
            return np.arange(11)

        own = type("Own", (base,), {property_name: property(value)})
        flow = own(str(folder), generator, (8, 9), batch_size=4, seed=1)
        results.append([next(flow) for _ in range(3)])
    for ours, theirs in zip(*results, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert_array_equal(one, other)


def test_preview_shows_what_a_function_that_draws_gives(tmp_path):
    generator = Generator(preprocessing_function=noisy)
    before = states()
    preview = generator.preview(IMAGES, n=4, batch_size=4, seed=1)
    assert states() == before
    assert_array_equal(preview.batch, first_batches(generator, 1)[0][0])


def test_preview_refuses_methods_of_the_users():
    class Own(Generator):
        def standardize(self, x):
            return x

    with pytest.raises(ValueError, match="can't show what standardize"):
        Own().preview(IMAGES)

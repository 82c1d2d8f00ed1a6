"""Options: a field and a check each, in the constructor and whenever one is changed."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import fields

import numpy as np
import pytest
from conftest import make_images
from PIL import Image

import fastaug
from fastaug import Generator
from fastaug.settings import Settings
from fastaug.transforms import QuarterTurn, Solarize

IMAGES = make_images(4, 8, 11, 3)

# A wrong value for each option that has a check, and what the error must name.
WRONG = {
    "featurewise_center": ("yes", "neither True nor False"),
    "samplewise_center": (2, "neither True nor False"),
    "featurewise_std_normalization": ([], "neither True nor False"),
    "samplewise_std_normalization": ("no", "neither True nor False"),
    "zca_whitening": ("yes", "neither True nor False"),
    "zca_epsilon": (-1, "below the smallest"),
    "rotation_range": ("a", "must be a number"),
    "width_shift_range": ("a", "must be a number"),
    "height_shift_range": ([[1]], "flat list"),
    "brightness_range": ([1, 2, 3], "two floats"),
    "shear_range": (float("nan"), "not finite"),
    "zoom_range": ([1, 2, 3], "two floats"),
    "channel_shift_range": ([1], "must be a number"),
    "fill_mode": ("mirror", "'constant', 'nearest', 'reflect', 'wrap'"),
    "cval": ("0", "must be a number"),
    "horizontal_flip": ("left", "neither True nor False"),
    "vertical_flip": (3, "neither True nor False"),
    "rescale": ("1/255", "must be a number"),
    "preprocessing_function": ("vgg", "'tf', 'caffe', 'torch'"),
    "data_format": ("channels_middle", "channels_last"),
    "interpolation_order": (6, "from 0 to 5"),
    "dtype": ("int8", "'float16', 'float32', 'float64', 'uint8'"),
    "workers": (-1, "out of range"),
    "threads": (0, "out of range"),
    "read_ahead": (1.5, "must be an integer"),
    "timeout": (0, "above 0 seconds"),
    "on_error": ("ignore", "'raise', 'skip'"),
    "decode": ("slow", "'exact', 'fast'"),
    "exif_transpose": ("yes", "neither True nor False"),
    "scale_16bit": ("yes", "neither True nor False"),
    "cache": (3, "'memory'"),
    "cache_bytes": (0, "out of range"),
    "keras_quirks": ("some", "neither True nor False"),
    "transforms": ([QuarterTurn], "is a class"),
    "bounding_box_format": ("coco", "'xyxy', 'yxyx', 'xywh'"),
    "max_boxes": (0, "out of range"),
    "min_visibility": (-1, "must be from 0 to 1"),
    "min_area": ("1", "must be a number"),
    "mask_fill": ("ignore", "must be a number"),
    "erase_masks": ("yes", "neither True nor False"),
    "flip_pairs": ([1], "pairs of point numbers"),
}


def test_every_option_has_a_check():
    assert {option.name for option in fields(Settings)} == WRONG.keys()
    assert all("check" in option.metadata for option in fields(Settings))


def test_generator_takes_what_settings_take():
    assert inspect.signature(Generator) == inspect.signature(Settings)
    assert issubclass(Generator, Settings)
    # Verbs only: what it keeps, it has from the settings.
    assert vars(Generator()).keys() == vars(Settings()).keys()


@pytest.mark.parametrize("option", WRONG)
def test_option_is_checked_by_the_constructor(option):
    value, says = WRONG[option]
    with pytest.raises((ValueError, TypeError), match=says) as caught:
        Generator(**{option: value})
    assert option in str(caught.value)


@pytest.mark.parametrize("option", WRONG)
def test_option_that_is_changed_is_checked_before_the_next_batch(option):
    value, says = WRONG[option]
    generator = Generator()
    with generator.flow(IMAGES, batch_size=2, seed=1) as batches:
        next(batches)
        setattr(generator, option, value)
        for _ in range(2):  # it stays wrong until it is mended
            with pytest.raises((ValueError, TypeError), match=says) as caught:
                next(batches)
            assert option in str(caught.value)
        setattr(generator, option, getattr(Generator(), option))
        next(batches)


@pytest.mark.parametrize(
    "use",
    [
        lambda generator: generator.get_random_transform((8, 11, 3)),
        lambda generator: generator.random_transform(IMAGES[0]),
        lambda generator: generator.apply_transform(IMAGES[0], {}),
        lambda generator: generator.standardize(IMAGES[0].astype(np.float32)),
        lambda generator: generator.fit(IMAGES, augment=True),
        lambda generator: generator.describe(),
        lambda generator: generator.preview(IMAGES),
        lambda generator: generator.flow(IMAGES),
    ],
)
def test_option_that_is_changed_is_checked_whatever_is_done_next(use):
    generator = Generator()
    generator.fill_mode = "mirror"
    with pytest.raises(ValueError, match="fill_mode='mirror' is not one of 'constant', 'nearest'"):
        use(generator)


def test_change_takes_effect_with_the_next_batch():
    generator = Generator()
    with generator.flow(IMAGES, batch_size=4, shuffle=False, seed=1) as batches:
        np.testing.assert_array_equal(next(batches), IMAGES)
        generator.rescale = 1 / 4
        np.testing.assert_array_equal(next(batches), IMAGES / np.float32(4))
        generator.transforms = [Solarize(0, probability=1.0)]
        np.testing.assert_array_equal(next(batches), (255.0 - IMAGES) / np.float32(4))
        generator.zoom_range = 0.0  # as the constructor takes it
        next(batches)
        assert generator.zoom_range == [1.0, 1.0]


def test_repr_shows_what_is():
    generator = Generator(zoom_range=0.25, validation_split=0.2, pool=0)
    assert repr(generator) == (
        "Generator(zoom_range=[0.75, 1.25], validation_split=0.2, workers=0)"
    )
    generator.rotation_range = 45
    generator.zoom_range = 0.0
    assert repr(generator) == "Generator(rotation_range=45, validation_split=0.2, workers=0)"


def test_repr_makes_an_equal_generator():
    given = {"featurewise_std_normalization": True, "zoom_range": 0.2, "dtype": "float64"}
    with pytest.warns(UserWarning, match="overrides setting of `featurewise_center`"):
        generator = Generator(width_shift_range=[1, 2], transforms=[Solarize()], **given)
    names = {"Generator": Generator, "Solarize": Solarize}
    again = eval(repr(generator), names)
    assert repr(again) == repr(generator)
    assert again.changed() == generator.changed()


def test_title_of_a_preview_shows_what_is(monkeypatch):
    titles = []

    def draw(title, notes, pairs):
        titles.append(title)
        return Image.new("RGB", (3, 3))

    monkeypatch.setattr("fastaug.preview.preview.draw_sheet", draw)
    generator = Generator()
    generator.horizontal_flip = True
    generator.preview(IMAGES)
    assert titles == ["Generator(horizontal_flip=True)"]


def test_arguments_that_end_elsewhere_are_no_attributes():
    generator = Generator(validation_split=0.2, pool=1)
    for name in ("validation_split", "pool", "dim_ordering"):
        assert not hasattr(generator, name)


def test_copies_are_independent():
    generator = Generator(rescale=1 / 255)
    other = copy.copy(generator)
    other.fill_mode = "wrap"
    assert (generator.fill_mode, other.fill_mode) == ("nearest", "wrap")
    again = pickle.loads(pickle.dumps(Generator(rotation_range=3)))
    assert repr(again) == "Generator(rotation_range=3)"


def test_iterator_without_a_generator_follows_the_defaults():
    alone = fastaug.NumpyArrayIterator(IMAGES, None, None, batch_size=4, seed=1)
    with alone, Generator().flow(IMAGES, batch_size=4, shuffle=False, seed=1) as batches:
        np.testing.assert_array_equal(next(alone), next(batches))
    assert alone.image_data_generator is None


def test_another_generator_may_take_over_an_iterator():
    with Generator().flow(IMAGES, batch_size=4, shuffle=False, seed=1) as batches:
        next(batches)
        batches.image_data_generator = Generator(rescale=2.0)
        np.testing.assert_array_equal(next(batches), IMAGES * np.float32(2))

"""One draw as data: everything that follows a draw reads the same numbers."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import make_images
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fastaug import Generator
from fastaug.transforms import Pull, QuarterTurn, Solarize, Steps
from fastaug.transforms.base import in_sequence, no_steps
from fastaug.transforms.geometry import is_affine, positions, still
from fastaug.transforms.streams import Streams, batch_stream

IMAGES = make_images(6, 9, 9, 3)
STUDY = {"rotation_range": 40, "zoom_range": 0.2, "horizontal_flip": True, "vertical_flip": True}
VALUES = {"channel_shift_range": 20, "brightness_range": (0.5, 1.5)}


def draw(generator: Generator, count: int = 6, seed: int = 3) -> Any:
    return generator.policy().draw(Streams(batch_stream(seed, 0), seed, 0), count, (9, 9))


# Two of a class.


def test_two_transforms_of_one_class_have_two_streams():
    drawn = draw(Generator(transforms=[Solarize(0), Solarize(0)]), count=200)
    first, second = (chosen.applied for chosen in drawn.numbers.values())
    assert list(drawn.numbers) == ["Solarize", "Solarize 2"]
    assert 50 < np.count_nonzero(first != second) < 150


def test_two_inversions_do_not_cancel_each_other():
    both = Generator(transforms=[Solarize(0), Solarize(0)])
    images = make_images(64, 5, 7, 3)
    batch = next(both.flow(images, batch_size=64, shuffle=False, seed=1))
    changed = np.any(batch != images, axis=(1, 2, 3))
    assert 16 < np.count_nonzero(changed) < 48  # exactly one of the two, by half


def test_adding_a_transform_changes_no_others_numbers():
    one = draw(Generator(transforms=[Solarize()], **STUDY))
    more = draw(Generator(transforms=[QuarterTurn(), Solarize(), Solarize(3)], **STUDY))
    first, second = one.numbers["Solarize"], more.numbers["Solarize"]
    np.testing.assert_array_equal(first.applied, second.applied)
    for i in range(6):
        assert one.keras.parameters(i) == more.keras.parameters(i)


# One draw for all who ask.


def test_get_random_transform_tells_what_random_transform_does():
    generator = Generator(transforms=[QuarterTurn(), Solarize(90), Solarize(30)], **STUDY, **VALUES)
    seen = set()
    for seed, image in itertools.product(range(12), IMAGES[:1].astype(np.float32)):
        parameters = generator.get_random_transform(image.shape, seed)
        changed = generator.random_transform(image, seed)
        np.testing.assert_array_equal(generator.apply_transform(image, parameters), changed)
        names = {"Solarize", "Solarize 2"} & set(parameters)
        seen.add((parameters["QuarterTurn"], *sorted(names)))
    assert len(seen) > 4


def test_transforms_are_part_of_random_transform():
    generator = Generator(transforms=[Solarize(0, probability=1.0)])
    image = IMAGES[0].astype(np.float32)
    np.testing.assert_array_equal(generator.random_transform(image, 1), 255 - image)
    np.testing.assert_array_equal(generator.random_transform(IMAGES[0], 1), 255 - image)


def test_transforms_are_part_of_fit():
    generator = Generator(featurewise_center=True, transforms=[Solarize(0, probability=1.0)])
    generator.fit(IMAGES, augment=True, seed=1)
    expected = (255 - IMAGES.astype(np.float64)).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(generator.mean.reshape(-1), expected, rtol=1e-5)


def test_fit_draws_as_batches_do():
    generator = Generator(featurewise_center=True, transforms=[QuarterTurn()], **STUDY)
    generator.fit(IMAGES, augment=True, rounds=2, seed=4)
    bare = Generator(transforms=[QuarterTurn()], **STUDY)
    drawn = bare.policy().draw(Streams(batch_stream(4, 0), 4, 0), 12, (9, 9))
    images = [
        bare.apply_transform(image.astype(np.float32), drawn.parameters(i))
        for i, image in enumerate(np.tile(IMAGES, (2, 1, 1, 1)))
    ]
    np.testing.assert_array_equal(
        generator.mean.reshape(-1), np.mean(images, axis=(0, 1, 2), dtype=np.float32)
    )


def test_preview_shows_what_the_batch_drew():
    generator = Generator(transforms=[QuarterTurn(), Solarize(60)], **STUDY)
    shown = generator.preview(IMAGES, n=6, seed=5, shuffle=False)
    for row, parameters, picture in zip(shown.rows, shown.parameters, shown.batch, strict=True):
        image = IMAGES[row].astype(np.float32)
        np.testing.assert_array_equal(generator.apply_transform(image, parameters), picture)


def test_dictionary_without_transforms_is_that_of_keras():
    given = STUDY | VALUES
    expected = ImageDataGenerator(**given).get_random_transform((9, 9, 3), seed=2)
    assert Generator(**given).get_random_transform((9, 9, 3), seed=2) == expected
    more = Generator(transforms=[Solarize()], **given).get_random_transform((9, 9, 3), seed=2)
    assert {name: value for name, value in more.items() if name != "Solarize"} == expected


def test_draw_without_a_seed_follows_the_global_state():
    generator = Generator(transforms=[QuarterTurn(), Solarize()], **STUDY)
    np.random.seed(5)
    first = [generator.get_random_transform((9, 9, 3)) for _ in range(3)]
    np.random.seed(5)
    assert [generator.get_random_transform((9, 9, 3)) for _ in range(3)] == first
    assert first[0] != first[1]


def test_dictionary_survives_json():
    generator = Generator(transforms=[QuarterTurn(), Solarize()], **STUDY, **VALUES)
    parameters = generator.get_random_transform((9, 9, 3), 1)
    again = json.loads(json.dumps(parameters))
    assert again == parameters
    image = IMAGES[0].astype(np.float32)
    expected = generator.random_transform(image, 1)
    np.testing.assert_array_equal(generator.apply_transform(image, again), expected)


@pytest.mark.parametrize("transforms", [[], [QuarterTurn()]])
def test_bright_image_of_whole_numbers_becomes_float32_whatever_moves(transforms):
    generator = Generator(transforms=transforms, brightness_range=(0.5, 1.5))
    assert generator.random_transform(IMAGES[0], 1).dtype == np.float32
    both = Generator(transforms=[Solarize()], brightness_range=(0.5, 1.5))
    assert both.random_transform(IMAGES[0], 1).dtype == np.float64


def test_unknown_parameter_is_ignored_with_a_warning_that_names_the_known_ones():
    generator = Generator(transforms=[Solarize()])
    with pytest.warns(UserWarning, match=r"unknown names.*\['QuarterTurn'\].*'theta'"):
        generator.apply_transform(IMAGES[0], {"QuarterTurn": 1})


class Corner(NamedTuple):
    rows: np.ndarray
    cols: np.ndarray


@dataclass(frozen=True)
class RandomPart:
    """Cut a part of half the size out, anywhere; draws two numbers, which have names."""

    def draw(self, rng, count, size):
        return Corner(*(rng.integers(0, side - side // 2 + 1, count) for side in size))

    def pull(self, numbers, size):
        identity = still(len(numbers.rows), size)
        matrices = identity.matrices.copy()
        matrices[:, 0, 2], matrices[:, 1, 2] = numbers.rows, numbers.cols
        moved = np.ones(len(numbers.rows), bool)
        return Pull(matrices, moved, identity.flips, (size[0] // 2, size[1] // 2))


def test_numbers_with_names_keep_them_when_they_are_replayed():
    generator = Generator(transforms=[RandomPart()])
    image = make_images(1, 8, 12, 3)[0]
    for seed in range(5):
        parameters = generator.get_random_transform(image.shape, seed)
        row, col = parameters["RandomPart"]
        part = image[row : row + 4, col : col + 6]
        np.testing.assert_array_equal(generator.apply_transform(image, parameters), part)
        np.testing.assert_array_equal(generator.random_transform(image, seed), part)


# Order.


@dataclass(frozen=True)
class Left:
    """Shift by whole pixels, to the left."""

    pixels: int = 1

    def draw(self, rng, count, size):
        return np.full(count, self.pixels)

    def pull(self, numbers, size):
        identity = still(len(numbers), size)
        matrices = identity.matrices.copy()
        matrices[:, 1, 2] = numbers
        return Pull(matrices, np.ones(len(numbers), bool), identity.flips, size)


@dataclass(frozen=True)
class Mirror:
    """Flip left to right: all images, or every other one."""

    step: int = 1

    def draw(self, rng, count, size):
        return np.arange(count) % self.step == 0

    def pull(self, numbers, size):
        identity = still(len(numbers), size)
        flips = identity.flips.copy()
        flips[:, 1] = numbers
        return Pull(identity.matrices, identity.moved, flips, size)


@dataclass(frozen=True)
class Part:
    """Cut a part out: another size."""

    top: int
    left: int
    size: tuple[int, int]

    def draw(self, rng, count, size):
        return np.zeros(count, np.intp)

    def pull(self, numbers, size):
        identity = still(len(numbers), size)
        matrices = identity.matrices.copy()
        matrices[:, :2, 2] = self.top, self.left
        return Pull(matrices, np.ones(len(numbers), bool), identity.flips, self.size)


def left(images: np.ndarray, pixels: int = 1) -> np.ndarray:
    return np.concatenate([images[:, :, pixels:], *[images[:, :, -1:]] * pixels], axis=2)


def only(transforms: list[Any], images: np.ndarray, **options: Any) -> np.ndarray:
    generator = Generator(transforms=transforms, **options)
    return next(generator.flow(images, batch_size=len(images), shuffle=False, seed=1))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_moves_are_done_in_the_order_of_the_list(data_format):
    images = make_images(3, 5, 7, 3)
    given = images if data_format == "channels_last" else np.moveaxis(images, -1, 1)
    ways = {
        (Left(), Mirror()): left(images)[:, :, ::-1],
        (Mirror(), Left()): left(images[:, :, ::-1]),
        (Mirror(), Mirror()): images,
        (Left(2), Left()): left(images, 3),
        (Part(1, 2, (4, 5)), Mirror()): images[:, 1:5, 2:7][:, :, ::-1],
        (Mirror(), Part(1, 2, (4, 5))): images[:, :, ::-1][:, 1:5, 2:7],
        (Part(1, 2, (4, 5)), Left(), Mirror()): left(images[:, 1:5, 2:7])[:, :, ::-1],
        (Mirror(), Part(1, 0, (4, 5)), Mirror(), Left()): left(
            images[:, :, ::-1][:, 1:5, :5][:, :, ::-1]
        ),
    }
    for transforms, expected in ways.items():
        batch = only(list(transforms), given, data_format=data_format)
        batch = batch if data_format == "channels_last" else np.moveaxis(batch, 1, -1)
        np.testing.assert_array_equal(batch, expected, err_msg=str(transforms))


def test_flips_of_some_images_follow_each_image():
    images = make_images(4, 5, 7, 3)
    batch = only([Mirror(2), Left()], images)
    for i, image in enumerate(images):
        source = image[:, ::-1] if i % 2 == 0 else image
        np.testing.assert_array_equal(batch[i], left(source[np.newaxis])[0])


def test_keras_comes_behind_the_moves_of_the_list():
    images = make_images(3, 7, 7, 3)
    part = Part(1, 2, (5, 5))
    # Enlarged only: in one warp, what the cut left out could come back in from the sides.
    given = VALUES | {"zoom_range": [0.5, 0.9], "horizontal_flip": True, "vertical_flip": True}
    batch = only([part], images, **given)
    cut = np.ascontiguousarray(images[:, 1:6, 2:7])
    expected = next(Generator(**given).flow(cut, batch_size=3, shuffle=False, seed=1))
    # One warp in place of two: the same pull, with sums of coordinates rounded otherwise.
    assert batch.shape == expected.shape
    np.testing.assert_allclose(batch, expected, atol=1.01)  # brightness is cut to whole numbers
    assert np.mean(batch != expected) < 0.01


@pytest.mark.parametrize("order", [0, 1, 3])
def test_another_size_with_statistics_functions_and_labels(order):
    images, labels = make_images(5, 8, 11, 3), np.arange(5)
    generator = Generator(
        transforms=[Part(2, 3, (4, 6))],
        interpolation_order=order,
        featurewise_center=True,
        preprocessing_function=lambda image: image + 1,
        samplewise_center=True,
    )
    generator.mean = np.float32([[[1, 2, 3]]])
    x, y = next(generator.flow(images, labels, batch_size=5, shuffle=False, seed=1))
    cut = images[:, 2:6, 3:9].astype(np.float32) + 1
    expected = cut - cut.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64) - generator.mean
    # Splines of order 3 give the samples back up to rounding.
    np.testing.assert_allclose(x, expected, atol=1e-4)
    np.testing.assert_array_equal(y, labels)


def test_preview_of_another_size():
    images = make_images(3, 8, 11, 3)
    shown = Generator(transforms=[Part(2, 3, (4, 6))]).preview(images, n=3, shuffle=False)
    np.testing.assert_array_equal(shown.pictures, images[:, 2:6, 3:9])
    np.testing.assert_array_equal(shown.originals, images)


def test_preview_of_a_larger_size_leaves_room_for_it():
    images = make_images(2, 8, 11, 3)
    shown = Generator(transforms=[Part(0, 0, (40, 30))]).preview(images, n=2, shuffle=False)
    assert shown.notes[0].endswith("images of 8x11, for the model 40x30, shown x 4.")
    sheet = np.asarray(shown.image)
    for picture in shown.pictures:
        large = picture.repeat(4, axis=0).repeat(4, axis=1)
        places = np.lib.stride_tricks.sliding_window_view(sheet, (1, *large.shape[1:]))
        starts = np.argwhere((places == large[:1]).all(axis=(2, 3, 4, 5)).squeeze())
        assert any((sheet[y : y + 160, x : x + 120] == large).all() for y, x in starts)


def test_whitening_for_another_size_is_refused():
    generator = Generator(True, zca_whitening=True, transforms=[Part(2, 3, (4, 6))])
    generator.fit(make_images(20, 8, 11, 3))
    batches = generator.flow(make_images(2, 8, 11, 3), batch_size=2)
    with pytest.raises(ValueError, match="fitted to images of 264 values; these have 72"):
        next(batches)


def test_random_transform_of_another_size():
    generator = Generator(transforms=[Part(2, 3, (4, 6))])
    image = make_images(1, 8, 11, 3)[0]
    np.testing.assert_array_equal(generator.random_transform(image), image[2:6, 3:9])


def test_image_that_is_not_moved_must_keep_its_size():
    @dataclass(frozen=True)
    class Wrong(Part):
        def pull(self, numbers, size):
            return still(len(numbers), self.size)

    with pytest.raises(
        ValueError, match=r"Wrong.pull\(...\) gives images of \(2, 2\) for \(5, 7\)"
    ):
        only([Wrong(0, 0, (2, 2))], make_images(2, 5, 7, 3))


# Steps.


def test_steps_of_several_transforms_stand_side_by_side():
    short = Steps(np.ones((2, 1), np.int8), np.full((2, 1, 1), 5.0))
    long = Steps(np.full((2, 2), 2, np.int8), np.full((2, 2, 3), 7.0), extremes=True)
    both = in_sequence([short, long])
    np.testing.assert_array_equal(both.codes, [[1, 2, 2]] * 2)
    np.testing.assert_array_equal(both.numbers[0], [[5, 0, 0], [7, 7, 7], [7, 7, 7]])
    assert both.extremes
    assert not in_sequence([no_steps(2), short]).extremes


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_values_change_in_the_order_of_the_list_behind_keras(data_format):
    # 255 - v from a threshold on: the order shows.
    images = make_images(3, 5, 7, 3)
    given = images if data_format == "channels_last" else np.moveaxis(images, -1, 1).copy()
    transforms = [Solarize(200, probability=1.0), Solarize(30, probability=1.0)]
    batch = only(transforms, given, data_format=data_format, channel_shift_range=1e-9)
    values = np.where(images >= 200, 255 - images, images)
    values = np.where(values >= 30, 255 - values, values)
    batch = batch if data_format == "channels_last" else np.moveaxis(batch, 1, -1)
    np.testing.assert_allclose(batch, values, atol=1e-6)


@dataclass(frozen=True)
class Given:
    """Answers what it is given."""

    answer: Any

    def draw(self, rng, count, size):
        return np.zeros(count)


class Pulls(Given):
    def pull(self, numbers, size):
        return self.answer


class Changes(Given):
    def steps(self, numbers):
        return self.answer


IDENTITY = still(2, (5, 7))
BAD_PULLS = {
    "no pull": (IDENTITY.matrices, "must return a Pull, not ndarray"),
    "2x3": (
        Pull(IDENTITY.matrices[:, :2], IDENTITY.moved, IDENTITY.flips, (5, 7)),
        r"must be \(2, 3, 3\)",
    ),
    "no rows": (Pull(IDENTITY.matrices, IDENTITY.moved, IDENTITY.flips, (0, 7)), "at least 1"),
    "half a row": (Pull(IDENTITY.matrices, ~IDENTITY.moved, IDENTITY.flips, (4.5, 7)), "integer"),
}
BAD_STEPS = {
    "no steps": (np.zeros((2, 1)), "must return Steps, not ndarray"),
    "too few numbers": (Steps(np.ones((2, 3), np.int8), np.ones((2, 1, 1))), r"codes \(2, 3\)"),
    "flat codes": (Steps(np.ones(2, np.int8), np.ones((2, 1, 1))), r"must be \(2, k\)"),
    "another count": (Steps(np.ones((3, 1), np.int8), np.ones((3, 1, 1))), r"each of 2 images"),
    "no number": (Steps(np.ones((2, 1), np.int8), np.ones((2, 1, 0))), "at least one number"),
    "extremes": (Steps(np.ones((2, 1), np.int8), np.ones((2, 1, 1)), extremes=True), "extremes"),
}


@pytest.mark.parametrize(
    ("kind", "answer", "says"),
    [(Pulls, *case) for case in BAD_PULLS.values()]
    + [(Changes, *case) for case in BAD_STEPS.values()],
    ids=[*BAD_PULLS, *BAD_STEPS],
)
def test_what_kernels_cannot_take_is_refused_with_the_transforms_name(kind, answer, says):
    with pytest.raises((TypeError, ValueError), match=rf"{kind.__name__}\.(pull|steps).*{says}"):
        only([kind(answer)], make_images(2, 5, 7, 3))


# Repaints.


@dataclass(frozen=True)
class Smear:
    """Each pixel takes the mean of itself and its right neighbour: needs neighbours."""

    probability: float = 0.5

    def draw(self, rng, count, size):
        return np.ones(count, bool)

    def apply(self, images, numbers, rows):
        chosen = images[rows].astype(float)
        chosen[:, :, :-1] = (chosen[:, :, :-1] + chosen[:, :, 1:]) / 2
        images[rows] = chosen


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_repaints_get_finished_colours_with_the_channels_behind(data_format):
    images = make_images(8, 5, 7, 3)
    given = images if data_format == "channels_last" else np.moveaxis(images, -1, 1).copy()
    generator = Generator(
        transforms=[Smear(), Solarize(0, probability=1.0)], rescale=1 / 4, data_format=data_format
    )
    with generator.flow(given, batch_size=8, shuffle=False, seed=3) as batches:
        drawn = batches._draw(batches._schedule.request(0), np.arange(8))[0]
        batch = next(batches)
    smeared = drawn.numbers["Smear"].applied
    assert 0 < smeared.sum() < 8
    expected = 255 - images.astype(np.float32)
    expected[smeared, :, :-1] = (expected[smeared, :, :-1] + expected[smeared, :, 1:]) / 2
    batch = batch if data_format == "channels_last" else np.moveaxis(batch, 1, -1)
    np.testing.assert_array_equal(batch, expected / 4)


class Copy(Smear):
    """As users of NumPy might write it."""

    def apply(self, images, numbers, rows):
        return images + 1


def test_repaint_that_returns_new_images_is_an_error():
    batches = Generator(transforms=[Copy()]).flow(make_images(2, 5, 7, 3), batch_size=2)
    with (
        batches,
        pytest.raises(TypeError, match=r"Copy.apply\(...\) must change its images in place"),
    ):
        next(batches)


# Geometry.


def test_pull_after_a_pull_is_one_pull():
    rng = np.random.default_rng(0)
    size = (6, 8)
    for _ in range(50):
        first, last = (
            Pull(
                np.concatenate([rng.normal(size=(1, 2, 3)), [[[0.01, -0.02, 1.0]]]], axis=1),
                np.array([True]),
                rng.random((1, 2)) < 0.5,
                size,
            )
            for _ in range(2)
        )
        both = last.after(first)
        place = np.array([*rng.uniform(0, 5, 2), 1.0])

        def pulled(pull: Pull, place: np.ndarray) -> np.ndarray:
            flipped = place.copy()
            for axis in range(2):
                if pull.flips[0, axis]:
                    flipped[axis] = size[axis] - 1 - place[axis]
            place = pull.matrices[0] @ flipped
            return place / place[2]

        np.testing.assert_allclose(pulled(both, place), pulled(first, pulled(last, place)))


def test_positions_divide_by_the_weight_and_end_at_the_origin_where_it_is_zero():
    matrix = np.array([[1.0, 0, 2], [0, 1, 3], [0, 0.5, -1]])
    assert not is_affine(matrix)
    assert is_affine(np.eye(3))
    found = positions(matrix, (2, 4))
    np.testing.assert_array_equal(found[:, :, 2], 0)  # the weight of column 2 is zero
    np.testing.assert_array_equal(found[:, 1, 3], [3 / 0.5, 6 / 0.5])

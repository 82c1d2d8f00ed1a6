"""Where random numbers come from: pure functions of seed and batch, and nobody's state but ours."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import make_images
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from oracles import batch_of, some_draws
from PIL import Image
from references import ROWS

from fastaug import Generator
from fastaug.transforms import Mixes, QuarterTurn, Solarize
from fastaug.transforms.base import Chosen
from fastaug.transforms.geometry import Pull
from fastaug.transforms.keras.draws import Draws, Ranges, draw_batch
from fastaug.transforms.keras.matrices import moves, pull_matrices
from fastaug.transforms.keras.policy import without_augmentation
from fastaug.transforms.policy import Policy
from fastaug.transforms.streams import Streams, batch_stream, transform_stream

EXAMPLES = [row.transform for row in ROWS if not isinstance(row.transform, Mixes)]

# The same examples in every run: a failure on one machine is a failure on all.
fixed = settings(derandomize=True, deadline=None, max_examples=60)

EVERYTHING: dict[str, Any] = {
    "rotation_range": 60,
    "width_shift_range": 0.2,
    "height_shift_range": 0.2,
    "shear_range": 15,
    "zoom_range": [0.7, 1.2],
    "channel_shift_range": 40.0,
    "brightness_range": [0.6, 1.5],
    "horizontal_flip": True,
    "vertical_flip": True,
}


def global_states() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return random.getstate(), name, keys.tobytes(), *rest


@pytest.fixture(autouse=True)
def states_put_back() -> Iterator[None]:
    """Tests here seed the global generators; others must not depend on it."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    yield
    np.random.set_state(numpy_state)
    random.setstate(python_state)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, picture in enumerate(make_images(5, 9, 9, 3)):
        place = tmp_path / "ab"[number % 2]
        place.mkdir(exist_ok=True)
        Image.fromarray(picture).save(place / f"{number}.png")
    return tmp_path


def use_iterator(batches: Any) -> None:
    """Ask for batches in all ways in which Keras and people do."""
    for _ in range(4):
        next(batches)
    batches.on_epoch_begin()
    for index in (1, 0):
        batches[index]
    batches.on_epoch_end()
    batches.reset()
    next(batches.index_generator)
    next(batches)


@pytest.mark.parametrize(
    "options",
    [
        EVERYTHING,
        {"width_shift_range": 3, "height_shift_range": [1, 2]},
        {"transforms": (QuarterTurn(), Solarize())},
    ],
    ids=["shares", "choices", "our own"],
)
def test_global_random_state_is_left_alone_where_a_seed_is_given(
    options: dict[str, Any], tmp_path: Path
) -> None:
    images = make_images(5, 8, 8, 3)
    before = global_states()
    generator = Generator(featurewise_center=True, keras_quirks=False, **options)
    generator.fit(images, augment=True, seed=1)
    generator.get_random_transform((8, 8, 3), seed=1)
    generator.random_transform(images[0], seed=1)
    use_iterator(generator.flow(images, batch_size=3, seed=0, save_to_dir=tmp_path))
    assert global_states() == before


def test_global_random_state_is_left_alone_by_files_where_a_seed_is_given(folder: Path) -> None:
    before = global_states()
    for workers in (0, 1):
        generator = Generator(workers=workers, rotation_range=20)
        with generator.flow_from_directory(
            folder, target_size=(8, 8), batch_size=3, seed=1
        ) as batches:
            use_iterator(batches)
    assert global_states() == before


def test_iterator_without_a_seed_takes_one_number_from_the_global_state(tmp_path: Path) -> None:
    images = make_images(5, 8, 8, 3)
    np.random.seed(8)
    np.random.randint(2**32, dtype=np.int64)
    expected = global_states()
    np.random.seed(8)
    batches = Generator(**EVERYTHING).flow(images, batch_size=3, save_to_dir=tmp_path)
    assert global_states() == expected
    use_iterator(batches)
    assert global_states() == expected


def test_set_random_seed_makes_runs_without_a_seed_repeat(folder: Path) -> None:
    images = make_images(5, 8, 8, 3)
    runs = []
    for seed in (1, 2, 1):
        keras.utils.set_random_seed(seed)
        memory = Generator(**EVERYTHING, transforms=(QuarterTurn(),)).flow(images, batch_size=3)
        with Generator(workers=0, **EVERYTHING).flow_from_directory(
            folder, target_size=(8, 8), batch_size=3, class_mode=None
        ) as files:
            batches = [next(source) for _ in range(4) for source in (memory, files)]
        runs.append(np.concatenate(batches))
    np.testing.assert_array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0], runs[1])


def test_iterators_without_a_seed_differ_from_each_other() -> None:
    np.random.seed(8)
    images = make_images(5, 8, 8, 3)
    one, other = (next(Generator(**EVERYTHING).flow(images)) for _ in range(2))
    assert not np.array_equal(one, other)


def pictures(transforms: tuple[Any, ...], **options: Any) -> np.ndarray:
    """Return two epochs of batches."""
    images = make_images(6, 8, 8, 3)
    batches = Generator(transforms=transforms, **options).flow(images, batch_size=4, seed=3)
    return np.concatenate([next(batches) for _ in range(4)])


def test_own_transform_that_does_nothing_changes_no_other_number() -> None:
    # A threshold of 256 leaves every value alone, but its numbers are drawn.
    nothing = Solarize(threshold=256, probability=0.5)
    np.testing.assert_array_equal(pictures((nothing,), **EVERYTHING), pictures((), **EVERYTHING))
    turned = pictures((QuarterTurn(),))
    for transforms in ((QuarterTurn(), nothing), (nothing, QuarterTurn())):
        np.testing.assert_array_equal(pictures(transforms), turned)
    assert not np.array_equal(turned, pictures(()))


def test_keras_options_change_no_number_of_our_own() -> None:
    solarize = Solarize(threshold=0, probability=0.5)  # shows as an inverted picture
    # Shifts by one of two zeros are drawn, and move nothing.
    shifted = pictures((solarize,), width_shift_range=[0, 0], keras_quirks=False)
    np.testing.assert_array_equal(shifted, pictures((solarize,)))


def test_stream_of_our_own_depends_on_seed_batch_and_name() -> None:
    def numbers(*key: Any) -> list[float]:
        return transform_stream(*key).random(4).tolist()

    assert numbers(1, 2, "Solarize") == numbers(1, 2, "Solarize")
    keys = [(1, 2, "Solarize"), (2, 1, "Solarize"), (1, 3, "Solarize"), (1, 2, "QuarterTurn")]
    keys += [(2**32 - 1, 2, "Solarize"), (0, 12, "Solarize")]
    assert len({tuple(numbers(*key)) for key in keys}) == len(keys)


@pytest.mark.parametrize("transform", EXAMPLES, ids=repr)
def test_numbers_of_our_own_do_not_depend_on_the_size_of_the_batch(transform) -> None:
    # So the pictures that a short batch shares with a long one are the same.
    short = transform.draw(transform_stream(1, 2, "any"), 3, (40, 60))
    long = transform.draw(transform_stream(1, 2, "any"), 8, (40, 60))
    for some, all_of_them in zip(_arrays(short), _arrays(long), strict=True):
        np.testing.assert_array_equal(some, all_of_them[:3])


def _arrays(numbers: Any) -> list[np.ndarray]:
    if isinstance(numbers, Chosen):
        return [numbers.applied, *_arrays(numbers.numbers)]
    if isinstance(numbers, dict):
        return [array for value in numbers.values() for array in _arrays(value)]
    return list(numbers) if isinstance(numbers, tuple) else [numbers]


def test_quarter_turns_and_solarised_images_come_in_even_shares() -> None:
    rng = transform_stream(0, 0, "any")
    turns = np.bincount(QuarterTurn().draw(rng, 4000, (8, 11)), minlength=4)
    # Four standard deviations of a binomial count: sqrt(4000 * 1/4 * 3/4) = 27.
    assert np.abs(turns - 1000).max() < 4 * 27.4
    for probability, count in ((0.2, 800), (1, 4000), (0, 0)):
        policy = Policy(without_augmentation(), (Solarize(probability=probability),))
        drawn = policy.draw(Streams(np.random, 0, 0), 4000, (8, 11)).numbers["Solarize"]
        assert abs(drawn.applied.sum() - count) <= (4 * 25.3 if 0 < count < 4000 else 0)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_batch_stream_goes_round_where_keras_runs_out_of_seeds(seed: int) -> None:
    assert batch_stream(seed, 2**32).random_sample() == batch_stream(seed, 0).random_sample()
    if seed < 2**32 - 1:
        np.random.seed(seed + 1)
        assert batch_stream(seed, 1).random_sample() == np.random.random_sample()


shares = st.floats(0, 0.99)
pixels = st.floats(1, 20)
shifts = st.one_of(
    shares,
    pixels,
    st.integers(0, 9),
    st.lists(st.integers(-9, 9), min_size=1, max_size=4),
    st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=4),
)
degrees = st.one_of(st.just(0), st.integers(1, 180), st.floats(0, 360))
factors = st.tuples(st.floats(0.1, 3), st.floats(0.1, 3))
options = st.fixed_dictionaries(
    {},
    optional={
        "rotation_range": degrees,
        "width_shift_range": shifts,
        "height_shift_range": shifts,
        "shear_range": degrees,
        "zoom_range": st.one_of(st.floats(0, 0.9), factors),
        "channel_shift_range": st.floats(0, 300),
        "brightness_range": factors,
        "horizontal_flip": st.booleans(),
        "vertical_flip": st.booleans(),
    },
)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)


@fixed
@given(options, seeds, sizes, sizes)
def test_any_options_draw_what_keras_draws(options, seed: int, height: int, width: int) -> None:
    shape = (height, width, 3)
    expected = ImageDataGenerator(**options).get_random_transform(shape, seed)
    assert Generator(**options).get_random_transform(shape, seed) == expected


def stacked(draws: list[Draws]) -> list[Any]:
    """Join single draws: one array or None for each number."""
    columns = zip(*([getattr(one, name) for name in Draws.__slots__] for one in draws), strict=True)
    return [None if column[0] is None else np.concatenate(column) for column in columns]


@fixed
@given(options, seeds, st.integers(1, 9), sizes, sizes)
def test_draw_of_a_batch_is_that_of_its_images_one_by_one(
    options, seed: int, count: int, height: int, width: int
) -> None:
    ranges = Generator(**options).policy().keras.ranges
    rng, same = batch_stream(seed, 0), batch_stream(seed, 0)
    batch = draw_batch(ranges, rng, count, height, width)
    singles = [draw_batch(ranges, same, 1, height, width) for _ in range(count)]
    for found, expected in zip(stacked([batch]), stacked(singles), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert rng.random_sample() == same.random_sample()


@fixed
@given(options, seeds, sizes, sizes)
def test_drawn_numbers_stay_in_their_ranges(options, seed: int, height: int, width: int) -> None:
    generator = Generator(**options)
    draws = draw_batch(generator.policy().keras.ranges, batch_stream(seed, 0), 20, height, width)
    assert np.abs(draws.theta).max() <= generator.rotation_range
    assert np.abs(draws.shear).max() <= generator.shear_range
    for shift, extent, size in (
        (draws.tx, generator.height_shift_range, height),
        (draws.ty, generator.width_shift_range, width),
    ):
        largest = np.max(np.abs(extent))
        assert np.abs(shift).max() <= largest * (size if np.max(extent) < 1 else 1)
    low, high = sorted(generator.zoom_range)
    for zoom in (draws.zx, draws.zy):
        # One rounding of low + (high - low) * double.
        assert low - 1e-15 <= zoom.min() <= zoom.max() <= high + 1e-15
    assert generator.horizontal_flip or not draws.flip_horizontal.any()
    assert generator.vertical_flip or not draws.flip_vertical.any()


@pytest.mark.parametrize("shift", [3, [1, 2], 0.5])
def test_draw_without_images_is_empty(shift: Any) -> None:
    ranges = Ranges(0.0, shift, 0.0, 0.0, (1, 1), True, False, 0.0, (0.5, 1.0))
    assert len(draw_batch(ranges, batch_stream(0, 0), 0, 8, 8)) == 0


small_images = arrays.arrays(
    np.uint8,
    arrays.array_shapes(min_dims=4, max_dims=4, max_side=6),
    elements=st.integers(0, 255),
)


@fixed
@given(small_images, st.booleans(), st.booleans())
def test_flipping_twice_changes_nothing(images, horizontal: bool, vertical: bool) -> None:
    flips = {"flip_horizontal": horizontal, "flip_vertical": vertical}
    once = batch_of(images, dict(), **flips)
    np.testing.assert_array_equal(batch_of(once, dict(), **flips), images)


@fixed
@given(
    small_images,
    st.sampled_from(["constant", "nearest", "reflect", "wrap"]),
    st.integers(0, 1),
    st.floats(-180, 180),
    st.floats(-5, 5),
    st.floats(0.2, 3),
)
def test_bytes_and_floats_of_the_same_values_give_the_same_picture(
    images, fill_mode: str, order: int, theta: float, shift: float, zoom: float
) -> None:
    recipe = dict(fill_mode=fill_mode, order=order, rescale=1 / 255)
    drawn = {"theta": theta, "tx": shift, "zy": zoom, "channel_shift_intensity": 9.5}
    np.testing.assert_array_equal(
        batch_of(images, recipe, **drawn), batch_of(images.astype(np.float32), recipe, **drawn)
    )


@fixed
@given(small_images, st.floats(-180, 180), st.floats(-5, 5), st.floats(0.2, 3))
def test_warped_image_stays_within_the_values_of_its_source(
    images, theta: float, shift: float, zoom: float
) -> None:
    for fill_mode in ("nearest", "reflect", "wrap"):
        batch = batch_of(images, dict(fill_mode=fill_mode), theta=theta, ty=shift, zx=zoom)
        for image, source in zip(batch, images, strict=True):
            # The four weights add up to 1 but for a few roundings in float64, and one in float32.
            slack = 255 * 2.0**-23
            assert source.min() - slack <= image.min() <= image.max() <= source.max() + slack


some_numbers = st.fixed_dictionaries(
    {
        "theta": st.floats(-180, 180),
        "tx": st.floats(-20, 20),
        "ty": st.floats(-20, 20),
        "shear": st.floats(-80, 80),
        "zx": st.floats(0.2, 4),
        "zy": st.floats(0.2, 4),
    }
)
places = st.tuples(st.floats(-50, 50), st.floats(-50, 50))


@fixed
@given(some_numbers, some_numbers, places, sizes, sizes, st.booleans())
def test_composed_pull_matrix_pulls_through_both(
    last_numbers, first_numbers, place, height: int, width: int, quirks: bool
) -> None:
    last = pull_matrices(some_draws(1, **last_numbers), height, width, quirks=quirks)
    first = pull_matrices(some_draws(1, **first_numbers), height, width, quirks=quirks)
    still, count = np.zeros((1, 2), bool), np.ones(1, bool)
    behind, before = (Pull(one, count, still, (height, width)) for one in (first, last))
    one_step = behind.after(before).matrices[0] @ [*place, 1]
    two_steps = last[0] @ (first[0] @ [*place, 1])
    # Float64 coordinates of up to about 16 * 100 pixels.
    np.testing.assert_allclose(one_step, two_steps, rtol=0, atol=1e-10)


@fixed
@given(st.floats(-180, 180), st.floats(0.2, 4), st.floats(0.2, 4), sizes, sizes)
def test_centre_stays_in_place_without_quirks(
    theta: float, zx: float, zy: float, height: int, width: int
) -> None:
    draws = some_draws(1, theta=theta, zx=zx, zy=zy)
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    pulled = pull_matrices(draws, height, width, quirks=False)[0] @ [*centre, 1]
    np.testing.assert_allclose(pulled, [*centre, 1], rtol=0, atol=1e-13)


@fixed
@given(some_numbers)
def test_quirks_make_no_difference_to_the_matrix_of_a_square_with_equal_shifts(numbers) -> None:
    draws = some_draws(1, **(numbers | {"ty": numbers["tx"]}))
    quirky, documented = (pull_matrices(draws, 8, 8, quirks=quirks) for quirks in (True, False))
    np.testing.assert_array_equal(quirky, documented)


@fixed
@given(some_numbers)
def test_image_counts_as_moved_unless_all_its_numbers_are_neutral(numbers) -> None:
    neutral = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1}
    assert moves(some_draws(1, **numbers)).item() == (numbers != neutral)
    assert not moves(some_draws(1)).item()

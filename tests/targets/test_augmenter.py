"""`Augmenter`: a pure function of seed and step, in any pipeline."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from conftest import make_images

from fastaug import Augmenter, recipes
from fastaug import transforms as T

COUNT, HEIGHT, WIDTH = 6, 37, 51
IMAGES = make_images(COUNT, HEIGHT, WIDTH, 3)
MASKS = IMAGES[..., 0]
BOXES = [[[3, 5, 20, 30], [30, 2, 50, 20]]] * COUNT
LABELS = np.eye(COUNT, dtype=np.float32)
POLICY = [T.RandomResizedCrop(24), T.HorizontalFlip(), T.ColorJitter(0.4, 0.4, 0.4, 0.1)]
POLICY += [T.RandAugment(2, 9), T.Erase(0.25), T.CutMix()]


def assert_same(one, other) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threads", [1, 2, None])
def test_step_is_the_same_anywhere(threads):
    expected = Augmenter(POLICY, seed=1)(IMAGES, masks=MASKS, labels=LABELS, step=7)
    augmenter = Augmenter(POLICY, seed=1, threads=threads)
    for _ in range(3):
        augmenter(IMAGES)
    assert_same(augmenter(IMAGES, masks=MASKS, labels=LABELS, step=7), expected)
    assert augmenter.step == 3  # a step that was named counts no further


def test_drawn_batch_can_be_applied_again():
    augmenter = Augmenter([T.RandomResizedCrop(24), T.Hue(0.2)], seed=1)
    drawn = augmenter.draw(COUNT, (HEIGHT, WIDTH), step=4)
    images = augmenter.apply(drawn, IMAGES)
    np.testing.assert_array_equal(images, Augmenter(augmenter.transforms, seed=1)(IMAGES, step=4))
    together = augmenter.apply(drawn, IMAGES, masks=MASKS, boxes=BOXES)
    np.testing.assert_array_equal(together["images"], images)
    with pytest.raises(ValueError, match="drawn for 6 images, and there are 2"):
        augmenter.apply(drawn, IMAGES[:2])
    with pytest.raises(TypeError, match="unknown targets"):
        augmenter.apply(drawn, IMAGES, mask=MASKS)


def test_parameters_say_what_was_done():
    augmenter = Augmenter([T.Rotate(30), T.Invert(0.5)], seed=1)
    with pytest.raises(ValueError, match="no batch was made yet"):
        augmenter.parameters(0)
    made = augmenter(IMAGES)
    for i in range(COUNT):
        parameters = augmenter.parameters(i)
        assert abs(parameters["Rotate"]) <= 30
        turned = Augmenter([T.Rotate((parameters["Rotate"],) * 2)])(IMAGES[i : i + 1])[0]
        if "Invert" in parameters:
            turned = 255 - turned
        np.testing.assert_allclose(made[i], turned, atol=1)
    with pytest.raises(IndexError, match="there is no image 6"):
        augmenter.parameters(COUNT)


def test_describe_tells_the_order():
    text = Augmenter([*POLICY, T.Normalize()], dtype="float16").describe()
    lines = text.splitlines()
    assert lines[0] == "Each batch, in this order:"
    words = [
        "warp, once: RandomResizedCrop(24); HorizontalFlip()",
        "ColorJitter(",
        "RandAugment(): its colours",
    ]
    words += ["Erase(0.25)", "Normalize()", "CutMix()", "float16"]
    places = [text.index(word) for word in words]
    assert places == sorted(places)


def test_copies_go_on_where_it_was():
    augmenter = Augmenter(POLICY, seed=1)
    augmenter(IMAGES)
    twins = copy.deepcopy(augmenter), pickle.loads(pickle.dumps(augmenter))  # noqa: S301
    expected = augmenter(IMAGES)
    for twin in twins:
        np.testing.assert_array_equal(twin(IMAGES), expected)


def test_json_has_a_version_and_comes_back(tmp_path):
    augmenter = Augmenter(POLICY, seed=5, mask_fill=255, flip_pairs=[(0, 1)], fill=9)
    augmenter.to_json(tmp_path / "policy.json")
    written = json.loads((tmp_path / "policy.json").read_text())
    assert written["version"] == 1
    again = Augmenter.from_json(tmp_path / "policy.json")
    assert repr(again) == repr(augmenter)
    assert_same(
        again(IMAGES, masks=MASKS, labels=LABELS), augmenter(IMAGES, masks=MASKS, labels=LABELS)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 99}, "99"),
        ({"transforms": [{"name": "HorizontalFlop"}]}, "HorizontalFlip"),
        ({"transforms": [{"name": "Rotate", "angle": 3}]}, "angle"),
        ({"options": {"seeds": 3}}, "unknown options: ['seeds']"),
    ],
)
def test_dictionaries_that_nobody_wrote_are_refused(change, words):
    written = Augmenter([T.Rotate(3)], seed=1).to_dict() | change
    with pytest.raises((ValueError, TypeError)) as caught:
        Augmenter.from_dict(written)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (IMAGES[0], "one image is images[None]"),
        (np.full((1, 2, 2, 3), "a"), "must be numbers of rank 4"),
        (np.empty((2, 0, 5, 3), np.uint8), "images without a pixel"),
    ],
)
def test_what_is_no_batch_of_images_is_told(images, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked
        Augmenter([T.HorizontalFlip()])(images)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.5}, "seed must be an integer"),
        ({"fill_mode": "edge"}, "fill_mode='edge'"),
        ({"interpolation": "bicubic"}, "interpolation='bicubic'"),
        ({"dtype": "int32"}, "dtype"),
        ({"data_format": "nhwc"}, "data_format='nhwc'"),
        ({"value_range": (0, 100)}, "value_range=(0, 100) must be (0, 255) or (0, 1)"),
        ({"threads": 0}, "threads=0"),
        ({"fill": "black"}, "fill must be a number"),
    ],
)
def test_wrong_options_are_told(options, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        Augmenter([T.HorizontalFlip()], **options)
    assert words in str(caught.value)


def test_empty_batch_stays_empty():
    made = Augmenter([T.RandomResizedCrop(8), T.GaussianBlur(3)])(IMAGES[:0])
    assert made.shape == (0, 8, 8, 3)


# In the pipelines of others.


def test_tf_data_maps_batches_with_numpy_function():
    tf = pytest.importorskip("tensorflow")
    augmenter = Augmenter(POLICY, seed=1)

    def augment(step, images, labels):
        made = augmenter(images, labels=labels, step=int(step))
        return made["images"], made["labels"]

    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).repeat(3).batch(COUNT).enumerate()
    data = data.map(
        lambda step, batch: tf.numpy_function(augment, (step, *batch), (tf.uint8, tf.float32)),
        num_parallel_calls=2,
    )
    for step, (images, labels) in enumerate(data):
        expected = Augmenter(POLICY, seed=1)(IMAGES, labels=LABELS, step=step)
        np.testing.assert_array_equal(images, expected["images"])
        np.testing.assert_array_equal(labels, expected["labels"])


def test_torch_collates_with_it():
    torch = pytest.importorskip("torch")
    augmenter = Augmenter([T.RandomResizedCrop(24)], seed=1)

    def collate(samples):
        images, labels = map(np.stack, zip(*samples, strict=True))
        return torch.from_numpy(augmenter(images)), torch.from_numpy(labels)

    samples = list(zip(IMAGES, LABELS, strict=True))
    loader = torch.utils.data.DataLoader(samples, batch_size=COUNT, collate_fn=collate)
    ((images, labels),) = loader
    expected = Augmenter([T.RandomResizedCrop(24)], seed=1)(IMAGES)
    np.testing.assert_array_equal(images.numpy(), expected)
    np.testing.assert_array_equal(labels.numpy(), LABELS)


def test_grain_maps_batches():
    grain = pytest.importorskip("grain")
    augmenter = Augmenter([T.RandomResizedCrop(24)], seed=1)
    data = (
        grain.MapDataset.source(list(IMAGES))
        .batch(3)
        .map_with_index(lambda step, images: augmenter(np.stack(list(images)), step=step))
    )
    expected = [Augmenter([T.RandomResizedCrop(24)], seed=1)(IMAGES[:3], step=0)]
    np.testing.assert_array_equal(data[0], expected[0])


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_arrays_of_any_framework_are_taken(backend):
    module = pytest.importorskip({"jax": "jax.numpy"}.get(backend, backend))
    make = getattr(module, "asarray", None) or module.convert_to_tensor
    made = Augmenter([T.HorizontalFlip(1)])(make(IMAGES))
    np.testing.assert_array_equal(made, IMAGES[:, :, ::-1])


# Recipes.


@pytest.mark.parametrize("name", ["imagenet", "rsb-a2", "simclr", "dino", "unet", "yolo"])
def test_recipes_run_and_name_their_paper(name):
    transforms = recipes.recipe(name)
    made = Augmenter(transforms, seed=1)(np.repeat(IMAGES, 2, axis=0))
    assert len(made) == 2 * COUNT
    function = getattr(recipes, name.replace("-", "_"))
    assert "References" in function.__doc__
    again = Augmenter.from_dict(Augmenter(transforms, seed=1).to_dict())
    assert list(again.transforms) == list(transforms)


def test_unknown_recipes_are_refused_with_those_there_are():
    with pytest.raises(ValueError, match="rsb-a2"):
        recipes.recipe("rsb-a3")
    with pytest.raises(TypeError):
        recipes.recipe("imagenet", sizes=3)


def test_multi_crop_gives_several_views_of_one_source():
    images = make_images(2, 60, 80, 3)
    made = recipes.multi_crop(images, recipes.dino(32, 16), step=3, locals_=4)
    assert [view.shape for view in made] == [(2, 32, 32, 3)] * 2 + [(2, 16, 16, 3)] * 4
    assert all(
        not np.array_equal(one, other) for one, other in zip(made[2:], made[3:], strict=False)
    )
    again = recipes.multi_crop(images, recipes.dino(32, 16), step=3, locals_=4)
    assert_same(dict(enumerate(again)), dict(enumerate(made)))

"""`Generator.preview` and `fastaug preview`: pictures are those of training, mapped back."""

from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_images
from keras.applications import vgg16
from PIL import Image
from pools import draw_photos

from fastaug import Generator, batched, transforms
from fastaug.cli.main import main
from fastaug.preview.preview import Preview, _keras_words
from fastaug.preview.sheet import Pair, draw_sheet, scale_for
from fastaug.transforms.keras.draws import Draws

pytestmark = pytest.mark.filterwarnings("ignore:as in Keras:UserWarning")

SEED, COUNT = 5, 11
MOVES = {"rotation_range": 40, "zoom_range": 0.3, "horizontal_flip": True, "vertical_flip": True}
MOVES |= {"channel_shift_range": 20.0, "brightness_range": (0.6, 1.4), "shear_range": 9.0}


def images_of(channels=3, dtype="uint8", count=COUNT):
    return make_images(count, 8, 11, channels, dtype)


def augmented(images, **options):
    """The pictures that a generator makes without any standardisation."""
    with Generator(**options).flow(images, batch_size=32, seed=SEED) as batches:
        return next(batches)


def rounded(values):
    return np.clip(np.rint(values.astype(np.float64)), 0, 255).astype(np.uint8)


def differ(one, other):
    return np.abs(one.astype(int) - other.astype(int)).max()


# Pixels.


def test_batch_is_what_training_gets():
    images = images_of()
    generator = Generator(**MOVES, rescale=1 / 255, samplewise_center=True)
    preview = generator.preview(images, 6, seed=SEED)
    with generator.flow(images, batch_size=32, seed=SEED) as batches:
        np.testing.assert_array_equal(preview.batch, next(batches)[:6])
        np.testing.assert_array_equal(preview.rows, batches.index_array[:6])
    np.testing.assert_array_equal(preview.originals, images[preview.rows])


def test_without_standardisation_pictures_are_the_batch():
    preview = Generator(**MOVES).preview(images_of(), seed=SEED)
    assert len(preview.batch) == COUNT
    np.testing.assert_array_equal(preview.pictures, rounded(preview.batch))
    assert len({digest.tobytes() for digest in preview.pictures}) == COUNT
    assert differ(preview.pictures, preview.originals) > 50


STANDARDISED = {
    "rescale": {"rescale": 1 / 255},
    "samplewise": {"samplewise_center": True, "samplewise_std_normalization": True},
    "centre alone": {"samplewise_center": True, "rescale": 1 / 127.5},
    "tf": {"preprocessing_function": "tf"},
    "caffe": {"preprocessing_function": "caffe"},
    "torch": {"preprocessing_function": "torch", "rescale": 3.0},
    "of keras": {"preprocessing_function": vgg16.preprocess_input},
    "featurewise": {"featurewise_center": True, "featurewise_std_normalization": True},
    "all": {
        "preprocessing_function": "caffe",
        "rescale": 1 / 100,
        "samplewise_center": True,
        "samplewise_std_normalization": True,
        "featurewise_center": True,
        "featurewise_std_normalization": True,
    },
    "ours": {"transforms": [transforms.QuarterTurn(), transforms.Solarize()], "rescale": 1 / 255},
}


@pytest.mark.parametrize(
    ("name", "data_format"),
    [(name, "channels_last") for name in STANDARDISED]
    # Keras' function looks for channels where Keras' setting says.
    + [(name, "channels_first") for name in STANDARDISED if name != "of keras"],
)
def test_standardisation_is_undone(name, data_format):
    images, options = images_of(), STANDARDISED[name]
    if data_format == "channels_first":
        images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    generator = Generator(**MOVES, **options, data_format=data_format)
    generator.fit(images)
    preview = generator.preview(images, seed=SEED)
    moves = MOVES | {"transforms": options.get("transforms", ())}
    expected = augmented(images, **moves, data_format=data_format)
    if data_format == "channels_first":
        expected = np.moveaxis(expected, 1, -1)
    assert differ(preview.pictures, rounded(expected)) <= 1  # rounding of float32
    assert not any("Not undone" in note for note in preview.notes)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1), ("float64", 0), ("uint8", 0)])
def test_dtypes_are_mapped_back(dtype, tolerance):
    rescale = None if dtype == "uint8" else 1 / 255
    preview = Generator(**MOVES, rescale=rescale, dtype=dtype).preview(images_of(), seed=SEED)
    assert preview.batch.dtype == dtype
    expected = augmented(images_of(), **MOVES, dtype="float64" if dtype == "float64" else None)
    assert differ(preview.pictures, rounded(expected)) <= tolerance


def test_whitening_is_undone_where_its_matrix_has_an_inverse():
    images = make_images(200, 5, 7, 1)
    generator = Generator(horizontal_flip=True, zca_whitening=True, featurewise_center=True)
    generator.fit(images)
    preview = generator.preview(images, 9, seed=SEED)
    expected = augmented(images, horizontal_flip=True)[:9]
    assert np.abs(preview.batch).max() < 20
    assert differ(preview.pictures, rounded(expected)) <= 1
    assert "Undone for the eye: zca_whitening, featurewise_center." in preview.notes


def test_singular_whitening_is_told_of():
    images = make_images(20, 5, 7, 1)  # fewer images than values
    generator = Generator(zca_whitening=True, featurewise_center=True)
    generator.fit(images)
    with generator.flow(make_images(9, 5, 7, 1, seed=8)) as others:
        preview = generator.preview(others)
    assert any(note.startswith("Not undone: zca_whitening") for note in preview.notes)
    np.testing.assert_array_equal(preview.pictures, rounded(preview.batch))


@pytest.mark.parametrize("mark", [lambda function: function, batched])
def test_function_is_told_of_and_called_once(mark):
    calls = []

    def darken(images):
        calls.append(len(images))
        return images / 2

    generator = Generator(preprocessing_function=mark(darken), rescale=1 / 255)
    preview = generator.preview(images_of(), 4, shuffle=False, batch_size=4)
    assert sum(calls) in (4, 4 * 8)
    assert any("Not undone: preprocessing_function 'darken'" in note for note in preview.notes)
    assert "Undone for the eye: rescale." in preview.notes
    assert differ(preview.pictures, preview.originals / 2) <= 1


def test_own_statistics_behind_a_function_are_told_of():
    generator = Generator(preprocessing_function=np.sqrt, samplewise_center=True)
    preview = generator.preview(images_of(), 4)
    assert any("Not undone: samplewise_center" in note for note in preview.notes)
    np.testing.assert_array_equal(preview.pictures, rounded(preview.batch))


def test_values_outside_are_counted_in_the_notes():
    assert not any("outside" in note for note in Generator().preview(images_of()).notes)
    bright = images_of(dtype="float32") * 2
    share = np.mean(bright > 255.5)
    preview = Generator(rescale=1 / 255).preview(bright)
    assert f"{share:.1%} of the values lie outside 0 to 255 and are cut." in preview.notes


def test_shares_are_shown_as_0_to_255():
    images = images_of()
    preview = Generator(horizontal_flip=True).preview(images / 255, seed=SEED)
    np.testing.assert_array_equal(preview.originals, images[preview.rows])
    assert differ(preview.pictures, rounded(augmented(images, horizontal_flip=True))) <= 1
    assert preview.batch.max() <= 1


@pytest.mark.parametrize(("channels", "count"), [(1, 3), (3, 1), (4, 40)])
def test_channels_and_counts(channels, count):
    preview = Generator(**MOVES).preview(images_of(channels, count=count), count)
    assert preview.pictures.shape == (count, 8, 11, channels)
    assert preview.image.mode == "RGB"


# Sources.


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_iterator_stays_where_it_is(taken):
    ours = [transforms.QuarterTurn(), transforms.Solarize()]
    generator = Generator(**MOVES, transforms=ours)
    with (
        generator.flow(images_of(), batch_size=4, seed=SEED) as batches,
        generator.flow(images_of(), batch_size=4, seed=SEED) as untouched,
    ):
        for _ in range(taken):
            next(batches), next(untouched)
        preview = generator.preview(batches, 6)
        after = [next(batches) for _ in range(4)]
        expected = [next(untouched) for _ in range(4)]
        np.testing.assert_array_equal(preview.batch, np.concatenate(expected[:2])[:6])
        for one, other in zip(after, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_iterator_of_files_saves_nothing_and_gives_the_same(tmp_path):
    draw_photos(tmp_path / "photos" / "a", [f"{number}.jpg" for number in range(9)])
    saved = tmp_path / "saved"
    saved.mkdir()
    generator = Generator(**MOVES, workers=1)
    options = {"target_size": (20, 30), "batch_size": 4, "seed": SEED, "class_mode": None}
    folder = tmp_path / "photos"
    with generator.flow_from_directory(folder, save_to_dir=saved, **options) as batches:
        preview = generator.preview(batches, 6)
        assert list(saved.iterdir()) == []
        expected = np.concatenate([next(batches), next(batches)])
    np.testing.assert_array_equal(preview.batch, expected[:6])


def test_folder_skips_what_cannot_be_read(tmp_path):
    draw_photos(tmp_path / "a", ["1.jpg", "2.jpg"])
    draw_photos(tmp_path / "b", ["3.jpg"])
    (tmp_path / "b" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    generator = Generator(workers=0)
    preview = generator.preview(tmp_path, target_size=(20, 30))
    assert [Path(error.path).name for error in preview.errors] == ["broken.jpg"]
    assert preview.pictures.shape[1:] == (20, 30, 3)
    assert generator.on_error == "raise"


def test_real_photos_are_shown(photos):
    generator = Generator(**MOVES, preprocessing_function="caffe", workers=0)
    preview = generator.preview(photos / "train", 3, target_size=(90, 120), seed=SEED)
    with generator.flow_from_directory(
        photos / "train", target_size=(90, 120), seed=SEED, class_mode=None
    ) as batches:
        np.testing.assert_array_equal(preview.batch, next(batches)[:3])


# The sheet.


def test_parameters_are_those_that_were_drawn():
    generator = Generator(rotation_range=40, channel_shift_range=9, brightness_range=(0.5, 0.9))
    images = images_of()
    preview = generator.preview(images, 5, seed=SEED)
    for batch, row, drawn in zip(preview.batch, preview.rows, preview.parameters, strict=True):
        again = generator.apply_transform(images[row].astype("float32"), drawn)
        np.testing.assert_array_equal(batch, again)


def test_captions_name_what_is_not_neutral():
    generator = Generator(rotation_range=40, zoom_range=0.2, horizontal_flip=True)
    drawn = generator.preview(images_of(), seed=SEED).parameters
    columns = {name: np.array([one[name] for one in drawn]) for name in drawn[0]}
    columns |= {"channel_shift_intensity": None, "brightness": None}
    draws = Draws(**columns)
    for i, one in enumerate(drawn):
        words = [f"theta {one['theta']:.1f}", f"zx {one['zx']:.2f}", f"zy {one['zy']:.2f}"]
        flipped = ["flipped left-right"] if one["flip_horizontal"] else []
        assert list(_keras_words(draws, i)) == words + flipped
    assert 0 < sum(one["flip_horizontal"] for one in drawn) < COUNT


@pytest.mark.parametrize(
    ("size", "scale"),
    [(8, 20), (32, 5), (100, 1), (256, 1), (257, Fraction(1, 2)), (299, Fraction(1, 2)),
     (1000, Fraction(1, 4))],
)  # fmt: skip
def test_scale_is_a_whole_factor(size, scale):
    assert scale_for(size, size // 2) == scale


@pytest.mark.parametrize("size", [(5, 7), (32, 32), (300, 200)])
def test_sheet_shows_every_pixel_of_every_pair(size):
    count, (height, width) = 7, size
    pixels = make_images(2 * count, height, width, 3)
    pictures = [Image.fromarray(one) for one in pixels]
    pairs = [
        Pair(*pictures[2 * k : 2 * k + 2], f"name {k}", ("theta 1.0,", "tx -3.5"))
        for k in range(count)
    ]
    sheet = np.asarray(draw_sheet("a title", ["a note"], pairs))
    scale = scale_for(width, height)
    places = []
    for picture in pictures:
        if scale < 1:
            tile = np.asarray(picture.reduce(scale.denominator))
        else:
            k = scale.numerator
            tile = np.asarray(picture).repeat(k, 0).repeat(k, 1)
        # Where its first row is, all of it is.
        windows = np.lib.stride_tricks.sliding_window_view(sheet, (1, tile.shape[1], 3))
        rows, cols = np.nonzero((windows[:, :, 0, 0] == tile[0]).all((-1, -2)))
        place = [
            (row, col)
            for row, col in zip(rows, cols, strict=True)
            if np.array_equal(sheet[row : row + len(tile), col : col + tile.shape[1]], tile)
        ]
        assert len(place) == 1
        places += place
    lefts, rights = places[::2], places[1::2]
    assert [row for row, _ in lefts] == [row for row, _ in rights]
    assert len({right - left for (_, left), (_, right) in zip(lefts, rights, strict=True)}) == 1
    assert lefts == sorted(lefts)


def test_long_names_and_captions_stay_within_their_pair():
    picture = Image.new("RGB", (32, 32), "#808080")
    words = tuple(f"parameter{k} {k}.0," for k in range(12))
    pair = Pair(picture, picture, "a/very/long/path/" * 9 + "\n.jpg", (*words, "w" * 200))
    sheet = draw_sheet("t" * 300, ["n" * 300], [pair] * 6)
    margins = np.asarray(sheet).copy()
    assert (margins[:, :15] == 255).all()
    assert (margins[:, -15:] == 255).all()
    assert (margins[-8:] == 255).all()


def test_preview_is_a_picture_for_notebooks_and_files(tmp_path):
    preview = Generator().preview(images_of(), 2, tmp_path / "sheet.png")
    assert isinstance(preview, Preview)
    with Image.open(tmp_path / "sheet.png") as saved:
        np.testing.assert_array_equal(saved, preview.image)
    with Image.open(io.BytesIO(preview._repr_png_())) as shown:
        np.testing.assert_array_equal(shown, preview.image)
    preview.save(tmp_path / "sheet.jpg")
    assert repr(preview).startswith("<Preview: 2 images of 8x11, sheet (")


# What is refused.


@pytest.mark.filterwarnings("ignore:.*channels:UserWarning")
def test_images_that_cannot_be_shown_are_refused():
    with pytest.raises(ValueError, match="1, 3 or 4 channels, not of 5"):
        Generator().preview(images_of(5))


def test_wrong_arguments_are_refused(tmp_path):
    generator = Generator()
    with pytest.raises(ValueError, match="n=0"):
        generator.preview(images_of(), 0)
    with pytest.raises(TypeError, match="n must be an integer"):
        generator.preview(images_of(), 2.5)
    with pytest.raises(ValueError, match="rank 4"):
        generator.preview(images_of()[0])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        generator.preview(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no image in the sub-folders"):
        generator.preview(tmp_path)
    with generator.flow(images_of()) as batches:
        with pytest.raises(ValueError, match="made by another generator"):
            Generator().preview(batches)
        with pytest.raises(TypeError, match="has its options already, among them seed"):
            generator.preview(batches, seed=3)
    with generator.flow(images_of()[:0]) as nothing, pytest.raises(ValueError, match="is empty"):
        generator.preview(nothing)


# The command.


def test_command_maps_every_option(tmp_path, monkeypatch, capsys):
    seen = {}

    def preview(self, source, n, path, **options):
        seen.update(generator=self, source=source, n=n, path=path, options=options)
        return SimpleNamespace(rows=range(n), errors=[])

    monkeypatch.setattr(Generator, "preview", preview)
    line = "--rotation 45 --width-shift 0.1 --height-shift 3 --shear 5 --zoom 0.8 1 "
    line += "--channel-shift 20 --brightness 0.5 1.5 --horizontal-flip --vertical-flip "
    line += "--fill-mode wrap --cval 7 --rescale 0.5 --preprocessing caffe "
    line += "--interpolation-order 0 --no-quirks --seed 9 --target-size 20 30 -n 4 -o x.png"
    assert main(["preview", str(tmp_path), *line.split()]) == 0
    expected = Generator(
        rotation_range=45.0, width_shift_range=0.1, height_shift_range=3, shear_range=5.0,
        zoom_range=[0.8, 1.0], channel_shift_range=20.0, brightness_range=[0.5, 1.5],
        horizontal_flip=True, vertical_flip=True, fill_mode="wrap", cval=7.0, rescale=0.5,
        preprocessing_function="caffe", interpolation_order=0, keras_quirks=False,
    )  # fmt: skip
    assert repr(seen["generator"]) == repr(expected)
    assert (seen["source"], seen["n"], seen["path"]) == (tmp_path, 4, Path("x.png"))
    assert seen["options"] == {"seed": 9, "target_size": (20, 30), "class_mode": None}
    assert "x.png: 4 pictures" in capsys.readouterr().out


def test_command_draws_a_sheet_and_names_broken_files(tmp_path):
    draw_photos(tmp_path / "photos" / "a", ["1.jpg", "2.jpg", "3.jpg"])
    (tmp_path / "photos" / "a" / "4.jpg").write_bytes(b"")
    command = [
        sys.executable,
        "-m",
        "fastaug",
        "preview",
        str(tmp_path / "photos"),
        "--zoom",
        "0.2",
    ]
    command += ["--rotation", "30", "-o", str(tmp_path / "sheet.png"), "--target-size", "20", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "4.jpg: " in done.stderr
    assert "quirk" in done.stderr
    assert "UserWarning" not in done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] > 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fill-mode", "edge"], "fill_mode='edge' is not one of"),
        (["--zoom", "1", "2", "3"], "zoom_range"),
        (["--preprocessing", "vgg"], "preprocessing_function must be"),
        (["--interpolation-order", "9"], "interpolation_order=9"),
        (["--seed", "-1"], "seed"),
        (["-o", "sheet.nothing"], "nothing"),
        (["-o", "no-such-folder/sheet.png"], "no-such-folder"),
    ],
)
def test_wrong_options_are_told_of_in_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "photos" / "a", ["1.jpg"])
    options = ["--target-size", "20", "30", *arguments]
    assert main(["preview", str(tmp_path / "photos"), *options]) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("fastaug: ")
    assert message in errors[0]

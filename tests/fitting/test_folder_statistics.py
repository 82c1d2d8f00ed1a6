"""Statistics of folders and their files: equal to `fit` on the array of all images."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import make_images
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from fastaug import DecodeError, Generator, fit_folder
from fastaug.cli.main import main
from fastaug.cli.stats import factor

STANDARD = {"featurewise_center": True, "featurewise_std_normalization": True}
WHITE = {"featurewise_center": True, "zca_whitening": True}
# In float64, `fit` and a stream differ by the order of their sums alone: some 1e-16 for each of the
# few operations that a pixel goes through.
EXACT = 1e-12
# In float32, `fit` sums up thousands of numbers of 7 digits.
SINGLE = 1e-4
# The whitening matrix comes from eigenvalues here, squares of the singular values of `fit`: that
# costs half of the digits of the smallest ones, which whitening makes the largest.
WHITENING = 1e-7


def draw_folder(folder: Path, **counts: int) -> Path:
    """Draw so many pictures of each class, of all sizes and brightnesses."""
    rng = np.random.default_rng(5)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            height, width = rng.integers(6, 30, 2)
            image = make_images(1, height, width, 3, seed=int(rng.integers(1000)))[0]
            image = (image * rng.uniform(0.2, 1)).astype(np.uint8)
            Image.fromarray(image).save(folder / name / f"{number:03}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "train", cat=7, dog=12, fox=4)


MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def by_pillow(
    folder: Path,
    size: tuple[int, int],
    color_mode: str = "rgb",
    data_format: str = "channels_last",
    interpolation: str = "nearest",
    without: tuple[str, ...] = (),
) -> np.ndarray:
    """Return all images of a folder at once."""
    paths = sorted(path for path in folder.rglob("*.*") if path.is_file())
    images = []
    for path in paths:
        if path.name in without:
            continue
        with Image.open(path) as picture:
            resample = Image.Resampling[interpolation.upper()]
            image = picture.convert(MODES[color_mode]).resize(size[::-1], resample)
        images.append(np.asarray(image, float).reshape(*size, -1))
    x = np.stack(images)
    return np.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def both(found, path: Path, x: np.ndarray, **options) -> tuple[Generator, Generator]:
    """Return a generator that was fit on an array, and one that has loaded what was found."""
    fitted, loaded = Generator(**options), Generator(**options)
    fitted.fit(x)
    found.save(path)
    loaded.load_statistics(path)
    return fitted, loaded


def assert_same(fitted: Generator, loaded: Generator, tolerance: float) -> None:
    for name in ("mean", "std"):
        theirs, ours = getattr(fitted, name), getattr(loaded, name)
        if theirs is not None:
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            assert_allclose(ours, theirs, rtol=tolerance)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rescale", [None, 1 / 255, -2.0])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", EXACT), ("float32", SINGLE)])
def test_statistics_are_those_of_fit(
    folder, tmp_path, color_mode, rescale, data_format, dtype, tolerance
):
    size = (7, 11)
    found = fit_folder(folder, size, color_mode=color_mode, rescale=rescale, workers=0)
    x = by_pillow(folder, size, color_mode, data_format)
    options = {"rescale": rescale, "data_format": data_format, "dtype": dtype}
    fitted, loaded = both(found, tmp_path / "stats.json", x, **STANDARD, **options)
    assert_same(fitted, loaded, tolerance)
    assert found.statistics.count == len(x) == 23


def test_statistics_by_processes_and_another_interpolation(folder, tmp_path):
    size = (13, 5)
    found = fit_folder(folder, size, interpolation="bilinear", workers=2)
    x = by_pillow(folder, size, interpolation="bilinear")
    assert_same(*both(found, tmp_path / "s.json", x, **STANDARD, dtype="float64"), EXACT)


def test_options_of_reading_are_followed(tmp_path):
    (tmp_path / "train" / "a").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, image in enumerate(make_images(4, 9, 16, 3)):
        path = tmp_path / "train" / "a" / f"{number}.tif"
        Image.fromarray(image[..., 0] * np.uint16(200)).save(path, exif=exif)
    read = {"color_mode": "grayscale", "keep_aspect_ratio": True}
    options = {"exif_transpose": True, "scale_16bit": True}
    found = fit_folder(tmp_path / "train", (7, 11), workers=0, zca=True, **read, **options)
    plain = Generator(**options, dtype="float64", workers=0).flow_from_directory
    x = next(plain(tmp_path / "train", (7, 11), class_mode=None, shuffle=False, **read))
    fitted, loaded = both(found, tmp_path / "s.json", x, **WHITE, **options, dtype="float64")
    assert_same(fitted, loaded, EXACT)
    theirs, ours = fitted.zca_whitening_matrix, loaded.zca_whitening_matrix
    assert_allclose(ours, theirs, atol=WHITENING * np.abs(theirs).max())
    assert x.max() < 256


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    yield
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")


def test_settings_of_keras_change_nothing(folder, channels_first):
    found = fit_folder(folder, (7, 11), workers=0).statistics
    x = by_pillow(folder, (7, 11))
    assert_allclose(found.mean, x.mean(axis=(0, 1, 2)), rtol=EXACT)
    assert_allclose(found.std, x.std(axis=(0, 1, 2)), rtol=EXACT)


def test_many_batches_are_merged(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("fastaug.fitting.folders._BATCH_FILES", 4)
    monkeypatch.setattr("fastaug.fitting.folders._PIECE_VALUES", 3 * 11 * 3)
    found = fit_folder(folder, (7, 11), workers=1)
    x = by_pillow(folder, (7, 11))
    assert_same(*both(found, tmp_path / "s.json", x, **STANDARD, dtype="float64"), EXACT)


def test_small_differences_of_large_numbers_are_kept(tmp_path):
    """Sums of squares would lose them: here they cancel all digits but a few."""
    (tmp_path / "deep" / "a").mkdir(parents=True)
    values = 2**24 - 300 + make_images(6, 5, 8, 1, dtype="int32")
    for number, image in enumerate(values):
        Image.fromarray(image[..., 0]).save(tmp_path / "deep" / "a" / f"{number}.tif")
    found = fit_folder(tmp_path / "deep", (5, 8), color_mode="grayscale", workers=0).statistics
    # The mean itself has an error of 1e-16 * 2**24, in units of which a deviation of 40 is 1e-10.
    assert_allclose(found.std, (values - 2**24).std(), rtol=1e-10)
    assert_allclose(found.mean, values.mean(), rtol=EXACT)


@pytest.mark.parametrize("rescale", [None, 1 / 255])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("counts", [{"cat": 40, "dog": 50}, {"cat": 5, "dog": 9}])
def test_whitening_is_that_of_fit(tmp_path, color_mode, data_format, rescale, counts):
    """With more images than values, and with fewer."""
    folder, size = draw_folder(tmp_path / "train", **counts), (4, 5)
    found = fit_folder(folder, size, color_mode=color_mode, rescale=rescale, zca=True, workers=0)
    x = by_pillow(folder, size, color_mode, data_format)
    options = {"rescale": rescale, "data_format": data_format, "dtype": "float64"}
    fitted, loaded = both(found, tmp_path / "stats.json", x, **WHITE, **options)
    assert_same(fitted, loaded, EXACT)
    theirs, ours = fitted.zca_whitening_matrix, loaded.zca_whitening_matrix
    assert ours.shape == theirs.shape
    assert_allclose(ours, theirs, atol=WHITENING * np.abs(theirs).max())


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_loaded_statistics_standardise_the_batches_of_the_folder(folder, tmp_path, data_format):
    path = tmp_path / "stats.json"
    fit_folder(folder, (7, 11), rescale=1 / 255, workers=0).save(path)
    generator = Generator(**STANDARD, rescale=1 / 255, data_format=data_format, workers=0)
    generator.load_statistics(path)
    flow = generator.flow_from_directory(folder, (7, 11), class_mode=None, batch_size=23)
    batch = np.moveaxis(next(flow), generator.channel_axis, -1).astype(float)
    assert_allclose(batch.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    assert_allclose(batch.std(axis=(0, 1, 2)), 1, atol=1e-4)


def test_loaded_whitening_makes_values_independent(tmp_path):
    folder, path = draw_folder(tmp_path / "train", cat=150), tmp_path / "stats.json"
    fit_folder(folder, (3, 5), zca=True, workers=0).save(path)
    generator = Generator(**WHITE, dtype="float64", workers=0)
    generator.load_statistics(path)
    flow = generator.flow_from_directory(folder, (3, 5), class_mode=None, batch_size=150)
    values = next(flow).reshape(150, -1)
    assert_allclose(values.T @ values / 150, np.eye(45), atol=1e-5)


def test_folder_of_images_only_will_do(tmp_path):
    folder = draw_folder(tmp_path / "all", flat=6) / "flat"
    found = fit_folder(folder, (7, 11), workers=0).statistics
    assert_allclose(found.mean, by_pillow(folder, (7, 11)).mean(axis=(0, 1, 2)), rtol=EXACT)


@pytest.fixture
def broken(folder: Path) -> Path:
    """The folder with broken files at its beginning, in the middle and at its end."""
    (folder / "cat" / "000-empty.jpg").write_bytes(b"")
    (folder / "dog" / "003-text.png").write_text("no picture")
    path = folder / "fox" / "zzz-cut.jpg"
    Image.fromarray(make_images(1, 90, 120, 3)[0]).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:3000])
    return folder


BROKEN = ("000-empty.jpg", "003-text.png", "zzz-cut.jpg")


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_file_is_named(broken, workers):
    with pytest.raises(DecodeError, match=r"000-empty.jpg.*skip_errors"):
        fit_folder(broken, (7, 11), workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", [2, 5, 512])
def test_skipped_files_leave_nothing_in_their_places(broken, tmp_path, monkeypatch, workers, batch):
    monkeypatch.setattr("fastaug.fitting.folders._BATCH_FILES", batch)
    found = fit_folder(broken, (7, 11), skip_errors=True, zca=True, workers=workers)
    x = by_pillow(broken, (7, 11), without=BROKEN)
    fitted, loaded = both(found, tmp_path / "stats.json", x, **WHITE, dtype="float64")
    assert_same(fitted, loaded, EXACT)
    theirs, ours = fitted.zca_whitening_matrix, loaded.zca_whitening_matrix
    assert_allclose(ours, theirs, atol=WHITENING * np.abs(theirs).max())
    assert found.statistics.count == len(x) == 23
    assert sorted(Path(one.path).name for one in found.skipped) == sorted(BROKEN)


def test_batch_of_broken_files_alone_is_left_out(broken, monkeypatch):
    monkeypatch.setattr("fastaug.fitting.folders._BATCH_FILES", 1)
    found = fit_folder(broken, (7, 11), skip_errors=True, workers=0).statistics
    x = by_pillow(broken, (7, 11), without=BROKEN)
    assert_allclose(found.std, x.std(axis=(0, 1, 2)), rtol=EXACT)


def test_folder_of_broken_files_alone_is_an_error(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "a.jpg").write_bytes(b"")
    with pytest.raises(DecodeError, match="no file is left"):
        fit_folder(tmp_path / "train", (7, 11), skip_errors=True, workers=0)


def test_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        fit_folder(tmp_path, (7, 11), workers=0)


def test_too_large_whitening_tells_the_memory(folder):
    with pytest.raises(ValueError, match=r"268,203 x 268,203 .*3,452\.8 GB"):
        fit_folder(folder, (299, 299), zca=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target_size": (0, 5)}, ValueError, "target_size"),
        ({"target_size": 5}, ValueError, "target_size"),
        ({"color_mode": "cmyk"}, ValueError, "color_mode"),
        ({"interpolation": "best"}, ValueError, "interpolation"),
        ({"rescale": "1/255"}, TypeError, "rescale"),
        ({"zca_epsilon": -1}, ValueError, "zca_epsilon"),
        ({"zca": "yes"}, TypeError, "zca"),
        ({"timeout": 0}, ValueError, "timeout"),
    ],
)
def test_bad_options_are_named(folder, options, error, message):
    with pytest.raises(error, match=message):
        fit_folder(folder, **({"target_size": (7, 11)} | options))


# --- Generator.save_statistics and the file ------------------------------------------------------


@pytest.mark.parametrize("options", [STANDARD, WHITE, {"featurewise_center": True}])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_saved_statistics_come_back_to_the_last_bit(tmp_path, options, data_format):
    x = make_images(9, 4, 5, 3)
    if data_format == "channels_first":
        x = np.moveaxis(x, -1, 1)
    fitted = Generator(**options, rescale=1 / 255, data_format=data_format)
    fitted.fit(x)
    fitted.save_statistics(tmp_path / "stats.json")
    loaded = Generator(**options, rescale=1 / 255, data_format=data_format)
    loaded.load_statistics(tmp_path / "stats.json")
    for name in ("mean", "std", "zca_whitening_matrix"):
        theirs, ours = getattr(fitted, name), getattr(loaded, name)
        assert (theirs is None) == (ours is None)
        if theirs is not None:
            assert_array_equal(ours, theirs)


def test_statistics_go_from_one_data_format_to_the_other(tmp_path):
    x = make_images(9, 4, 5, 3).astype("float64")
    last = Generator(**WHITE, dtype="float64", data_format="channels_last")
    first = Generator(**WHITE, dtype="float64", data_format="channels_first")
    last.fit(x)
    last.save_statistics(tmp_path / "stats.json")
    first.load_statistics(tmp_path / "stats.json")
    turned = first.standardize(np.moveaxis(x, -1, 1).copy())
    assert_allclose(np.moveaxis(turned, 1, -1), last.standardize(x.copy()), rtol=1e-9, atol=1e-9)


def test_nothing_fitted_is_nothing_to_save(tmp_path):
    with pytest.raises(ValueError, match="fit"):
        Generator().save_statistics(tmp_path / "stats.json")
    assert not list(tmp_path.iterdir())


def test_mean_per_pixel_is_not_what_fit_sets(tmp_path):
    generator = Generator(featurewise_center=True)
    generator.mean = np.zeros((4, 5, 3))
    with pytest.raises(ValueError, match=r"mean has the shape \(4, 5, 3\)"):
        generator.save_statistics(tmp_path / "stats.json")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A file of statistics with everything in it."""
    generator = Generator(**WHITE, rescale=0.5)
    generator.fit(make_images(9, 2, 3, 3))
    generator.std = np.full((1, 1, 3), 2.0)
    generator.save_statistics(tmp_path / "stats.json")
    return tmp_path / "stats.json"


def rewrite(path: Path, **changes) -> None:
    document = json.loads(path.read_text())
    zca = changes.pop("zca", {})
    document |= changes
    if zca:
        document["zca_whitening"] |= zca
    path.write_text(json.dumps(document))


def test_file_says_what_it_is(saved):
    document = json.loads(saved.read_text())
    assert (document["format"], document["version"]) == ("fastaug statistics", 1)
    assert document["rescale"] == 0.5
    assert document["channels"] == len(document["mean"]) == len(document["std"]) == 3
    assert document["zca_whitening"]["values"] == 2 * 3 * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, '"version" is 2'),
        ({"format": "something else"}, '"format"'),
        ({"channels": 4}, "3 numbers for 4 channels"),
        ({"channels": None}, '"channels" is missing'),
        ({"channels": "three"}, '"channels" is not'),
        ({"mean": [1.0, 2.0]}, '"mean" has 2 numbers'),
        ({"mean": [1.0, 2.0, "3"]}, '"mean" holds'),
        ({"mean": [1.0, 2.0, float("nan")]}, '"mean" holds'),
        ({"std": [1.0, -2.0, 3.0]}, '"std" holds'),
        ({"std": 1.0}, '"std" is not a list'),
        ({"mean": None}, "featurewise_center=True"),
        ({"zca_whitening": None}, "zca_whitening=True"),
        ({"zca_whitening": [1]}, '"zca_whitening" is not'),
        ({"zca": {"matrix": "AAAA"}}, "3 bytes"),
        ({"zca": {"matrix": "?"}}, "damaged"),
        ({"zca": {"matrix": None}}, "lacks"),
        ({"zca": {"values": 17}}, "17 x 17"),
        ({"zca": {"epsilon": 0.1}}, "zca_epsilon=0.1"),
        ({"rescale": None}, r"rescale=None.*rescale=0\.5"),
        ({"rescale": 0.25}, r"rescale=0\.25"),
        ({"rescale": "half"}, '"rescale" is not'),
    ],
)
def test_file_that_does_not_fit_is_refused_by_name(saved, changes, message):
    rewrite(saved, **changes)
    generator = Generator(**WHITE, rescale=0.5)
    with pytest.raises(ValueError, match=rf"stats\.json.*{message}"):
        generator.load_statistics(saved)
    assert generator.mean is generator.std is generator.zca_whitening_matrix is None


@pytest.mark.parametrize("content", [b"", b"mean 1 2 3", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_other_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "stats.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"stats\.json"):
        Generator().load_statistics(tmp_path / "stats.json")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Generator().load_statistics(tmp_path / "nowhere.json")


def test_missing_deviation_is_told(saved):
    rewrite(saved, std=None)
    with pytest.raises(ValueError, match="featurewise_std_normalization=True"):
        Generator(**STANDARD, rescale=0.5).load_statistics(saved)


def test_rescale_of_one_is_none(saved):
    rewrite(saved, rescale=1.0)
    Generator(**WHITE).load_statistics(saved)


def test_file_is_written_whole_or_not_at_all(saved, monkeypatch):
    before = saved.read_bytes()
    generator = Generator(featurewise_center=True)
    generator.fit(make_images(9, 2, 3, 3))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        generator.save_statistics(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["stats.json"]
    generator.std = np.full((1, 1, 3), np.inf)
    with pytest.raises(ValueError, match="finite"):
        generator.save_statistics(saved)
    assert saved.read_bytes() == before


def test_file_may_be_read_like_any_other(saved):
    plain = saved.with_name("plain")
    plain.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


# --- the command ---------------------------------------------------------------------------------


def test_command_writes_what_a_generator_loads(folder, tmp_path, capsys):
    path = tmp_path / "out.json"
    size = ["--target-size", "4", "5"]
    arguments = [*size, "--rescale", "1/255", "--color-mode", "grayscale", "--zca", "-o", str(path)]
    assert main(["stats", str(folder), *arguments, "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "23 images, 1 channels" in printed
    assert str(path) in printed
    fitted, loaded = (Generator(**WHITE, rescale=1 / 255, dtype="float64") for _ in range(2))
    fitted.fit(by_pillow(folder, (4, 5), "grayscale"))
    loaded.load_statistics(path)
    assert_same(fitted, loaded, EXACT)
    document = json.loads(path.read_text())
    assert document["count"] == 23
    assert document["source"]["target_size"] == [4, 5]
    assert document["source"]["color_mode"] == "grayscale"


def test_command_names_broken_files_and_leaves_them_out(broken, capsys):
    arguments = ["stats", str(broken), "--target-size", "7", "11"]
    assert main(arguments) == 1
    assert "000-empty.jpg" in capsys.readouterr().err
    assert main([*arguments, "--skip-errors"]) == 0
    printed = capsys.readouterr()
    assert all(name in printed.err for name in BROKEN)
    assert "23 images" in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--zca"], "-o"),
        (["-o", "nowhere/stats.json"], "nowhere"),
        (["-o", "."], "is a folder"),
        (["--zca-epsilon", "nan"], "zca_epsilon"),
    ],
)
def test_command_refuses_what_can_not_be_done(folder, arguments, message, capsys):
    assert main(["stats", str(folder), "--target-size", "7", "11", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--target-size", "7"], ["--target-size", "0", "7"]])
def test_command_wants_a_size(folder, arguments):
    with pytest.raises(SystemExit) as end:
        main(["stats", str(folder), *arguments])
    assert end.value.code == 2


def test_factor_may_be_a_fraction(capsys):
    assert factor("1/255") == 1 / 255
    assert factor("0.5") == 0.5
    for text in ("x", "1/0", "1/", ""):
        with pytest.raises(SystemExit):
            main(["stats", ".", "--target-size", "7", "11", "--rescale", text])
        assert "--rescale" in capsys.readouterr().err

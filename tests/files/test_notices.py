"""What the user should hear of a file that can be read: once, with its path, as they filter."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras.utils import load_img
from PIL import Image
from pools import draw_photos, numbered

from fastaug import DecodeError, Generator

SIZE = (24, 32)


def bomb(path: Path) -> None:
    """Draw more than the limit, and less than twice as much."""
    Image.new("RGB", (150, 100)).save(path.with_suffix(".png"))


def palette(path: Path) -> None:
    image = Image.new("P", (40, 30), 3)
    image.putpalette(list(range(256)) * 3)
    image.save(path.with_suffix(".png"), transparency=bytes([0, 128, 255]))


def fractions(path: Path) -> None:
    values = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(30, 40)
    Image.fromarray(values).save(path.with_suffix(".tif"))


KINDS: dict[Callable[[Path], None], tuple[type[Warning], str]] = {
    bomb: (Image.DecompressionBombWarning, "could be a decompression bomb"),
    palette: (UserWarning, "palette has transparent colours"),
    fractions: (UserWarning, "fractions from 0 to 1"),
}


@pytest.fixture(autouse=True)
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request) -> Callable[[Path], None]:
    return request.param


@pytest.fixture
def folder(tmp_path: Path, kind: Callable[[Path], None]) -> Path:
    """Eight photos; the third and the sixth are odd ones."""
    draw_photos(tmp_path / "a", numbered(8))
    for number in (2, 5):
        kind(tmp_path / "a" / f"{number:02}-odd")
    return tmp_path


def flow(folder: Path, workers: int, **options: Any) -> Any:
    generator = Generator(workers=workers, **options)
    return generator.flow_from_directory(folder, SIZE, batch_size=3, shuffle=False, class_mode=None)


WORKERS = pytest.mark.parametrize("workers", [0, 1, 2])


@WORKERS
def test_each_kind_is_told_once_with_its_first_file(folder, kind, workers):
    category, text = KINDS[kind]
    with warnings.catch_warnings(record=True) as caught, flow(folder, workers) as iterator:
        warnings.simplefilter("always")
        for _ in range(2 * len(iterator)):
            next(iterator)
    told = [one for one in caught if "-odd" in str(one.message)]
    assert [one.category for one in told] == [category]
    assert text in str(told[0].message)
    assert "02-odd" in str(told[0].message)
    assert told[0].filename == __file__


@WORKERS
def test_filters_that_make_errors_make_one_of_each_such_file(folder, kind, workers):
    found = []
    with warnings.catch_warnings(), flow(folder, workers) as iterator:
        warnings.simplefilter("error")
        for _ in range(len(iterator)):
            try:
                found.append(len(next(iterator)))
            except DecodeError as error:
                found.append((Path(error.path).stem, KINDS[kind][1] in error.reason))
    assert found == [("02-odd", True), 3, ("05-odd", True), 1]


@WORKERS
def test_such_files_are_skipped_where_that_is_asked_for(folder, kind, workers):
    with warnings.catch_warnings(), flow(folder, workers, on_error="skip") as iterator:
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "2 samples of this epoch")
        batches = [next(iterator) for _ in range(len(iterator))]
        assert sum(map(len, batches)) == iterator.n
        assert sorted(Path(path).stem for path, _ in iterator.errors) == ["02-odd", "05-odd"]


@WORKERS
def test_filters_that_ignore_are_obeyed(folder, workers):
    with warnings.catch_warnings(record=True) as caught, flow(folder, workers) as iterator:
        warnings.simplefilter("ignore")
        for _ in range(len(iterator)):
            next(iterator)
    assert not caught


@pytest.mark.filterwarnings("ignore")
def test_pixels_are_those_of_keras(folder):
    with flow(folder, 1) as iterator:
        batch = np.concatenate([next(iterator) for _ in range(len(iterator))])
        for path, ours in zip(iterator.filepaths, batch, strict=True):
            theirs = np.asarray(load_img(path, target_size=SIZE))
            np.testing.assert_array_equal(ours, theirs)

"""`on_error="skip"`: another sample of the epoch takes the place, always the same one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import make_images
from PIL import Image

from fastaug import DecodeError, Generator

COUNT, BATCH = 42, 8
BAD = (3, 4, 17, 41)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of pictures, each of one colour that tells its number; some are broken."""
    for number in range(COUNT):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (7, 5), (number, 0, 0)).save(path)
        if number in BAD:
            path.write_bytes(b"broken")
    return tmp_path / "photos"


def flow(folder: Path, *, seed: int = 5, shuffle: bool = True, **options: Any) -> Any:
    generator = Generator(on_error="skip", **options)
    return generator.flow_from_directory(
        folder, (5, 7), batch_size=BATCH, seed=seed, shuffle=shuffle, class_mode="sparse"
    )


def quietly(iterator: Any, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return [next(iterator) for _ in range(count)]


def numbers_of(batches: Any) -> list[int]:
    """Return which pictures are in batches, and check that their labels are theirs."""
    numbers = np.concatenate([x[:, 0, 0, 0] for x, _ in batches]).astype(int)
    np.testing.assert_array_equal(numbers % 2, np.concatenate([y for _, y in batches]))
    return numbers.tolist()


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@pytest.mark.parametrize("cache", [None, "memory"])
def test_batches_are_the_same_with_any_number_of_workers(folder, workers, cache):
    with flow(folder, workers=0, read_ahead=0) as alone:
        expected = quietly(alone, 3 * len(alone))
    with flow(folder, workers=workers, cache=cache) as shared:
        for (x, y), (other_x, other_y) in zip(
            quietly(shared, 3 * len(shared)), expected, strict=True
        ):
            np.testing.assert_array_equal(x, other_x)
            np.testing.assert_array_equal(y, other_y)


def test_readable_samples_are_all_there_and_in_their_places(folder):
    with flow(folder, workers=2) as iterator:
        numbers = numbers_of(quietly(iterator, len(iterator)))
    with flow(folder, workers=0) as iterator:
        order = [int(Path(iterator.filenames[row]).stem) for row in iterator._order(0)]
    assert len(numbers) == COUNT
    for number, wanted in zip(numbers, order, strict=True):
        assert number not in BAD
        assert number == wanted or wanted in BAD
    assert set(numbers) == set(range(COUNT)) - set(BAD)


def test_place_goes_to_the_next_sample_of_the_epoch_that_can_be_read(folder):
    with flow(folder, workers=2, shuffle=False) as iterator:
        numbers = numbers_of(quietly(iterator, len(iterator)))
        order = [int(Path(name).stem) for name in iterator.filenames]
    expected = list(order)
    for number in BAD:
        place = order.index(number)
        behind = order[(place // BATCH + 1) * BATCH :] + order
        expected[place] = next(other for other in behind if other not in BAD)
    # Two of a batch take two others.
    assert order.index(17) // BATCH == order.index(41) // BATCH or len(set(expected)) < COUNT
    assert numbers == expected


def test_several_of_a_batch_get_different_substitutes(folder):
    for number in range(0, 2 * BATCH, 2):  # the first batch of class a
        (folder / "a" / f"{number:02}.png").write_bytes(b"broken")
    with flow(folder, workers=2, shuffle=False) as iterator:
        first, second = numbers_of(quietly(iterator, 1)), numbers_of(quietly(iterator, 1))
    assert first == second


def test_order_of_requests_changes_nothing(folder):
    with flow(folder, workers=2, shuffle=False) as iterator:
        expected = quietly(iterator, len(iterator))
    with flow(folder, workers=2, shuffle=False) as iterator, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for i in np.random.default_rng(0).integers(0, len(expected), 30):
            np.testing.assert_array_equal(iterator[int(i)][0], expected[i][0])


def test_warning_at_the_end_of_each_epoch_counts_and_lists(folder):
    with flow(folder, workers=2) as iterator:
        quietly(iterator, 0)
        for _ in range(2):
            for _ in range(len(iterator) - 1):
                next(iterator)  # without a word
            with pytest.warns(RuntimeWarning, match="4 samples of this epoch") as told:
                next(iterator)
            assert len(told) == 1
            for number in BAD:
                assert str(folder / "ab"[number % 2] / f"{number:02}.png") in str(told[0].message)
        assert iterator.stats.skipped == 2 * len(BAD)
        paths = {Path(path) for path, reason in iterator.errors if "not an image" in reason}
        assert paths == {folder / "ab"[number % 2] / f"{number:02}.png" for number in BAD}


def test_nothing_is_said_when_nothing_is_skipped(folder):
    for number in BAD:
        (folder / "ab"[number % 2] / f"{number:02}.png").unlink()
    with flow(folder, workers=2) as iterator:
        for _ in range(2 * len(iterator)):
            next(iterator)
        assert iterator.errors == []
        assert iterator.stats.skipped == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_data_set_without_a_readable_file_is_an_error(folder, workers):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"broken")
    with flow(folder, workers=workers) as iterator:
        for _ in range(2):
            with pytest.raises(DecodeError, match="no file is left"):
                next(iterator)


def test_file_that_kills_its_decoder_is_skipped(tmp_path, monkeypatch):
    from pools import Sabotage, draw_photos, numbered

    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sabotage"))
    sabotage = Sabotage(tmp_path / "sabotage")
    draw_photos(tmp_path / "photos" / "a", numbered(24, _5="aborted"))
    with flow(tmp_path / "photos", workers=2, shuffle=False) as iterator:
        with pytest.warns(RuntimeWarning) as told:
            taken = [next(iterator) for _ in range(3 * len(iterator))]
        assert len(taken) == 3 * 3
        assert [Path(path).name for path, _ in iterator.errors] == ["05-aborted.jpg"]
        assert "killed by SIGABRT" in iterator.errors[0].reason
        assert iterator.stats.workers_restarted == 2
    assert sabotage.opened().count("05-aborted.jpg") == 2  # and in no later epoch
    assert sum("samples of this epoch" in str(one.message) for one in told) == 3


def test_fit_trains_on_substitutes_and_is_told_at_the_end(folder):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with flow(folder, workers=2, rescale=1 / 255) as iterator:
        with pytest.warns(RuntimeWarning, match="4 samples of this epoch") as told:
            model.fit(iterator, epochs=3, verbose=0)
        assert sum("samples of this epoch" in str(one.message) for one in told) == 3
        assert len(iterator.errors) == len(BAD)


def test_skip_can_be_switched_on_later(folder):
    generator = Generator(workers=2)
    with generator.flow_from_directory(folder, (5, 7), batch_size=BATCH, shuffle=False) as iterator:
        with pytest.raises(DecodeError):
            next(iterator)
        iterator.reset()
        generator.on_error = "skip"
        assert len(quietly(iterator, 1)[0][0]) == BATCH


def test_saved_pictures_and_index_array_name_the_substitutes(folder, tmp_path):
    (tmp_path / "saved").mkdir()
    generator = Generator(on_error="skip", workers=0)
    with generator.flow_from_directory(
        folder, (5, 7), batch_size=BATCH, shuffle=False, save_to_dir=tmp_path / "saved"
    ) as iterator:
        quietly(iterator, len(iterator))
        bad = {iterator.filenames.index(f"{'ab'[n % 2]}/{n:02}.png") for n in BAD}
    saved = {int(path.name.split("_")[1]) for path in (tmp_path / "saved").iterdir()}
    assert saved == set(range(COUNT)) - bad


def test_weights_are_those_of_the_substitutes(tmp_path):
    pd = pytest.importorskip("pandas")
    for number in range(6):
        Image.fromarray(make_images(1, 5, 7, 3, seed=number)[0]).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"")
    frame = pd.DataFrame(
        {"filename": [f"{n}.png" for n in range(6)], "class": list("ababab"), "w": range(6)}
    )
    with Generator(on_error="skip", workers=0).flow_from_dataframe(
        frame, tmp_path, weight_col="w", target_size=(5, 7), batch_size=3, shuffle=False
    ) as iterator:
        _, _, weights = quietly(iterator, 1)[0]
    assert weights.tolist() == [0, 3, 2]

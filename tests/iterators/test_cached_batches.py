"""`Generator(cache=...)`: the pixels that there are without, and nothing is decoded twice."""

from __future__ import annotations

import copy
import os
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_images
from peeks import processes
from PIL import Image

from fastaug import Generator

COUNT, SIZE = 42, (33, 47)
DRAWN: dict[str, Any] = {
    "rotation_range": 20,
    "horizontal_flip": True,
    "channel_shift_range": 9,
    "keras_quirks": False,
}
KINDS = ["memory", "folder"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of photos of several sizes, some of them PNGs."""
    for number in range(COUNT):
        name = f"{number:02}.{'png' if number % 7 else 'jpg'}"
        path = tmp_path / "photos" / "ab"[number % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 40 + 3 * (number % 5), 60 + 5 * (number % 3)
        Image.fromarray(make_images(1, *size, 3, seed=number)[0]).save(path)
    return tmp_path / "photos"


def cache_of(kind: str | None, tmp_path: Path) -> dict[str, Any]:
    return {"cache": tmp_path / "cache"} if kind == "folder" else {"cache": kind}


def flow(folder: Path, generator: Generator, **options: Any) -> Any:
    defaults = {"target_size": SIZE, "batch_size": 8, "seed": 5, "class_mode": "sparse"}
    return generator.flow_from_directory(folder, **(defaults | options))


def take(iterator: Any, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [next(iterator) for _ in range(count)]


def assert_same(batches: Any, expected: Any) -> None:
    for (x, y), (other_x, other_y) in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False, "interpolation": "bilinear"},
        {"color_mode": "grayscale"},
        {"color_mode": "rgba", "keep_aspect_ratio": True, "target_size": (40, 20)},
    ],
    ids=str,
)
def test_pixels_are_those_without_a_cache(folder, tmp_path, kind, workers, options):
    with flow(folder, Generator(**DRAWN, workers=workers), **options) as plain:
        expected = take(plain, 3 * len(plain))
    generator = Generator(**DRAWN, workers=workers, **cache_of(kind, tmp_path))
    for _ in range(2):  # the second iterator finds everything
        with flow(folder, generator, **options) as cached:
            assert_same(take(cached, 3 * len(cached)), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_channels_first_come_from_the_cache_alike(folder, tmp_path, kind):
    options = {"data_format": "channels_first"}
    with flow(folder, Generator(**DRAWN, **options)) as plain:
        expected = take(plain, 12)
    with flow(folder, Generator(**DRAWN, **options, **cache_of(kind, tmp_path))) as cached:
        assert_same(take(cached, 12), expected)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_second_epoch_decodes_nothing(folder, tmp_path, kind, workers):
    generator = Generator(workers=workers, read_ahead=0, **cache_of(kind, tmp_path))
    with flow(folder, generator) as cached:
        take(cached, len(cached))
        assert (cached.stats.decoded, cached.stats.cache_hits) == (COUNT, 0)
        take(cached, 2 * len(cached))
        assert (cached.stats.decoded, cached.stats.cache_hits) == (COUNT, 2 * COUNT)


@pytest.mark.parametrize("kind", KINDS)
def test_iterators_share_what_one_of_them_has_decoded(folder, tmp_path, kind):
    generator = Generator(validation_split=0.5, workers=0, **cache_of(kind, tmp_path))
    with flow(folder, generator) as everything:
        take(everything, len(everything))
    for subset in ("training", "validation"):
        with flow(folder, generator, subset=subset, seed=1) as part:
            take(part, len(part))
            assert (part.stats.decoded, part.stats.cache_hits) == (0, part.n)
    with flow(folder, generator, target_size=(20, 20)) as other:  # another target
        take(other, len(other))
        assert other.stats.decoded == COUNT


def test_folder_is_found_again_by_another_generator(folder, tmp_path):
    for decoded in (COUNT, 0):
        with flow(folder, Generator(workers=0, cache=str(tmp_path / "cache"))) as cached:
            take(cached, len(cached))
            assert cached.stats.decoded == decoded


def test_no_process_is_started_for_what_the_cache_holds(folder, tmp_path):
    generator = Generator(workers=2, cache=tmp_path / "cache")
    with flow(folder, generator) as cached:
        take(cached, len(cached))
        assert len(processes(cached)) == 2
    with flow(folder, generator) as cached:
        take(cached, len(cached))
        assert processes(cached) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_cache_smaller_than_the_data_set_keeps_a_part_and_says_so(folder, workers):
    nbytes = 20 * SIZE[0] * SIZE[1] * 3
    with flow(folder, Generator(**DRAWN)) as plain:
        expected = take(plain, 3 * len(plain))
    generator = Generator(
        **DRAWN, workers=workers, cache="memory", cache_bytes=nbytes, read_ahead=0
    )
    with flow(folder, generator) as cached:
        with pytest.warns(RuntimeWarning, match="is full with 20 images.*cache_bytes") as told:
            batches = take(cached, 3 * len(cached))
        assert_same(batches, expected)
        assert len(told) == 1
        assert cached.stats.cache_hits == 2 * 20
        assert cached.stats.decoded == COUNT + 2 * (COUNT - 20)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_by_index_and_in_any_order_are_right(folder, tmp_path, kind):
    with flow(folder, Generator(**DRAWN), shuffle=False) as plain:
        expected = [plain[i] for i in range(len(plain))]
    generator = Generator(**DRAWN, workers=2, **cache_of(kind, tmp_path))
    rng = np.random.default_rng(0)
    with flow(folder, generator, shuffle=False) as cached:
        for i in rng.integers(0, len(cached), 40):
            assert_same([cached.peek(int(i))], [expected[i]])


@pytest.mark.parametrize("kind", KINDS)
def test_eight_threads_fill_and_read_one_cache(folder, tmp_path, kind):
    with flow(folder, Generator(**DRAWN), shuffle=False) as plain:
        expected = [plain[i] for i in range(len(plain))]
    generator = Generator(**DRAWN, workers=2, **cache_of(kind, tmp_path))
    failures: list[BaseException] = []
    with flow(folder, generator, shuffle=False) as cached:

        def consume(seed: int) -> None:
            try:
                for i in np.random.default_rng(seed).integers(0, len(cached), 20):
                    assert_same([cached.peek(int(i))], [expected[i]])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=consume, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert failures == []


def test_changed_photo_is_read_again_from_its_file(folder, tmp_path):
    generator = Generator(workers=0, cache=tmp_path / "cache")
    with flow(folder, generator, shuffle=False) as cached:
        take(cached, len(cached))
        path = Path(cached.filepaths[3])
    other = make_images(1, *SIZE, 3, seed=99)[0]
    Image.fromarray(other).save(path.with_suffix(".png"))
    path.with_suffix(".png").replace(path)
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    with flow(folder, generator, shuffle=False) as cached:
        x, _ = next(cached)
        np.testing.assert_array_equal(x[3], other)
        take(cached, len(cached) - 1)
        assert cached.stats.decoded == 1


@pytest.mark.parametrize("kind", KINDS)
def test_unreadable_file_is_named_and_never_kept(folder, tmp_path, kind):
    from fastaug import DecodeError

    generator = Generator(workers=2, **cache_of(kind, tmp_path))
    with flow(folder, generator, shuffle=False) as cached:
        path = Path(cached.filepaths[3])
        data = path.read_bytes()
        path.write_bytes(b"")
        for _ in range(2):
            cached.reset()
            with pytest.raises(DecodeError) as caught:
                next(cached)
            assert caught.value.path == str(path)
        path.write_bytes(data)
        cached.reset()
        assert len(next(cached)[0]) == 8


def test_closed_iterator_with_a_cache_says_so(folder, tmp_path):
    for kind in KINDS:
        cached = flow(folder, Generator(workers=2, **cache_of(kind, tmp_path)))
        take(cached, len(cached))
        cached.close()
        with pytest.raises(RuntimeError, match="closed"):
            next(cached)


def test_generator_with_a_cache_in_memory_can_be_copied_and_pickled(folder):
    generator = Generator(**DRAWN, workers=0, cache="memory", cache_bytes=10**6)
    with flow(folder, generator) as cached:
        expected = take(cached, len(cached))
    for other in (copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        with flow(folder, other) as cached:
            assert_same(take(cached, len(cached)), expected)
            assert cached.stats.decoded == COUNT  # a copy begins empty


def test_memory_is_freed_with_the_generator(folder):
    generator = Generator(workers=0, cache="memory")
    with flow(folder, generator) as cached:
        take(cached, len(cached))
    budget = generator.memory_caches._budget
    assert budget.left < budget.nbytes
    del generator, cached
    import gc

    gc.collect()
    assert budget.left == budget.nbytes


def test_folder_that_cannot_be_used_costs_time_only(folder, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with flow(folder, Generator(**DRAWN)) as plain:
        expected = take(plain, 2 * len(plain))
    generator = Generator(**DRAWN, workers=2, cache=tmp_path / "cache")
    with pytest.warns(RuntimeWarning, match="cache"):
        cached = flow(folder, generator)
    with cached:
        assert_same(take(cached, 2 * len(cached)), expected)
    assert (tmp_path / "cache").read_text() == "a file"


@pytest.mark.parametrize("kind", KINDS)
def test_real_photos_come_from_the_cache_as_without(photos, tmp_path, kind):
    options = {"target_size": (299, 299), "batch_size": 64}
    with flow(photos / "validation", Generator(**DRAWN), **options) as plain:
        expected = take(plain, 2 * len(plain))
    generator = Generator(**DRAWN, **cache_of(kind, tmp_path))
    with flow(photos / "validation", generator, **options) as cached:
        assert_same(take(cached, 2 * len(cached)), expected)

"""Images kept in memory: the right pixels, never more bytes than allowed, all of it given back."""

from __future__ import annotations

import gc
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from conftest import make_images

from fastaug import machine
from fastaug.files.cache import memory as cache
from fastaug.files.cache.memory import CacheBudget, MemoryCache, MemoryStore
from fastaug.machine import default_cache_bytes

SHAPE = (5, 7, 3)
SLOT = 5 * 7 * 3
UINT8 = np.dtype(np.uint8)


def store_of(places: int = 1000, budget: CacheBudget | None = None) -> MemoryStore:
    return MemoryStore(SHAPE, UINT8, budget or CacheBudget(places * SLOT))


def names(count: int) -> list[str]:
    return [f"/photos/{row}.jpg" for row in range(count)]


def assert_kept(kept: MemoryCache, rows: np.ndarray, images: np.ndarray) -> None:
    places = kept.find(rows)
    assert (places >= 0).all()
    np.testing.assert_array_equal(kept.images[places], images)


# --- What is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(5, 7), (8, 11), (13, 17)])
@pytest.mark.parametrize(("channels", "dtype"), [(3, "uint8"), (4, "uint8"), (1, "float32")])
def test_images_are_found_as_they_were_added(height, width, channels, dtype):
    images = make_images(6, height, width, channels, dtype)
    store = MemoryStore((height, width, channels), np.dtype(dtype), CacheBudget(2**20))
    kept = MemoryCache(store, names(6))
    rows = np.array([4, 0, 5])
    assert kept.find(rows).tolist() == [-1, -1, -1]
    assert kept.images.shape == (0, height, width, channels)
    kept.add(rows, images, rows)
    assert_kept(kept, rows, images[rows])
    assert kept.find(np.arange(6)).tolist() == [1, -1, -1, -1, 0, 2]
    assert kept.images.dtype == dtype
    assert kept.images.flags.c_contiguous
    assert not kept.images.flags.writeable


def test_picks_say_which_image_belongs_to_which_row():
    images = make_images(9, *SHAPE)
    kept = MemoryCache(store_of(), names(3))
    kept.add(np.arange(3), images, np.array([8, 2, 5]))
    assert_kept(kept, np.arange(3), images[[8, 2, 5]])


def test_images_of_other_memory_layouts_are_kept():
    images = make_images(4, *SHAPE)
    planar = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    kept = MemoryCache(store_of(), names(4))
    kept.add(np.arange(4), np.moveaxis(planar, 1, -1), np.arange(4))
    assert_kept(kept, np.arange(4), images)


def test_memory_that_is_reused_after_adding_changes_nothing():
    images = make_images(4, *SHAPE)
    before = images.copy()
    kept = MemoryCache(store_of(), names(4))
    kept.add(np.arange(4), images, np.arange(4))
    images[:] = 0
    assert_kept(kept, np.arange(4), before)


def test_image_that_is_kept_is_not_replaced():
    images = make_images(2, *SHAPE)
    kept = MemoryCache(store_of(), names(1))
    kept.add(np.array([0]), images, np.array([0]))
    kept.add(np.array([0]), images, np.array([1]))
    assert_kept(kept, np.array([0]), images[:1])


def test_file_that_is_listed_twice_takes_one_place():
    images = make_images(3, *SHAPE)
    store = store_of()
    kept = MemoryCache(store, ["/a.jpg", "/b.jpg", "/a.jpg"])
    kept.add(np.array([0, 1, 2, 0]), images, np.array([0, 1, 0, 0]))
    assert len(store) == 2
    assert_kept(kept, np.array([2, 1, 0]), images[[0, 1, 0]])


def test_no_rows_are_no_trouble():
    kept = MemoryCache(store_of(), names(3))
    nothing = np.empty(0, np.intp)
    kept.add(nothing, make_images(1, *SHAPE), nothing)
    assert len(kept.find(nothing)) == 0


def test_second_iterator_finds_what_the_first_one_kept():
    images = make_images(4, *SHAPE)
    store = store_of()
    first, second = MemoryCache(store, names(4)), MemoryCache(store, names(4)[::-1])
    assert (second.find(np.arange(4)) == -1).all()
    first.add(np.arange(4), images, np.arange(4))
    assert_kept(second, np.arange(4), images[::-1])
    assert len(store) == 4


def test_relative_names_mean_the_working_folder_of_the_beginning(tmp_path, monkeypatch):
    images = make_images(2, *SHAPE)
    store = store_of()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    first = MemoryCache(store, ["a.jpg"])
    monkeypatch.chdir(tmp_path / "two")
    second = MemoryCache(store, ["a.jpg"])
    first.add(np.array([0]), images, np.array([0]))
    second.add(np.array([0]), images, np.array([1]))
    assert_kept(first, np.array([0]), images[:1])
    assert_kept(second, np.array([0]), images[1:])
    assert_kept(MemoryCache(store, [str(tmp_path / "one" / "a.jpg")]), np.array([0]), images[:1])


def test_removed_working_folder_is_no_trouble(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    images = make_images(1, *SHAPE)
    kept = MemoryCache(store_of(), names(1))
    kept.add(np.array([0]), images, np.array([0]))
    assert_kept(kept, np.array([0]), images)


@pytest.mark.parametrize("name", ["/line\nbreak.jpg", "/\udcff\udc80.jpg", "/🦎.jpg", "/nul\0.jpg"])
def test_odd_names_are_names(name):
    images = make_images(1, *SHAPE)
    kept = MemoryCache(store_of(), ["/plain.jpg", name])
    kept.add(np.array([1]), images, np.array([0]))
    assert_kept(kept, np.array([1]), images)


def test_closed_cache_finds_and_keeps_nothing():
    images = make_images(2, *SHAPE)
    store = store_of()
    kept = MemoryCache(store, names(2))
    kept.add(np.array([0]), images, np.array([0]))
    kept.close()
    kept.close()
    kept.add(np.array([1]), images, np.array([1]))
    assert kept.find(np.arange(2)).tolist() == [-1, -1]
    with pytest.raises(RuntimeError, match="closed"):
        kept.images  # noqa: B018
    assert_kept(MemoryCache(store, names(2)), np.array([0]), images[:1])


# --- Room -----------------------------------------------------------------------------------------


def test_full_cache_keeps_what_it_has_and_warns_once():
    images = make_images(6, *SHAPE)
    kept = MemoryCache(store_of(places=4), names(6))
    kept.add(np.arange(3), images, np.arange(3))
    with pytest.warns(RuntimeWarning, match="4 images.*cache_bytes=420.*6 files.*A larger") as told:
        kept.add(np.arange(6), images, np.arange(6))
    assert len(told) == 1
    assert told[0].filename == __file__
    kept.add(np.arange(6), images, np.arange(6))
    assert_kept(kept, np.arange(4), images[:4])
    assert kept.find(np.array([4, 5])).tolist() == [-1, -1]


def test_warning_that_is_an_error_leaves_the_cache_in_order():
    images = make_images(6, *SHAPE)
    kept = MemoryCache(store_of(places=4), names(6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="full"):
            kept.add(np.arange(6), images, np.arange(6))
    kept.add(np.arange(6), images, np.arange(6))
    assert_kept(kept, np.arange(4), images[:4])


@pytest.mark.parametrize("nbytes", [0, SLOT - 1])
def test_budget_below_one_image_keeps_none(nbytes):
    kept = MemoryCache(store_of(budget=CacheBudget(nbytes)), names(2))
    with pytest.warns(RuntimeWarning, match="full with 0 images"):
        kept.add(np.arange(2), make_images(2, *SHAPE), np.arange(2))
    assert kept.find(np.arange(2)).tolist() == [-1, -1]


def test_two_stores_stay_together_below_the_budget():
    budget = CacheBudget(6 * SLOT)
    images = make_images(5, *SHAPE)
    photos = MemoryCache(store_of(budget=budget), names(5))
    large = MemoryCache(MemoryStore((10, 7, 3), UINT8, budget), names(5))
    photos.add(np.arange(3), images, np.arange(3))
    with pytest.warns(RuntimeWarning, match="full with 1 image"):
        large.add(np.arange(2), make_images(2, 10, 7, 3), np.arange(2))
    assert budget.left == SLOT
    with pytest.warns(RuntimeWarning, match="full with 4 images"):
        photos.add(np.arange(5), images, np.arange(5))
    assert budget.left == 0
    assert_kept(photos, np.arange(4), images[:4])


def test_dropped_store_gives_memory_back_with_the_last_array():
    budget = CacheBudget(2**28)
    shape = (1024, 1024, 4)
    store = MemoryStore(shape, UINT8, budget)
    kept = MemoryCache(store, names(48))
    process = psutil.Process()
    before = process.memory_info().rss
    image = np.ones((1, *shape), np.uint8)
    for row in range(48):
        kept.add(np.array([row]), image, np.array([0]))
    filled = process.memory_info().rss
    assert filled - before > 150 * 2**20
    images = kept.images
    kept.close()
    del store, kept
    gc.collect()
    assert images[47].all()  # an array outlives its cache
    assert budget.left == 2**28 - 48 * 2**22
    del images
    gc.collect()
    assert budget.left == 2**28
    assert filled - process.memory_info().rss > 150 * 2**20


def test_reserving_more_than_there_is_takes_no_memory():
    before = psutil.Process().memory_info().rss
    kept = MemoryCache(store_of(budget=CacheBudget(2**40)), names(2))
    images = make_images(2, *SHAPE)
    kept.add(np.arange(2), images, np.arange(2))
    assert_kept(kept, np.arange(2), images)
    assert psutil.Process().memory_info().rss - before < 50 * 2**20


def test_system_that_reserves_little_gets_one_place_per_file(monkeypatch):
    real, asked = cache._anonymous_memory, []

    def anonymous_memory(nbytes):
        asked.append(nbytes)
        if nbytes > 100 * SLOT:
            raise OSError(12, "Cannot allocate memory")
        return real(nbytes)

    monkeypatch.setattr(cache, "_anonymous_memory", anonymous_memory)
    images = make_images(6, *SHAPE)
    store = store_of()
    kept = MemoryCache(store, names(5))
    kept.add(np.arange(5), images, np.arange(5))
    assert asked == [1000 * SLOT, 5 * SLOT]
    assert_kept(kept, np.arange(5), images[:5])
    larger = MemoryCache(store, [*names(5), "/other.jpg"])
    with pytest.warns(RuntimeWarning, match="no more than 5 images could be reserved"):
        larger.add(np.array([5]), images, np.array([5]))
    assert_kept(larger, np.arange(5), images[:5])


def test_system_that_reserves_nothing_is_told_once(monkeypatch):
    def anonymous_memory(nbytes):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(cache, "_anonymous_memory", anonymous_memory)
    kept = MemoryCache(store_of(), names(2))
    images = make_images(2, *SHAPE)
    with pytest.warns(RuntimeWarning, match="can't be reserved.*Cannot allocate memory"):
        kept.add(np.arange(2), images, np.arange(2))
    kept.add(np.arange(2), images, np.arange(2))
    assert kept.find(np.arange(2)).tolist() == [-1, -1]


def test_budget_beyond_all_addresses_is_a_budget():
    images = make_images(2, *SHAPE)
    kept = MemoryCache(store_of(budget=CacheBudget(2**80)), names(2))
    kept.add(np.arange(2), images, np.arange(2))
    assert_kept(kept, np.arange(2), images)


# --- Threads --------------------------------------------------------------------------------------


def test_threads_that_add_at_once_keep_every_image_once():
    count = 400
    images = make_images(count, *SHAPE)
    store = store_of()
    barrier = threading.Barrier(8, timeout=30)
    problems = []

    def fill(seed: int) -> None:
        kept = MemoryCache(store, names(count))
        rows = np.random.default_rng(seed).permutation(count)
        barrier.wait()
        for batch in rows.reshape(-1, 8):
            kept.add(batch, images, batch)
            places = kept.find(rows)
            pixels, there = kept.images, places >= 0
            if not (pixels[places[there]] == images[rows[there]]).all():
                problems.append(seed)

    threads = [threading.Thread(target=fill, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(store) == count
    assert store.budget.left == (1000 - count) * SLOT
    assert_kept(MemoryCache(store, names(count)), np.arange(count), images)


# --- How much memory there is ---------------------------------------------------------------------


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /sys/fs/cgroup, on a machine with 8 GB of free memory."""
    free = SimpleNamespace(available=8_000_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    real = machine._container_bytes
    folders = tmp_path / "groups", tmp_path / "membership"
    monkeypatch.setattr(machine, "_container_bytes", lambda: real(*folders))
    folders[0].mkdir()
    return folders[0]


def limit(group: Path, most: object, current: int, inactive: int = 0) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{current}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\nactive_file 7\n")


def belong(groups: Path, text: str) -> None:
    (groups.parent / "membership").write_text(text)


def test_default_is_half_of_the_free_memory(groups):
    assert default_cache_bytes() == 4_000_000_000  # no control groups here
    belong(groups, "0::/\n")
    assert default_cache_bytes() == 4_000_000_000


def test_default_stays_below_a_containers_limit(groups):
    belong(groups, "0::/\n")
    limit(groups, 3_000_000_000, 1_000_000_000)
    assert default_cache_bytes() == 1_000_000_000


def test_cached_files_of_a_container_count_as_free(groups):
    belong(groups, "0::/\n")
    limit(groups, 3_000_000_000, 2_900_000_000, inactive=2_000_000_000)
    assert default_cache_bytes() == 1_050_000_000


def test_limit_of_an_outer_group_counts(groups):
    belong(groups, "1:name=systemd:/user\n0::/user/session\n")
    limit(groups / "user", 2_000_000_000, 0)
    limit(groups / "user" / "session", "max", 0)
    assert default_cache_bytes() == 1_000_000_000


def test_limit_of_an_old_control_group_counts(groups):
    belong(groups, "4:cpu,memory:/docker/0123\n0::/\n")
    group = groups / "memory"  # as a container sees it
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("2000000000\n")
    (group / "memory.usage_in_bytes").write_text("1500000000\n")
    (group / "memory.stat").write_text("cache 5\ntotal_inactive_file 300000000\n")
    assert default_cache_bytes() == 400_000_000


def test_container_above_its_limit_leaves_nothing(groups):
    belong(groups, "0::/\n")
    limit(groups, 1_000_000_000, 1_500_000_000)
    assert default_cache_bytes() == 0


def test_group_that_cannot_be_read_sets_no_limit(groups):
    belong(groups, "0::/\n")
    limit(groups, "nonsense", 0)
    assert default_cache_bytes() == 4_000_000_000
    (groups / "memory.max").unlink()
    assert default_cache_bytes() == 4_000_000_000


def test_default_of_this_machine_is_less_than_it_has():
    assert 0 <= default_cache_bytes() <= psutil.virtual_memory().total // 2
    assert machine._container_bytes() <= sys.maxsize

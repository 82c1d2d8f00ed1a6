"""`fastaug scan`: counts, broken files, copies and leaks, against Pillow and plain reading."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ON_LINUX, make_images
from PIL import Image, ImageFile
from pools import Sabotage, alive, draw_photos, numbered, output_of, start_script, wait_for

from fastaug import Generator, scan_folder
from fastaug.cli.main import main
from fastaug.scan.headers import read_header
from fastaug.scan.report import Copies, Leak, Problem, Spread, balanced_weights

OTHER_EXTENSION = "its extension is not one of png, jpg, jpeg, bmp, ppm, tif, tiff"
NO_IMAGE = "not an image in one of the formats"


def save(path: Path, height: int, width: int, seed: int, mode: str = "RGB", **options) -> Path:
    """Write a drawn picture; different seeds give different bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(make_images(1, height, width, 3, seed=seed)[0])
    picture.convert(mode).save(path, **options)
    return path


def draw_classes(folder: Path, **counts: int) -> Path:
    """Draw so many pictures of each class, all of different sizes."""
    seeds = itertools.count(sum(map(ord, folder.name)))
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            seed = next(seeds)
            save(folder / name / f"{number}.jpg", 20 + 3 * number, 70 - number, seed)
    return folder


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def cut(path: Path) -> Path:
    """Leave so much of a JPEG that its header opens and its pixels end too soon."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with Image.open(path) as picture:  # the header alone shows nothing
        assert picture.size
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with a bit of everything."""
    folder = draw_classes(tmp_path / "mixed", cat=3, dog=5, empty=0)
    save(folder / "cat" / "inside" / "grey.png", 31, 17, 100, "L")
    save(folder / "dog" / "turned.jpg", 12, 23, 101, exif=turned(6))
    save(folder / "dog" / "clear.PNG", 9, 11, 102, "RGBA")
    cut(save(folder / "cat" / "truncated.jpg", 90, 120, 103, quality=95))
    (folder / "dog" / "nothing.jpg").write_bytes(b"")
    (folder / "dog" / "text.jpg").write_text("not a picture")
    (folder / "dog" / "folder.jpg").mkdir()
    save(folder / "cat" / "other.webp", 5, 7, 104)
    (folder / "notes.txt").write_text("notes")
    (folder / "loose.jpg").write_bytes((folder / "cat" / "0.jpg").read_bytes())
    return folder


READABLE = ["cat/0.jpg", "cat/1.jpg", "cat/2.jpg", "cat/inside/grey.png"] + [
    f"dog/{name}" for name in ("0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "clear.PNG")
]
READABLE += ["dog/turned.jpg"]
BROKEN = ["cat/truncated.jpg", "dog/nothing.jpg", "dog/text.jpg"]


def spread(values: list[int]) -> Spread:
    return Spread(min(values), float(np.median(values)), max(values))


def test_numbers_are_those_of_pillow(mixed):
    (report,) = scan_folder(mixed).folders
    pictures = [Image.open(mixed / name) for name in READABLE]
    assert report.widths == spread([picture.width for picture in pictures])
    assert report.heights == spread([picture.height for picture in pictures])
    assert report.file_nbytes == spread([(mixed / name).stat().st_size for name in READABLE])
    assert report.formats == Counter(picture.format for picture in pictures)
    assert report.modes == Counter(picture.mode for picture in pictures)
    assert report.orientations == Counter(picture.getexif().get(0x0112, 1) for picture in pictures)
    assert report.orientations[6] == 1
    assert report.images == len(READABLE) + len(BROKEN)
    assert report.nbytes == sum((mixed / name).stat().st_size for name in READABLE + BROKEN)
    for picture in pictures:
        picture.close()


def test_broken_files_are_found_with_their_reasons(mixed):
    (report,) = scan_folder(mixed).folders
    reasons = {one.path: one.reason for one in report.unreadable}
    assert sorted(reasons) == BROKEN
    assert "truncated" in reasons["cat/truncated.jpg"]
    assert NO_IMAGE in reasons["dog/nothing.jpg"]
    assert NO_IMAGE in reasons["dog/text.jpg"]


def test_files_and_classes_are_those_of_flow_from_directory(mixed):
    (report,) = scan_folder(mixed).folders
    with pytest.warns(UserWarning, match="no images"):
        batches = Generator(workers=0).flow_from_directory(mixed)
    assert report.images == batches.samples
    assert report.class_indices == batches.class_indices == {"cat": 0, "dog": 1, "empty": 2}
    readable = Counter(name.split("/")[0] for name in READABLE)
    assert report.class_counts == {"cat": readable["cat"], "dog": readable["dog"], "empty": 0}


def test_what_flow_from_directory_passes_over_is_told(mixed):
    (mixed / "dog" / "linked").symlink_to(mixed / "cat", target_is_directory=True)
    (report,) = scan_folder(mixed).folders
    assert report.ignored == (
        Problem("loose.jpg", "not in a class folder"),
        Problem("notes.txt", "not in a class folder"),
        Problem("cat/other.webp", OTHER_EXTENSION),
        Problem("dog/linked/", "a linked folder"),
    )


def test_balanced_weights_make_classes_count_the_same(mixed):
    (report,) = scan_folder(mixed).folders
    total = len(READABLE)
    # n / (classes * count): 4 readable cats, 7 dogs, and an empty class, which has no weight.
    assert report.class_weight == pytest.approx({0: total / (2 * 4), 1: total / (2 * 7)})
    assert report.class_weight[0] * 4 == pytest.approx(report.class_weight[1] * 7)


def test_weights_of_no_images_are_none():
    assert balanced_weights([]) == {}
    assert balanced_weights([0, 0]) == {}
    assert balanced_weights([1, 0, 3]) == {0: 2.0, 2: pytest.approx(2 / 3)}


def test_weights_are_what_fit_takes(tmp_path):
    import keras

    folder = draw_classes(tmp_path / "train", cat=2, dog=6)
    weights = scan_folder(folder).folders[0].class_weight
    with Generator(workers=0).flow_from_directory(
        folder, target_size=(8, 9), class_mode="sparse", batch_size=4, seed=1
    ) as batches:
        model = keras.Sequential([keras.Input((8, 9, 3)), keras.layers.Flatten()])
        model.add(keras.layers.Dense(2, activation="softmax"))
        model.compile(loss="sparse_categorical_crossentropy")
        history = model.fit(batches, class_weight=weights, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def copies_by_reading(folder: Path, names: list[str]) -> set[frozenset[str]]:
    """Compare every file with every other one."""
    contents = {name: (folder / name).read_bytes() for name in names}
    same = {
        frozenset(other for other in names if contents[other] == contents[name]) for name in names
    }
    return {group for group in same if len(group) > 1}


def test_copies_are_found_within_and_across_classes(mixed):
    shutil.copy(mixed / "cat" / "0.jpg", mixed / "cat" / "zero-again.jpg")
    shutil.copy(mixed / "cat" / "1.jpg", mixed / "dog" / "a-cat.jpg")
    shutil.copy(mixed / "cat" / "1.jpg", mixed / "dog" / "a-cat-again.png")
    shutil.copy(mixed / "cat" / "truncated.jpg", mixed / "dog" / "broken-too.jpg")
    # The same size, other bytes.
    data = bytearray((mixed / "cat" / "2.jpg").read_bytes())
    data[-3] ^= 1
    (mixed / "cat" / "two-changed.jpg").write_bytes(data)
    # Two empty files are no copies of anything.
    (mixed / "cat" / "nothing.jpg").write_bytes(b"")
    (report,) = scan_folder(mixed).folders
    assert report.duplicates == (
        Copies(("cat/0.jpg", "cat/zero-again.jpg"), ("cat",)),
        Copies(("cat/1.jpg", "dog/a-cat-again.png", "dog/a-cat.jpg"), ("cat", "dog")),
        Copies(("cat/truncated.jpg", "dog/broken-too.jpg"), ("cat", "dog")),
    )
    names = [str(path.relative_to(mixed)) for path in mixed.rglob("*") if path.is_file()]
    names = [name for name in names if "/" in name and not name.endswith((".webp", "nothing.jpg"))]
    assert {frozenset(one.files) for one in report.duplicates} == copies_by_reading(mixed, names)


def test_leaks_into_another_folder_are_found(tmp_path):
    train = draw_classes(tmp_path / "train", cat=3, dog=3)
    validation = draw_classes(tmp_path / "validation", cat=2, dog=2)
    shutil.copy(train / "cat" / "0.jpg", validation / "cat" / "seen.jpg")
    shutil.copy(train / "cat" / "1.jpg", validation / "dog" / "mislabelled.jpg")
    report = scan_folder(train, validation)
    assert report.leaks == (
        Leak(Copies(("cat/0.jpg",), ("cat",)), Copies(("cat/seen.jpg",), ("cat",))),
        Leak(Copies(("cat/1.jpg",), ("cat",)), Copies(("dog/mislabelled.jpg",), ("dog",))),
    )
    assert [folder.duplicates for folder in report.folders] == [(), ()]
    assert [folder.images for folder in report.folders] == [6, 6]
    assert scan_folder(train, draw_classes(tmp_path / "third", cat=2)).leaks == ()


def test_folder_of_images_only_has_no_classes(tmp_path):
    paths = draw_photos(tmp_path / "flat", ["b.jpg", "a.jpg"])
    shutil.copy(paths[0], tmp_path / "flat" / "c.png")
    (tmp_path / "flat" / "notes.txt").write_text("notes")
    (tmp_path / "flat" / "nothing").mkdir()
    (report,) = scan_folder(tmp_path / "flat").folders
    assert (report.images, report.class_indices, report.class_weight) == (3, {}, {})
    assert report.duplicates == (Copies(("b.jpg", "c.png"), ()),)
    assert [one.path for one in report.ignored] == ["notes.txt", "nothing/"]


def test_folder_without_anything_is_no_error(tmp_path, capsys):
    assert main(["scan", str(tmp_path)]) == 0
    assert "no images" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*its palette has transparent colours")
def test_real_files_fail_as_in_training(real_data, tmp_path):
    """What `decode` can't read is what the report lists; nothing else."""
    folder = tmp_path / "all" / "tough"
    shutil.copytree(real_data / "tough_images", folder, ignore=shutil.ignore_patterns("LIC*"))
    (report,) = scan_folder(folder.parent).folders
    skipping = Generator(workers=1, on_error="skip")
    with (
        skipping.flow_from_directory(folder.parent, batch_size=100, shuffle=False) as batches,
        pytest.warns(RuntimeWarning, match="can't be read"),
    ):
        next(batches)
    failed = {str(Path(one.path).relative_to(folder.parent)) for one in batches.errors}
    assert {one.path for one in report.unreadable} == failed
    assert {"tough/made_truncated_photo.jpg", "tough/made_bomb_20000x20000.png"} <= failed
    assert report.images == batches.samples
    assert report.orientations[3] == report.orientations[6] == 1


def test_real_photos_are_counted_as_their_readme_says(photos):
    report = scan_folder(photos / "train", photos / "validation")
    train, validation = report.folders
    assert train.class_counts == {"cat": 400, "dog": 400}
    assert validation.class_counts == {"cat": 100, "dog": 100}
    assert train.class_weight == {0: 1.0, 1: 1.0}
    assert train.formats == {"JPEG": 800}
    assert report.leaks == train.duplicates == train.unreadable == train.ignored == ()


def test_png_header_is_read_without_decoding(tmp_path, monkeypatch):
    plain = save(tmp_path / "plain.png", 5, 8, 1)
    path = save(tmp_path / "turned.png", 5, 8, 1, exif=turned(8))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _self: pytest.fail("decoded"))
    assert read_header(str(plain)) == ("PNG", "RGB", 8, 5, 1)
    assert read_header(str(path)) == ("PNG", "RGB", 8, 5, 8)


def test_orientation_of_no_meaning_is_upright(tmp_path):
    assert read_header(str(save(tmp_path / "odd.jpg", 5, 8, 1, exif=turned(77)))).orientation == 1


def test_missing_permission_is_a_reason(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    folder = draw_classes(tmp_path / "train", cat=2)
    (folder / "cat" / "1.jpg").chmod(0)
    (report,) = scan_folder(folder).folders
    assert report.unreadable == (Problem("cat/1.jpg", os.strerror(errno.EACCES)),)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_fifo_does_not_block(tmp_path):
    folder = draw_classes(tmp_path / "train", cat=2)
    os.mkfifo(folder / "cat" / "pipe.jpg")
    (report,) = scan_folder(folder).folders
    assert report.unreadable == (Problem("cat/pipe.jpg", "ValueError: not a regular file"),)


@pytest.fixture
def sabotage(tmp_path, monkeypatch) -> Sabotage:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sabotage"))
    return Sabotage(tmp_path / "sabotage")


@pytest.mark.skipif(not ON_LINUX, reason="sabotage needs Linux")
def test_file_over_which_decoding_hangs_is_given_up(tmp_path, sabotage):
    names = numbered(9, _2="hung", _7="hung")
    draw_photos(tmp_path / "flat", names)
    (report,) = scan_folder(tmp_path / "flat", workers=2, timeout=1.5).folders
    reason = "not decoded within 1.5 s"
    assert report.unreadable == (Problem(names[2], reason), Problem(names[7], reason))
    assert report.formats == {"JPEG": 7}


@pytest.mark.skipif(not ON_LINUX, reason="sabotage needs Linux")
def test_file_that_kills_its_decode_process_is_named(tmp_path, sabotage):
    names = numbered(9, _4="killed")
    draw_photos(tmp_path / "flat", names)
    with pytest.warns(RuntimeWarning, match="killed by SIGKILL"):
        (report,) = scan_folder(tmp_path / "flat", workers=2).folders
    assert [one.path for one in report.unreadable] == [names[4]]
    assert "its decode process was killed" in report.unreadable[0].reason


def test_many_batches_keep_their_order(tmp_path):
    names = numbered(75)
    paths = draw_photos(tmp_path / "flat", names)
    for number in (0, 16, 40, 74):
        Path(paths[number]).write_bytes(b"")
    (report,) = scan_folder(tmp_path / "flat", workers=1).folders
    assert [one.path for one in report.unreadable] == [names[k] for k in (0, 16, 40, 74)]
    assert report.formats == {"JPEG": 71}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        scan_folder(tmp_path, **options)


def test_folder_is_not_compared_with_itself_or_its_parts(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "part", target_is_directory=True)
    for other in (".", "part", "link"):
        for folders in ((tmp_path, tmp_path / other), (tmp_path / other, tmp_path)):
            with pytest.raises(ValueError, match="can't be compared"):
                scan_folder(*folders)


def test_decode_processes_that_do_not_start_are_told(tmp_path, monkeypatch, capsys):
    draw_photos(tmp_path / "flat", ["a.jpg"])
    monkeypatch.setattr(sys, "executable", "")
    assert main(["scan", str(tmp_path / "flat")]) == 1
    assert "could not start" in capsys.readouterr().err


def test_exit_status_tells_of_unreadable_files(tmp_path, mixed, capsys):
    clean = draw_classes(tmp_path / "clean", cat=2)
    assert main(["scan", str(clean)]) == 0
    assert main(["scan", str(mixed)]) == 1
    assert main(["scan", str(clean), str(mixed)]) == 1
    assert main(["scan", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["scan", str(clean), "--timeout", "-1"])
    assert end.value.code == 2


def test_json_is_all_that_is_printed(tmp_path, mixed, capsys):
    other = draw_classes(tmp_path / "other", cat=1)
    shutil.copy(mixed / "cat" / "0.jpg", other / "cat" / "seen.jpg")
    assert main(["scan", str(mixed), str(other), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert sorted(printed) == ["folders", "leaks", "version"]
    assert printed["version"] == 1
    first = printed["folders"][0]
    assert sorted(first) == sorted(
        ["folder", "images", "nbytes", "file_nbytes", "widths", "heights", "formats", "modes"]
        + ["orientations", "class_indices", "class_counts", "class_weight", "unreadable"]
        + ["ignored", "duplicates"]
    )
    report = scan_folder(mixed).folders[0]
    assert first["images"] == report.images
    assert sorted(first["widths"]) == ["maximum", "median", "minimum"]
    assert {one["path"] for one in first["unreadable"]} == set(BROKEN)
    weights = {int(number): weight for number, weight in first["class_weight"].items()}
    assert weights == report.class_weight
    assert printed["leaks"] == [
        {
            "in_folder": {"files": ["cat/0.jpg"], "classes": ["cat"]},
            "in_other": {"files": ["cat/seen.jpg"], "classes": ["cat"]},
        }
    ]


def test_table_shows_what_deserves_a_look(tmp_path, mixed, capsys):
    validation = draw_classes(tmp_path / "validation", cat=2, fox=1)
    shutil.copy(mixed / "cat" / "0.jpg", validation / "fox" / "seen.jpg")
    shutil.copy(mixed / "cat" / "1.jpg", mixed / "dog" / "a-cat.jpg")
    assert main(["scan", str(mixed), str(validation)]) == 1
    printed = capsys.readouterr().out
    for part in (
        "cat/truncated.jpg: OSError: image file is truncated",
        "cat/1.jpg, dog/a-cat.jpg (cat, dog)",
        "cat/0.jpg = fox/seen.jpg",
        "1 x *.webp",
        "exif_transpose=True",
        "class_weight={0: 1.5, 1: 0.75}",
        "fox",
    ):
        assert part in printed, part


def test_odd_names_do_not_reach_the_terminal(tmp_path, capsys):
    folder = tmp_path / "odd"
    draw_classes(folder, cat=1)
    (folder / "cat" / "red \x1b[31m [bold].jpg").write_bytes(b"")
    (folder / "cat" / os.fsdecode(b"latin \xe9.jpg")).write_bytes(b"")
    assert main(["scan", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"red \x1b[31m [bold].jpg" in printed
    assert r"latin \udce9.jpg" in printed
    assert main(["scan", str(folder), "--json"]) == 1
    unreadable = json.loads(capsys.readouterr().out)["folders"][0]["unreadable"]
    assert "cat/" + os.fsdecode(b"latin \xe9.jpg") in {one["path"] for one in unreadable}


@pytest.mark.skipif(not ON_LINUX, reason="needs a pseudo-terminal")
def test_progress_bar_is_on_stderr(tmp_path):
    import fcntl
    import pty
    import termios

    folder = draw_classes(tmp_path / "train", cat=4)
    screen, stderr = pty.openpty()
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "fastaug", "scan", str(folder), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, timeout=60, check=True)
    shown = os.read(screen, 100_000).decode()
    os.close(stderr)
    os.close(screen)
    assert json.loads(done.stdout)["folders"][0]["images"] == 4
    assert "Decoding train" in shown


@pytest.mark.skipif(not ON_LINUX, reason="sabotage needs Linux")
def test_ctrl_c_ends_a_scan_and_its_processes(tmp_path, sabotage):
    draw_photos(tmp_path / "flat", numbered(9, _2="hung"))
    code = "import sys; from fastaug.cli.main import main; sys.exit(main(sys.argv[1:]))"
    script = start_script(code, "scan", tmp_path / "flat", "--workers", 1)
    wait_for(lambda: "02-hung.jpg" in sabotage.opened())
    workers = [
        int(number)
        for task in Path(f"/proc/{script.pid}/task").iterdir()
        for number in (task / "children").read_text().split()
    ]
    assert workers
    script.send_signal(signal.SIGINT)
    _, err = output_of(script)
    assert script.returncode == 130, err
    assert not any(map(alive, workers))

"""The examples of the manuals run, block by block, in a folder with small drawn data.

A block that imports a library that is not installed is left out, and so is nothing else.  Every
document runs in a process of its own, as a user's script would: this file is that script, too.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("targets.md", "migrating.md")
# What fastaug does not need: blocks that import it may be left out.
OPTIONAL = {"albumentations", "grain", "pandas", "tensorflow", "torch", "torchvision"}


def blocks_of(document: str) -> list[tuple[str, set[str]]]:
    """Return the Python blocks of a document, at their lines, and what each needs of OPTIONAL."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    blocks = []
    for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        code = "\n" * text.count("\n", 0, found.start(1)) + found[1]
        blocks.append((code, imports_of(code) & OPTIONAL))
    return blocks


def imports_of(code: str) -> set[str]:
    """Return the names of the packages that code imports."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def draw_data(folder: Path) -> None:
    """Draw pictures, masks and annotations, as the documents name them."""
    import numpy as np
    from PIL import Image, ImageDraw

    names, size = ("a", "b", "c", "d", "e", "f"), (64, 48)
    for part in ("images", "masks", "labels", "annotations", "train/cat", "train/dog"):
        (folder / "data" / part).mkdir(parents=True)
    data, pictures, objects = folder / "data", [], []
    for number, name in enumerate(names):
        box = left, top, right, bottom = number, 4, number + 30, 40
        rng = np.random.default_rng(number)
        noise = rng.integers(0, 60, (size[1], size[0], 3), np.uint8)
        picture, mask = Image.fromarray(noise), Image.new("L", size)
        ImageDraw.Draw(picture).ellipse(box, fill=(200, 120, 40 * number))
        ImageDraw.Draw(mask).ellipse(box, fill=1 + number % 2)
        kind = ("cat", "dog")[number % 2]
        picture.save(data / "images" / f"{name}.png")
        picture.save(data / "train" / kind / f"{name}.png")
        mask.save(data / "masks" / f"{name}.png")
        middle = (left + right) / 2 / size[0], (top + bottom) / 2 / size[1]
        shares = (*middle, (right - left) / size[0], (bottom - top) / size[1])
        line = " ".join(f"{share:.6f}" for share in shares)
        (data / "labels" / f"{name}.txt").write_text(f"{number % 2} {line}\n")
        corners = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        inside = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners.items())
        (data / "annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename><object><name>{kind}</name>"
            f"<bndbox>{inside}</bndbox></object></annotation>"
        )
        pictures.append(
            {"id": number, "file_name": f"{name}.png", "width": size[0], "height": size[1]}
        )
        objects.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1 + number % 2,
                "bbox": [left, top, right - left, bottom - top],
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                "keypoints": [left + 5, top + 5, 2, right - 6, top + 5, 2],
                "iscrowd": 0,
            }
        )
    kinds = [
        {"id": 1 + number, "name": name, "keypoints": ["left_ear", "right_ear"]}
        for number, name in enumerate(("cat", "dog"))
    ]
    content = {"images": pictures, "annotations": objects, "categories": kinds}
    (data / "instances.json").write_text(json.dumps(content))


def run(document: str) -> None:
    """Run the blocks of a document in order, in one namespace; print how many were left out."""
    namespace = {"__name__": "__main__"}
    for code, libraries in blocks_of(document):
        line = len(code) - len(code.lstrip("\n")) + 1
        missing = sorted(name for name in libraries if not installed(name))
        if missing:
            print(f"line {line}: left out without {', '.join(missing)}")
            continue
        exec(compile(code, str(ROOT / "docs" / document), "exec"), namespace)
        print(f"line {line}: ran")


if __name__ == "__main__":
    draw_data(Path.cwd())
    run(sys.argv[1])
    sys.exit()


import pytest  # noqa: E402 - below is what the script does not need

SECTIONS = {
    "From Albumentations": "albumentations",
    "From torchvision": "torchvision",
    "From Keras' layers": "keras",
    "From ImageDataGenerator": "keras",
}


def rows_of(section: str) -> list[tuple[str, str]]:
    """Return the first two columns of the table of three in a section of the manual."""
    text = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    part = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(.+?)` \| `(.+?)` \| .*\|$", part, re.MULTILINE)


def names_of(library: str) -> dict[str, object]:
    """Import what the tables of a library call by its short name."""
    if library == "albumentations":
        return {"A": importlib.import_module(library)}
    if library == "torchvision":
        v2 = importlib.import_module("torchvision.transforms.v2")
        return {"v2": v2, "torch": importlib.import_module("torch")}
    return {"layers": importlib.import_module("keras").layers}


@pytest.mark.parametrize("section", SECTIONS)
def test_what_tables_name_here_can_be_made(section):
    import fastaug

    rows = rows_of(section)
    assert len(rows) > 10
    for _, here in rows:
        made = eval(here, {"T": fastaug.transforms, "fastaug": fastaug})
        for each in made if isinstance(made, list) else [made]:
            kinds = (*fastaug.transforms.TRANSFORMS, fastaug.Augmenter)
            assert isinstance(each, kinds), here


@pytest.mark.filterwarnings("ignore")  # of other libraries: some names are old ones
@pytest.mark.parametrize("section", SECTIONS)
def test_what_tables_name_there_can_be_made(section):
    library = SECTIONS[section]
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    names = names_of(library)
    for there, _ in rows_of(section):
        if section == "From ImageDataGenerator":
            from fastaug import keras_legacy

            option = there.partition("=")[0]
            known = inspect.signature(keras_legacy.ImageDataGenerator).parameters
            assert option in known, there
        else:
            eval(there, dict(names))


def test_tables_have_every_transform():
    """Whoever comes from elsewhere finds all of them somewhere."""
    from fastaug import transforms

    text = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    for kind in transforms.TRANSFORMS:
        assert f"T.{kind.__name__}(" in text, kind.__name__


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_of_a_manual_run(document, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, __file__, document],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    blocks = blocks_of(document)
    ran = len(re.findall(r"^line \d+: ran$", done.stdout, re.MULTILINE))
    left_out = sum(not all(map(installed, libraries)) for _, libraries in blocks)
    assert ran == len(blocks) - left_out
    assert ran > 0

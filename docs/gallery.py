"""Draws every transform: writes `docs/transforms.md` and its pictures in `docs/figures/transforms`.

python docs/gallery.py           # all of it
python docs/gallery.py --check   # only tell whether the page is what it would write
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fastaug import Augmenter
from fastaug import transforms as T

HERE = Path(__file__).parent
FIGURES = HERE / "figures" / "transforms"
SIZE = (96, 128)  # height, width of the picture
SAMPLES = 4

# What is shown of each, as it is written.
EXAMPLES = {
    "Affine": "T.Affine(20, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=8)",
    "Rotate": "T.Rotate(40)",
    "Translate": "T.Translate((0.2, 0.2))",
    "Scale": "T.Scale((0.6, 1.5))",
    "Shear": "T.Shear(25)",
    "HorizontalFlip": "T.HorizontalFlip()",
    "VerticalFlip": "T.VerticalFlip()",
    "QuarterTurn": "T.QuarterTurn()",
    "Transpose": "T.Transpose(probability=1)",
    "Perspective": "T.Perspective(0.5, probability=1)",
    "RandomResizedCrop": "T.RandomResizedCrop((96, 128), scale=(0.2, 1.0))",
    "RandomCrop": "T.RandomCrop((72, 96), padding=8)",
    "BoxSafeCrop": "T.BoxSafeCrop(96)",
    "RandomIoUCrop": "T.RandomIoUCrop(96)",
    "CenterCrop": "T.CenterCrop((60, 80))",
    "Resize": "T.Resize((48, 64))",
    "LargestSide": "T.LargestSide(80)",
    "Letterbox": "T.Letterbox(96)",
    "Pad": "T.Pad((16, 8))",
    "Elastic": "T.Elastic(alpha=250, sigma=6)",
    "GridDistortion": "T.GridDistortion(probability=1)",
    "Brightness": "T.Brightness(0.6)",
    "Contrast": "T.Contrast(0.7)",
    "Saturation": "T.Saturation((0, 3))",
    "Hue": "T.Hue(0.3)",
    "ColorJitter": "T.ColorJitter(0.4, 0.4, 0.4, 0.2)",
    "Gamma": "T.Gamma((0.4, 2.5))",
    "Grayscale": "T.Grayscale(0.5)",
    "Invert": "T.Invert()",
    "Posterize": "T.Posterize(2, probability=1)",
    "Solarize": "T.Solarize(128)",
    "AutoContrast": "T.AutoContrast(probability=1)",
    "Equalize": "T.Equalize(probability=1)",
    "ChannelShift": "T.ChannelShift(70, probability=1)",
    "ChannelShuffle": "T.ChannelShuffle(probability=1)",
    "ChannelDrop": "T.ChannelDrop(probability=1)",
    "Normalize": 'T.Normalize("imagenet")',
    "GaussianBlur": "T.GaussianBlur(9, sigma=(0.5, 4.0))",
    "MotionBlur": "T.MotionBlur((9, 15))",
    "GaussianNoise": "T.GaussianNoise(sigma=(0.05, 0.2))",
    "SaltAndPepper": "T.SaltAndPepper((0.02, 0.1))",
    "Sharpness": "T.Sharpness((0.0, 4.0))",
    "CLAHE": "T.CLAHE((2, 8))",
    "JpegArtifacts": "T.JpegArtifacts((3, 15))",
    "Erase": "T.Erase(1, scale=(0.05, 0.3), value='random')",
    "CoarseDropout": "T.CoarseDropout((4, 8))",
    "GridMask": "T.GridMask(0.5)",
    "Downscale": "T.Downscale((0.1, 0.4))",
    "MixUp": "T.MixUp(1.0)",
    "CutMix": "T.CutMix(1.0)",
    "Mosaic": "T.Mosaic()",
    "OneOf": "T.OneOf([T.Rotate(40), T.Invert(1), T.GaussianBlur(9)])",
    "SomeOf": "T.SomeOf([T.Rotate(40), T.Hue(0.4), T.Erase(1), T.Invert(1)], 2)",
    "RandomOrder": "T.RandomOrder([T.Invert(1), T.Brightness((1.5, 1.6))])",
    "RandAugment": "T.RandAugment(2, 15)",
    "TrivialAugment": "T.TrivialAugment()",
    "AutoAugment": 'T.AutoAugment("imagenet")',
    "AugMix": "T.AugMix(severity=6)",
}
HOUSE = (37, 50, 73, 80)  # its box in the picture: left, top, right, bottom

STAGES = (
    ("Moves", "MOVES", "Folded into one warp, in the order of the list, whatever their number."),
    (
        "Recolours",
        "RECOLOURS",
        "One pass over the values, in the order of the list, after the warp.",
    ),
    ("Repaints", "REPAINTS", "A pass each, after that."),
    (
        "Mixes",
        "MIXES",
        "At the end, with other images of the batch; one-hot labels are mixed, too.",
    ),
    ("Containers", "CONTAINERS", "Choose for each image, at the cost of what was chosen."),
)
HEAD = """# Transforms

<!-- Written by docs/gallery.py. -->

All are in `fastaug.transforms`, here `T`. Give a list of them to `fastaug.Augmenter` or to
`Generator(transforms=...)`. Stages have a fixed order, which `describe()` tells: moves, recolours,
repaints, `Normalize`, mixes. Within a stage the list's order counts. Every number is drawn for each
image; `probability` is the share of the images that a transform is done to.

Values are 0 to 255, as bytes or floats; `Augmenter(value_range=(0, 1))` takes floats from 0 to 1.
Pictures below show the source first.
"""


def picture() -> np.ndarray:
    """Draw a hill, a house and a sun, with fine and coarse detail: (96, 128, 3) uint8."""
    height, width = SIZE
    scale = 4
    image = Image.new("RGB", (width * scale, height * scale))
    draw = ImageDraw.Draw(image)
    for row in range(height * scale):
        share = row / (height * scale)
        sky = round(90 + 90 * share), round(150 + 70 * share), 230
        draw.line((0, row, width * scale, row), fill=sky)
    draw.ellipse((380, 30, 450, 100), fill=(255, 225, 90))
    draw.polygon(
        [(0, 300), (150, 190), (330, 270), (512, 210), (512, 384), (0, 384)], (70, 150, 70)
    )
    for col in range(0, 512, 14):
        draw.line((col, 384, col + 30, 300), fill=(50, 120, 55), width=3)
    draw.rectangle((150, 200, 290, 320), fill=(205, 95, 70))
    draw.polygon([(130, 205), (220, 120), (310, 205)], fill=(120, 50, 45))
    for left in (170, 235):
        draw.rectangle((left, 225, left + 35, 262), fill=(245, 240, 200))
        draw.line((left + 17, 225, left + 17, 262), fill=(90, 60, 50), width=4)
    draw.rectangle((205, 272, 235, 320), fill=(80, 45, 35))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def sources() -> np.ndarray:
    """Return the batch that is shown: the picture, and for mixes others in its colours."""
    base = picture()
    return np.stack([base, base[:, ::-1], 255 - base, np.roll(base, 1, axis=-1)])


def framed(image: np.ndarray) -> np.ndarray:
    """Return an image with the frame of its box."""
    canvas = Image.fromarray(image)
    left, top, right, bottom = HOUSE
    ImageDraw.Draw(canvas).rectangle((left, top, right - 1, bottom - 1), outline=(255, 255, 0))
    return np.asarray(canvas)


def strip(name: str) -> Image.Image:
    """Return the source and what becomes of it, side by side."""
    transform = eval(EXAMPLES[name], {"T": T})  # noqa: S307 - our own text
    images = sources() if isinstance(transform, T.Mixes) else np.stack([picture()] * SAMPLES)
    augmenter = Augmenter([transform], seed=3, fill=128, threads=1)
    if isinstance(transform, T.SeesBoxes):
        images = np.stack([framed(picture())] * SAMPLES)
        made = augmenter(images, boxes=[[HOUSE]] * SAMPLES)["images"]
    else:
        made = augmenter(images)
    if made.dtype != np.uint8:  # normalised: shown about the middle
        made = np.clip(made * 50 + 110, 0, 255).astype(np.uint8)
    shown = [images[0], *made]
    height = max(image.shape[0] for image in shown)
    canvas = np.full((height, sum(image.shape[1] + 6 for image in shown) - 6, 3), 255, np.uint8)
    left = 0
    for image in shown:
        canvas[: image.shape[0], left : left + image.shape[1]] = image
        left += image.shape[1] + 6
    return Image.fromarray(canvas)


def paragraph(kind: type) -> str:
    """Return the first paragraphs of a docstring, up to its sections."""
    text = inspect.getdoc(kind) or ""
    return re.split(r"\n\n\w[\w ]*\n-{3,}", text)[0].strip()


def reference(kind: type) -> str:
    """Return where it comes from."""
    found = re.search(
        r"\nReferences\n-+\n(.*?)(?:\n\n\w[\w ]*\n-{3,}|\Z)", inspect.getdoc(kind), re.S
    )
    return " ".join(found[1].split()) if found else ""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, attribute, words in STAGES:
        parts.append(f"## {title}\n\n{words}\n")
        for kind in getattr(T, attribute):
            name = kind.__name__
            signature = ", ".join(
                str(each).split(":")[0]
                + (f"={each.default!r}" if each.default is not each.empty else "")
                for each in inspect.signature(kind).parameters.values()
            )
            parts.append(f"### {name}\n\n`{name}({signature})`\n\n{paragraph(kind)}\n")
            if reference(kind):
                parts.append(f"*{reference(kind)}*\n")
            parts.append(f"```python\n{EXAMPLES[name]}\n```\n")
            parts.append(f"![{name}](figures/transforms/{name}.webp)\n")
    return "\n".join(parts)


def main() -> int:
    """Write everything, or check the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    path = HERE / "transforms.md"
    if options.check:
        same = path.exists() and path.read_text(encoding="utf-8") == page()
        print("up to date" if same else f"{path} is not what docs/gallery.py writes")
        return 0 if same else 1
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name in EXAMPLES:
        strip(name).save(FIGURES / f"{name}.webp", quality=70, method=6)
    path.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

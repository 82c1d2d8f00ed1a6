"""`fastaug preview`: a contact sheet of a folder, and what the model sees of it."""

from __future__ import annotations

import sys
import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from fastaug.cli.arguments import positive

_RECIPES = "imagenet, rsb-a2, simclr, dino, unet, yolo"


def add_to(commands: Any) -> None:
    """Add the command to a parser's sub-commands."""
    parser = commands.add_parser(
        "preview",
        usage="%(prog)s FOLDER [options]",  # --zoom would take a folder behind it for a number
        help="draw a contact sheet: pictures of a folder, and what the model sees of them",
        description="Draw a contact sheet of pictures of a folder, each beside what the model gets "
        "of it with these options, with the drawn numbers below.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="folder with a sub-folder of pictures per class; with --masks or --coco, of pictures",
    )
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="masks of the same names")
    parser.add_argument("--coco", type=Path, metavar="FILE", help="COCO file of boxes and masks")
    parser.add_argument("--recipe", metavar="NAME", help=f"transforms of a paper: {_RECIPES}")
    _add_augmentations(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of order and numbers (0)")
    parser.add_argument(
        "--target-size",
        type=positive,
        nargs=2,
        default=[256, 256],
        metavar=("H", "W"),
        help="height and width that pictures are brought to (256 256)",
    )
    parser.add_argument("-n", type=positive, default=16, help="how many pictures (16)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("sheet.png"),
        metavar="FILE",
        help="where to save the sheet (sheet.png)",
    )
    parser.set_defaults(run=run)


def _add_augmentations(parser: ArgumentParser) -> None:
    """Add Generator's options, under the names that they have there."""
    add = parser.add_argument_group("augmentation, as in Generator").add_argument
    add("--rotation", dest="rotation_range", type=float, metavar="DEGREES")
    add("--width-shift", dest="width_shift_range", type=_number, metavar="SHARE|PIXELS")
    add("--height-shift", dest="height_shift_range", type=_number, metavar="SHARE|PIXELS")
    add("--shear", dest="shear_range", type=float, metavar="DEGREES")
    add("--zoom", dest="zoom_range", type=float, nargs="+", metavar="FACTOR", help="one or two")
    add("--channel-shift", dest="channel_shift_range", type=float, metavar="VALUE")
    add("--brightness", dest="brightness_range", type=float, nargs=2, metavar=("LOW", "HIGH"))
    add("--horizontal-flip", action="store_true", default=None)
    add("--vertical-flip", action="store_true", default=None)
    add("--fill-mode", metavar="MODE", help="constant, nearest, reflect or wrap")
    add("--cval", type=float, metavar="VALUE")
    add("--rescale", type=float, metavar="FACTOR")
    add("--preprocessing", dest="preprocessing_function", metavar="tf|caffe|torch")
    add("--interpolation-order", type=int, metavar="ORDER", help="0 to 5")
    add("--no-quirks", dest="keras_quirks", action="store_false", default=None)


_AUGMENTATIONS = (
    *("rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range"),
    *("channel_shift_range", "brightness_range", "horizontal_flip", "vertical_flip", "fill_mode"),
    *("cval", "rescale", "preprocessing_function", "interpolation_order", "keras_quirks"),
)


def _number(text: str) -> float:
    """Return a whole number as int, any other as float: Keras draws them differently."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _preview(generator: Any, options: Namespace) -> Any:
    """Return the preview of a folder, with masks or annotations where there are some."""
    flow = {"seed": options.seed, "target_size": tuple(options.target_size)}
    if options.coco is not None:
        targets = {"targets": ("boxes", "masks"), "batch_size": options.n}
        with generator.flow_from_coco(options.coco, options.folder, **targets, **flow) as pictures:
            return generator.preview(pictures, options.n, options.output)
    if options.masks is not None:
        masks = {"mask_directory": options.masks, "batch_size": options.n}
        with generator.flow_from_directory(
            options.folder, class_mode=None, **masks, **flow
        ) as pictures:
            return generator.preview(pictures, options.n, options.output)
    return generator.preview(options.folder, options.n, options.output, class_mode=None, **flow)


def run(options: Namespace) -> int:
    """Draw the sheet; return the exit status."""
    from fastaug.generator import Generator  # noqa: PLC0415 - `--help` must not wait for keras

    given = {name: getattr(options, name) for name in _AUGMENTATIONS}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given.get("zoom_range", ())) == 1:
        given["zoom_range"] = given["zoom_range"][0]
    if options.recipe is not None:
        from fastaug.recipes import recipe  # noqa: PLC0415 - likewise

        # Without its last step, which is undone for the eye, and mixes, which are not shown.
        given["transforms"] = recipe(options.recipe, normalize=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        preview = _preview(Generator(**given), options)
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"fastaug: {message}", file=sys.stderr)
    for error in preview.errors:
        print(f"fastaug: skipped {error.path}: {error.reason}", file=sys.stderr)
    print(f"{options.output}: {len(preview.rows)} pictures beside what the model sees of them")
    return 0

"""`fastaug stats`: mean, deviation and ZCA whitening of the images of a folder."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastaug.cli.arguments import positive, seconds

if TYPE_CHECKING:
    from fastaug.fitting.folders import FolderStatistics

_LISTED = 10
_DESCRIPTION = """\
Find the mean and the standard deviation of every channel over all images of a folder, which
featurewise_center and featurewise_std_normalization need, and the matrix that zca_whitening needs.
The images are read a batch at a time, so the folder may be of any size.

FOLDER has one sub-folder per class, as for flow_from_directory, or images only.
"""
_EPILOG = """\
exit status: 0; 1 if a file can't be read, or it can't be done; 2 for wrong arguments.

example:
  fastaug stats data/train --target-size 224 224 --rescale 1/255 -o stats.json

  generator = fastaug.Generator(featurewise_center=True, rescale=1 / 255)
  generator.load_statistics("stats.json")     # in place of generator.fit(x)
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's sub-commands."""
    parser = commands.add_parser(
        "stats",
        help="mean, deviation and ZCA whitening of a folder, in place of Generator.fit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the images")
    parser.add_argument(
        "--target-size",
        type=positive,
        nargs=2,
        required=True,
        metavar=("HEIGHT", "WIDTH"),
        help="size to which images are brought, as in flow_from_directory",
    )
    parser.add_argument(
        "--color-mode",
        choices=("rgb", "rgba", "grayscale"),
        default="rgb",
        help="as in flow_from_directory (rgb)",
    )
    parser.add_argument(
        "--interpolation",
        default="nearest",
        metavar="NAME",
        help="how images are resized, as in flow_from_directory (nearest)",
    )
    parser.add_argument(
        "--rescale",
        type=factor,
        metavar="X",
        help="the generator's rescale, such as 1/255; fit applies it first, and so does this",
    )
    parser.add_argument(
        "--zca",
        action="store_true",
        help="make the ZCA whitening matrix, too; for small images only, needs -o",
    )
    parser.add_argument(
        "--zca-epsilon", type=float, default=1e-6, metavar="X", help="the generator's (1e-6)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="JSON file for Generator.load_statistics"
    )
    for name in ("keep-aspect-ratio", "exif-transpose", "scale-16bit"):
        user = "flow_from_directory" if name == "keep-aspect-ratio" else "Generator"
        parser.add_argument(f"--{name}", action="store_true", help=f"as in {user}")
    parser.add_argument(
        "--skip-errors",
        action="store_true",
        help="leave out files that can't be read, and list them; without this, one ends it all",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="decode processes (one per usable core)"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=120.0,
        metavar="SECONDS",
        help="how long nothing may move until reading gives up (120)",
    )
    parser.set_defaults(run=run)


def factor(text: str) -> float:
    """Return a number or a fraction such as 1/255; argparse's error for anything else."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise ArgumentTypeError(f"{text!r} is neither a number nor a fraction") from None


def run(options: Namespace) -> int:
    """Find the statistics; return the exit status."""
    output = options.output
    if options.zca and output is None:
        raise ValueError("--zca makes a matrix that is not for a screen: name a file with -o")
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise ValueError(f"-o {str(output)!r} is a folder, or would be in one that does not exist")

    from fastaug.fitting.folders import fit_folder  # noqa: PLC0415 - `--help` must not wait

    result = fit_folder(
        options.folder,
        tuple(options.target_size),
        color_mode=options.color_mode,
        interpolation=options.interpolation,
        rescale=options.rescale,
        zca=options.zca,
        zca_epsilon=options.zca_epsilon,
        keep_aspect_ratio=options.keep_aspect_ratio,
        exif_transpose=options.exif_transpose,
        scale_16bit=options.scale_16bit,
        skip_errors=options.skip_errors,
        workers=options.workers,
        timeout=options.timeout,
        progress=True,
    )
    if output is not None:
        result.save(output)
    _print_statistics(result)
    if output is not None:
        print(f'Written to {output}: Generator(...).load_statistics("{output}")')
    return 0


def _print_statistics(result: FolderStatistics) -> None:
    statistics = result.statistics
    assert statistics.mean is not None
    assert statistics.std is not None
    print(f"{statistics.count:,} images, {statistics.channels} channels")
    print(f"mean: {', '.join(f'{value:.8g}' for value in statistics.mean)}")
    print(f"std:  {', '.join(f'{value:.8g}' for value in statistics.std)}")
    for skipped in result.skipped[:_LISTED]:
        print(f"left out: {ascii(skipped.path)}: {skipped.reason}", file=sys.stderr)
    if len(result.skipped) > _LISTED:
        print(f"and {len(result.skipped) - _LISTED:,} more files left out", file=sys.stderr)

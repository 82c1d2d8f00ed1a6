"""`fastaug demo`: a first run, on a folder of the user's or on a drawn one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from fastaug.cli.arguments import positive


def add_to(commands: Any) -> None:
    """Add the command to a parser's sub-commands."""
    parser = commands.add_parser(
        "demo",
        help="train a small model on a folder of pictures and measure beside Keras",
        description="Train a small Keras model through flow_from_directory and print images per "
        "second for fastaug and for Keras' own generator, measured in the same run.",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="folder with one sub-folder of pictures per class; without it, one is drawn",
    )
    parser.add_argument("--epochs", type=positive, default=2, help="epochs to train (2)")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the demo; return the exit status."""
    from fastaug import demo  # noqa: PLC0415 - `--help` must not wait for keras

    demo.run(options.folder, options.epochs)
    return 0

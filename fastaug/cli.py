"""The `fastaug` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import fastaug


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(prog="fastaug", description=(fastaug.__doc__ or "").strip())
    parser.add_argument("--version", action="version", version=f"fastaug {fastaug.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train a small model on a folder of pictures and measure beside Keras",
        description="Train a small Keras model through flow_from_directory and print images per "
        "second for fastaug and for Keras' own generator, measured in the same run.",
    )
    demo.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="folder with one sub-folder of pictures per class; without it, one is drawn",
    )
    demo.add_argument("--epochs", type=_positive, default=2, help="epochs to train (2)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = build_parser().parse_args(arguments)
    # TensorFlow's start-up log would bury the demo's first lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from fastaug.demo import run  # noqa: PLC0415 - `--help` must not wait for keras

    try:
        run(options.folder, options.epochs)
    except (OSError, ValueError) as error:
        print(f"fastaug: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0

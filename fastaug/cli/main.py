"""The `fastaug` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import fastaug
from fastaug.cli import bench, demo, preview, scan, stats
from fastaug.errors import WorkerError

COMMANDS = (demo, scan, stats, preview, bench)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(prog="fastaug", description=(fastaug.__doc__ or "").strip())
    parser.add_argument("--version", action="version", version=f"fastaug {fastaug.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    0: done; 1: could not be done, or the command found what it warns of; 2: wrong arguments;
    130: ended by Ctrl-C.
    """
    options = build_parser().parse_args(arguments)
    # TensorFlow's start-up log would hide a command's first lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        status: int = options.run(options)
    except (ImportError, OSError, ValueError, WorkerError) as error:
        print(f"fastaug: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status

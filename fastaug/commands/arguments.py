"""Types of the command line's options."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """Return a whole number above zero; argparse's error for anything else."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number

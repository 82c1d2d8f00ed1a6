"""Types of the command line's options."""

from __future__ import annotations

import argparse
import math


def positive(text: str) -> int:
    """Return a whole number above zero; argparse's error for anything else."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def seconds(text: str) -> float:
    """Return a finite number above zero; argparse's error for anything else."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above zero")
    return number

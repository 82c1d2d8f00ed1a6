"""Waiting until nothing of ours is at work."""

from __future__ import annotations

import time

import psutil

LOOK_S, IDLE_SHARE, PATIENCE_S = 0.1, 0.2, 20.0


def wait_until_idle() -> None:
    """Return when this process and its children do next to nothing; RuntimeError if they go on."""
    before, deadline = processor_seconds(), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(LOOK_S)
        now = processor_seconds()
        if now - before < IDLE_SHARE * LOOK_S:
            return
        before = now
    raise RuntimeError(f"something is still at work after {PATIENCE_S:.0f} s")


def processor_seconds() -> float:
    """Return the processor time so far of this process and of its children that run."""
    children = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            children += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:  # it has just ended
            continue
    return time.process_time() + children

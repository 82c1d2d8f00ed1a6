"""A real browser without a window, for pages that people will read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def find_browser() -> str:
    """Return the path of a browser that can do it; skip where there is none, but for CI."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    missing = f"no browser: none of {', '.join(NAMES)} is installed"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def open_page(page: Path, *flags: str) -> str:
    """Open a page; return what the browser prints."""
    command = [find_browser(), *_FLAGS, f"--user-data-dir={page.parent / 'browser'}", *flags]
    done = subprocess.run(
        [*command, page.resolve().as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def after_scripts(page: Path, script: str) -> str:
    """Return what a script that runs in the loaded page answers, as text."""
    copy = page.with_name(f"{page.stem}-with-script.html")
    run = f"document.body.innerText = 'ANSWER' + (() => {{ {script} }})() + 'ANSWER'"
    tag = f"<script>window.addEventListener('load', () => {{ {run} }})</script>"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{tag}</body>"))
    printed = open_page(copy, "--virtual-time-budget=5000", "--dump-dom")
    return printed.split("ANSWER")[1] if printed.count("ANSWER") == 2 else printed


def screenshot(page: Path, path: Path, width: int = 1100, height: int = 2400) -> None:
    """Save what a window of this size shows."""
    open_page(page, f"--screenshot={path}", f"--window-size={width},{height}")

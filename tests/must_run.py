"""A plug-in for pytest: a test of leaks, kills or hostile files that is skipped turns a run red.

Elsewhere such tests were skipped for years, and nobody noticed.  On Linux only two reasons count:
that a test takes long, and that a stranger's clone has no real photos (which CI has).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FILES = {
    "test_faults.py",
    "test_fuzz.py",
    "test_leaks.py",
    "test_process_faults.py",
    "test_workers.py",
}
LONG = "a long run: scripts/test --long"
NO_DATA = "no real images"  # how that reason begins


def is_excused(reason: str) -> bool:
    """Whether a test may be skipped for this reason."""
    return reason == LONG or (reason.startswith(NO_DATA) and not os.environ.get("CI"))


def _condemn(report: pytest.TestReport | pytest.CollectReport, path: Path) -> None:
    """Turn the report of a skipped test into that of a failed one, unless it is excused."""
    if not report.skipped or path.name not in FILES or sys.platform != "linux":
        return
    reason = getattr(report, "wasxfail", None)
    if reason is None:
        said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = said.removeprefix("Skipped: ")
        if is_excused(reason):
            return
    else:
        del report.wasxfail
    report.outcome = "failed"
    report.longrepr = f"the tests of {path.name} must run on Linux, this one did not: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    _condemn(report, item.path)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    _condemn(report, Path(getattr(collector, "path", "")))
    return report

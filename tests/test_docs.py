"""What the documents say is so."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
from conftest import ROOT

import fastaug
from fastaug import Generator, transforms
from fastaug.demo import STUDY
from fastaug.kernels import launch

DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted(
    path for path in (ROOT / "docs").rglob("*.md")
)


SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "fastaug").rglob("*.py"))
}
WITH_EXAMPLES = [name for name, path in SOURCES.items() if ">>> " in path.read_text()]


def imported(name: str) -> ModuleType | None:
    """Return a module, or None where a package that it needs is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("fastaug"):
            raise
        return None


@pytest.fixture
def nothing_said_or_written(tmp_path, monkeypatch, capfd) -> Iterator[None]:
    """Run in an empty folder; afterwards it is empty, and nothing was printed.

    What is left in the process is looked after by `nothing_left`, but for the number of threads.
    """
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    threads = launch._limit
    yield
    fastaug.set_num_threads(threads)
    assert list(folder.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("nothing_said_or_written")
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name):
    module = imported(name)
    if module is None:
        pytest.skip(f"{name} needs a package that is not installed")
    failures: list[str] = []
    runner, attempted = doctest.DocTestRunner(verbose=False), 0
    for test in doctest.DocTestFinder().find(module):
        attempted += runner.run(test, out=failures.append).attempted
    assert not failures, "".join(failures)
    assert attempted > 0


def test_no_example_is_overlooked():
    modules = [module for name in SOURCES if (module := imported(name)) is not None]
    find = doctest.DocTestFinder().find
    found = {one.__name__ for one in modules if any(test.examples for test in find(one))}
    assert found == {one.__name__ for one in modules} & set(WITH_EXAMPLES)
    assert found


def test_the_studys_notebook_runs_from_top_to_bottom(tmp_path):
    command = [sys.executable, ROOT / "docs" / "study.py", "--quick"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    speedup = float(re.search(r"^1 threads: .* s, ([\d.]+)x$", done.stdout, re.MULTILINE)[1])
    assert speedup > 2  # a tenth of what is usual: a busy machine must not make this fail
    assert re.search(r"^batches of 256: .*x$", done.stdout, re.MULTILINE)
    assert "input: model waited" in done.stdout
    assert "fastaug, cached: " in done.stdout
    charts = {path.name for path in (tmp_path / "fastaug-study").iterdir()}
    assert {"preview.png", "generation.png", "Generator-256.png"} <= charts


def test_manual_shows_what_describe_prints(capsys):
    Generator(**STUDY).describe()
    assert capsys.readouterr().out.strip() in (ROOT / "docs" / "generator.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_architecture_lists_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path in (ROOT / "fastaug").glob("[a-z]*"):
        if path.suffix in ("", ".py"):
            assert f"`{path.stem}{'/' if path.is_dir() else ''}`" in text, path.name


def test_the_gallery_shows_every_transform():
    command = [sys.executable, ROOT / "docs" / "gallery.py", "--check"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "docs" / "transforms.md").read_text()
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == [
        kind.__name__ for kind in transforms.TRANSFORMS
    ]
    pictures = {path.stem for path in (ROOT / "docs" / "figures" / "transforms").iterdir()}
    assert pictures == {kind.__name__ for kind in transforms.TRANSFORMS}


def test_every_module_of_transforms_is_listed():
    folder = ROOT / "fastaug" / "transforms"
    for stage in ("moves", "recolours", "repaints", "mixes", "containers"):
        files = {path.stem for path in (folder / stage).glob("[a-z]*.py")}
        found = {
            kind.__module__.rpartition(".")[2]
            for kind in transforms.TRANSFORMS
            if f".{stage}." in kind.__module__
        }
        assert found <= files
        helping = {"repaints": {"ranges", "planes", "fills"}, "containers": {"operations"}}
        assert files - found <= helping.get(stage, set())


def test_every_parameter_is_documented():
    text = inspect.getdoc(Generator)
    for name in inspect.signature(Generator).parameters:
        assert re.search(rf"^(.*, )?{name}(,.*)?$", text, re.MULTILINE), name


def test_readme_is_a_first_screen():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_own_options_are_in_the_manual():
    manual = (ROOT / "docs" / "generator.md").read_text()
    for name, parameter in inspect.signature(Generator).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and name != "dim_ordering":
            assert f"| `{name}` |" in manual, name


def test_version_is_that_of_the_package():
    assert f'version = "{fastaug.__version__}"' in (ROOT / "pyproject.toml").read_text()

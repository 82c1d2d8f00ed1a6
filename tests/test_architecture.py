"""The house: arrows one way, light imports, a front door that is what it says."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

import fastaug

PACKAGE = ROOT / "fastaug"

# What every room may import; a room is a folder of `fastaug`, or a module that lies beside them.
# Imports for types count, too.
GROUND = {
    "errors",
    "checks",
    "counters",
    "extras",
    "machine",
    "overrides",
}  # each knows nothing of ours
ALLOWED = {
    **dict.fromkeys(GROUND, set()),
    "kernels": {"checks", "errors"},
    "transforms": {"kernels", "checks", "errors"},
    "pixels": {"transforms", "kernels"} | GROUND,
    "files": GROUND,
    "scan": {"files"} | GROUND,
    "keras_settings": {"checks"},
    "fork_2017": {"checks", "errors"},
    "keras_legacy": set(),
    "targets": {"pixels", "transforms", "kernels"} | GROUND,
    "augmenter": {"targets", "pixels", "transforms", "kernels"} | GROUND,
    "recipes": {"augmenter", "transforms"} | GROUND,
    "settings": {
        "targets",
        "pixels",
        "transforms",
        "kernels",
        "files",
        "keras_settings",
        "fork_2017",
    }
    | GROUND,
    "sources": {"settings", "kernels", "files"} | GROUND,
}
ALLOWED["iterators"] = {"sources", *ALLOWED["settings"], "settings", "keras_legacy"}
for _room in ("fitting", "preview", "watch"):
    ALLOWED[_room] = {"iterators", *ALLOWED["iterators"]}
ALLOWED["generator"] = {"fitting", "preview", "watch", *ALLOWED["watch"]}
ALLOWED["demo"] = {"generator", *ALLOWED["generator"]}
ALLOWED["__init__"] = {"scan", "augmenter", "recipes", *ALLOWED["demo"]}
ALLOWED["study"] = {"demo", *ALLOWED["__init__"]}
ALLOWED["cli"] = {"study", "__init__", *ALLOWED["study"]}
ALLOWED["__main__"] = {"cli"}


def room_of(module: str) -> str:
    """Return the room that a module lies in: `fastaug.files.cache.disk` is in `files`."""
    return (module.split(".") + ["__init__"])[1]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever it does, for types alone, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            inside = {f"{base}.{alias.name}" for alias in node.names} & MODULES.keys()
            found.update(inside or {base})
    return found


def rooms_entered(module: str) -> set[str]:
    """Return the other rooms that a module imports from."""
    imported = imports_of(MODULES[module])
    ours = {room_of(name) for name in imported if name.partition(".")[0] == "fastaug"}
    return ours - {room_of(module)}


def test_every_room_is_in_the_table():
    assert {room_of(module) for module in MODULES} == ALLOWED.keys()


def test_the_table_leads_one_way():
    for room, entered in ALLOWED.items():
        for other in entered:
            assert room not in ALLOWED[other], f"{room} and {other} import each other"


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_one_way(module):
    assert rooms_entered(module) <= ALLOWED[room_of(module)]


def test_no_circle_of_modules():
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way, module))}"
        if module not in done:
            for name in imports_of(MODULES[module]) & MODULES.keys():
                visit(name, (*way, module))
            done.add(module)

    for module in MODULES:
        if module != "fastaug":  # the front door names all, and imports them when they are used
            visit(module, ())


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) == "files"])
def test_files_know_no_compiler_and_no_keras(module):
    assert not {name.partition(".")[0] for name in imports_of(MODULES[module])} & {"numba", "keras"}


def test_only_what_keras_calls_imports_it():
    users = {
        module
        for module, path in MODULES.items()
        if any(name.partition(".")[0] == "keras" for name in imports_of(path))
        and room_of(module) not in ("study", "cli", "demo")  # they run Keras' own
    }
    callbacks = {"fastaug.watch.monitor", "fastaug.watch.input_stats"}
    bases = {"fastaug.keras_settings", "fastaug.keras_legacy", "fastaug.iterators.base"}
    assert users == bases | callbacks


def test_only_the_face_and_its_users_know_the_generator():
    known = {name for name in MODULES if "fastaug.generator" in imports_of(MODULES[name])}
    assert {room_of(name) for name in known} <= {"__init__", "study", "demo", "cli"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_holds_two_things(module):
    # Docstrings don't count: the options of `Generator` take a hundred lines to explain.
    text = MODULES[module].read_text()
    documented = 0
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            documented += node.body[0].end_lineno - node.body[0].lineno + 1
    assert len(text.splitlines()) - documented <= 400


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    return set(output.split())


def test_import_is_light():
    heavy = {"numba", "keras", "tensorflow", "jax", "torch", "pandas", "matplotlib", "numpy", "PIL"}
    assert not heavy & modules_after("import fastaug")


def test_decode_processes_are_light():
    heavy = {"numba", "keras", "tensorflow", "jax", "torch", "pandas", "scipy", "matplotlib"}
    assert not heavy & modules_after("import fastaug.files.decoders.child")


def test_import_costs_little_beside_an_empty_interpreter():
    def seconds(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    rounds = [(seconds("pass"), seconds("import fastaug")) for _ in range(7)]
    # 0.15 s is what is promised; the package alone takes about 0.01 s of it.
    assert min(ours for _, ours in rounds) - min(empty for empty, _ in rounds) < 0.15


def test_public_names_are_what_is_importable():
    assert fastaug.__all__ == sorted(fastaug._HOME)
    for name in fastaug.__all__:
        assert getattr(fastaug, name) is not None
    assert set(fastaug.__all__) <= set(dir(fastaug))


def test_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Generatr"):
        fastaug.Generatr  # noqa: B018


def test_type_hints_are_shipped():
    assert (PACKAGE / "py.typed").is_file()

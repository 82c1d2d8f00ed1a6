"""What `mkdocs.yml` adds to MkDocs: pages of the files at the top, and links that leave the site.

And to mkdocstrings: docstrings and options as they are written here.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
# Files at the top of the repository, and the pages that they become.
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
START = {"README.md": "index.md"}  # stands in its place
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_RETURNS = re.compile(r"^Returns\n-------\n(.+?)(?=\n\n\w[\w ]*\n---|\Z)", re.MULTILINE | re.DOTALL)
_GROUP = re.compile(r"^(\w+(?:, +\w+)+)\n((?:    .*\n?|\n(?=    ))+)", re.MULTILINE)
_FIELDS = ("_option", "_FLAG")  # of `fastaug.settings`: the default comes first


class AsWritten(griffe.Extension):
    """Reads docstrings and options as they are written in fastaug.

    A section of what is returned is a sentence; parameters that are told of together have types and
    defaults of their own; and the default of an option is what its field begins with.
    """

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Put the type above the sentence, as numpydoc has it."""
        if func.docstring is None:
            return
        _ungroup(func.docstring)
        if func.returns is None:
            return

        def typed(found: re.Match[str]) -> str:
            lines = "\n".join(f"    {line}".rstrip() for line in found[1].strip().splitlines())
            return f"Returns\n-------\n{func.returns}\n{lines}"

        func.docstring.value = _RETURNS.sub(typed, func.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Tell of each parameter by itself."""
        if cls.docstring is not None:
            _ungroup(cls.docstring)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Take the default out of an option's field."""
        value = attr.value
        if isinstance(value, griffe.ExprCall) and str(value.function) in _FIELDS:
            attr.value = value.arguments[0]


def _ungroup(docstring: griffe.Docstring) -> None:
    """Give parameters that share a text the text each."""

    def each(found: re.Match[str]) -> str:
        text = found[2].rstrip("\n")
        end = found[2][len(text) :]
        return "\n".join(f"{name.strip()}\n{text}" for name in found[1].split(",")) + end

    docstring.value = _GROUP.sub(each, docstring.value)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the files at the top."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """Let links that are right in the repository lead to pages.

    A file that is no page, such as a test, keeps its name and loses its link.  What isn't there at
    all stays as it is, and MkDocs warns of it.
    """
    uri = page.file.src_uri
    source = next((name for name, made in PAGES.items() if made == uri), f"docs/{uri}")

    def changed(found: re.Match[str]) -> str:
        mark, text, link, anchor = found.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        in_docs = target.removeprefix("docs/") if target.startswith("docs/") else None
        for known in ((PAGES | START).get(target), in_docs, f"{in_docs}/index.md"):
            made = None if known is None else files.get_file_from_path(known)
            if made is not None and made.inclusion.is_included():
                there = posixpath.relpath(known, posixpath.dirname(uri) or ".")
                return f"{mark}[{text}]({there}{anchor or ''})"
        return text if (ROOT / target).exists() else found.group(0)

    return _LINK.sub(changed, markdown)

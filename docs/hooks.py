"""What `mkdocs.yml` adds to MkDocs: pages of the files at the top, and links that leave the site.

And to mkdocstrings: a Returns section that is a sentence.
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
PAGES = {
    "README.md": "manual.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_RETURNS = re.compile(r"^Returns\n-------\n(.+?)(?=\n\n\w[\w ]*\n---|\Z)", re.MULTILINE | re.DOTALL)


class ReturnsInWords(griffe.Extension):
    """Gives sections of what is returned, which are sentences here, the type of the signature."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Put the type above the sentence, as numpydoc has it."""
        if func.docstring is None or func.returns is None:
            return

        def typed(found: re.Match[str]) -> str:
            lines = "\n".join(f"    {line}".rstrip() for line in found[1].strip().splitlines())
            return f"Returns\n-------\n{func.returns}\n{lines}"

        func.docstring.value = _RETURNS.sub(typed, func.docstring.value)


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
        for known in (PAGES.get(target), in_docs, f"{in_docs}/index.md"):
            made = None if known is None else files.get_file_from_path(known)
            if made is not None and made.inclusion.is_included():
                there = posixpath.relpath(known, posixpath.dirname(uri) or ".")
                return f"{mark}[{text}]({there}{anchor or ''})"
        return text if (ROOT / target).exists() else found.group(0)

    return _LINK.sub(changed, markdown)

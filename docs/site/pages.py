"""Hooks of the site: documents outside ``docs/`` are pages too, and links work here as they do in the repository."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parents[2]

#: Documents outside ``docs/``, and the pages that they become.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "data/README.md": "samples.md",
    "plugins/README.md": "bundled-plugins.md",
}
_PLACES = {page: document for document, page in ELSEWHERE.items()}
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents outside ``docs/``."""
    for document, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(REPOSITORY / document)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links, which are relative to the document's place in the repository, relative to its page."""
    uri = page.file.src_uri
    pieces = _FENCED.split(markdown)
    return "".join(
        piece if piece.startswith("```") else _LINK.sub(lambda link: _relative(link, uri), piece) for piece in pieces
    )


def _relative(link: re.Match[str], page: str) -> str:
    target, anchor = link[1], link[2] or ""
    if re.match(r"[a-z]+:", target):
        return link[0]
    document = _PLACES.get(page, f"docs/{page}")
    place = posixpath.normpath(posixpath.join(posixpath.dirname(document), target))
    if (REPOSITORY / place).is_dir():
        place = f"{place}/README.md"
    target = ELSEWHERE.get(place, place.removeprefix("docs/"))
    if place not in ELSEWHERE and not place.startswith("docs/"):
        raise PluginError(f"{document}: links to {place}, which is no page; add it to ELSEWHERE in {__file__}")
    return f"]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{anchor})"

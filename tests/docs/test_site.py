"""The site: every page is in it, it builds without a warning, and it has all that is public."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

CONFIGURATION = REPOSITORY / "docs/site/mkdocs.yml"
REFERENCE = REPOSITORY / "docs/reference"
PAGES = sorted(path.relative_to(REPOSITORY / "docs").as_posix() for path in (REPOSITORY / "docs").rglob("*.md"))

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocstrings") is None, reason="needs pip install 'restorekit[docs]'"
)


def documented() -> dict[str, Path]:
    """Return every module or object that a page of the reference shows."""
    pages = sorted(REFERENCE.glob("*.md"))
    return {name: page for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_in_the_navigation_once(page):
    assert len(re.findall(rf"^ +- (?:.+: )?{re.escape(page)}$", CONFIGURATION.read_text(), re.MULTILINE)) == 1


def test_every_module_that_plugins_may_import_is_in_the_reference():
    blocks = {f"restorekit.nn.{path.stem}" for path in (REPOSITORY / "restorekit/nn").glob("[!_]*.py")}
    assert blocks
    assert documented().keys() >= {"restorekit.plugin", "restorekit.hookspecs.restorekit_generators", *blocks}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIGURATION), "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@needs_mkdocs
def test_everything_public_is_on_its_page(site):
    for name, page in documented().items():
        shown = (site / "reference" / f"{page.stem}.html").read_text(encoding="utf-8")
        assert f'id="{name}"' in shown, name
        if _is_module(name):
            missing = {each for each in importlib.import_module(name).__all__ if f'id="{name}.{each}"' not in shown}
            assert missing == set(), f"{name}: without a docstring, or a line with #: above"


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, it is a name in there
        return False


@needs_mkdocs
def test_nothing_is_fetched_from_another_host(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|source|iframe)[^>]* src=[\"']?(?:https?:)?//", text), path
        assert not re.findall(r"<link[^>]* href=[\"']?(?:https?:)?//", text), path
        assert "@import" not in text


@needs_mkdocs
def test_links_of_the_repository_lead_to_pages_of_the_site(site):
    """The README is the front page: where it names docs/restore.md, the site has restore.html."""
    home = (site / "index.html").read_text(encoding="utf-8")
    for target in ("restore.html", "training.html", "bundled-plugins.html", "before-after.jpg"):
        assert f'"{target}"' in home
        assert (site / target).exists()
    for path in site.rglob("*.html"):
        for target in re.findall(r'<a[^>]* href="([^"#:]+)["#]', path.read_text(encoding="utf-8")):
            if path.name != "404.html":
                assert (path.parent / target).exists(), (path, target)

"""The page on formats says what the code does."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_equals_what_its_script_writes_now():
    script = runpy.run_path(str(DOCS / "make_formats.py"))
    page = script["page"]()
    assert (DOCS / "formats.md").read_text(encoding="utf-8") == page, "run `python docs/make_formats.py`"
    assert "CHANGED" not in page

"""The drawings that super-resolvers learn print from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import restorekit_super_resolver

SCRIPT = Path(restorekit_super_resolver.__file__).parent / "recipes" / "draw_pages.py"


def drawn(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(folder), "--count", "3", "--side", "120", *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_same_call_draws_the_same_pages_and_each_is_another(tmp_path):
    assert drawn(tmp_path / "one").returncode == drawn(tmp_path / "two").returncode == 0
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["page-000.png", "page-001.png", "page-002.png"]
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)
    pages = [np.asarray(Image.open(tmp_path / "one" / name), np.float64) for name in names]
    assert all(page.shape == (120, 120, 3) for page in pages)
    assert all(np.abs(np.diff(page, axis=1)).max() > 100 for page in pages), "ink on paper"
    assert not np.array_equal(pages[0], pages[1])


def test_a_folder_without_fonts_is_said_in_one_line(tmp_path):
    told = drawn(tmp_path / "pages", "--fonts", str(tmp_path))
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1].endswith(f"{tmp_path} holds no .ttf file")
    assert not (tmp_path / "pages").exists()

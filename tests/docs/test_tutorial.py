"""The tutorial, typed as a reader types it: every block is run, becomes a file, or is what was printed."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from docs.count_tutorial import PAGE, Block, blocks, changed, table

#: A number, whatever its value.
NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"


class Reader:
    """Does what the blocks say, in a folder and an environment of its own."""

    def __init__(self, folder: Path, commands: Path):
        self.folder = folder
        # Packages come from the environment of the tests; whatever else would be fetched meets a closed port.
        offline = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
        search = f"{commands}:{os.defpath}:/usr/bin"
        self.environment = {**offline, "PATH": search, "HOME": str(folder), "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
        self.printed = ""

    def follow(self, block: Block) -> None:
        if block.language == "sh":
            self.run(block.text)
        elif block.language == "text":
            self.compare(block.text)
        elif block.language == "diff":
            path = self.folder / block.title
            path.write_text(changed(path.read_text(), block.text))
        else:
            assert block.language in ("python", "toml"), (
                f"a block of {block.language!r}: nobody knows what to do with it"
            )
            assert block.title, f"which file is this?\n{block.text}"
            (self.folder / block.title).write_text(block.text)

    def run(self, text: str) -> None:
        script = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(
            script, cwd=self.folder, env=self.environment, stdout=-1, stderr=subprocess.STDOUT, text=True, timeout=600
        )
        self.printed = done.stdout
        status = re.search(r"# ends with status (\d+)$", text, re.MULTILINE)
        assert done.returncode == (int(status[1]) if status else 0), f"{text}\n{done.stdout}"

    def compare(self, text: str) -> None:
        """Look for these lines in what was printed; '...' stands for anything, and numbers for any number."""
        lines = [".*" if line == "..." else self.pattern(line) for line in text.splitlines()]
        assert re.search(r"\n\s*".join(lines).replace(r".*\n\s*", ".*"), self.printed, re.DOTALL), self.printed

    @staticmethod
    def pattern(line: str) -> str:
        words = (NUMBER.join(map(re.escape, re.split(NUMBER, word))) for word in line.split())
        return r"\s+".join(words).replace(re.escape("..."), ".*") + r"[^\S\n]*"


@pytest.fixture
def reader(tmp_path: Path, commands: Path) -> Reader:
    folder = tmp_path / "reader"
    folder.mkdir()
    python, offline = commands / "python", "--no-index --no-deps --no-build-isolation"
    scripts = {
        "pip": f"""command=$1; shift
            case $command in install|wheel) set -- {offline} "$@";; esac
            exec {python} -m pip --disable-pip-version-check --no-cache-dir "$command" "$@" """,
        "pytest": f'exec {python} -m pytest "$@"',
        # Nothing may be published from here: this twine notes what it was given.
        "twine": f'echo "$@" > {folder}/uploaded',
    }
    for name, text in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    (packages,) = commands.parent.glob("lib/python*/site-packages")
    about = packages / "twine-6.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: twine\nVersion: 6.0\n")
    return Reader(folder, commands)


def photo(folder: Path) -> NDArray[np.float32]:
    pixels = cv2.imread(str(folder / "coffee.png"))
    assert pixels is not None
    return pixels.astype(np.float32)


def test_the_tutorial_leads_from_nothing_to_a_published_plugin(reader):
    for block in blocks():
        reader.follow(block)
    folder = reader.folder
    clean, faded, fresh, again = (photo(folder / name) for name in ("held-out", "faded", "fresh", "again"))
    assert np.abs(fresh - clean).mean() < 0.6 * np.abs(faded - clean).mean()
    assert np.abs(fresh - again).max() <= 2  # packed weights have half the bits
    assert (folder / "uploaded").read_text() == "upload dist/unfade-0.1.0-py3-none-any.whl\n"
    with zipfile.ZipFile(folder / "dist/unfade-0.1.0-py3-none-any.whl") as wheel:
        assert "unfade/weights/photos.safetensors" in wheel.namelist()
        assert b"[restorekit]\nunfade = unfade" in wheel.read("unfade-0.1.0.dist-info/entry_points.txt")


def test_a_block_that_says_something_else_is_noticed(tmp_path):
    reader = Reader(tmp_path, tmp_path)
    reader.run("printf 'ok  a  0.0 s\\nok  b  1.5 s\\n2 of 2 passed\\n'")
    reader.compare("ok a 7.25 s\n...\n5 of 2 passed\n")
    for wrong in ("FAILED a 0.0 s\n", "ok a 0.0 s\n2 of 2 passed\n", "ok b 0.0 s\n...\nok a 0.0 s\n"):
        with pytest.raises(AssertionError):
            reader.compare(wrong)
    with pytest.raises(AssertionError, match="which file"):
        reader.follow(Block("", "python", "", "x = 1\n"))
    with pytest.raises(AssertionError):
        reader.follow(Block("", "sh", "", "false\n"))
    with pytest.raises(AssertionError):
        reader.follow(Block("", "sh", "", "true  # ends with status 1\n"))


def test_what_it_took_is_counted():
    assert table() in PAGE.read_text(encoding="utf-8"), "run python docs/count_tutorial.py"

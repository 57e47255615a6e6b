"""Counts what the tutorial asks of its reader: ``python docs/count_tutorial.py`` prints the table at its end."""

from __future__ import annotations

import difflib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from restorekit.scaffold import create

PAGE = Path(__file__).parent / "tutorial.md"

#: What is reached, and the section with which it is.
MILESTONES = (
    (
        "the template's network is in the command line, the batch pipeline, the runner and the evaluation",
        "A package to begin with",
    ),
    ("yours is, and its checks pass", "Is it right?"),
    ("it is trained, has restored a folder, and is measured", "Is it any good?"),
    ("everyone can `pip install` it, weights included", "Publishing"),
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its section, its language, the file that it is or changes, and its text."""

    section: str
    language: str
    title: str
    text: str


def blocks() -> list[Block]:
    """Return the tutorial's blocks in their order."""
    found, section = [], ""
    pattern = r"^## ([^\n]+)$|^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$"
    for heading, *rest in re.findall(pattern, PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        if heading:
            section = heading
        else:
            found.append(Block(section, *rest))
    return found


def changed(content: str, diff: str) -> str:
    """Replace each run of '-' lines, which has to be there just once, by the '+' lines after it."""
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)*)", diff, re.MULTILINE):
        before, after = (re.sub(r"^[-+]", "", part, flags=re.MULTILINE) for part in (old, new))
        if content.count(before) != 1:
            raise ValueError(f"stands there {content.count(before)} times:\n{before}")
        content = content.replace(before, after)
    return content


def commands(text: str) -> list[str]:
    """Return the commands of a shell block, continued lines joined."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def effort(told: list[Block]) -> tuple[int, int, int]:
    """Count the commands, the lines that are not the template's, and the files that those are in."""
    typed = sum(len(commands(block.text)) for block in told if block.language == "sh")
    with tempfile.TemporaryDirectory() as folder:
        create("unfade", "trainable", Path(folder) / "unfade")
        template = {path: path.read_text(encoding="utf-8") for path in Path(folder).rglob("*") if path.is_file()}
        files = dict(template)
        for block in told:
            if (place := Path(folder) / block.title) in files:
                files[place] = changed(files[place], block.text) if block.language == "diff" else block.text
    written = [count for place in files if (count := added(template[place], files[place]))]
    return typed, sum(written), len(written)


def table() -> str:
    """Return the table: what it takes until each milestone."""
    told = blocks()
    rows = []
    for reached, section in MILESTONES:
        last = max(number for number, block in enumerate(told) if block.section == section)
        rows.append(f"| {reached} | {' | '.join(map(str, effort(told[: last + 1])))} |")
    return "\n".join(["| until | commands | lines | in files |", "|---|---:|---:|---:|", *rows])


def added(before: str, after: str) -> int:
    """Count the lines, blank ones aside, that are new or changed."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return sum(1 for line in lines if line.startswith("+") and not line.startswith("+++") and line[1:].strip())


if __name__ == "__main__":
    print(table())

"""Writes reference/cli.md from the command line itself: ``python docs/make_cli.py``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from restorekit.cli import app

PAGE = Path(__file__).parent / "reference/cli.md"

#: Every command has it; the page says so once.
HELP = "-h, --help"

INTRODUCTION = """\
# Command line

Every command, argument and option, as `--help` has them; written by `python docs/make_cli.py`. An option that takes a
list may be given several times, and every command has `-h, --help`. A STEP is `NAME[:CHOICE][,key=value]...`, or a
weights file; `restorekit generators` lists the names, `restorekit generators NAME` what may be set.

JSON goes to stdout alone; progress and messages go to stderr. Exit statuses:

| status | meaning |
|---|---|
| 0 | all done |
| 1 | some pictures, checks or files failed; or the output cannot be written |
| 2 | the request was wrong |
| 3 | a plugin, weights file, library or device is not here |
| 130, 143 | interrupted by Ctrl-C or SIGTERM, everything begun being safe |

| environment variable | meaning |
|---|---|
| `RESTOREKIT_CACHE` | folder for fetched files and statistics, instead of the system's cache folder |
| `RESTOREKIT_DISABLE_PLUGINS` | plugins to leave out: names separated by commas |
| `RESTOREKIT_ONLY_PLUGINS` | plugins to load alone, as `--only-plugins` |
| `RESTOREKIT_INCEPTION` | file of the Inception network of the FID |
| `RESTOREKIT_SQUEEZENET` | file of SqueezeNet 1.1 |
| `RESTOREKIT_DEBUG` | not empty: tracebacks of unexpected errors, as `--debug` |
"""


def commands(command: Any, parent: Any = None, name: str = "restorekit") -> Iterator[Any]:
    """Yield the context of a command, and of all under it."""
    context = command.context_class(command, info_name=name, parent=parent, **command.context_settings)
    yield context
    for under, each in getattr(command, "commands", {}).items():
        yield from commands(each, context, under)


def section(context: Any) -> str:
    """Return one command's part of the page."""
    usage = " ".join(context.command.collect_usage_pieces(context))
    parts = [
        f"## {context.command_path}",
        f"```text\n{context.command_path} {usage}\n```",
        _escaped(inspect.cleandoc(context.command.help or "")),
    ]
    records = [(each.param_type_name, each.get_help_record(context)) for each in context.command.get_params(context)]
    for kind in ("argument", "option"):
        rows = [_row(*record) for each, record in records if each == kind and record and record[0] != HELP]
        if rows:
            parts.append("\n".join([f"| {kind} | meaning | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _row(names: str, told: str) -> str:
    """Return a table's row; the default, which help puts last in brackets, has a column of its own."""
    meaning, default = told, ""
    if found := re.fullmatch(r"(.*?)\s*\[((?:default: |required|[x\d]).*)\]", told, re.DOTALL):
        meaning, default = found[1], re.sub(r"^\((.*)\)$", r"\1", found[2].removeprefix("default: "))
    cells = (f"`{names}`", _escaped(meaning), _escaped(default))
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _escaped(text: str) -> str:
    """Make code of words with brackets, which would be links, where they are not code already."""
    pieces = text.split("`")
    pieces[::2] = [re.sub(r"\S*\[[^\s;]*", r"`\g<0>`", piece) for piece in pieces[::2]]
    return "`".join(pieces)


def page() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    return "\n".join([INTRODUCTION, *map(section, commands(root))])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")

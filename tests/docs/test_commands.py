"""Every command that a document shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from restorekit.cli import app
from tests.test_documents import DOCUMENTS

#: Part of a shell line that runs restorekit, up to what follows it.
COMMAND = re.compile(r"(?:^|&& |-m )restorekit (.+?)(?: && |$)")


def commands(document: Path) -> list[str]:
    """Return what is typed after ``restorekit``; lines that only show a form (`[...]`, `...`) are none."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines = [line.partition(" #")[0].strip() for line in lines]
    return [found for line in lines for found in COMMAND.findall(line) if "..." not in found]


def parse(text: str) -> None:
    """Let the command line parse it, without running it."""
    command, context, words = typer.main.get_command(app), None, shlex.split(text)
    name = "restorekit"
    while True:
        context = command.make_context(name, words, parent=context)
        left = [*context._protected_args, *context.args] if hasattr(command, "commands") else []
        if not left:
            return
        name, command, words = command.resolve_command(context, left)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("document", "text"), [(document.name, text) for document in DOCUMENTS for text in commands(document)]
)
def test_a_command_in_a_document_is_one_that_can_be_typed(document, text):
    parse(text)


@pytest.mark.parametrize("text", ["restore in -o out --sharpen", "restore in", "mend in", "plugins chek x"])
def test_one_that_cannot_be_is_noticed(text):
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        parse(text)


def test_the_documents_show_many():
    assert sum(len(commands(document)) for document in DOCUMENTS) > 50

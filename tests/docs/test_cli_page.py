"""The page of the command line is what the command line says of itself."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from docs import make_cli
from restorekit.cli import app
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs/reference/cli.md"


def commands() -> list[list[str]]:
    root = typer.main.get_command(app)
    return [context.command_path.split()[1:] for context in make_cli.commands(root)]


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == make_cli.page(), "run python docs/make_cli.py"


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_argument_and_option_that_help_shows_is_on_the_page(command):
    told = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"}).output
    names = re.findall(r"^  (-[^ ]*,? ?(?:--)?\S*|\[?[A-Za-z.\]]+ <)", told, re.MULTILINE)
    assert names
    title = " ".join(["restorekit", *command])
    page = PAGE.read_text(encoding="utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    for name in names:
        assert f"| `{name.strip()}" in section or name.startswith("-h"), name


def test_every_environment_variable_is_on_the_page():
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "restorekit").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r"RESTOREKIT_[A-Z_]+", text)}
    assert used == set(re.findall(r"^\| `(RESTOREKIT_[A-Z_]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def test_an_option_that_is_not_on_the_page_is_noticed(monkeypatch):
    @app.command("conjure")
    def conjure(wand: str = typer.Option("", help="Which.")) -> None: ...

    try:
        assert "--wand" in make_cli.page() != PAGE.read_text(encoding="utf-8")
    finally:
        app.registered_commands.pop()

"""The command line: one file a command; each only parses, calls the library and prints."""

from __future__ import annotations

import os
import sys
import warnings

import typer

from restorekit.cli import (
    benchmark,
    degrade,
    evaluate,
    generate,
    generators,
    info,
    manifest,
    plugins,
    restore,
    train,
    weights,
)
from restorekit.errors import RestorekitError

__all__ = ["app", "main"]

app = typer.Typer(
    name="restorekit",
    help="Restore folders of damaged pictures; train, measure and share the generators that do it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing the coloured help costs more than everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(restore.restore)
app.add_typer(manifest.app, name="manifest")
app.command()(degrade.degrade)
app.command()(evaluate.evaluate)
app.command()(benchmark.benchmark)
app.command()(train.train)
app.command()(generate.generate)
app.command()(generators.generators)
app.add_typer(plugins.app, name="plugins")
app.command()(info.info)
app.add_typer(weights.app, name="weights")


def _version(wanted: bool) -> None:
    if wanted:
        import restorekit

        print(f"restorekit {restorekit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of errors; may stand anywhere."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    only_plugins: str = typer.Option("", help="Load these plugins alone: names separated by commas."),
) -> None:
    if only_plugins:
        from restorekit.discovery import ONLY_VARIABLE

        os.environ[ONLY_VARIABLE] = only_plugins  # for the processes that this one starts, too


def _show_warning(message: Warning | str, *_: object) -> None:
    """Print one line for people, without where in the program it comes from."""
    print(f"restorekit: {' '.join(str(message).split())}", file=sys.stderr)


def main() -> None:
    """Run the command line; expected errors are one line on stderr and an exit status."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    if debug:
        os.environ["RESTOREKIT_DEBUG"] = "1"
        sys.argv[1:] = ["--debug", *(argument for argument in arguments if argument != "--debug")]
    else:
        warnings.showwarning = _show_warning
    try:
        app()
    except RestorekitError as error:
        if debug:
            raise
        print(f"restorekit: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)

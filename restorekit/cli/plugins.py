"""``restorekit plugins``: where generators come from, whether one keeps the contract, and a new one to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.console import print_json, print_line, print_table, say

if TYPE_CHECKING:
    from restorekit.testing import Result

app = typer.Typer(help="List the installed plugins; check one; write a new one.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def plugins(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the installed plugins, working or not; check one; write a new one."""
    if context.invoked_subcommand is not None:
        return
    from restorekit.registry import registry

    found = registry().plugins
    rows = [
        {"name": p.name, "distribution": p.distribution, "version": p.version, "status": p.status, "reason": p.reason}
        for p in found
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["name", "from", "status", "generators", "reason"],
        [
            [
                p.name,
                f"{p.distribution} {p.version}",
                p.status,
                ", ".join(s.name for s in p.generators) or "-",
                p.reason,
            ]
            for p in found
        ],
    )


@app.command()
def check(
    name: Annotated[
        str, typer.Argument(help="A generator (NAME,key=value with settings), or a plugin: then all its generators.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that a generator keeps the contract: what it returns, tiles, seeds, weights, training, safety.

    Exit status: 0 everything passed, 1 something failed.
    """
    from restorekit.testing import examine

    results: list[Result] = []
    for result in examine(name):
        results.append(result)
        if not as_json:
            _tell(result)
    failed = sum(result.failure is not None for result in results)
    if as_json:
        print_json([_row(result) for result in results])
    else:
        seconds = sum(result.seconds for result in results)
        print_line(f"{len(results) - failed} of {len(results)} checks passed in {seconds:.0f} s")
    if failed:
        raise typer.Exit(1)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Lower-case words joined by '-': of the package and its generator.")],
    kind: Annotated[
        str,
        typer.Option(help="classical (NumPy, OpenCV), restorer (torch), or trainable (a network and its training)."),
    ] = "restorer",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="New folder for it; by default ./NAME.")] = None,
    licence: Annotated[str, typer.Option(help="Apache-2.0, BSD-3-Clause or MIT.")] = "MIT",
    author: Annotated[str, typer.Option(help="For the licence and the package's metadata.")] = "",
) -> None:
    """Write a complete plugin package to begin with: it passes `restorekit plugins check` as it is."""
    from restorekit.scaffold import create

    folder = output or Path(name)
    files = create(name, kind, folder, licence=licence, author=author)
    say(f"{len(files)} files written to {folder}; next:")
    print_line(f"pip install -e {folder}")
    print_line(f"restorekit plugins check {name}")
    if kind == "trainable":
        print_line(f"restorekit train {name} --smoke -o run")
        print_line("restorekit restore PICTURES -o restored --with run/weights.safetensors")
    else:
        print_line(f"restorekit restore PICTURES -o restored --with {name}")


def _tell(result: Result) -> None:
    status = "ok    " if result.failure is None else "FAILED"
    print_line(f"{status}  {result.generator}  {result.check}  {result.seconds:.1f} s")
    if result.failure is not None:
        print_line(f"        {result.failure.problem}")
        print_line(f"        why it matters: {result.failure.why}")
        print_line(f"        how to mend it: {result.failure.way_out}")


def _row(result: Result) -> dict[str, object]:
    failure = result.failure
    return {
        "generator": result.generator,
        "check": result.check,
        "ok": failure is None,
        "problem": failure and failure.problem,
        "why": failure and failure.why,
        "way_out": failure and failure.way_out,
        "seconds": round(result.seconds, 2),
    }

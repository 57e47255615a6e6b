"""``restorekit generators``: what there is to restore and make pictures with."""

from __future__ import annotations

from typing import Annotated

import typer

from restorekit.cli.console import print_json, print_table


def generators(
    name: Annotated[str | None, typer.Argument(help="Show one generator with its settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed generators, or show one."""
    from restorekit.registry import registry

    found = registry()
    specs = found.generators if name is None else [found.spec(name)]
    rows = [
        {
            "name": spec.name,
            "tasks": sorted(spec.tasks),
            "summary": spec.summary,
            "distribution": found.owner(spec.name).distribution,
            "version": found.owner(spec.name).version,
            "weights": [source.name for source in spec.weights],
        }
        for spec in specs
    ]
    if name is not None:
        rows[0]["settings"] = found.settings(name)
        rows[0]["training"] = found.training_settings(name)
    if as_json:
        print_json(rows if name is None else rows[0])
        return
    print_table(
        ["name", "tasks", "summary", "from", "weights"],
        [
            [
                row["name"],
                ", ".join(row["tasks"]),
                row["summary"],
                f"{row['distribution']} {row['version']}",
                ", ".join(row["weights"]) or "-",
            ]
            for row in rows
        ],
    )
    if name is not None:
        choice = found.spec(name).choice
        told = {choice: f"{choice}  ({name}:VALUE)"} if choice else {}
        _print_settings("setting", [{**s, "name": told.get(s["name"], s["name"])} for s in rows[0]["settings"]])
        _print_settings("when training", rows[0]["training"])


def _print_settings(title: str, settings: list[dict[str, str]]) -> None:
    if settings:
        print()
        rows = [[s["name"], s["type"], s["default"], s["help"]] for s in settings]
        print_table([title, "type", "default", "meaning"], rows)

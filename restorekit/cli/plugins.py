"""``restorekit plugins``: where generators come from, and why one is not in use."""

from __future__ import annotations

from typing import Annotated

import typer

from restorekit.cli.console import print_json, print_table


def plugins(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the installed plugins, working or not."""
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

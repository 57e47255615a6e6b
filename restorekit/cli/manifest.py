"""``restorekit manifest``: the records of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restorekit.cli.console import print_json, say

app = typer.Typer(no_args_is_help=True, help="Work with the records of runs.")


@app.callback()
def _group() -> None:
    """Work with the records of runs."""


@app.command()
def merge(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that all shards wrote to.")],
    report: Annotated[bool, typer.Option(help="Write report.html of all shards.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make one manifest and one report of those that `restore --shard` left.

    Where shards wrote into folders of their own, copy these into one first: no two of their files share a name.
    Later runs go on from the merged manifest as from the single ones.
    """
    from restorekit.batch.merge import merge_manifests

    merged = merge_manifests(output, report=report)
    say(f"{len(merged.merged)} manifests are now {merged.manifest}: {merged.done} done, {merged.failed} failed")
    if merged.missing:
        say(f"no manifest of shard {', '.join(merged.missing)}: run what is missing, then merge again")
    if merged.report:
        say(f"look at {merged.report}")
    if as_json:
        print_json(
            {
                "done": merged.done,
                "failed": merged.failed,
                "manifest": str(merged.manifest),
                "report": str(merged.report) if merged.report else None,
                "merged": list(merged.merged),
                "missing": list(merged.missing),
            }
        )

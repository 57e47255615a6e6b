"""``restorekit train``: teaches a generator on your own pictures."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.console import print_json, say
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.training import Plan


def train(
    name: Annotated[str, typer.Argument(help="The generator; see `restorekit generators`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the run.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder of pictures, an .npz, a folder with CIFAR-10's binary or MNIST's idx files, tile sheets "
            "'FILES#tile=32,classes=10', or cifar10, mnist, fashion-mnist (downloaded). Repeat for several folders. A "
            "folder with input and target in it holds pairs, found by name, to learn from as they are."
        ),
    ] = None,
    validation: Annotated[list[str] | None, typer.Option(help="Pictures to measure on, in the same forms.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML with the tables network, recipe and run.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="TABLE.KEY=VALUE, over --config.")] = None,
    start: Annotated[Path | None, typer.Option(help="Weights of the same generator to start from.")] = None,
    fitting: Annotated[
        bool,
        typer.Option("--fitting", help="With --start: take what fits, to go on from another scale or depth."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the run.")] = False,
    steps: Annotated[int | None, typer.Option(help="Stop after this many steps in all.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Train a tiny network for about a minute on pictures that come along.")
    ] = False,
    terms: Annotated[str, typer.Option(help="The data's terms of use, for the weights' header.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="End with a JSON summary on stdout.")] = False,
) -> None:
    """Train a generator.

    Everything random is a function of the seed and the step, so a run that was killed goes on with --resume as if
    nothing had happened. --steps and --max-minutes only stop; the schedule's horizon is run.steps.
    """
    from restorekit.registry import registry
    from restorekit.sources import open_source
    from restorekit.training import load_plan
    from restorekit.training import train as run_training

    if fitting and start is None:
        raise UsageError("--fitting", "goes with --start", "name the weights to start from")
    spec = registry().spec(name)
    saved = json.loads((output / "config.json").read_text()) if resume and (output / "config.json").exists() else None
    if saved is not None:
        saved.pop("data", None)
    if smoke:
        from restorekit.training.smoke import smoke_data, smoke_settings

        settings = [*smoke_settings(spec), *(settings or [])]
        source = smoke_data()
    elif data:
        source = open_source(data, pairs=True)
    else:
        raise UsageError("--data", "is missing", "name a folder of pictures, or try --smoke")
    plan = load_plan(spec, config, settings or [], saved)
    watcher = _Watcher(plan, steps)
    result = run_training(
        plan,
        source,
        output,
        registry=registry(),
        validation=open_source(validation, "test", pairs=True) if validation else None,
        start=start,
        fitting=fitting,
        device=device,
        steps=steps,
        minutes=max_minutes,
        resume=resume,
        terms=terms,
        watcher=watcher,
    )
    say(f"{result.steps} of {plan.run.steps} steps done; weights in {result.weights}")
    if result.skipped:
        say(f"{result.skipped} updates were left out, since their gradients were not finite")
    if as_json:
        print_json(
            {
                "steps": result.steps,
                "weights": str(result.weights),
                "metrics": dict(result.metrics),
                "skipped": result.skipped,
                "interrupted": result.interrupted,
            }
        )
    if result.interrupted:
        say("interrupted; --resume goes on")
        raise typer.Exit(128 + result.interrupted)


class _Watcher:
    """Prints a line whenever something was logged: in place on a terminal."""

    def __init__(self, plan: Plan, steps: int | None):
        self._last = min(steps or plan.run.steps, plan.run.steps)
        self._begun: tuple[float, int] | None = None

    def logged(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        if self._begun is None:
            self._begun = (now, step)
        begun, first = self._begun
        left = (now - begun) / (step - first) * (self._last - step) if step > first else 0.0
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        line = f"step {step} of {self._last}  {shown}  {left / 60:.0f} min left"
        if sys.stderr.isatty():
            print(f"\r\x1b[2K{line}", end="\n" if step >= self._last else "", file=sys.stderr, flush=True)
        else:
            say(line)

"""``restorekit weights``: list, show, verify, fetch, convert, pack, record and export weights files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from restorekit.cli.console import print_json, print_table, say
from restorekit.errors import NotAvailable, RestorekitError, UsageError

app = typer.Typer(
    help="List, show, verify, fetch, convert, pack, record and export weights files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(as_json: _Json = False) -> None:
    """List the weights of the installed generators, and whether they are here."""
    from restorekit.evaluation.distribution import published
    from restorekit.registry import registry
    from restorekit.weights.card import listing

    rows = [*listing(registry()), published.listing()]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["weights", "status", "size", "summary", "where"],
        [
            [
                f"{row['generator']}:{row['variant']}" if row["variant"] else row["generator"],
                row["status"],
                "-" if row["bytes"] is None else _size(row["bytes"]),
                row["summary"],
                row["url"] if row["status"] == "missing" and row["url"] else row["path"],
            ]
            for row in rows
        ],
    )


@app.command()
def show(
    weights: Annotated[str, typer.Argument(help="NAME[:VARIANT], or a .safetensors file.")], as_json: _Json = False
) -> None:
    """Show what weights say about themselves: network, training data and terms, metrics, licence."""
    from restorekit.registry import registry
    from restorekit.specs import Step
    from restorekit.weights.card import card

    path = registry().weights_path(Step.parse(weights))
    if path is None:
        raise UsageError(weights, "has no weights", "`restorekit weights list` shows which generators have")
    facts = card(path)
    if as_json:
        print_json(facts)
        return
    print_table(["what", "value"], [[name, _plain(text)] for name, text in _card_rows(facts)])


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(help="Weights files (.safetensors).")], as_json: _Json = False
) -> None:
    """Check files to the last byte, and that their generators load them.

    Exit status: 0 all sound, 3 at least one is not.
    """
    from restorekit.registry import registry
    from restorekit.specs import Step

    rows: list[dict[str, Any]] = []
    for file in files:
        row = {"file": str(file), "ok": False, "generator": None, "sha256": None, "problem": None}
        try:
            if file.suffix != ".safetensors":
                raise NotAvailable(file, "is not named .safetensors", "`restorekit weights convert` reads others")
            loaded = registry().load(Step(str(file)))
            row |= {"ok": True, "generator": loaded.spec.name, "sha256": loaded.weights_sha256}
        except RestorekitError as error:
            row["problem"] = error.reason if error.subject == str(file) else str(error)
        rows.append(row)
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            told = f"sound, for {row['generator']}, sha256 {row['sha256']}" if row["ok"] else row["problem"]
            print(_plain(f"{row['file']}: {told}"))
    if not all(row["ok"] for row in rows):
        raise typer.Exit(3)


@app.command()
def fetch(
    weights: Annotated[str, typer.Argument(metavar="NAME:VARIANT", help="As `restorekit weights list` names them.")],
    as_json: _Json = False,
) -> None:
    """Download weights once, check them, and keep them in the cache (RESTOREKIT_CACHE)."""
    from restorekit.registry import registry
    from restorekit.specs import Step
    from restorekit.weights import sources

    if weights == "inception":
        _fetch_inception(as_json)
        return
    step = Step.parse(weights)
    if step.is_file:
        raise UsageError(weights, "is a file, and needs no fetching", "name weights as `restorekit weights list` does")
    spec = registry().spec(step.name)
    wanted = sources.variant(spec, step.choice)
    with _progress(wanted.name) as progress:
        path = sources.fetch(spec, step.choice, progress=progress)
    _tell_fetched(wanted.name, path, wanted.status != "missing", as_json)


def _fetch_inception(as_json: bool) -> None:
    """Download the network of the metrics, which is no generator's."""
    from restorekit.evaluation.distribution import published

    known = published.cached_path().is_file()
    with _progress("inception") as progress:
        path = published.fetch(progress=progress)
    _tell_fetched("inception", path, known, as_json)


def _tell_fetched(name: str, path: Path, known: bool, as_json: bool) -> None:
    say(f"{name} was here already" if known else f"{name} is here now")
    if as_json:
        print_json({"weights": name, "path": str(path), "bytes": path.stat().st_size})
    else:
        print(path)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A .pth of torch.save, or a .safetensors file.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    generator: Annotated[str, typer.Option(help="Ask this generator only.", show_default="all that convert")] = "",
    licence: Annotated[str, typer.Option(help="Of the weights, where the file does not say.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    as_json: _Json = False,
) -> None:
    """Turn other toolkits' weights into self-describing ones; no code of theirs is run."""
    if target.exists() and not overwrite:
        raise UsageError(target, "is there already", "use --overwrite to replace it")
    from restorekit.registry import registry
    from restorekit.weights.card import card
    from restorekit.weights.conversion import convert as convert_file

    header = convert_file(source, target, registry=registry(), generator=generator, licence=licence)
    say(f"{source} is {header.generator}; try it with `restorekit restore IN -o OUT --with {target}`")
    if as_json:
        print_json(card(target))


@app.command()
def pack(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A weights file, as training leaves it.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    precision: Annotated[str, typer.Option(help="fp16, bf16 or fp32.")] = "fp16",
    licence: Annotated[str, typer.Option(help="Of the weights; by default as IN has it.")] = "",
    terms: Annotated[str, typer.Option(help="Of the training data; by default as IN has them.")] = "",
    limits: Annotated[str, typer.Option(help="What they are not good for; by default as IN has it.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    as_json: _Json = False,
) -> None:
    """Make a file to publish: smaller, with its licence in it."""
    if target.exists() and not overwrite:
        raise UsageError(target, "is there already", "use --overwrite to replace it")
    from restorekit.weights.card import card
    from restorekit.weights.packing import pack as pack_file

    pack_file(source, target, precision=precision, licence=licence, terms=terms, limits=limits)
    say(f"{target} is {_size(target.stat().st_size)}; `restorekit weights record` adds what is measured of it")
    if as_json:
        print_json(card(target))


@app.command()
def blend(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="A weights file.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Another one of the same network.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    share: Annotated[float, typer.Option(help="Of SECOND: 0 is FIRST, 1 is SECOND.")] = 0.5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    as_json: _Json = False,
) -> None:
    """Make weights between two files: of one taught for PSNR and one taught on from it for the eye, say."""
    if target.exists() and not overwrite:
        raise UsageError(target, "is there already", "use --overwrite to replace it")
    from restorekit.weights.blending import blend as blend_files
    from restorekit.weights.card import card

    blend_files(first, second, target, share)
    say(f"{target} is {1 - share:g} of {first} and {share:g} of {second}")
    if as_json:
        print_json(card(target))


@app.command()
def record(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A weights file; only its header changes.")],
    benchmarks: Annotated[
        list[Path] | None, typer.Argument(metavar="[BENCHMARK]...", help="From `restorekit benchmark --save`.")
    ] = None,
    limits: Annotated[str, typer.Option(help="What the weights are not good for, in a sentence or two.")] = "",
    as_json: _Json = False,
) -> None:
    """Write what benchmarks measured of a weights file, and its limits, into its header.

    The benchmarks must be of the file as it is.
    """
    if not benchmarks and not limits:
        raise UsageError("weights record", "is given nothing to write", "name a benchmark's result, or --limits TEXT")
    from restorekit.evaluation.recorded import measured
    from restorekit.weights.card import card
    from restorekit.weights.packing import record as record_metrics

    header = record_metrics(weights, measured(weights, benchmarks or ()), limits)
    say(f"{weights} now tells {len(header.metrics)} metrics")
    if as_json:
        print_json(card(weights))


@app.command()
def export(
    weights: Annotated[str, typer.Argument(help="NAME[:VARIANT] or a .safetensors file; settings are built in.")],
    onnx: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.")] = False,
    as_json: _Json = False,
) -> None:
    """Write a network as ONNX, any size and batch, and try it against torch (pip install 'restorekit[onnx]')."""
    if onnx.exists() and not overwrite:
        raise UsageError(onnx, "is there already", "use --overwrite to replace it")
    from restorekit.inference.export import export_onnx
    from restorekit.registry import registry
    from restorekit.specs import Step

    result = export_onnx(Step.parse(weights), onnx, registry=registry())
    say(f"{onnx} differs from torch by at most {result.difference:.1e}")
    if as_json:
        print_json({"path": str(onnx), "inputs": dict(result.inputs), "difference": result.difference})


def _card_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "file", facts["file"]
    yield "generator", f"{facts['generator']} ({', '.join(facts['tasks'])}; api {facts['api']})"
    yield "config", _pairs(facts["config"])
    if facts["geometry"]:
        yield "geometry", _pairs({k: v for k, v in facts["geometry"].items() if v not in (None, False)})
    networks = ", ".join(f"{name} {count:,}" for name, count in facts["networks"].items())
    yield "parameters", f"{facts['parameters']:,} ({networks})"
    yield "stored as", f"{', '.join(facts['dtypes'])}, {_size(facts['bytes'])}"
    for training in facts["training"].get("earlier", []):
        yield "trained before", _pairs({key: value for key, value in training.items() if value and key != "config"})
    for key, value in facts["training"].items():
        if key == "earlier":
            continue
        yield f"training: {key.replace('_', ' ')}", _pairs(value) if isinstance(value, dict) else _told(value)
    for metric in facts["metrics"]:
        yield "metric", f"{metric['name']} {metric['value']:g} on {metric['data']} ({metric['protocol']})"
    yield "limits", facts["limits"] or "not stated"
    yield "licence", facts["licence"] or "not stated"
    yield "sha256", facts["sha256"]


def _pairs(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_told(value)}" for key, value in table.items()) or "-"


def _told(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value))
    return f"({_pairs(value)})" if isinstance(value, dict) else str(value)


def _plain(text: str) -> str:
    """Replace what a file could steer a terminal with."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


@contextmanager
def _progress(name: str) -> Iterator[Any]:
    """Show a download on a terminal; elsewhere there is only the line at its end."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Download(bar)


class _Download:
    """A rich progress bar with the methods that pooch calls."""

    def __init__(self, bar: Any):
        self._bar = bar
        self._task = bar.add_task("", total=None)
        self.total = 0

    def update(self, count: int) -> None:
        """Count bytes."""
        self._bar.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        """Begin again: pooch does so at the end, to fill the bar."""
        self._bar.reset(self._task)

    def close(self) -> None:
        """Do nothing: the bar closes itself."""

"""Writes the report of a benchmark: one HTML file with the table, and the pictures side by side where they differ."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

import restorekit
from restorekit.evaluation.benchmarking.result import Benchmark
from restorekit.evaluation.folders import written
from restorekit.files import replace_file

__all__ = ["write_report"]

#: A crop is shown so many times larger.
ZOOM = 3


def write_report(path: Path, result: Benchmark, command: str = "") -> None:
    """Write the report as one self-contained HTML file, complete or not at all.

    Parameters
    ----------
    path : Path
        The file; an older one is replaced.
    result : Benchmark
        What was measured, with its crops.
    command : str, optional
        The command line that made it.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("restorekit.evaluation.benchmarking"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(image=_data_uri, scores=_scores)
    page = environment.get_template("benchmark.html.j2").generate(
        result=result,
        cells=result.cells(),
        command=command,
        version=restorekit.__version__,
        zoom=ZOOM,
        # The look of the report of `restorekit restore`, and what this one has besides.
        style=Markup(
            _source("restorekit.batch", "report.css") + _source("restorekit.evaluation.benchmarking", "benchmark.css")
        ),
    )
    replace_file(path, (chunk.encode(errors="replace") for chunk in page))


def _source(package: str, name: str) -> str:
    loader = jinja2.PackageLoader(package)
    return loader.get_source(jinja2.Environment(), name)[0]


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _scores(scores: Mapping[str, float]) -> str:
    return " · ".join(f"{name} {written(name.removesuffix('_mask'), value)}" for name, value in scores.items())

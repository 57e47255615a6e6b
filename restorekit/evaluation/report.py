"""Writes the report of a measurement: one HTML file with the worst, median and best picture, and all numbers."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

import restorekit
from restorekit import images
from restorekit.batch.report import UNPRINTABLE, Preview, preview
from restorekit.errors import RestorekitError
from restorekit.evaluation.folders import Evaluation, Score, modcropped, written
from restorekit.evaluation.protocol import described
from restorekit.files import replace_file
from restorekit.images import Picture
from restorekit.images.depth import white_of

__all__ = ["Card", "chosen", "write_report"]

#: Differences are shown this many times as large as they are.
AMPLIFIED = 4
#: Rows of the table; more would make the page slow, and are in the JSON.
ROWS = 5000
#: The look is that of the batch report.
_STYLE = Path(restorekit.__file__).parent / "batch" / "templates" / "report.css"


class Card(NamedTuple):
    """One picture that is shown.

    Parameters
    ----------
    label : str
        Why it is: ``"Worst"``, ``"Median"`` or ``"Best"``.
    score : Score
        Its numbers.
    pictures : Preview or None
        Restored (before) and reference (after); ``None`` where the files cannot be read any more.
    difference : bytes
        Thumbnail of their amplified difference.
    """

    label: str
    score: Score
    pictures: Preview | None
    difference: bytes


def write_report(path: Path, evaluation: Evaluation, *, command: str = "") -> None:
    """Write a measurement as one self-contained HTML file, complete or not at all.

    Parameters
    ----------
    path : Path
        The file; an older one is replaced.
    evaluation : Evaluation
        What was measured; the first metric decides what is worst.
    command : str, optional
        The command line that measured it.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("restorekit.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value.translate(UNPRINTABLE) if type(value) is str else value,
    )
    environment.filters.update(image=_data_uri)
    metrics = evaluation.metrics
    ranked = evaluation.worst_first(metrics[0])
    page = environment.get_template("evaluation.html.j2").generate(
        evaluation=evaluation,
        metrics=metrics,
        protocol=described(evaluation.protocol),
        cards=[_card(evaluation, label, score) for label, score in chosen(ranked)],
        scores=ranked[:ROWS],
        written=written,
        command=command,
        version=restorekit.__version__,
        amplified=AMPLIFIED,
        style=Markup(_STYLE.read_text(encoding="utf-8")),
    )
    replace_file(path, (chunk.encode() for chunk in page))


def chosen(ranked: Sequence[Score]) -> list[tuple[str, Score]]:
    """Choose the worst, the median and the best picture, none of them twice, from the worst to the best."""
    places = {0: "Worst", (len(ranked) - 1) // 2: "Median", len(ranked) - 1: "Best"}
    if len(ranked) == 1:
        places = {0: "The only picture"}
    elif len(ranked) == 2:
        places = {0: "Worst", 1: "Best"}
    return [(label, ranked[place]) for place, label in sorted(places.items())]


def _card(evaluation: Evaluation, label: str, score: Score) -> Card:
    modcrop = evaluation.protocol.get("modcrop")
    try:
        restored, reference = images.read(score.pair.restored), images.read(score.pair.reference)
        multiple = modcrop if isinstance(modcrop, int) else 1
        reference = dataclasses.replace(reference, pixels=modcropped(reference.pixels, multiple), alpha=None)
        restored = dataclasses.replace(restored, alpha=None)  # it was not measured
        difference = _difference(restored, reference)
        return Card(label, score, preview(restored, reference), preview(difference, difference).after)
    except (RestorekitError, OSError, MemoryError):
        return Card(label, score, None, b"")  # moved or damaged since


def _difference(restored: Picture, reference: Picture) -> Picture:
    """Return the absolute difference, amplified, without metadata."""
    ours, theirs = (picture.pixels / np.float32(white_of(picture.pixels)) for picture in (restored, reference))
    visible = np.minimum(AMPLIFIED * np.abs(ours - theirs), 1)
    return Picture(pixels=np.rint(255 * visible).astype(np.uint8), info=reference.info)


def _data_uri(encoded: bytes) -> str:
    kind = "webp" if encoded.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"

"""Makes ``docs/weights.md`` and its pictures from the weights that come along: their headers, and what they do.

python docs/make_weights.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data

import restorekit
from restorekit import sampling
from restorekit.degradations import parse
from restorekit.inference import choose_runtime
from restorekit.inference.arrays import to_array, to_tensor
from restorekit.registry import registry
from restorekit.weights.card import card
from restorekit.weights.sources import variants

HERE = Path(__file__).parent
SIDE = 192
GAP = 6

#: What is shown of each weights: (name, photo, top, left, degradation, classical method beside it).
SHOWN = (
    ("super-resolver:x4", "astronaut", 20, 130, ("downscale:4",), "bicubic:4"),
    ("super-resolver:x4-gan", "coffee", 90, 190, ("downscale:4",), "bicubic:4"),
    ("super-resolver:x4-real", "chelsea", 40, 120, ("noise:8", "downscale:4", "jpeg:60"), "bicubic:4"),
    ("denoiser:photo", "coffee", 90, 190, ("noise:18,grain=0.8",), "nlmeans:18"),
    ("denoiser:blind", "chelsea", 40, 120, ("noise:30",), "nlmeans:30"),
    ("context-encoder:photo", "coffee", 90, 190, ("cracks:3", "scratches:4,tilt=0-90"), "telea"),
)

#: What pictures are shown of that are made of nothing, and how many of each class.
SAMPLED, EACH = "dcgan:cifar10", 16

Pixels = NDArray[np.uint8]


def listed() -> list[tuple[str, dict[str, Any]]]:
    """Return every bundled variant with its card."""
    found = (found for spec in registry().generators for found in variants(spec))
    return [(each.name, card(each.path)) for each in found if each.status == "bundled"]


def table(weights: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return Markdown: one row a file."""
    lines = ["| weights | parameters | size | trained on | terms | licence |", "|---|---:|---:|---|---|---|"]
    for name, facts in weights:
        training = facts["training"]
        cells = [
            f"`{name}`",
            f"{facts['parameters']:,}",
            f"{facts['bytes'] / 1e6:.1f} MB",
            f"{training.get('data', '')}, {training.get('steps', 0):,} steps",
            str(training.get("terms", "")),
            facts["licence"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def metrics(weights: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return Markdown: each header's limits, what was measured, one row a set of pictures, and how under it."""
    parts = []
    for name, facts in weights:
        rows: dict[tuple[str, str], dict[str, float]] = {}
        for metric in facts["metrics"]:
            rows.setdefault((metric["data"], metric["protocol"]), {})[metric["name"]] = metric["value"]
        if not rows:
            continue
        columns = [*dict.fromkeys(metric for row in rows.values() for metric in row)]
        lines = [
            f"### `{name}`",
            "",
            f"Limits: {facts['limits']}",
            "",
            f"| data | {' | '.join(columns)} |",
            f"|---|{'---:|' * len(columns)}",
        ]
        for (place, _), row in rows.items():
            cells = (_number(row[column]) if column in row else "" for column in columns)
            lines.append(f"| {place} | {' | '.join(cells)} |")
        parts.append("\n".join([*lines, "", *_protocols(rows)]))
    return "\n\n".join(parts)


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def _protocols(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return how each set was measured; the degradation stands beside its name already."""
    sets: dict[str, list[str]] = {}
    for place, protocol in rows:
        told = "; ".join(fact for fact in protocol.split("; ") if not fact.startswith(("degradation ", "pictures ")))
        sets.setdefault(told, []).append(place)
    return [f"- {'; '.join(places)}: {told}." for told, places in sets.items()]


def strip(name: str, photo: str, top: int, left: int, steps: Sequence[str], classical: str) -> Pixels:
    """Return damaged | classical | network | clean, side by side."""
    pixels: Pixels = getattr(data, photo)()[top : top + SIDE, left : left + SIDE]
    damaged = parse(steps)(to_tensor(pixels)[None], torch.tensor([5]))
    given = to_array(damaged.images[0], 3, np.uint8)
    mask = None if damaged.masks is None else damaged.masks[0, 0].numpy() > 0
    made = [restorekit.restore(given, step, mask=mask) for step in (classical, name)]
    cells = [cv2.resize(given, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST), *made, pixels]
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    return np.concatenate([piece for cell in cells for piece in (cell, gap)][:-1], axis=1).astype(np.uint8)


def sheet(name: str) -> Pixels:
    """Return the first samples of seed 0, a row for each class, twice as large."""
    drawing = sampling.Drawing(registry().load(name), choose_runtime("cpu", "fp32"))
    made = sampling.samples(drawing, EACH * drawing.classes)
    by_class = made.reshape(EACH, drawing.classes, *made.shape[1:]).swapaxes(0, 1).reshape(made.shape)
    small = sampling.contact_sheet(by_class, EACH)
    return small.repeat(2, axis=0).repeat(2, axis=1)


def write(pixels: Pixels, file: str) -> None:
    """Write a JPEG file beside this one."""
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    (HERE / file).write_bytes(encoded.tobytes())


def main() -> None:
    """Write the page and its pictures."""
    weights = listed()
    names = {name for name, _ in weights}
    shown = [each for each in SHOWN if each[0] in names]
    rows = [piece for each in shown for piece in (strip(*each), np.full((GAP, 4 * SIDE + 3 * GAP, 3), 255, np.uint8))]
    write(np.concatenate(rows[:-1]), "weights.jpg")
    write(sheet(SAMPLED), "weights-samples.jpg")
    said = "; ".join(f"{name} after {' '.join(steps)}, beside {rival}" for name, _, _, _, steps, rival in shown)
    page = f"""# The weights that come along

Written by `python docs/make_weights.py` from the files' own headers; `restorekit weights show NAME:VARIANT` prints one.
The recipes are in each plugin's `recipes/`, and say how long they took on what.

{table(weights)}

![Damaged, by a classical method, by the network, and the original.](weights.jpg)

Damaged, by a classical method, by the network, and the original: {said}. The photos are scikit-image's.

![A row of pictures for each class, none of them chosen.](weights-samples.jpg)

Samples of `{SAMPLED}`, twice as large: the first {EACH} of each class, none of them chosen (`restorekit generate
{SAMPLED} -n {10 * EACH} --columns 10 -o sheet.png` makes the same, a column for each class).

## Limits, and what was measured

PSNR in dB, SSIM, the distance `squeezenet`, of detectors F1 and its kin, of VAEs bounds of the likelihood, and of
samples how near they are to real pictures (`frechet-squeezenet`, which is not FID); [evaluation.md](evaluation.md)
says what they are. Those that end in `_mask` are inside the holes alone; `lost by packing` is what half of the bits
cost on disk, `lost by bf16` and `lost by fp16` what they cost in computing, against fp32. `bsd25` is every fourth
picture of BSD100, by name. [performance.md](performance.md) sets the same numbers beside other methods.

{metrics(weights)}
"""
    (HERE / "weights.md").write_text(page)
    print(f"{len(weights)} weights, restorekit {restorekit.__version__}")


if __name__ == "__main__":
    main()

"""What a run leaves to look at: ``log.jsonl``, sample pictures, and the curves of everything logged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from restorekit.files import replace_file
from restorekit.sampling import contact_sheet

__all__ = ["Journal", "draw_curves"]

_GREY, _INK, _BLUE = (225, 225, 225), (60, 60, 60), (180, 110, 30)


class Journal:
    """Writes one run's log; lines behind the step that is resumed from are dropped.

    Parameters
    ----------
    folder : Path
        The run's.
    step : int
        Steps done before.
    """

    def __init__(self, folder: Path, step: int = 0):
        self._folder = folder
        self._path = folder / "log.jsonl"
        kept = [line for line in read_log(self._path) if line["step"] <= step]
        replace_file(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._writer = _tensorboard(folder)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append one line; it is flushed, so that it can be watched."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._writer.add_scalar(name, value, step)

    def picture(self, step: int, images: Tensor) -> None:
        """Write ``samples/step-....png``: a grid of ``(N, 3, H, W)`` in [0, 1]."""
        path = self._folder / "samples" / f"step-{step:09d}.png"
        path.parent.mkdir(exist_ok=True)
        tiles = images.detach().float().clamp(0, 1).mul(255).round().byte().cpu().permute(0, 2, 3, 1).numpy()
        path.write_bytes(cv2.imencode(".png", contact_sheet(tiles)[..., ::-1])[1].tobytes())

    def close(self) -> None:
        """Draw ``curves.png``."""
        lines = read_log(self._path)
        if lines:
            (self._folder / "curves.png").write_bytes(cv2.imencode(".png", draw_curves(lines))[1].tobytes())
        if self._writer is not None:
            self._writer.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log, without a torn last line."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def draw_curves(lines: list[dict[str, Any]]) -> NDArray[np.uint8]:
    """Draw every logged number over the steps, one panel each: ``(H, W, 3)`` BGR."""
    names = list(dict.fromkeys(key for line in lines for key, value in line.items() if isinstance(value, float)))
    panels = [_panel(name, [(line["step"], line[name]) for line in lines if name in line]) for name in names]
    columns = min(3, max(1, len(panels)))
    blank = np.full_like(panels[0], 255) if panels else np.full((10, 10, 3), 255, np.uint8)
    panels += [blank] * (-len(panels) % columns)
    rows = [np.concatenate(panels[i : i + columns], axis=1) for i in range(0, len(panels), columns)]
    return np.concatenate(rows, axis=0) if rows else blank


def _panel(name: str, points: list[tuple[int, float]], width: int = 420, height: int = 240) -> NDArray[np.uint8]:
    panel = np.full((height, width, 3), 255, np.uint8)
    left, top, right, bottom = 70, 34, width - 16, height - 30
    cv2.rectangle(panel, (left, top), (right, bottom), _GREY, 1)
    known = [(step, value) for step, value in points if math.isfinite(value)]
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(panel, name, (left, 22), font, 0.5, _INK, 1, cv2.LINE_AA)
    if not known:
        return panel
    steps, values = np.array([p[0] for p in known], float), np.array([p[1] for p in known], float)
    low, high = float(np.percentile(values, 1)), float(np.percentile(values, 99))
    span, reach = (high - low) or 1.0, float(steps[-1] - steps[0]) or 1.0
    xs = left + (steps - steps[0]) / reach * (right - left)
    ys = bottom - np.clip((values - low) / span, 0, 1) * (bottom - top)
    curve = np.stack([xs, ys], axis=1).round().astype(np.int32)
    cv2.polylines(panel, [curve], isClosed=False, color=_BLUE, thickness=1, lineType=cv2.LINE_AA)
    for value, y in ((high, top + 10), (low, bottom)):
        cv2.putText(panel, f"{value:.4g}", (4, y), font, 0.4, _INK, 1, cv2.LINE_AA)
    cv2.putText(panel, f"{int(steps[0])}", (left, height - 10), font, 0.4, _INK, 1, cv2.LINE_AA)
    cv2.putText(panel, f"{int(steps[-1])}", (right - 60, height - 10), font, 0.4, _INK, 1, cv2.LINE_AA)
    return panel


def _tensorboard(folder: Path) -> Any:
    """Return a TensorBoard writer where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))

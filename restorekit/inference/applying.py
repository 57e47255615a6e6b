"""Applies one generator to pictures on their way: tiles put together, crops pasted back, what is found marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from restorekit.contract import Geometry
from restorekit.errors import PictureError
from restorekit.inference.alpha import covered, hidden_pixels, is_uniform
from restorekit.inference.arrays import convert, to_array, write_into
from restorekit.inference.executor import Executor, Frame
from restorekit.inference.frames import Finish, as_it_is
from restorekit.inference.holes import Crop, crops_for
from restorekit.inference.work import Work, resized, shrunk_mask
from restorekit.specs import Step

__all__ = ["detect", "require_masks", "restore", "restore_crops"]


def require_masks(step: Step, works: Sequence[Work]) -> None:
    """Refuse pictures without a mask.

    Raises
    ------
    PictureError
        Naming the first one.
    """
    for work in works:
        if work.mask is None:
            raise PictureError(
                work.job.name,
                f"{step.name} needs a mask and there is none",
                "put NAME.mask.png beside the picture, or use --masks DIR, --mask-color HEX or a detector",
            )


def restore(executor: Executor, works: Sequence[Work], strength: float, last: bool, inpaints: bool) -> None:
    """Restore tile by tile, and carry alpha and mask along.

    Parameters
    ----------
    executor : Executor
        Of the restorer.
    works : sequence of Work
        What becomes of them is in their canvas, alpha and mask.
    strength : float
        Blends the result (1) with the input (0) at scale 1.
    last : bool
        Whether no step follows, so that canvases take the pictures' own depth.
    inpaints : bool
        Whether pixels outside the mask are kept.
    """
    scale = executor.geometry.scale
    hidden = [hidden_pixels(work.alpha) for work in works]
    frames = [work.frame(covered(work.canvas, unseen), work.mask) for work, unseen in zip(works, hidden, strict=True)]
    restored = _tiled(executor, frames, [work.dtype if last else work.between for work in works], strength, inpaints)
    for work, canvas, unseen in zip(works, restored, hidden, strict=True):
        if scale == 1 and unseen is not None:
            kept = work.canvas if work.canvas.dtype == canvas.dtype else convert(work.canvas, canvas.dtype)
            np.copyto(canvas, kept, where=unseen[..., None])
        if scale > 1:
            work.alpha = _enlarged_alpha(executor, work)
            work.mask = None if work.mask is None else _repeated(work.mask, scale)
        work.canvas = canvas


def restore_crops(
    executor: Executor, size: tuple[int, int], works: Sequence[Work], strength: float, last: bool
) -> None:
    """Crop around each hole (or take the whole picture), resize, restore, resize back and paste.

    No more crops are held at any time than the executor takes at once: a picture may have thousands of specks.

    Parameters
    ----------
    executor : Executor
        Of a restorer of a fixed size.
    size : tuple of int
        ``(height, width)`` of its pictures.
    works, strength, last
        As for `restore`.
    """
    hidden = [hidden_pixels(work.alpha) for work in works]
    seen = [covered(work.canvas, unseen) for work, unseen in zip(works, hidden, strict=True)]
    results = [convert(work.canvas, work.dtype if last else work.between) for work in works]
    crops = [(i, crop) for i, work in enumerate(works) for crop in crops_for(seen[i].shape, work.mask, size)]
    at_once = executor.portion.batch_size
    for start in range(0, len(crops), at_once):
        chosen = crops[start : start + at_once]
        frames = [_crop_frame(works[i], seen[i], crop, size) for i, crop in chosen]
        for patch in executor.run(frames):
            i, crop = chosen[patch.frame]
            restored = to_array(patch.after, seen[i].shape[2], np.float32)
            inside = crop.own(works[i].mask)
            if (unseen := hidden[i]) is not None:
                inside &= ~unseen[crop.slices]
            _paste(restored, seen[i][crop.slices], inside, results[i][crop.slices], strength)
    for work, result in zip(works, results, strict=True):
        work.canvas = result


def detect(executor: Executor, works: Sequence[Work], side: int) -> None:
    """Add what a detector finds to the masks.

    Parameters
    ----------
    executor : Executor
        Of the detector.
    works : sequence of Work
        What is found is added to their masks.
    side : int
        Pictures whose shorter side is longer are shown to it shrunk to so many pixels; 0 for never.
    """
    frames = [_viewed(work, side) for work in works]
    found = [np.zeros(frame.canvas.shape[:2], bool) for frame in frames]
    for patch in executor.run(frames, lambda before, after: after >= 0.5):
        found[patch.frame][patch.rows, patch.columns] = patch.after[0].cpu().numpy()
    for work, marks in zip(works, found, strict=True):
        mask = _spread(marks, work.canvas.shape[:2])
        work.mask = mask if work.mask is None else work.mask | mask


def _tiled(
    executor: Executor, frames: Sequence[Frame], dtypes: Sequence[DTypeLike], strength: float, inpaints: bool
) -> list[NDArray[Any]]:
    """Put the executor's patches together; at scale 1 blend with the input, and keep it outside the mask."""
    scale = executor.geometry.scale
    outputs = [_canvas_for(frame, dtype, executor.geometry) for frame, dtype in zip(frames, dtypes, strict=True)]
    finish = _blend(strength) if scale == 1 and strength < 1 else as_it_is
    for patch in executor.run(frames, finish, dtypes):
        frame, output = frames[patch.frame], outputs[patch.frame]
        window = (patch.rows, patch.columns)
        write_into(output[window], patch.after)
        if scale == 1 and inpaints and frame.mask is not None:
            kept = convert(frame.canvas[window], output.dtype)
            np.copyto(output[window], kept, where=~frame.mask[window][..., None])
        del patch  # before the next one is computed
    return outputs


def _blend(strength: float) -> Finish:
    def blended(before: Tensor, after: Tensor) -> Tensor:
        # Channels side by side without gaps: how pixels lie decides in which order they are rounded.
        return torch.lerp(before.permute(1, 2, 0).contiguous().permute(2, 0, 1), after, strength)

    return blended


def _enlarged_alpha(executor: Executor, work: Work) -> NDArray[Any] | None:
    """Enlarge alpha as the picture is: by the generator, as a grey picture."""
    if work.alpha is None or is_uniform(work.alpha):
        return None if work.alpha is None else _repeated(work.alpha, executor.geometry.scale)
    frame = work.frame(work.alpha[..., None], work.mask)
    return _tiled(executor, [frame], [work.alpha.dtype], strength=1.0, inpaints=False)[0][..., 0]


def _paste(
    restored: NDArray[Any], before: NDArray[Any], inside: NDArray[np.bool_], target: NDArray[Any], strength: float
) -> None:
    pasted = resized(restored, before.shape[:2])[inside].clip(0, 1)
    if strength < 1:
        original = convert(before[inside], np.float32)
        pasted = original + np.float32(strength) * (pasted - original)
    target[inside] = convert(pasted, target.dtype)


def _canvas_for(frame: Frame, dtype: DTypeLike, geometry: Geometry) -> NDArray[Any]:
    if geometry.needs_mask and geometry.scale == 1:  # tiles without a hole are not visited
        return convert(frame.canvas, dtype)
    height, width, channels = frame.canvas.shape
    return np.empty((height * geometry.scale, width * geometry.scale, channels), dtype)


def _viewed(work: Work, side: int) -> Frame:
    """Return what a detector is shown: the picture, or a copy of it whose shorter side has ``side`` pixels."""
    canvas, mask = covered(work.canvas, hidden_pixels(work.alpha)), work.mask
    height, width, channels = canvas.shape
    if not 0 < side < min(height, width):
        return work.frame(canvas, mask)
    shrink = side / min(height, width)
    size = round(height * shrink), round(width * shrink)
    # In the picture's own depth: of a large scan, the floats that `resized` works on would be the most memory.
    smaller = cv2.resize(canvas, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, channels)
    return work.frame(smaller, None if mask is None else shrunk_mask(mask, size))


def _spread(marks: NDArray[np.bool_], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Enlarge marks to the picture's own size, with smooth outlines."""
    if marks.shape == size:
        return marks
    return cv2.resize(marks.astype(np.uint8) * 255, size[::-1], interpolation=cv2.INTER_LINEAR) >= 128


def _crop_frame(work: Work, canvas: NDArray[Any], crop: Crop, size: tuple[int, int]) -> Frame:
    mask = None if work.mask is None else shrunk_mask(work.mask[crop.slices], size)
    return work.frame(resized(canvas[crop.slices], size).clip(0, 1), mask)


def _repeated(plane: NDArray[Any], scale: int) -> NDArray[Any]:
    return plane.repeat(scale, axis=0).repeat(scale, axis=1)

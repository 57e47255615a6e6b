"""The Python interface; the command line only calls it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from restorekit import images
from restorekit.batch import restore as batch
from restorekit.batch.masks import read_mask
from restorekit.batch.results import Result
from restorekit.batch.workers import Listener
from restorekit.contract import PictureInfo
from restorekit.errors import RestorekitError, UsageError
from restorekit.images import Picture
from restorekit.inference import Job, Restoration, Target, choose_runtime
from restorekit.registry import registry
from restorekit.specs import Step

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["load", "restore", "restore_folder"]

Steps = str | Step | Sequence[str | Step]


def load(step: str | Step) -> Any:
    """Load a generator by name.

    Parameters
    ----------
    step : str or Step
        ``"NAME[:CHOICE][,key=value]..."``, such as ``"nlmeans:10"``.

    Returns
    -------
    object
        Whatever protocols of `restorekit.contract` the generator satisfies: a `Restorer`, a `Planner`, ...

    Raises
    ------
    UsageError
        Unknown generator, or settings that are not allowed.
    NotAvailable
        Its code or weights cannot be loaded.

    Examples
    --------
    >>> import torch
    >>> from restorekit.contract import Batch
    >>> load("bicubic:2").restore(Batch(torch.zeros(1, 3, 8, 8))).shape
    torch.Size([1, 3, 16, 16])
    """
    return registry().load(step).generator


class _Options(TypedDict, total=False):
    mask: NDArray[Any] | str | os.PathLike[str] | None
    scale: float
    size: tuple[int, int] | None
    strength: float
    seed: int
    device: str
    precision: str
    tile: int | None


@overload
def restore(image: NDArray[Any], steps: Steps = ..., **options: Unpack[_Options]) -> NDArray[Any]: ...
@overload
def restore(image: str | os.PathLike[str] | Picture, steps: Steps = ..., **options: Unpack[_Options]) -> Picture: ...
def restore(
    image: NDArray[Any] | str | os.PathLike[str] | Picture,
    steps: Steps = "auto",
    *,
    mask: NDArray[Any] | str | os.PathLike[str] | None = None,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
    strength: float = 1.0,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
) -> NDArray[Any] | Picture:
    """Restore one picture.

    Parameters
    ----------
    image : ndarray, path or Picture
        An array is ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA; uint8, uint16 or float in [0, 1].
    steps : str, Step or sequence of them
        What to do, in order; ``"auto"`` decides from the picture.
    mask : ndarray or path, optional
        What to repair: ``(H, W)``, nonzero (in a file: brighter than mid-grey) marks damage.
    scale : float
        Enlargement of the result.
    size : tuple of int, optional
        ``(width, height)`` of the result; overrides ``scale``.
    strength : float
        0 to 1: blends each size-keeping step's result with its input.
    seed : int
        Of all randomness.
    device, precision : str
        Where and how precisely networks run.
    tile : int, optional
        Side of tiles in input pixels.

    Returns
    -------
    ndarray or Picture
        An array of the same dtype and channels (RGB where grey was given colours) for an array, else a `Picture` that
        keeps the metadata.

    Raises
    ------
    PictureError
        The picture or mask cannot be read or restored.
    UsageError, NotAvailable
        A step is unknown, wrongly set or cannot be loaded; the device is not here.

    Examples
    --------
    >>> import numpy as np
    >>> restore(np.zeros((8, 8, 3), np.uint8), "bicubic", scale=2).shape
    (16, 16, 3)
    """
    name = str(image) if isinstance(image, str | os.PathLike) else "image"
    picture = _picture(image)
    restoration = Restoration(
        parse_steps(steps),
        registry=registry(),
        runtime=choose_runtime(device, precision),
        target=Target(scale, size),
        strength=strength,
        tile=tile,
    )
    (outcome,) = restoration.restore([Job(name, picture, _mask(mask), seed % 2**63)])
    if outcome.error is not None or outcome.picture is None:
        raise outcome.error or RestorekitError(name, "was not restored")
    if not isinstance(image, np.ndarray):
        return outcome.picture
    return image.copy() if outcome.picture is picture else _array(outcome.picture, image)


def restore_folder(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: batch.Options | None = None,
    *,
    listener: Listener | None = None,
) -> Result:
    """Restore files and folders into another folder, with a manifest and a report.

    Parameters
    ----------
    inputs : path-like or sequence of path-like
        Files, folders (recursive) and glob patterns.
    output : path-like
        The folder for the results.
    options : Options, optional
        What to do; by default ``auto`` decides for each picture.
    listener : Listener, optional
        Is told of progress.

    Returns
    -------
    Result
        Counts, places and one record a picture. Pictures that fail do not raise.

    Raises
    ------
    UsageError, NotAvailable, OutputError
        The request is wrong, something it needs is not here, or the output folder cannot be written.
    """
    several = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    result = batch.restore(several, Path(output), options or batch.Options(), registry=registry(), listener=listener)
    if result.interrupted:  # everything begun is safe; now the caller is interrupted, as by any other call
        signal.raise_signal(result.interrupted)
    return result


def parse_steps(steps: Steps) -> tuple[Step, ...]:
    """Turn what callers may write for steps into steps."""
    several = [steps] if isinstance(steps, str | Step) else steps
    return tuple(Step.parse(step) if isinstance(step, str) else step for step in several)


def _picture(image: NDArray[Any] | str | os.PathLike[str] | Picture) -> Picture:
    if isinstance(image, Picture):
        return image
    if isinstance(image, str | os.PathLike):
        return images.read(Path(image))
    if not isinstance(image, np.ndarray):
        raise UsageError("image", f"is a {type(image).__name__}", "give a NumPy array, a path or a Picture")
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise UsageError("image", f"has shape {image.shape}", "give (H, W), (H, W, 3) or (H, W, 4)")
    if image.dtype not in (np.uint8, np.uint16) and image.dtype.kind != "f":
        raise UsageError("image", f"has dtype {image.dtype}", "give uint8, uint16 or float in [0, 1]")
    with np.errstate(over="ignore"):  # what is too large for float32 is refused as infinite
        pixels = image if image.dtype.kind == "u" else image.astype(np.float32)
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels).all() and pixels.min() >= 0):
        raise UsageError("image", "holds negative or non-finite values", "give floats in [0, 1]")
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    colour = np.ascontiguousarray(pixels[..., :3])
    info = PictureInfo(
        format="tiff" if pixels.dtype.kind == "f" else "png",
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=colour.shape[2],
        alpha=alpha is not None,
        bits=pixels.dtype.itemsize * 8,
        floating=pixels.dtype.kind == "f",
    )
    return Picture(pixels=colour, alpha=alpha, info=info)


def _array(picture: Picture, given: NDArray[Any]) -> NDArray[Any]:
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = np.concatenate([pixels, picture.alpha[..., None]], axis=2)
    return (pixels[..., 0] if given.ndim == 2 and pixels.shape[2] == 1 else pixels).astype(given.dtype, copy=False)


def _mask(mask: NDArray[Any] | str | os.PathLike[str] | None) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    if isinstance(mask, str | os.PathLike):
        return read_mask(Path(mask), images.DEFAULT_MAX_PIXELS)
    array = np.asarray(mask)
    if array.ndim != 2:
        raise UsageError("mask", f"has shape {array.shape}", "give (H, W), nonzero where to repair")
    return array != 0

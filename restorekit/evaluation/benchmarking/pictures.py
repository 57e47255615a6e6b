"""The pictures of a benchmark: clean ones found and cut, damaged, and laid down as arrays for all competitors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restorekit import images
from restorekit.batch.masks import read_mask
from restorekit.batch.pipeline import picture_seed
from restorekit.batch.plan import Item, make_plan
from restorekit.degradations import Recipe
from restorekit.errors import PictureError, UsageError
from restorekit.evaluation.benchmarking.conditions import Conditions
from restorekit.evaluation.folders import modcropped
from restorekit.inference.arrays import to_array, to_tensor

__all__ = ["PictureSet", "Prepared", "Sample", "load", "picture_set", "prepare"]


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Clean pictures.

    Parameters
    ----------
    name : str
        For the table.
    items : tuple of Item
        The files, with masks of damage that they have already.
    """

    name: str
    items: tuple[Item, ...]


def picture_set(folders: Sequence[str | Path], only: Path | None = None) -> PictureSet:
    """Find the clean pictures.

    Parameters
    ----------
    folders : sequence of path-like
        Folders (searched recursively), files or patterns.
    only : Path, optional
        A text file with one picture's name a line, with or without its extension: no others are taken.

    Raises
    ------
    UsageError
        There is no picture, or one of the list is not there.
    """
    plan = make_plan(folders, Path(".restorekit-no-output"))
    if only is None:
        items, name = plan.items, ", ".join(Path(folder).resolve().name for folder in folders)
    else:
        items, name = _listed(plan.items, only), only.stem
    if not items:
        raise UsageError(
            ", ".join(map(str, folders)), "holds no picture", "name a folder of clean pictures with --data"
        )
    return PictureSet(name, items)


def _listed(items: Sequence[Item], only: Path) -> tuple[Item, ...]:
    try:
        names = [line.strip() for line in only.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(only, f"cannot be read ({error})", "give a text file with one name a line") from error
    known = {key: item for item in items for key in (item.name, str(PurePosixPath(item.name).with_suffix("")))}
    lost = [name for name in names if name not in known]
    if lost:
        raise UsageError(only, f"names {lost[0]!r} (and {len(lost) - 1} more), which is not there", "check --data")
    chosen = {known[name].name for name in names}
    return tuple(item for item in items if item.name in chosen)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture, clean and damaged, as ``.npy`` files.

    Parameters
    ----------
    name : str
        Of the clean picture.
    clean : Path
        ``(H, W, 1 or 3)`` uint8 or uint16.
    degraded : Path
        ``(h, w, 1 or 3)``, of the same depth or float32.
    mask : Path, optional
        ``(h, w)`` bool: where the damaged picture has to be repaired.
    seed : int
        For restorers.
    """

    name: str
    clean: Path
    degraded: Path
    mask: Path | None
    seed: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """All pictures of a benchmark.

    Parameters
    ----------
    samples : tuple of Sample
        In the order of their names.
    failed : tuple of (str, str)
        Pictures that cannot be read or damaged, with the reason.
    sha256 : str
        Of the names and the pixels of the clean pictures, as they are measured.
    depth : str
        Bits a sample of the files.
    factor : float
        By how much damaged pictures have to be enlarged.
    """

    samples: tuple[Sample, ...]
    failed: tuple[tuple[str, str], ...]
    sha256: str
    depth: str
    factor: float

    @property
    def masked(self) -> bool:
        """Whether there are holes."""
        return any(sample.mask is not None for sample in self.samples)


def prepare(data: PictureSet, conditions: Conditions, folder: Path, told: Callable[[int, int], None]) -> Prepared:
    """Read, cut and damage every picture.

    Parameters
    ----------
    data : PictureSet
        The clean pictures. Alpha is left aside.
    conditions : Conditions
        What is done to them.
    folder : Path
        For the arrays.
    told : callable
        Is told how many are done, of how many.

    Raises
    ------
    PictureError
        None of them can be read.
    """
    recipe = conditions.recipe
    grey = recipe.for_grey()
    digest = hashlib.sha256()
    samples, failed, depths, factors = [], [], set(), set()
    for number, item in enumerate(data.items):
        try:
            clean, mask = _read(item, conditions.multiple)
            seed = picture_seed(conditions.seed, item.name)
            used = grey if clean.shape[2] == 1 else recipe
            degraded, damaged = _degraded(clean, mask, seed, used, conditions.floating)
        except PictureError as error:
            failed.append((item.name, error.reason if item.name in error.subject else str(error)))
            continue
        digest.update(f"{item.name} {clean.shape} {clean.dtype}".encode(errors="surrogateescape"))
        digest.update(np.ascontiguousarray(clean).tobytes())
        depths.add(8 * clean.dtype.itemsize)
        factors.add(clean.shape[0] / degraded.shape[0])
        arrays = {"clean": clean, "degraded": degraded} | ({} if damaged is None else {"mask": damaged})
        paths = _laid_down(folder, number, arrays)
        samples.append(Sample(item.name, paths["clean"], paths["degraded"], paths.get("mask"), seed))
        told(number + 1, len(data.items))
    if not samples:
        name, reason = failed[0]
        raise PictureError(name, reason, f"none of the {len(failed)} pictures of {data.name} can be used")
    return Prepared(
        tuple(samples), tuple(failed), digest.hexdigest(), ", ".join(map(str, sorted(depths))), round(max(factors), 3)
    )


def load(path: Path) -> NDArray[Any]:
    """Read an array that was laid down."""
    return np.load(path, allow_pickle=False)


def _read(item: Item, multiple: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    pixels: NDArray[Any] = images.read(item.source).pixels
    if pixels.dtype.kind == "f":
        raise PictureError(item.name, "holds floats", "benchmark pictures of 8 or 16 bits")
    clean = modcropped(pixels, multiple)
    if clean.size == 0:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise PictureError(item.name, f"{size} is smaller than the multiple of {multiple} px that it is cut to")
    mask = None if item.mask is None else read_mask(item.mask, images.DEFAULT_MAX_PIXELS)
    if mask is not None and mask.shape != pixels.shape[:2]:
        raise PictureError(item.name, "its mask has another size", "give a mask pixel for pixel, or remove it")
    return clean, None if mask is None else modcropped(mask, multiple)


def _degraded(
    clean: NDArray[Any], mask: NDArray[np.bool_] | None, seed: int, recipe: Recipe, floating: bool
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    image = to_tensor(clean).expand(3, -1, -1)[None]
    before = None if mask is None else torch.from_numpy(mask.astype(np.float32))[None, None]
    damaged = recipe(image, torch.tensor([seed]), before)
    after = damaged.images[0]
    if floating:
        pixels: NDArray[Any] = after[: clean.shape[2]].permute(1, 2, 0).contiguous().numpy()
    else:
        pixels = to_array(after, clean.shape[2], clean.dtype)
    return pixels, None if damaged.masks is None else damaged.masks[0, 0].numpy() > 0


def _laid_down(folder: Path, number: int, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Path]:
    paths = {name: folder / f"{number:06d}-{name}.npy" for name in arrays}
    for name, array in arrays.items():
        np.save(paths[name], array, allow_pickle=False)
    return paths

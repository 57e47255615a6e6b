"""Small pictures of one size in the published formats of well-known sets; no pickle is ever read."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restorekit import images
from restorekit.errors import NotAvailable

__all__ = ["ArraySource", "from_cifar", "from_idx", "from_npz", "from_sheets"]


class ArraySource:
    """Pictures in one array.

    Parameters
    ----------
    name : str
        For messages and records.
    pictures : ndarray
        ``(N, H, W)`` or ``(N, H, W, C)`` uint8 with C = 1 or 3.
    labels : ndarray, optional
        ``(N,)`` class indices.
    """

    def __init__(self, name: str, pictures: NDArray[np.uint8], labels: NDArray[np.integer] | None = None):
        if pictures.ndim == 3:
            pictures = pictures[..., None]
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] not in (1, 3) or not len(pictures):
            raise NotAvailable(
                name,
                f"holds an array of {pictures.dtype} {pictures.shape}",
                "give (N, H, W) or (N, H, W, 1 or 3) uint8",
            )
        if labels is not None and labels.shape != (len(pictures),):
            raise NotAvailable(name, f"has {len(pictures)} pictures and labels of shape {labels.shape}")
        self.name = name
        self.pictures = pictures
        self.labels = None if labels is None else labels.astype(np.int64)

    def __len__(self) -> int:
        return len(self.pictures)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return ``(H, W, 3)`` RGB."""
        picture = self.pictures[index]
        return np.broadcast_to(picture, (*picture.shape[:2], 3))


def from_npz(path: Path, split: str = "train") -> ArraySource:
    """Read ``x_train``/``y_train`` (or ``x_test``/``y_test``, or the only array) of an ``.npz``.

    Raises
    ------
    NotAvailable
        The file is no ``.npz``, needs pickle, or holds no pictures.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = list(arrays.files)
            pictures = next((n for n in (f"x_{split}", "images", "arr_0") if n in names), names[0] if names else None)
            if pictures is None:
                raise ValueError("no array")
            labels = next((n for n in (f"y_{split}", "labels", "arr_1") if n in names and n != pictures), None)
            return ArraySource(path.name, arrays[pictures], None if labels is None else arrays[labels].reshape(-1))
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise NotAvailable(
            path, f"cannot be read as .npz ({error})", "save it with numpy.savez, uint8 arrays"
        ) from error


def from_idx(images_path: Path, labels_path: Path | None = None) -> ArraySource:
    """Read MNIST's and Fashion-MNIST's published ``*-idx3-ubyte`` files, compressed or not.

    Raises
    ------
    NotAvailable
        A file is not in this format or its size does not fit its header.
    """
    pictures = _idx(images_path, 3)
    labels = None if labels_path is None else _idx(labels_path, 1)
    return ArraySource(images_path.name, pictures, labels)


def from_cifar(paths: list[Path]) -> ArraySource:
    """Read the *binary* version of CIFAR-10: records of a label byte and 3 x 32 x 32 bytes.

    Raises
    ------
    NotAvailable
        A file's size is no multiple of a record.
    """
    record = 1 + 3 * 32 * 32
    parts = []
    for path in paths:
        data = np.fromfile(path, np.uint8)
        if not len(data) or len(data) % record:
            raise NotAvailable(path, "is no file of CIFAR-10's binary version", "fetch cifar-10-binary.tar.gz")
        parts.append(data.reshape(-1, record))
    records = np.concatenate(parts)
    pictures = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ArraySource("cifar10", np.ascontiguousarray(pictures), records[:, 0])


def from_sheets(paths: list[Path], tile: int, classes: int = 0) -> ArraySource:
    """Read sheets of square tiles, row by row; with ``classes``, each sheet holds that many equal runs of one class.

    Raises
    ------
    NotAvailable
        A sheet is no multiple of the tile.
    PictureError
        A sheet cannot be read.
    """
    tiles, labels = [], []
    for path in paths:
        sheet = images.read(path).pixels
        rows, columns = sheet.shape[0] // tile, sheet.shape[1] // tile
        if sheet.shape[:2] != (rows * tile, columns * tile) or sheet.dtype != np.uint8:
            raise NotAvailable(path, f"is no 8-bit sheet of {tile} px tiles", "say their size: sheet.png#tile=32")
        parts = sheet.reshape(rows, tile, columns, tile, -1).swapaxes(1, 2).reshape(rows * columns, tile, tile, -1)
        tiles.append(parts)
        if classes:
            labels.append(np.arange(len(parts)) * classes // len(parts))
    return ArraySource(paths[0].name, np.concatenate(tiles), np.concatenate(labels) if labels else None)


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise NotAvailable(path, f"cannot be read ({error})") from error
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", axes, 4)) if len(data) >= 4 + 4 * axes else ()
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * axes) if shape else np.empty(0, np.uint8)
    if data[:4] != bytes([0, 0, 8, axes]) or body.size != int(np.prod(shape)):
        raise NotAvailable(path, "is no complete idx file of unsigned bytes", "fetch it again")
    return body.reshape(shape)

"""Streams the pictures of a folder through a feature network: decoded and resized ahead, a batch in memory."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from restorekit import images
from restorekit.batch.manifest import Record
from restorekit.batch.plan import Item, make_plan
from restorekit.batch.workers import Listener
from restorekit.errors import PictureError, UsageError
from restorekit.evaluation.distribution.networks import FeatureNetwork, extract, prepare
from restorekit.images.depth import rescaled, white_of

__all__ = ["Reading", "pictures_below", "read_features"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a folder is read.

    Parameters
    ----------
    batch_size : int
        Pictures that go through the network at once.
    strict : bool
        A picture that cannot be read is an error; otherwise it is left out and named.
    """

    batch_size: int = 32
    strict: bool = False


def pictures_below(folder: Path) -> tuple[Item, ...]:
    """List the pictures of a folder and its subfolders, in the order of their names; masks are no pictures.

    Raises
    ------
    UsageError
        There is none.
    """
    if not folder.is_dir():
        problem = "is no folder" if folder.exists() else "does not exist"
        raise UsageError(folder, problem, "name a folder of pictures")
    items = make_plan([folder], folder / ".restorekit-evaluate").items
    if not items:
        raise UsageError(folder, "holds no picture", "name a folder of pictures")
    return items


def read_features(
    items: Sequence[Item], network: FeatureNetwork, reading: Reading, listener: Listener
) -> Iterator[tuple[list[str], Tensor]]:
    """Make the features of pictures, batch by batch.

    Grey pictures have three equal channels, alpha is left aside, more than 8 bits are rounded to 8, and pictures
    stand as they are displayed.

    Parameters
    ----------
    items : sequence of Item
        The files.
    network : FeatureNetwork
        Makes the features.
    reading : Reading
        How.
    listener : Listener
        Is told of every picture; of those that cannot be read with the reason.

    Yields
    ------
    names : list of str
        Of the pictures that could be read.
    features : Tensor
        ``(N, D)`` float32.

    Raises
    ------
    PictureError
        One cannot be read, and ``reading`` is strict.
    """
    decoded = _decoded(items, network, reading.batch_size)
    while batch := list(itertools.islice(decoded, reading.batch_size)):
        names: list[str] = []
        prepared: list[Tensor] = []
        for item, found in batch:
            if isinstance(found, PictureError):
                if reading.strict:
                    raise found
                listener.finished(Record(input=item.name, output="", status="failed", reason=found.reason))
            else:
                names.append(item.name)
                prepared.append(found)
        if names:
            features = extract(network, prepared)
            for name in names:
                listener.finished(Record(input=name, output="", status="done"))
            yield names, features


def _decoded(
    items: Iterable[Item], network: FeatureNetwork, ahead: int
) -> Iterator[tuple[Item, Tensor | PictureError]]:
    """Decode and prepare in threads, in order, while the network has the pictures before."""
    threads = min(8, os.cpu_count() or 1)
    waiting: deque[tuple[Item, Future[Tensor | PictureError]]] = deque()
    pool = ThreadPoolExecutor(threads, initializer=_alone)
    try:
        for item in items:
            waiting.append((item, pool.submit(_read, item.source, network)))
            if len(waiting) > ahead + threads:
                first, future = waiting.popleft()
                yield first, future.result()
        for item, future in waiting:
            yield item, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _alone() -> None:
    torch.set_num_threads(1)  # of this thread: the network keeps its own


def _read(path: Path, network: FeatureNetwork) -> Tensor | PictureError:
    try:
        pixels = images.read(path).pixels
    except PictureError as error:
        return error
    colours = cv2.merge([pixels] * 3) if pixels.shape[2] == 1 else pixels
    eight_bits = rescaled(colours, white_of(colours), 255)
    return prepare(network, torch.from_numpy(np.ascontiguousarray(eight_bits.transpose(2, 0, 1))))

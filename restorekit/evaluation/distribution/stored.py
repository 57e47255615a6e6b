"""Statistics of features in files: our own safetensors, and the ``.npz`` of pytorch-fid."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from restorekit.downloads import cache_folder
from restorekit.errors import NotAvailable, UsageError
from restorekit.evaluation.distribution.moments import Moments
from restorekit.evaluation.protocol import Facts
from restorekit.files import replace_file
from restorekit.weights.files import current_sha256

__all__ = ["Statistics", "cached_statistics", "read_statistics", "write_statistics"]

_KEY = "restorekit-statistics"
#: Goes up when the same pictures would give other statistics.
_FORMAT = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Statistics:
    """What is known of a set of pictures; a `Gaussian`.

    Parameters
    ----------
    mean : Tensor
        ``(D,)`` float64.
    spread : Tensor
        ``(D, D)`` covariance, float64; or, with ``factored``, ``(R, D)`` whose products with itself make it.
    factored : bool
        Which of the two ``spread`` is.
    count : int, optional
        Pictures; ``None`` where a file does not say.
    facts : mapping
        Network and resizing; empty where a file does not say.
    features : Tensor, optional
        ``(N, D)`` float32, for what needs more than a Gaussian.
    """

    mean: Tensor
    spread: Tensor
    factored: bool = False
    count: int | None = None
    facts: Facts
    features: Tensor | None = None

    @classmethod
    def of(cls, moments: Moments, facts: Facts, features: Tensor | None = None) -> Statistics:
        """Return what was gathered."""
        factor = moments.factor()
        spread = moments.covariance() if factor is None else factor
        return cls(
            mean=moments.mean,
            spread=spread,
            factored=factor is not None,
            count=moments.count,
            facts=dict(facts),
            features=features,
        )

    def covariance(self) -> Tensor:
        """Return ``(D, D)`` float64."""
        return self.spread.T @ self.spread if self.factored else self.spread

    def factor(self) -> Tensor | None:
        """Return the factor where there is one."""
        return self.spread if self.factored else None


def read_statistics(path: Path) -> Statistics:
    """Read statistics.

    Parameters
    ----------
    path : Path
        ``.npz`` with ``mu`` and ``sigma`` as pytorch-fid writes it, or ``.safetensors`` of `write_statistics`.

    Raises
    ------
    NotAvailable
        It is not there, or holds no statistics; objects in it are never unpickled.
    """
    if not path.is_file():
        raise NotAvailable(path, "does not exist", "name a .npz or .safetensors file with statistics of features")
    statistics = _read_npz(path) if path.suffix.lower() == ".npz" else _read_safetensors(path)
    length = len(statistics.mean) if statistics.mean.ndim == 1 else -1
    sound = statistics.spread.ndim == 2 and statistics.spread.shape[1] == length
    if not sound or (not statistics.factored and statistics.spread.shape[0] != length):
        raise NotAvailable(path, "holds a mean and a covariance that do not fit each other", "write it again")
    if not (torch.isfinite(statistics.mean).all() and torch.isfinite(statistics.spread).all()):
        raise NotAvailable(path, "holds NaN or infinity", "write it again")
    return statistics


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write statistics, whole or not at all; the same statistics give the same bytes.

    Parameters
    ----------
    path : Path
        ``.npz`` for pytorch-fid and its like (``mu`` and ``sigma``, float64; features and facts are left out), or
        ``.safetensors``.
    statistics : Statistics
        What to write.

    Raises
    ------
    UsageError
        The name ends otherwise.
    OutputError
        It cannot be written.
    """
    if path.suffix.lower() == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, mu=statistics.mean.numpy(), sigma=statistics.covariance().numpy())
        replace_file(path, buffer.getvalue())
    elif path.suffix.lower() == ".safetensors":
        replace_file(path, _saved(statistics))
    else:
        raise UsageError(path, "is named neither .npz nor .safetensors", "statistics are written as one of these")


def cached_statistics(paths: Sequence[Path], names: Sequence[str], facts: Facts) -> Path:
    """Return where the statistics of these pictures under this protocol are kept.

    The name of the file is a checksum of the names, the contents and the facts, so it never holds another set's.

    Parameters
    ----------
    paths, names : sequence
        The pictures, and what they are called within their folder.
    facts : mapping
        Network and resizing.
    """
    digest = hashlib.sha256(json.dumps([_FORMAT, dict(facts)], sort_keys=True).encode())
    for path, name in zip(paths, names, strict=True):
        digest.update(json.dumps([name, current_sha256(path)]).encode())
    return cache_folder() / "statistics" / f"{digest.hexdigest()}.safetensors"


def _saved(statistics: Statistics) -> bytes:
    tensors = {"mean": statistics.mean, ("factor" if statistics.factored else "covariance"): statistics.spread}
    if statistics.features is not None:
        tensors["features"] = statistics.features
    # One key, since safetensors keeps several in no order.
    said = json.dumps({"format": _FORMAT, "count": statistics.count, "facts": dict(statistics.facts)}, sort_keys=True)
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {_KEY: said})


def _read_safetensors(path: Path) -> Statistics:
    try:
        with safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if said["format"] != _FORMAT:
            raise NotAvailable(path, f"has format {said['format']}, which this restorekit does not know", "update it")
        factored = "factor" in tensors
        statistics = Statistics(
            mean=tensors["mean"].double(),
            spread=tensors["factor" if factored else "covariance"].double(),
            factored=factored,
            count=said["count"],
            facts=dict(said["facts"]),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        problem = "holds no statistics of features as restorekit writes them"
        raise NotAvailable(path, problem, "name a .npz of pytorch-fid, or write it again") from error
    return replace(statistics, features=tensors.get("features"))


def _read_npz(path: Path) -> Statistics:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            mean, covariance = (torch.from_numpy(np.asarray(arrays[name], np.float64)) for name in ("mu", "sigma"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        problem = "holds no plain arrays mu and sigma, as pytorch-fid writes them"
        raise NotAvailable(path, problem, "write it again with pytorch-fid --save-stats") from error
    # Either triangle would do alone; others' float32 leaves them a little different.
    symmetric = (covariance + covariance.T) / 2 if covariance.ndim == 2 and len(set(covariance.shape)) == 1 else None
    return Statistics(mean=mean, spread=covariance if symmetric is None else symmetric, facts={})

"""How pictures look to networks and to models of the eye: perceptual distances and no-reference scores."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import NotAvailable, PictureError, UsageError
from restorekit.evaluation.protocol import Facts

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PERCEPTUAL_METRICS", "Perceptual", "perceptual_metric"]

PERCEPTUAL_METRICS = ("squeezenet", "lpips", "brisque")

#: Where SqueezeNet's file is looked for, when none is named.
_VARIABLE = "RESTOREKIT_SQUEEZENET"
#: Smallest side in pixels that each network or model can take.
_SMALLEST = {"squeezenet": 17, "lpips": 64, "brisque": 32}

#: Takes ``(1, 3, H, W)`` restored and reference in [0, 1]; returns one number.
_Distance = Callable[["Tensor", "Tensor"], float]


class Perceptual:
    """One perceptual metric; the smaller, the better.

    Parameters
    ----------
    name : str
        Of `PERCEPTUAL_METRICS`.
    distance : callable
        Takes two ``(1, 3, H, W)`` float32 tensors in [0, 1], restored and reference.
    source : str
        What computes it, for the protocol.
    """

    def __init__(self, name: str, distance: _Distance, source: str):
        self.name = name
        self._distance = distance
        self._source = source

    def facts(self) -> Facts:
        """Return what belongs to the protocol; it is named like the metric."""
        return {self.name: self._source}

    def measure(self, restored: NDArray[Any], reference: NDArray[Any]) -> float:
        """Measure ``(H, W, 1)`` or ``(H, W, 3)`` pictures of one size: integers, or floats in [0, 1].

        Raises
        ------
        PictureError
            They are too small, or the library cannot take them.
        """
        import torch

        height, width = reference.shape[:2]
        smallest = _SMALLEST[self.name]
        if min(height, width) < smallest:
            problem = f"{width}x{height} is too small for {self.name}, which needs {smallest} px a side"
            raise PictureError("picture", problem, "leave this metric out, or crop less of the border")
        try:
            with torch.inference_mode():
                return self._distance(_tensor(restored), _tensor(reference))
        except (AssertionError, ValueError) as error:  # piq asserts that a picture is not flat
            raise PictureError("picture", f"{self.name} cannot take it ({_line(error)})") from error


def perceptual_metric(name: str, features: Path | None = None) -> Perceptual:
    """Return a perceptual metric by its name.

    Parameters
    ----------
    name : str
        ``"squeezenet"``: `restorekit.nn.features.perceptual_distance`, which needs a file. ``"lpips"``: LPIPS 0.1 with
        AlexNet (Zhang et al. 2018), by torchmetrics. ``"brisque"``: BRISQUE (Mittal et al. 2012) of the restored
        picture alone, by piq.
    features : Path, optional
        The file of SqueezeNet 1.1; without it the environment variable ``RESTOREKIT_SQUEEZENET`` names it.

    Raises
    ------
    UsageError
        There is no such metric.
    NotAvailable
        Its library is not installed, or its file is not there.
    """
    makers: dict[str, Callable[[], Perceptual]] = {
        "squeezenet": lambda: _squeezenet(features),
        "lpips": _lpips,
        "brisque": _brisque,
    }
    if name not in makers:
        raise UsageError(repr(name), "is no perceptual metric", f"choose from {', '.join(PERCEPTUAL_METRICS)}")
    return makers[name]()


def _squeezenet(file: Path | None) -> Perceptual:
    named = file or os.environ.get(_VARIABLE)
    if not named:
        problem = "needs the file of a SqueezeNet 1.1 trained on ImageNet (.npz or .safetensors)"
        raise NotAvailable("squeezenet", problem, f"name it with --features FILE or {_VARIABLE}")
    from restorekit.nn import features as networks

    path = Path(named)
    network = networks.SqueezeNet.load(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def distance(restored: Tensor, reference: Tensor) -> float:
        return float(networks.perceptual_distance(network, restored, reference))

    return Perceptual("squeezenet", distance, f"unit-length features of 7 layers, equal weights, sha256 {digest}")


def _lpips() -> Perceptual:
    with _available("lpips", "torchmetrics"):
        module = importlib.import_module("torchmetrics.image.lpip")
        # The network alone: the metric around it collects every score.
        network = module.LearnedPerceptualImagePatchSimilarity(net_type="alex").net

    def distance(restored: Tensor, reference: Tensor) -> float:
        return float(network(restored, reference, normalize=True))

    return Perceptual("lpips", distance, f"0.1, alex, {_version('torchmetrics')}")


def _brisque() -> Perceptual:
    import torch

    with _available("brisque", "piq"):
        brisque = importlib.import_module("piq").brisque
        brisque(torch.rand(1, 3, 64, 64), data_range=1.0)  # fetches the weights, now rather than amid the pictures

    def score(restored: Tensor, _: Tensor) -> float:
        return float(brisque(restored, data_range=1.0))

    return Perceptual("brisque", score, f"of the restored picture alone, {_version('piq')}")


@contextlib.contextmanager
def _available(metric: str, distribution: str) -> Iterator[None]:
    """Turn an optional library that is not here, does not fit or cannot fetch its weights into one line."""
    install = "pip install 'restorekit[perceptual]'"
    try:
        yield
    except ImportError as error:
        missing = (error.name or distribution).partition(".")[0]
        raise NotAvailable(metric, f"needs {missing}, which is not installed", install) from error
    except OSError as error:  # urllib's errors are OSErrors
        problem = f"{distribution} cannot fetch its weights ({_line(error)})"
        raise NotAvailable(
            metric, problem, "connect once; they are kept in the folder that TORCH_HOME names"
        ) from error
    except Exception as error:  # torchvision raises what it likes where its build does not fit that of torch
        problem = f"{distribution} cannot be used ({_line(error)})"
        raise NotAvailable(metric, problem, f"{install}, with a torchvision of torch's own build") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return distribution


def _tensor(picture: NDArray[Any]) -> Tensor:
    """Return ``(1, 3, H, W)`` float32 in [0, 1]."""
    import torch

    from restorekit.nn.arrays import to_float

    values = np.clip(to_float(picture if picture.ndim == 3 else picture[..., None]), 0.0, 1.0)
    return torch.from_numpy(values).permute(2, 0, 1)[None].expand(-1, 3, -1, -1).contiguous()

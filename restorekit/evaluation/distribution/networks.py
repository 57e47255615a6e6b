"""Networks that turn pictures into features: Inception, SqueezeNet, and those that others register by name."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from restorekit.errors import NotAvailable, UsageError
from restorekit.evaluation.distribution import inception, published
from restorekit.evaluation.distribution.resizing import resizing
from restorekit.evaluation.protocol import Facts
from restorekit.inference.device import choose_runtime
from restorekit.nn.features import SqueezeNet
from restorekit.weights.files import current_sha256

__all__ = [
    "FeatureNetwork",
    "InceptionFeatures",
    "SqueezeNetFeatures",
    "extract",
    "feature_network",
    "feature_networks",
    "prepare",
    "register_feature_network",
]

#: Names SqueezeNet's file where ``--features`` does not.
SQUEEZENET_VARIABLE = "RESTOREKIT_SQUEEZENET"
#: Most pictures that go through a network at once.
_AT_ONCE = 64


@runtime_checkable
class FeatureNetwork(Protocol):
    """Makes features of pictures. ``name`` goes into the names of metrics: ``frechet-NAME``.

    A network may also have ``logits(images)`` and ``classify(features)``, both ``(N, classes)``, for the Inception
    Score; and ``prepare(images)`` and ``extract(prepared)``, whose chain is ``features``, so that pictures of different
    sizes share a batch.
    """

    name: str
    dimensions: int

    def facts(self) -> Facts:
        """Return what of it belongs to the protocol of a number: network, checksum, resizing."""
        ...

    def features(self, images: Tensor) -> Tensor:
        """Return ``(N, D)`` float32 on the CPU of ``(N, 3, H, W)`` uint8 RGB pictures of any size."""
        ...


class InceptionFeatures:
    """Inception-v3 in the FID variant: pool3, in float32 throughout.

    Parameters
    ----------
    network : InceptionV3
        As read.
    sha256 : str
        Of its file.
    resize : str
        See `resizing`.
    device : str
        As ``--device`` takes it.
    """

    name = "inception"
    dimensions = inception.DIMENSIONS

    def __init__(
        self, network: inception.InceptionV3, sha256: str, resize: str = "pytorch-fid", device: str = "auto"
    ) -> None:
        self._resize = resizing(resize)
        self._device = choose_runtime(device).device
        self._network = inception.folded(network).to(self._device).to(memory_format=torch.channels_last)  # pyright: ignore
        self._facts: Facts = {
            "network": "inception-v3-fid",
            "network_sha256": sha256,
            "network_published": sha256 == published.SHA256,
            "features": "pool3, 2048, float32",
            "resize": resize,
        }

    def facts(self) -> Facts:
        """Return network, checksum, whether it is the published one, and resizing."""
        return self._facts

    def features(self, images: Tensor) -> Tensor:
        """Return ``(N, 2048)``; see `FeatureNetwork`."""
        return torch.cat([self.extract(self.prepare(part)) for part in images.split(_AT_ONCE)])

    def prepare(self, images: Tensor) -> Tensor:
        """Return ``(N, 3, 299, 299)`` in [-1, 1] on the network's device."""
        return self._resize(images.to(self._device), inception.SIDE).contiguous(memory_format=torch.channels_last)

    def extract(self, prepared: Tensor) -> Tensor:
        """Return the features of prepared pictures."""
        with torch.no_grad(), _full_float32():
            return self._network(prepared).cpu()

    def classify(self, features: Tensor) -> Tensor:
        """Return ``(N, 1008)`` logits, without bias, of features; see `InceptionV3.logits`."""
        with torch.no_grad(), _full_float32():
            return self._network.logits(features.to(self._device, torch.float32)).cpu()

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of pictures."""
        return self.classify(self.features(images))


class SqueezeNetFeatures:
    """SqueezeNet 1.1: what its last convolution (``fire9``) makes, averaged over places; 512 numbers.

    Small and quick, and its file is a few megabytes; distances on it are comparable with each other alone.

    Parameters
    ----------
    path : Path
        As `SqueezeNet.load` reads it.
    resize, device : str
        As for `InceptionFeatures`.
    """

    name = "squeezenet"
    dimensions = 512
    _LAYER = "fire9"
    _SIDE = 224

    def __init__(self, path: Path, resize: str = "pytorch-fid", device: str = "auto"):
        self._resize = resizing(resize)
        self._device = choose_runtime(device).device
        self._network = SqueezeNet.load(path).to(self._device).to(memory_format=torch.channels_last)  # pyright: ignore
        self._facts: Facts = {
            "network": "squeezenet-1.1",
            "network_sha256": current_sha256(path),
            "features": "fire9 averaged, 512, float32",
            "resize": resize,
        }

    def facts(self) -> Facts:
        """Return network, checksum, layer and resizing."""
        return self._facts

    def features(self, images: Tensor) -> Tensor:
        """Return ``(N, 512)``; see `FeatureNetwork`."""
        return torch.cat([self.extract(self.prepare(part)) for part in images.split(_AT_ONCE)])

    def prepare(self, images: Tensor) -> Tensor:
        """Return ``(N, 3, 224, 224)`` in [0, 1] on the network's device."""
        resized = (self._resize(images.to(self._device), self._SIDE) + 1) / 2
        return resized.contiguous(memory_format=torch.channels_last)

    def extract(self, prepared: Tensor) -> Tensor:
        """Return the features of prepared pictures."""
        with torch.no_grad(), _full_float32():
            return self._network(prepared, [self._LAYER])[self._LAYER].mean(dim=(2, 3)).cpu()


Factory = Callable[[Path | None, str, str], FeatureNetwork]


def _inception(file: Path | None, resize: str, device: str) -> FeatureNetwork:
    resizing(resize)  # a misspelt name is told before a hundred megabytes are read
    path = file or published.locate()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotAvailable(path, f"cannot be read ({error.strerror or error})", "name another file") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if file is None and sha256 != published.SHA256:
        problem = "is not the published Inception network (its checksum is another)"
        raise NotAvailable(path, problem, "delete it and fetch it again, or name it with --inception FILE")
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        problem = "is no file of plain tensors as torch writes them"
        raise NotAvailable(path, problem, "`restorekit weights fetch inception` downloads the right one") from error
    network = inception.InceptionV3.from_state(state, path)
    return InceptionFeatures(network, sha256, resize, device)


def _squeezenet(file: Path | None, resize: str, device: str) -> FeatureNetwork:
    chosen = file or os.environ.get(SQUEEZENET_VARIABLE, "").strip()
    if not chosen:
        way_out = f"name a .npz or .safetensors file with --features FILE or {SQUEEZENET_VARIABLE}"
        raise NotAvailable("squeezenet", "its file is not known", way_out)
    return SqueezeNetFeatures(Path(chosen).expanduser(), resize, device)


_FACTORIES: dict[str, Factory] = {"inception": _inception, "squeezenet": _squeezenet}


def register_feature_network(name: str, factory: Factory) -> None:
    """Make a network known by name, for `feature_network` and for metrics such as ``frechet-NAME``.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.
    factory : callable
        Takes the file that the user named or ``None``, the resizing and the device, and returns a `FeatureNetwork`
        of that name. It is called on use.

    Raises
    ------
    UsageError
        The name is taken, or is none.
    """
    if not name or not name.replace("-", "").isalnum() or name != name.lower():
        raise UsageError(name or "a feature network", "is no name of a feature network", "use a-z, 0-9 and -")
    if name in _FACTORIES:
        raise UsageError(name, "is the name of another feature network", "choose another one")
    _FACTORIES[name] = factory


def feature_networks() -> tuple[str, ...]:
    """Return the names of all networks, the bundled ones first."""
    return tuple(_FACTORIES)


def feature_network(
    name: str = "inception", file: Path | None = None, resize: str = "pytorch-fid", device: str = "auto"
) -> FeatureNetwork:
    """Load a feature network.

    Parameters
    ----------
    name : str
        ``"inception"``, ``"squeezenet"``, or one that was registered.
    file : Path, optional
        Its weights; by default where the environment or the cache has them. An Inception file that is named here may
        be another than the published one: its checksum is in the facts.
    resize : str
        See `resizing`.
    device : str
        As ``--device`` takes it.

    Raises
    ------
    UsageError
        An unknown name, resizing or device.
    NotAvailable
        Its weights are not here, or are not what they should be.
    """
    if name not in _FACTORIES:
        raise UsageError(name, "is no feature network", f"choose one of {', '.join(_FACTORIES)}")
    return _FACTORIES[name](file, resize, device)


def prepare(network: FeatureNetwork, picture: Tensor) -> Tensor:
    """Return what of a ``(3, H, W)`` uint8 picture a batch is made of: for networks that can, already resized."""
    chained: Any = network
    return chained.prepare(picture[None]) if _is_chain(network) else picture[None]


def extract(network: FeatureNetwork, prepared: Sequence[Tensor]) -> Tensor:
    """Return the ``(N, D)`` features of prepared pictures, in one batch where they are of one size."""
    if _is_chain(network):
        chained: Any = network
        return chained.extract(torch.cat(list(prepared)))
    places: dict[torch.Size, list[int]] = {}
    for index, picture in enumerate(prepared):
        places.setdefault(picture.shape, []).append(index)
    made = torch.cat([network.features(torch.cat([prepared[i] for i in indices])) for indices in places.values()])
    order = torch.tensor([index for indices in places.values() for index in indices])
    return made[order.argsort()]


def _is_chain(network: FeatureNetwork) -> bool:
    return hasattr(network, "prepare") and hasattr(network, "extract")


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Keep TF32 and its like out of convolutions and products: they change a FID in the second decimal."""
    cudnn, matmul = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = cudnn
        torch.set_float32_matmul_precision(matmul)

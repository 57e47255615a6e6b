"""Deep features of pictures for perceptual losses: SqueezeNet 1.1, read from a file that the user names."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.errors import NotAvailable

__all__ = ["SqueezeNet", "feature_matching", "perceptual_distance"]

#: Name, input channels, squeezed channels, and channels of each of the two expansions (Iandola et al. 2016; v1.1).
_FIRES = (
    ("fire2", 64, 16, 64),
    ("fire3", 128, 16, 64),
    ("fire4", 128, 32, 128),
    ("fire5", 256, 32, 128),
    ("fire6", 256, 48, 192),
    ("fire7", 384, 48, 192),
    ("fire8", 384, 64, 256),
    ("fire9", 512, 64, 256),
)
#: Layers after which the picture is halved.
_POOLED = ("conv1", "fire3", "fire5")
#: Layers whose outputs are compared: those of LPIPS's SqueezeNet (Zhang et al. 2018).
LAYERS = ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
#: Mean colour of ImageNet, blue first, 0 to 255: what the original Caffe model subtracts.
_MEAN_BGR = (104.0, 117.0, 123.0)
#: Smallest side of a picture in pixels: what three halvings leave something of.
SMALLEST = 17


class _Fire(nn.Module):
    """Squeezes channels with a 1 x 1 convolution and expands them with a 1 x 1 and a 3 x 3 one."""

    def __init__(self, inputs: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = F.relu(self.squeeze1x1(x))
        return F.relu(torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], dim=1))


class SqueezeNet(nn.Module):
    """The convolutions of SqueezeNet 1.1, frozen.

    Parameters
    ----------
    mean_bgr : sequence of float
        Mean colour that is subtracted, blue first, 0 to 255.

    References
    ----------
    Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size".
    """

    def __init__(self, mean_bgr: Sequence[float] = _MEAN_BGR):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        for name, *sizes in _FIRES:
            self.add_module(name, _Fire(*sizes))
        self.register_buffer("mean_bgr", torch.tensor(mean_bgr).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: str | Path) -> SqueezeNet:
        """Read the network from a file.

        Parameters
        ----------
        path : path-like
            ``.npz`` or ``.safetensors`` with ``conv1.weight``, ``conv1.bias``, ``fire2/squeeze1x1.weight``, ... (``.``
            may stand for ``/``) in any float type, and optionally ``mean_bgr_add``, the negative of the mean colour.
            A classifier (``conv10``) is left out.

        Raises
        ------
        NotAvailable
            The file is not there, cannot be read, or holds another network.
        """
        path = Path(path)
        tensors = {name.replace("/", "."): tensor.float() for name, tensor in _read(path).items()}
        mean = tensors.pop("mean_bgr_add", -torch.tensor(_MEAN_BGR))
        network = cls(mean_bgr=(-mean).flatten().tolist()) if mean.numel() == 3 else cls()
        try:
            network.load_state_dict({name: t for name, t in tensors.items() if not name.startswith("conv10.")})
        except RuntimeError as error:
            problem = "is no SqueezeNet 1.1"
            raise NotAvailable(path, problem, "give a file with conv1.weight, fire2/squeeze1x1.weight, ...") from error
        return network.eval()

    def forward(self, images: Tensor, layers: Sequence[str] = LAYERS) -> dict[str, Tensor]:
        """Return what the layers make of pictures.

        Parameters
        ----------
        images : Tensor
            ``(N, 3, H, W)`` RGB in [0, 1]; both sides at least 17 pixels.
        layers : sequence of str
            Some of ``conv1``, ``fire2``, ... ``fire9``; what lies beyond the last of them is not computed.

        Returns
        -------
        dict of str to Tensor
            ``(N, C, h, w)`` after the ReLU, by layer.
        """
        if min(images.shape[-2:]) < SMALLEST:
            raise ValueError(f"pictures of {tuple(images.shape[-2:])} are too small: {SMALLEST} px is the least")
        assert isinstance(self.mean_bgr, Tensor)
        features: dict[str, Tensor] = {}
        x = 255 * images.flip(1) - self.mean_bgr
        for name in ("conv1", *(fire[0] for fire in _FIRES)):
            layer = self.get_submodule(name)
            x = F.relu(layer(x)) if name == "conv1" else layer(x)
            if name in layers:
                features[name] = x
            if len(features) == len(layers):
                break
            if name in _POOLED:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return features


def perceptual_distance(
    network: SqueezeNet, restored: Tensor, target: Tensor, layers: Sequence[str] = LAYERS
) -> Tensor:
    """Return how different two batches of pictures look to a network.

    Features are scaled to unit length at each place; squared differences are averaged over places and summed over
    layers. That is LPIPS (Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric")
    with all its learned weights equal, so the numbers are not LPIPS's.

    Parameters
    ----------
    network : SqueezeNet
        Makes the features.
    restored, target : Tensor
        ``(N, 3, H, W)`` in [0, 1]; no gradient flows into ``target``.
    layers : sequence of str
        See `SqueezeNet.forward`.

    Returns
    -------
    Tensor
        ``(N,)``; 0 for equal pictures, at most 4 for each layer.
    """
    with torch.no_grad():
        wanted = network(target, layers)
    made = network(restored, layers)
    distances = [(_unit(made[name]) - _unit(wanted[name])).square().sum(dim=1).mean(dim=(1, 2)) for name in wanted]
    return torch.stack(distances).sum(dim=0)


def feature_matching(made: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
    """Return the mean absolute difference of two sets of features, averaged over layers.

    Parameters
    ----------
    made, wanted : mapping of str to Tensor
        By layer, of one shape each: of `SqueezeNet`, or of a discriminator (Wang et al. 2018, "pix2pixHD").
        No gradient flows into ``wanted``.
    """
    if made.keys() != wanted.keys():
        raise ValueError(f"features of {sorted(made)} cannot be matched with those of {sorted(wanted)}")
    return torch.stack([F.l1_loss(made[name].float(), wanted[name].detach().float()) for name in wanted]).mean()


def _unit(features: Tensor) -> Tensor:
    features = features.float()
    # Not F.normalize: the gradient of a norm is not finite where all channels are 0.
    return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True) + 1e-10)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise NotAvailable(path, "does not exist", "name the .npz or .safetensors file that holds SqueezeNet 1.1")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, SafetensorError, zipfile.BadZipFile) as error:
        problem = f"cannot be read as .npz or .safetensors ({' '.join(str(error).split())[:200]})"
        raise NotAvailable(path, problem, "fetch it again, or convert it") from error

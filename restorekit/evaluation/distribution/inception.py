"""Inception-v3 as the Fréchet Inception Distance knows it, without torchvision, in the published layout."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.errors import NotAvailable

__all__ = ["CLASSES", "DIMENSIONS", "SIDE", "InceptionV3", "folded", "random_state"]

#: Side in pixels of the pictures it takes.
SIDE = 299
#: Length of a feature: the channels of the last block.
DIMENSIONS = 2048
#: Classes of the 2015 network: ImageNet's 1000 and some that mean nothing.
CLASSES = 1008


@dataclass(frozen=True, slots=True)
class _Conv:
    """A convolution of the table below: name, channels it makes, size and stride of its kernel.

    With stride 1 in a block, pictures keep their size; with stride 2 nothing is padded.
    """

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True

    @property
    def padding(self) -> tuple[int, int]:
        height, width = self.kernel
        return (height // 2, width // 2) if self.padded and self.stride == 1 else (0, 0)


#: One step of a branch: a convolution, two of them side by side, or the name of a pool.
_Step = _Conv | tuple[_Conv, _Conv] | str


def _plain(pooled: int) -> tuple[tuple[_Step, ...], ...]:
    """Mixed_5b, 5c and 5d: 1x1, 5x5 and twice 3x3 beside an average."""
    return (
        (_Conv("branch1x1", 64),),
        (_Conv("branch5x5_1", 48), _Conv("branch5x5_2", 64, (5, 5))),
        (_Conv("branch3x3dbl_1", 64), _Conv("branch3x3dbl_2", 96, (3, 3)), _Conv("branch3x3dbl_3", 96, (3, 3))),
        ("average", _Conv("branch_pool", pooled)),
    )


def _long(inner: int) -> tuple[tuple[_Step, ...], ...]:
    """Mixed_6b to 6e: 7x7 taken apart into rows and columns."""
    row, column = (1, 7), (7, 1)
    return (
        (_Conv("branch1x1", 192),),
        (_Conv("branch7x7_1", inner), _Conv("branch7x7_2", inner, row), _Conv("branch7x7_3", 192, column)),
        (
            _Conv("branch7x7dbl_1", inner),
            _Conv("branch7x7dbl_2", inner, column),
            _Conv("branch7x7dbl_3", inner, row),
            _Conv("branch7x7dbl_4", inner, column),
            _Conv("branch7x7dbl_5", 192, row),
        ),
        ("average", _Conv("branch_pool", 192)),
    )


def _wide(pool: str) -> tuple[tuple[_Step, ...], ...]:
    """Mixed_7b and 7c: 3x3 as a row and a column side by side. They differ in their pool alone."""
    row, column = (1, 3), (3, 1)
    return (
        (_Conv("branch1x1", 320),),
        (_Conv("branch3x3_1", 384), (_Conv("branch3x3_2a", 384, row), _Conv("branch3x3_2b", 384, column))),
        (
            _Conv("branch3x3dbl_1", 448),
            _Conv("branch3x3dbl_2", 384, (3, 3)),
            (_Conv("branch3x3dbl_3a", 384, row), _Conv("branch3x3dbl_3b", 384, column)),
        ),
        (pool, _Conv("branch_pool", 192)),
    )


_STEM: tuple[_Step, ...] = (
    _Conv("Conv2d_1a_3x3", 32, (3, 3), stride=2),
    _Conv("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    _Conv("Conv2d_2b_3x3", 64, (3, 3)),
    "halve",
    _Conv("Conv2d_3b_1x1", 80),
    _Conv("Conv2d_4a_3x3", 192, (3, 3), padded=False),
    "halve",
)
_BLOCKS: dict[str, tuple[tuple[_Step, ...], ...]] = {
    "Mixed_5b": _plain(32),
    "Mixed_5c": _plain(64),
    "Mixed_5d": _plain(64),
    "Mixed_6a": (
        (_Conv("branch3x3", 384, (3, 3), stride=2),),
        (
            _Conv("branch3x3dbl_1", 64),
            _Conv("branch3x3dbl_2", 96, (3, 3)),
            _Conv("branch3x3dbl_3", 96, (3, 3), stride=2),
        ),
        ("halve",),
    ),
    "Mixed_6b": _long(128),
    "Mixed_6c": _long(160),
    "Mixed_6d": _long(160),
    "Mixed_6e": _long(192),
    "Mixed_7a": (
        (_Conv("branch3x3_1", 192), _Conv("branch3x3_2", 320, (3, 3), stride=2)),
        (
            _Conv("branch7x7x3_1", 192),
            _Conv("branch7x7x3_2", 192, (1, 7)),
            _Conv("branch7x7x3_3", 192, (7, 1)),
            _Conv("branch7x7x3_4", 192, (3, 3), stride=2),
        ),
        ("halve",),
    ),
    "Mixed_7b": _wide("average"),
    "Mixed_7c": _wide("maximum"),
}


def _pooled(x: Tensor, kind: str) -> Tensor:
    if kind == "average":  # TensorFlow's: the padding does not count
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return F.max_pool2d(x, 3, 1, 1) if kind == "maximum" else F.max_pool2d(x, 3, 2)


class _Unit(nn.Module):
    """A convolution without bias, batch normalisation with the statistics of the training, and a ReLU."""

    def __init__(self, inputs: int, conv: _Conv):
        super().__init__()
        self.conv = nn.Conv2d(inputs, conv.channels, conv.kernel, conv.stride, conv.padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(conv.channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Branches side by side, whose channels are joined."""

    def __init__(self, inputs: int, branches: tuple[tuple[_Step, ...], ...]):
        super().__init__()
        self._branches = branches
        self.channels = sum(_add_units(self, inputs, branch) for branch in branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([_run(self, branch, x) for branch in self._branches], dim=1)


def _add_units(owner: nn.Module, inputs: int, steps: tuple[_Step, ...]) -> int:
    """Give a module the units that its steps name, and return how many channels they end with."""
    for step in steps:
        if not isinstance(step, str):
            units = step if isinstance(step, tuple) else (step,)
            for unit in units:
                owner.add_module(unit.name, _Unit(inputs, unit))
            inputs = sum(unit.channels for unit in units)
    return inputs


def _run(owner: nn.Module, steps: tuple[_Step, ...], x: Tensor) -> Tensor:
    for step in steps:
        if isinstance(step, str):
            x = _pooled(x, step)
        elif isinstance(step, tuple):
            x = torch.cat([owner.get_submodule(unit.name)(x) for unit in step], dim=1)
        else:
            x = owner.get_submodule(step.name)(x)
    return x


class InceptionV3(nn.Module):
    """The network of TensorFlow's ``inception-2015-12-05``, frozen, with the names of its published conversion.

    It differs from torchvision's: average pools do not count their padding, the last block has a maximum in place of
    an average, and there are 1008 classes.

    References
    ----------
    Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision"; Heusel et al. 2017, "GANs trained
    by a two time-scale update rule converge to a local Nash equilibrium".
    """

    def __init__(self) -> None:
        super().__init__()
        channels = _add_units(self, 3, _STEM)
        for name, branches in _BLOCKS.items():
            block = _Block(channels, branches)
            self.add_module(name, block)
            channels = block.channels
        self.fc = nn.Linear(channels, CLASSES)
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], subject: object) -> InceptionV3:
        """Build the network from the published tensors.

        Raises
        ------
        NotAvailable
            They are another network's; the message is about ``subject``.
        """
        network = cls()
        try:
            network.load_state_dict(state)
        except (RuntimeError, AttributeError, TypeError) as error:
            problem = "is not the Inception network of the Fréchet Inception Distance"
            raise NotAvailable(subject, problem, "`restorekit weights fetch inception` downloads it") from error
        return network.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the averages over places of what the last block makes: pool3.

        Parameters
        ----------
        x : Tensor
            ``(N, 3, 299, 299)`` RGB in [-1, 1].

        Returns
        -------
        Tensor
            ``(N, 2048)``.
        """
        x = _run(self, _STEM, x)
        for name in _BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Return ``(N, 1008)`` of pool3, without the bias: what the Inception Score was defined on.

        Salimans et al. 2016 multiplied by the weights alone; torch-fidelity does likewise (``logits_unbiased``).
        """
        return features @ self.fc.weight.T


def folded(network: InceptionV3) -> InceptionV3:
    """Return a copy whose convolutions do their batch normalisation, too: the same features but for rounding."""
    network = copy.deepcopy(network)
    for unit in network.modules():
        if not isinstance(unit, _Unit) or not isinstance(unit.bn, nn.BatchNorm2d):
            continue
        conv, norm = unit.conv, unit.bn
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        conv.weight.copy_(conv.weight.double() * gain[:, None, None, None])
        conv.bias = nn.Parameter((norm.bias.double() - norm.running_mean.double() * gain).float(), requires_grad=False)
        unit.bn = nn.Identity()
    return network


def random_state(seed: int) -> dict[str, Tensor]:
    """Return tensors in the published layout that mean nothing, for tests and benchmarks.

    Layers keep the variance of what they are given, so that features vary with the pictures as real ones do.
    """
    generator = torch.Generator().manual_seed(seed)
    state = InceptionV3().state_dict()
    for name, tensor in state.items():
        if name.endswith("conv.weight"):
            fan_in = tensor[0].numel()
            tensor.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        elif name.endswith("fc.weight"):
            tensor.normal_(0, 0.05, generator=generator)
        elif name.endswith("running_var"):
            tensor.uniform_(0.8, 1.2, generator=generator)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.05, generator=generator)
        elif name.endswith("bn.weight"):
            tensor.uniform_(0.9, 1.1, generator=generator)
    return state

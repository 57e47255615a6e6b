"""The network of the small plugin, another generator of two networks, and a converter of foreign names."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from restorekit.plugin import Batch, Converted, Geometry


@dataclass(frozen=True)
class TinyConfig:
    """The network.

    Parameters
    ----------
    features : int
        Channels inside.
    sharpen : bool
        Subtract instead of add: no tensor tells.
    """

    features: int = 4
    sharpen: bool = False


@dataclass(frozen=True)
class TinySettings:
    """What a user may choose.

    Parameters
    ----------
    amount : float
        How much, 0 to 1.
    """

    amount: float = 1.0


class Tiny(nn.Module):
    geometry = Geometry(halo=2)

    def __init__(self, config: TinyConfig):
        super().__init__()
        self.first = nn.Conv2d(3, config.features, 3, padding=1)
        self.norm = nn.BatchNorm2d(config.features)
        self.last = nn.Conv2d(config.features, 3, 3, padding=1)
        self.sign = -0.1 if config.sharpen else 0.1

    def restore(self, batch: Batch) -> Tensor:
        amount = float(batch.settings.get("amount", 1.0))  # pyright: ignore[reportArgumentType]
        return batch.images + amount * self.sign * torch.tanh(
            self.last(torch.relu(self.norm(self.first(batch.images))))
        )


class Pair:
    """No module itself: two networks, one of them bound to the other."""

    geometry = Geometry(halo=0)

    def __init__(self, config: TinyConfig):
        self.encoder = nn.Linear(config.features, 2)
        self.decoder = nn.Linear(2, config.features)
        self.decoder.weight = nn.Parameter(self.encoder.weight.detach().t())  # a view of the same memory

    def networks(self):
        return {"encoder": self.encoder, "decoder": self.decoder}

    def restore(self, batch: Batch) -> Tensor:
        return batch.images


def recognise(state):
    """Know the names of another toolkit."""
    if "conv_first.weight" not in state or "conv_last.weight" not in state:
        return None
    names = {"conv_first": "first", "bn": "norm", "conv_last": "last"}
    renamed = {}
    for name, tensor in state.items():
        module, _, parameter = name.partition(".")
        renamed[f"network.{names[module]}.{parameter}"] = tensor
    config = TinyConfig(features=len(state["conv_first.weight"]))
    return Converted(config=config, tensors=renamed, training={"data": "unknown"}, licence="BSD-3-Clause")


def to_foreign(generator: Tiny):
    """Undo `recognise`."""
    names = {"first": "conv_first", "norm": "bn", "last": "conv_last"}
    state = generator.state_dict().items()
    return {f"{names[n.partition('.')[0]]}.{n.partition('.')[2]}": tensor.clone() for n, tensor in state}

"""A network of another project as a restorer: its geometry, channels, randomness and precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restorekit.plugin import Batch, Geometry, NotAvailable, UsageError
from restorekit_spandrel.config import Network
from restorekit_spandrel.loading import described

__all__ = ["Foreign", "inpainter", "restorer"]

#: Channels that a network takes and returns, for which there is a way from and to RGB.
_CHANNELS = {(1, 1), (1, 3), (3, 1), (3, 3), (4, 3), (4, 4)}

_LUMA = (0.299, 0.587, 0.114)


def restorer(config: Network) -> Foreign:
    """Build the network of a file, for whole pictures."""
    made = Foreign(config)
    if made.geometry.needs_mask:
        way_out = f"write spandrel-inpaint,weights={config.weights}"
        raise UsageError(config.weights, f"holds {made.architecture}, which fills holes", way_out)
    return made


def inpainter(config: Network) -> Foreign:
    """Build the network of a file, for holes."""
    made = Foreign(config)
    if not made.geometry.needs_mask:
        way_out = f"write spandrel,weights={config.weights}"
        raise UsageError(config.weights, f"holds {made.architecture}, which fills no holes", way_out)
    return made


class Foreign:
    """What spandrel makes of a file, called as its own interface asks: one picture at a time.

    Parameters
    ----------
    config : Network
        The file, and how large pictures are cut.

    Raises
    ------
    NotAvailable
        There is no spandrel, or the file's network cannot be used.
    """

    def __init__(self, config: Network):
        self._descriptor = described(config.weights)
        self.architecture: str = self._descriptor.architecture.name
        self.geometry = _geometry(self._descriptor, config)
        channels = (self._descriptor.input_channels, self._descriptor.output_channels)
        if channels not in _CHANNELS:
            problem = f"holds {self.architecture} from {channels[0]} channels to {channels[1]}"
            raise NotAvailable(config.weights, problem, "networks for grey, RGB and RGBA pictures can be used")

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network, for the core to move."""
        return {"network": self._descriptor.model}

    def restore(self, batch: Batch) -> Tensor:
        """Restore pictures one by one."""
        seeds = [0] * len(batch.images) if batch.seeds is None else batch.seeds.tolist()
        masks = [None] * len(seeds) if batch.masks is None else batch.masks.split(1)
        made = []
        with self._precision(batch.images.device):
            for image, mask, seed in zip(batch.images.split(1), masks, seeds, strict=True):
                with _seeded(seed, image.device):
                    made.append(self._restored(image, mask))
        return torch.cat(made)

    def _restored(self, image: Tensor, mask: Tensor | None) -> Tensor:
        taken, given = self._descriptor.input_channels, self._descriptor.output_channels
        if (taken, given) == (1, 1):
            grey = bool((image == image[:, :1]).all())
            planes = image[:, :1].split(1) if grey else image.transpose(0, 1).split(1)
            return torch.cat([self._called(plane, mask) for plane in planes], dim=1).expand(-1, 3, -1, -1)
        if taken == 1:
            image = (image * image.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        elif taken == 4:
            image = torch.cat([image, torch.ones_like(image[:, :1])], dim=1)  # alpha is the core's own business
        return self._called(image, mask)[:, :3].expand(-1, 3, -1, -1)

    def _called(self, image: Tensor, mask: Tensor | None) -> Tensor:
        given = [image]
        if self.geometry.needs_mask:
            given.append(torch.ones_like(image[:, :1]) if mask is None else mask.to(image.dtype))
        try:
            return self._on_copies(given)
        except RuntimeError as error:
            if "view size is not compatible" not in str(error):
                raise
        # This network (GFPGAN is one) cannot read the layout that the core prefers, and has said so at once.
        for parameter in self._descriptor.model.parameters():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
        torch.clear_autocast_cache()  # it holds copies in the old layout
        return self._on_copies(given)

    def _on_copies(self, given: Sequence[Tensor]) -> Tensor:
        """Call the network, which may work in place."""
        return self._descriptor(*(tensor.clone(memory_format=torch.contiguous_format) for tensor in given))

    def _precision(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        """Leave the run's precision as it is, or float32 where the network does not bear it."""
        if not torch.is_autocast_enabled(device.type):
            return contextlib.nullcontext()
        half = torch.get_autocast_dtype(device.type) == torch.float16
        able = self._descriptor.supports_half if half else self._descriptor.supports_bfloat16
        return contextlib.nullcontext() if able else torch.autocast(device.type, enabled=False)


def _geometry(descriptor: Any, config: Network) -> Geometry:
    import spandrel

    needs = descriptor.size_requirements
    if descriptor.purpose == "FaceSR" and needs.minimum:  # such a network knows faces of one size
        return Geometry(size=(needs.minimum, needs.minimum))
    measured = config.halo == "auto"
    return Geometry(
        scale=descriptor.scale,
        halo=None if config.halo == "auto" else config.halo,
        multiple_of=needs.multiple_of,
        whole_image=measured and descriptor.tiling != spandrel.ModelTiling.SUPPORTED,
        needs_mask=descriptor.purpose == "Inpainting",
    )


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let what a network draws (AuraSR and GFPGAN add noise) depend on the picture's seed alone."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

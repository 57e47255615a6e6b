"""A diffusion pipeline as a restorer of holes and as a sampler."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restorekit.nn.chance import normals
from restorekit.plugin import Batch, Geometry, NotAvailable
from restorekit_diffusers.config import Pipeline
from restorekit_diffusers.loading import derived, loaded

__all__ = ["Diffusion"]


class Diffusion:
    """Fills holes, and makes pictures, one at a time: none depends on those beside it.

    Parameters
    ----------
    config : Pipeline
        The folder, and what is asked for.

    Raises
    ------
    NotAvailable
        The folder's pipeline cannot be used.

    References
    ----------
    Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models".
    """

    def __init__(self, config: Pipeline):
        self.config = config
        self._pipeline = loaded(config.pipeline)
        parts = self._pipeline.components
        if parts.get("unet") is None or parts.get("vae") is None:
            problem = f"is a {type(self._pipeline).__name__}"
            raise NotAvailable(config.pipeline, problem, "Stable Diffusion 1, 2 and XL pipelines can be used")
        self._factor: int = self._pipeline.vae_scale_factor
        self._side: int = config.side or parts["unet"].config.sample_size * self._factor
        self.geometry = Geometry(size=(self._side, self._side), needs_mask=True)

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the pipeline's networks, for the core to move."""
        parts = self._pipeline.components.items()
        return {name: part for name, part in parts if isinstance(part, nn.Module)}

    def restore(self, batch: Batch) -> Tensor:
        """Fill the holes of pictures."""
        assert batch.masks is not None
        seeds = [0] * len(batch.images) if batch.seeds is None else batch.seeds.tolist()
        made = []
        for image, mask, seed in zip(batch.images.split(1), batch.masks.split(1), seeds, strict=True):
            given = {"image": image.float(), "mask_image": mask.float(), "strength": self.config.redraw}
            made.append(self._called(self._inpainting, seed, given))
        return torch.cat(made)

    def latents(self, seeds: Tensor) -> Tensor:
        """Return ``(N, 4, H/8, W/8)`` normally distributed latents of seeds."""
        channels, side = self._pipeline.vae.config.latent_channels, self._side // self._factor
        return normals(seeds, channels * side * side).view(-1, channels, side, side)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the pictures that denoising makes of latents."""
        made = [self._called(self._sampling, _seed_of(each), {"latents": each}) for each in latents.split(1)]
        return torch.cat(made)

    def _called(self, pipeline: Any, seed: int, given: Mapping[str, object]) -> Tensor:
        made = pipeline(
            prompt=self.config.prompt,
            negative_prompt=self.config.negative,
            num_inference_steps=self.config.steps,
            guidance_scale=self.config.guidance,
            height=self._side,
            width=self._side,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
            **given,
        )
        return made.images.float()

    @functools.cached_property
    def _inpainting(self) -> Any:
        return derived("Inpainting", self._pipeline, self.config.pipeline)

    @functools.cached_property
    def _sampling(self) -> Any:
        if self._pipeline.unet.config.in_channels != self._pipeline.vae.config.latent_channels:
            way_out = "name one that makes pictures from words"
            raise NotAvailable(self.config.pipeline, "was made for filling holes alone", way_out)
        return derived("Text2Image", self._pipeline, self.config.pipeline)


def _seed_of(latent: Tensor) -> int:
    """Return a seed for what some schedulers draw on the way: of the latent alone, as the picture is."""
    data = latent.detach().float().cpu().numpy().tobytes()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 1

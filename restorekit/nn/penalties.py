"""Penalties on a discriminator's gradients: what keeps adversarial training stable."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["gradient_penalty", "squared_gradients", "zero_centred_penalty"]


def squared_gradients(scores: Tensor, images: Tensor) -> Tensor:
    """Return ``(N,)`` squared norms of each sample's gradient of its score, themselves differentiable.

    Parameters
    ----------
    scores : Tensor
        ``(N, ...)``; no sample's score may depend on another sample, so the discriminator has no batch normalisation.
    images : Tensor
        ``(N, C, H, W)`` they were computed from, requiring gradients.
    """
    (gradients,) = torch.autograd.grad(scores.float().sum(), images, create_graph=True)
    return gradients.float().square().flatten(1).sum(dim=1)


def zero_centred_penalty(scores: Tensor, images: Tensor) -> Tensor:
    """Return half the mean squared gradient: R1 at real samples, R2 at generated ones.

    Parameters
    ----------
    scores, images : Tensor
        See `squared_gradients`.

    References
    ----------
    Mescheder et al. 2018, "Which training methods for GANs do actually converge?"
    """
    return squared_gradients(scores, images).mean() / 2


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, places: Tensor) -> Tensor:
    """Return the mean squared distance from 1 of the gradient's norm between real and generated samples (WGAN-GP).

    Parameters
    ----------
    critic : callable
        Maps ``(N, C, H, W)`` to scores.
    real, fake : Tensor
        ``(N, C, H, W)`` samples, paired.
    places : Tensor
        ``(N,)`` uniform in [0, 1]: where between the two, 0 is at ``fake``.

    References
    ----------
    Gulrajani et al. 2017, "Improved training of Wasserstein GANs".
    """
    weights = places.float()[:, None, None, None]
    between = torch.lerp(fake.detach().float(), real.detach().float(), weights).requires_grad_()
    # The root has no derivative at 0, where a critic that has learned nothing is.
    norms = torch.sqrt(squared_gradients(critic(between), between) + 1e-12)
    return (norms - 1).square().mean()

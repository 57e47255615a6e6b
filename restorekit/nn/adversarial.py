"""What a discriminator and a generator minimise against each other, from raw scores (no sigmoid before)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

__all__ = ["AdversarialLoss", "discriminator_loss", "generator_loss", "spectrally_normalised"]

#: The kinds of adversarial losses.
AdversarialLoss = Literal[
    "non-saturating", "minimax", "lsgan", "hinge", "wasserstein", "relativistic", "relativistic-average"
]


def discriminator_loss(kind: AdversarialLoss, real: Tensor, fake: Tensor) -> Tensor:
    """Return what the discriminator minimises.

    Parameters
    ----------
    kind : AdversarialLoss
        ``"non-saturating"`` and ``"minimax"`` (Goodfellow et al. 2014) share the discriminator's cross-entropy;
        ``"lsgan"`` (Mao et al. 2017); ``"hinge"`` (Lim and Ye 2017); ``"wasserstein"`` (Arjovsky et al. 2017);
        ``"relativistic"`` pairs each real sample with a fake one, ``"relativistic-average"`` with the mean of the
        others (Jolicoeur-Martineau 2018).
    real, fake : Tensor
        Scores of real and of generated samples, of one shape; a patch discriminator's map counts pixel by pixel.

    Returns
    -------
    Tensor
        The mean, in float32.
    """
    real, fake = real.float(), fake.float()
    if kind in ("non-saturating", "minimax"):
        return (F.softplus(-real) + F.softplus(fake)).mean()
    if kind == "lsgan":
        return ((real - 1).square() + fake.square()).mean() / 2
    if kind == "hinge":
        return (F.relu(1 - real) + F.relu(1 + fake)).mean()
    if kind == "wasserstein":
        return (fake - real).mean()
    if kind == "relativistic":
        return F.softplus(fake - real).mean()
    return (F.softplus(fake.mean() - real) + F.softplus(fake - real.mean())).mean() / 2


def generator_loss(kind: AdversarialLoss, fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Return what the generator minimises.

    Parameters
    ----------
    kind : AdversarialLoss
        See `discriminator_loss`.
    fake : Tensor
        Scores of generated samples.
    real : Tensor, optional
        Scores of real samples, which the relativistic losses compare with.

    Returns
    -------
    Tensor
        The mean, in float32.
    """
    fake = fake.float()
    if kind in ("relativistic", "relativistic-average"):
        if real is None:
            raise ValueError(f"the {kind} loss needs the scores of real samples")
        return discriminator_loss(kind, fake, real)
    if kind == "non-saturating":
        return F.softplus(-fake).mean()
    if kind == "minimax":
        return -F.softplus(fake).mean()
    if kind == "lsgan":
        return (fake - 1).square().mean() / 2
    return -fake.mean()


def spectrally_normalised(network: nn.Module) -> nn.Module:
    """Divide the weights of all convolutions, linear layers and embeddings by their largest singular values.

    Parameters
    ----------
    network : Module
        Is changed in place. Its state then holds ``parametrizations.weight.original`` and the singular vectors, which
        each forward pass in training mode brings closer by one power iteration.

    Returns
    -------
    Module
        The same network.

    References
    ----------
    Miyato et al. 2018, "Spectral normalization for generative adversarial networks".
    """
    for layer in list(network.modules()):
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)):
            parametrizations.spectral_norm(layer)
    return network

"""The Inception Score: high where single pictures are recognised, and all of them together are various."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["InceptionScore", "inception_score"]


@dataclass(frozen=True, slots=True)
class InceptionScore:
    """Mean and standard deviation of the score over splits, as papers print it: ``mean ± deviation``."""

    mean: float
    deviation: float
    splits: int


def inception_score(logits: Tensor, *, splits: int = 10, seed: int = 0) -> InceptionScore:
    """Return ``exp(mean KL(p(class | picture) || p(class)))``, averaged over splits of the shuffled pictures.

    Parameters
    ----------
    logits : Tensor
        ``(N, classes)``: `InceptionV3.logits`, all 1008 without bias, as the score was first computed.
    splits : int
        Parts of equal size; fewer where there are fewer pictures.
    seed : int
        Of the shuffling: pictures sorted by class would score low.

    References
    ----------
    Salimans et al. 2016, "Improved techniques for training GANs".

    Raises
    ------
    ValueError
        There is no picture.

    Examples
    --------
    >>> inception_score(torch.full((20, 5), 7.0)).mean
    1.0
    """
    count = len(logits)
    if count == 0:
        raise ValueError("the score of no pictures is not defined")
    splits = min(splits, count)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    scores = []
    for part in range(splits):
        chosen = logits[order[part * count // splits : (part + 1) * count // splits]].double()
        certain = chosen.log_softmax(dim=1)
        overall = certain.exp().mean(dim=0, keepdim=True).log()
        # A class whose probability underflows to 0 everywhere adds nothing; 0 * -inf would be NaN.
        gain = torch.where(certain.exp() > 0, certain.exp() * (certain - overall), 0.0)
        scores.append(float(gain.sum(dim=1).mean().exp()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits)

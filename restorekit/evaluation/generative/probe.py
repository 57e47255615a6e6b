"""A linear classifier on frozen features: how much of what pictures show a network has learned without being told."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restorekit.errors import UsageError

__all__ = ["Probe", "linear_probe"]

#: Weights of the squared weights that are tried on a tenth of the training pictures.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_ROUNDS = 200


@dataclass(frozen=True)
class Probe:
    """What a linear classifier reaches.

    Parameters
    ----------
    accuracy : float
        Share of the test pictures whose class it names.
    train, test : int
        Pictures.
    dimensions : int
        Of the features.
    classes : int
        It tells apart.
    penalty : float
        Weight of the squared weights, chosen on a tenth of the training pictures.
    """

    accuracy: float
    train: int
    test: int
    dimensions: int
    classes: int
    penalty: float

    @property
    def standard_error(self) -> float:
        """Of the accuracy, as of a proportion of independent pictures."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.test)


def linear_probe(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> Probe:
    """Fit a multinomial logistic regression to standardised features, and count what it gets right.

    After Radford et al. 2015, section 5.1, with logistic regression in place of their support vector machine. The
    penalty is chosen on every tenth training picture; the objective is convex and minimised by L-BFGS, so nothing is
    random.

    Parameters
    ----------
    train, test : Tensor
        ``(N, D)`` features.
    train_labels, test_labels : Tensor
        ``(N,)`` class indices.

    Raises
    ------
    UsageError
        There are fewer than ten training pictures or two classes, or no test picture.
    """
    classes = int(torch.cat([train_labels, test_labels]).max()) + 1 if len(train_labels) and len(test_labels) else 0
    if len(train) < 10 or len(test) < 1 or len(train_labels.unique()) < 2:
        problem = f"has {len(train)} training and {len(test)} test pictures of {len(train_labels.unique())} classes"
        raise UsageError("the linear probe", problem, "give it ten or more, of two classes or more")
    mean, deviation = train.mean(dim=0), train.std(dim=0)
    # A feature that is the same for all says nothing, and has nothing to be divided by.
    scale = torch.where(deviation > 1e-6 * (1 + mean.abs()), 1 / deviation, 0.0)
    train, test = (train - mean) * scale, (test - mean) * scale
    aside = torch.arange(len(train)) % 10 == 0
    scores = [
        _accuracy(_fitted(train[~aside], train_labels[~aside], classes, penalty), train[aside], train_labels[aside])
        for penalty in PENALTIES
    ]
    penalty = PENALTIES[max(range(len(PENALTIES)), key=scores.__getitem__)]
    accuracy = _accuracy(_fitted(train, train_labels, classes, penalty), test, test_labels)
    return Probe(accuracy, len(train), len(test), train.shape[1], classes, penalty)


def _fitted(features: Tensor, labels: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Return the weights ``(classes, D)`` and biases ``(classes,)`` that minimise the penalised cross-entropy."""
    weights = torch.zeros(classes, features.shape[1], requires_grad=True)
    biases = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, biases], max_iter=_ROUNDS, tolerance_grad=1e-5, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(features, weights, biases), labels) + penalty / 2 * weights.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    return weights.detach(), biases.detach()


def _accuracy(classifier: tuple[Tensor, Tensor], features: Tensor, labels: Tensor) -> float:
    return float((F.linear(features, *classifier).argmax(dim=1) == labels).double().mean())

"""What feature networks make of samples and of real pictures: computed once, whatever is measured with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from restorekit.errors import RestorekitError, UsageError
from restorekit.evaluation.distribution import FeatureNetwork, Moments, Statistics
from restorekit.evaluation.generative.draws import Draws
from restorekit.evaluation.generative.measures import Listener
from restorekit.evaluation.generative.pictures import Pictures

__all__ = ["Seen"]


@dataclass
class Seen:
    """Features of pictures; those of real ones are kept for the next generator.

    Parameters
    ----------
    listener : callable
        Is told of progress.
    keep : bool
        Keep the features themselves, beside their mean and covariance: neighbours and kernels need them.
    """

    listener: Listener
    keep: bool
    known: dict[tuple[str, str, int | None], Statistics] = field(default_factory=dict)

    def samples(self, draws: Draws, network: FeatureNetwork) -> Statistics:
        """Return what a network makes of a generator's samples."""
        name = draws.drawing.loaded.spec.name
        return self._statistics(network, f"samples of {name}", draws.pixels(), draws.count)

    def pictures(self, pictures: Pictures, network: FeatureNetwork) -> Statistics:
        """Return what a network makes of real pictures.

        Raises
        ------
        UsageError
            There is only one.
        """
        if len(pictures) < 2:
            problem = f"has one picture in its {pictures.split} split, which is no distribution"
            raise UsageError(pictures.source.name, problem, "name a set of two or more; papers have 10,000")
        key = (network.name, pictures.split, pictures.side)
        if key not in self.known:
            what = f"{pictures.split} pictures"
            self.known[key] = self._statistics(network, what, pictures.pixels(), len(pictures))
        return self.known[key]

    def _statistics(self, network: FeatureNetwork, what: str, pixels: Iterable[Tensor], total: int) -> Statistics:
        moments = Moments(network.dimensions)
        kept: list[Tensor] = []
        for batch in self._told(what, pixels, total):
            features = network.features(batch)
            finite = torch.isfinite(features).all(dim=1)
            if not finite.all():
                number = moments.count + int((~finite).nonzero()[0])
                problem = f"makes NaN or infinity of number {number} of the {what}"
                raise RestorekitError(network.name, problem, "check the network's weights file")
            moments.update(features)
            if self.keep:
                kept.append(features)
        return Statistics.of(moments, network.facts(), torch.cat(kept) if kept else None)

    def _told(self, what: str, pixels: Iterable[Tensor], total: int) -> Iterator[Tensor]:
        done = 0
        for batch in pixels:
            yield batch
            done += len(batch)
            self.listener(f"features of {what}", done, total)

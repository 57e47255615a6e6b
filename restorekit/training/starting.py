"""Weights that a training starts from: whole, or as much of them as fits another network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from restorekit.errors import NotAvailable
from restorekit.weights.files import WeightsFile, file_sha256, read_header
from restorekit.weights.networks import load_fitting, load_into

__all__ = ["Start"]

#: What is kept of earlier trainings.
_TOLD = ("changes", "config", "data", "degradation", "precision", "start", "steps", "terms")


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to start from.

    Parameters
    ----------
    path : Path
        A weights file of the same generator.
    fitting : bool
        Take the tensors whose names and shapes fit, and leave the others as a fresh network has them: to go on from
        another scale or depth. Otherwise all have to fit.
    """

    path: Path
    fitting: bool = False

    def load_into(self, generator: object) -> str:
        """Copy the tensors; return what a weights' header tells of the start.

        Raises
        ------
        NotAvailable
            The file cannot be read, or does not fit.
        """
        with WeightsFile(str(self.path)) as file:
            tensors = file.read()[0]
        sha256 = file_sha256(self.path)
        if not self.fitting:
            load_into(generator, tensors, subject=self.path, way_out="--fitting takes the tensors that do fit")
            return sha256
        taken, wanted = load_fitting(generator, tensors)
        if not taken:
            raise NotAvailable(self.path, "has no tensor that fits the generator", "give weights of the same kind")
        return f"{sha256} ({taken} of {wanted} tensors)"

    def trainings(self) -> list[dict[str, JsonValue]]:
        """Return how the weights came to be, the oldest training first: their data and terms are those of what follows.

        Raises
        ------
        NotAvailable
            The file cannot be read.
        """
        training = read_header(self.path).training
        earlier = training.get("earlier", [])
        before = [each for each in earlier if isinstance(each, dict)] if isinstance(earlier, list) else []
        return [*before, {key: value for key, value in training.items() if key in _TOLD}]

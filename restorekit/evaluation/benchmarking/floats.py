"""Restorers applied to floats beyond [0, 1]: noise as papers add it, which a picture file cannot hold.

The ordinary pipeline takes a float picture brighter than 1 for one whose white lies higher, and scales it: the noise
would be taken for half as strong. Here values reach the generator as they are, between the steps too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.contract import Restorer
from restorekit.errors import PictureError, UsageError
from restorekit.inference.device import Runtime, placed
from restorekit.inference.ensemble import ensembled
from restorekit.inference.executor import Executor, Frame
from restorekit.registry import Loaded, Registry
from restorekit.specs import Step
from restorekit.weights.networks import networks_of

__all__ = ["FloatChain"]


class FloatChain:
    """Steps made ready to be applied to any number of float pictures.

    Parameters
    ----------
    steps : sequence of Step
        In order.
    registry : Registry
        Where generators are found.
    runtime : Runtime
        Device and precision.
    tile : int, optional
        Side of a tile in input pixels.

    Raises
    ------
    UsageError, NotAvailable
        A step cannot be loaded, or needs the ordinary pipeline: planners, detectors, networks of a fixed size.
    """

    def __init__(self, steps: Sequence[Step], registry: Registry, runtime: Runtime, tile: int | None = None):
        self._runtime = runtime
        self.steps = tuple(steps)
        self.loaded = [registry.load(step) for step in steps]
        self._executors = [self._executor(each, step, tile) for each, step in zip(self.loaded, steps, strict=True)]

    def restore(
        self, name: str, pixels: NDArray[np.float32], mask: NDArray[np.bool_] | None, seed: int
    ) -> NDArray[np.float32]:
        """Restore ``(H, W, 1 or 3)``; the result is float32 and not clipped.

        Raises
        ------
        PictureError
            It cannot be restored.
        """
        for executor in self._executors:
            if executor.geometry.needs_mask and mask is None:
                raise PictureError(name, "needs a mask and there is none", "use a degradation that leaves holes")
            pixels = _run(executor, Frame(name, pixels, mask, seed))
        return pixels

    def _executor(self, loaded: Loaded, step: Step, tile: int | None) -> Executor:
        generator: Any = loaded.generator
        if not isinstance(generator, Restorer) or generator.geometry.size is not None:
            problem = "takes no floats beyond [0, 1]: it needs the ordinary pipeline"
            raise UsageError(str(step), problem, "leave --float-degraded or the published protocol out")
        networks = networks_of(generator)
        for network in networks.values():
            placed(network, self._runtime.device)
        runtime = self._runtime if networks else Runtime(self._runtime.device, "fp32", "no network")
        call = ensembled(generator.restore, loaded.ensemble)
        return Executor(call, generator.geometry, runtime, settings=loaded.settings, tile=tile)


def _run(executor: Executor, frame: Frame) -> NDArray[np.float32]:
    scale = executor.geometry.scale
    height, width, channels = frame.canvas.shape
    output = np.zeros((height * scale, width * scale, channels), np.float32)
    if executor.geometry.needs_mask and scale == 1:  # tiles without a hole are not visited
        output[...] = frame.canvas
    for patch in executor.run([frame]):
        after = patch.after if channels == 3 else patch.after.mean(dim=0, keepdim=True)
        output[patch.rows, patch.columns] = after.permute(1, 2, 0).cpu().numpy()
    return output

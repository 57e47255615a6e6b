"""Small plugins as text: right ones, from which the tests make wrong ones."""

from __future__ import annotations

HOOK = """
from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators():
    yield GeneratorSpec(
        name="@",
        summary="For tests.",
        tasks=frozenset({"TASK"}),
        factory="@_code:Make",
        config="@_code:Config",
        MORE
    )
"""

CONFIG = '''
import math
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from restorekit.nn.chance import normals
from restorekit.plugin import Batch, Geometry, Phase, Step


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """What may be chosen.

    Parameters
    ----------
    radius : int
        Pixels.
    """

    radius: int = 2
'''

RESTORER = """

class Make:
    def __init__(self, config):
        self.radius = config.radius
        self.geometry = Geometry(halo=2)

    def restore(self, batch):
        images = batch.images
        side = 2 * self.radius + 1
        padded = F.pad(images, (self.radius,) * 4, mode="replicate")
        return F.avg_pool2d(padded, side, 1)
"""

DETECTOR = """

class Make:
    geometry = Geometry(halo=0)

    def __init__(self, config):
        pass

    def detect(self, batch):
        return (batch.images.mean(dim=1, keepdim=True) > 0.9).float()
"""

PLANNER = """

class Make:
    def __init__(self, config):
        pass

    def plan(self, request):
        return [Step("median").because("for tests")]
"""

SAMPLER = """

class Make:
    def __init__(self, config):
        pass

    def latents(self, seeds):
        return normals(seeds, 3)

    def decode(self, latents, labels=None):
        return torch.sigmoid(latents)[:, :, None, None].expand(-1, 3, 8, 8)
"""

TRAINABLE = '''

class Make(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.geometry = Geometry(halo=2)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, images):
        return images + self.second(torch.relu(self.first(images)))

    def restore(self, batch):
        return self(batch.images)


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3)

    def forward(self, images):
        return self.layer(images).mean(dim=(1, 2, 3))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """How.

    Parameters
    ----------
    learning_rate : float
        Of Adam.
    """

    learning_rate: float = 1e-3


class Training:
    batches_per_step = 1

    def __init__(self, generator, recipe):
        self.generator = generator
        self.recipe = recipe
        self.judge = Judge()
        self.count = 0

    def networks(self):
        return {"generator": self.generator}

    def phases(self):
        return {"pixel": Phase(networks=("generator",), learning_rate=self.recipe.learning_rate)}

    def degradation(self):
        return ("noise:50",)

    def training_step(self, batches, update):
        return update("pixel", self.loss, batches[0])

    def loss(self, batch):
        return F.l1_loss(self.generator(batch.images), batch.targets), {}
'''

#: Two phases: what is made is judged.
GAN = [
    ('return {"generator": self.generator}', 'return {"generator": self.generator, "judge": self.judge}'),
    (
        'return {"pixel": Phase(',
        'return {"judge": Phase(networks=("judge",), learning_rate=1e-3), "pixel": Phase(',
    ),
    (
        '        return update("pixel", self.loss, batches[0])',
        '        return {**update("judge", self.judging, batches[0]), **update("pixel", self.loss, batches[0])}\n\n'
        "    def judging(self, batch):\n"
        "        with torch.no_grad():\n"
        "            made = self.generator(batch.images)\n"
        "        return self.judge(made).mean() - self.judge(batch.targets).mean(), {}",
    ),
    (
        "return F.l1_loss(self.generator(batch.images), batch.targets), {}",
        "return -self.judge(self.generator(batch.images)).mean(), {}",
    ),
]

#: Body and task of each right plugin, and what its spec says besides.
BASES = {
    "restorer": (RESTORER, "denoise", ""),
    "detector": (DETECTOR, "detect", ""),
    "planner": (PLANNER, "plan", ""),
    "sampler": (SAMPLER, "generate", ""),
    "trainable": (TRAINABLE, "denoise", 'trainer="@_code:Training", recipe="@_code:Recipe",'),
}

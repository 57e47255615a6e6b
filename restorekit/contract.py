"""The contract between the core and a generator: what it is given, and what it may offer.

A picture inside restorekit is always RGB, NCHW on tensors, float in [0, 1]. The core does cropping, padding, tiling,
stitching, precision, memory format and device; generators see clean tensors. An object satisfies as many of the
protocols below as it has methods for; it inherits from none of them. One that is a ``torch.nn.Module``, or has
``networks()`` returning some by name, is moved to the device, put into evaluation mode and computed in the run's
precision; others are called in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from restorekit.specs import GeneratorSpec, Step

__all__ = [
    "Batch",
    "Converted",
    "Converter",
    "Detector",
    "FeatureExtractor",
    "Geometry",
    "Loss",
    "Measurable",
    "Phase",
    "PictureInfo",
    "Planner",
    "Request",
    "Restorer",
    "Sampler",
    "Trainable",
    "Update",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInfo:
    """What a picture's header says, read before any pixel is decoded.

    Parameters
    ----------
    format : str
        ``"jpeg"``, ``"png"``, ``"webp"``, ``"tiff"``, ``"avif"``, ``"bmp"``, ``"ppm"`` or ``"gif"``.
    width, height : int
        Pixels, as displayed (after EXIF orientation).
    channels : int
        Colour channels: 1 (grey) or 3 (RGB).
    alpha : bool
        Whether there is an alpha channel besides.
    bits : int
        Bits a sample: 8, 10, 12, 16, 32 or 64.
    floating : bool
        Whether samples are floating point.
    frames : int
        Frames or pages.
    orientation : int
        EXIF orientation as stored, 1 to 8.
    dpi : tuple of float, optional
        Horizontal and vertical resolution in dots an inch, where the file states one.
    """

    format: str
    width: int
    height: int
    channels: int = 3
    alpha: bool = False
    bits: int = 8
    floating: bool = False
    frames: int = 1
    orientation: int = 1
    dpi: tuple[float, float] | None = None


def _unheard(done: float) -> None:
    """Nobody waits."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a generator is given, for restoring and for training alike.

    New fields may be added; they never break an older plugin.

    Parameters
    ----------
    images : Tensor
        ``(N, 3, H, W)`` RGB, float in [0, 1]. A grey picture comes as three equal channels.
    masks : Tensor, optional
        ``(N, 1, H, W)`` in {0, 1}; 1 marks what to repair.
    labels : Tensor, optional
        ``(N,)`` class indices.
    targets : Tensor, optional
        The clean pictures, in training.
    seeds : Tensor, optional
        ``(N,)`` int64, one a sample: the only source of randomness.
    settings : mapping
        Validated values of the spec's ``settings`` class.
    bits : int
        Depth of the pictures the values came from; above 8 the precision is float32 throughout.
    progress : callable
        For calls that take long, as of a restorer that optimises: to be told now and then which share, 0 to 1, is
        done. It shows that, and ends the call with an exception, to be let through, where the run is to stop.
    """

    images: Tensor
    masks: Tensor | None = None
    labels: Tensor | None = None
    targets: Tensor | None = None
    seeds: Tensor | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    bits: int = 8
    progress: Callable[[float], None] = _unheard


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How a restorer maps input pixels to output pixels: all that tiling needs to know.

    Parameters
    ----------
    scale : int
        Output pixels for each input pixel and axis.
    halo : int, optional
        Input pixels of context beyond which an output pixel changes by no more than 1/255; ``None``: unknown, the
        core measures it.
    multiple_of : int
        Sizes and tile origins given to ``restore`` are multiples of it.
    size : tuple of int, optional
        ``(height, width)`` of a fixed-size network: the core crops around each hole, resizes, restores and pastes.
    whole_image : bool
        The operation is global: the picture is never tiled.
    needs_mask : bool
        Works on a mask: pictures without one are refused.
    colours : bool
        Gives colours to what has none: grey pictures come back in colour, and not grey as from any other restorer.
    """

    scale: int = 1
    halo: int | None = None
    multiple_of: int = 1
    size: tuple[int, int] | None = None
    whole_image: bool = False
    needs_mask: bool = False
    colours: bool = False

    def __post_init__(self) -> None:
        if self.scale < 1 or self.multiple_of < 1 or (self.halo is not None and self.halo < 0):
            raise ValueError(f"{self}: scale and multiple_of start at 1, halo at 0")
        if self.size is not None and (self.scale != 1 or min(self.size) < 1):
            raise ValueError(f"{self}: a fixed-size network has a positive size and scale 1")


@dataclass(frozen=True, slots=True)
class Request:
    """What a planner decides upon.

    Parameters
    ----------
    info : PictureInfo
        The picture's header.
    image : Tensor
        ``(3, H, W)`` RGB, float32 in [0, 1].
    mask : Tensor, optional
        ``(1, H, W)`` in {0, 1}, where the user gave one.
    scale : float
        The enlargement the user asked for; 1 for none.
    generators : sequence of GeneratorSpec
        What is installed and enabled.
    """

    info: PictureInfo
    image: Tensor
    mask: Tensor | None
    scale: float
    generators: Sequence[GeneratorSpec]


@runtime_checkable
class Restorer(Protocol):
    """Repairs pictures. All that the batch pipeline needs; classical methods stop here."""

    @property
    def geometry(self) -> Geometry:
        """How output pixels relate to input pixels."""
        ...

    def restore(self, batch: Batch) -> Tensor:
        """Return ``(N, 3, scale*H, scale*W)``, float; called under ``torch.no_grad``.

        The core clips to [0, 1] and, for inpainters, puts back the pixels outside the mask.
        """
        ...


@runtime_checkable
class Detector(Protocol):
    """Finds damage: its masks feed the steps that follow.

    It may also have ``working_side(settings: Mapping[str, object]) -> int``: pictures whose shorter side has more
    pixels are shown to it shrunk to so many, and what it marks is enlarged; 0 for never. It is for networks that know
    damage of a certain size: a large scan's scratches are wide.
    """

    def detect(self, batch: Batch) -> Tensor:
        """Return ``(N, 1, H, W)`` in [0, 1]; from 0.5 on a pixel counts as damaged."""
        ...


@runtime_checkable
class Planner(Protocol):
    """Decides for each picture which steps it needs."""

    def plan(self, request: Request) -> Sequence[Step]:
        """Return the steps, each with its reason; none leaves the picture as it is."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Makes pictures from latent vectors.

    It may also have ``latent_distributions() -> Mapping[str, Callable[[Tensor], Tensor]]``: what latents can be drawn
    from, by name (``"prior"``, ``"mixture"``, ...), the one that ``latents`` draws from first.
    """

    def latents(self, seeds: Tensor) -> Tensor:
        """Return ``(N, ...)`` latents, each a function of its own seed alone."""
        ...

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return ``(N, 3, H, W)`` in [0, 1]."""
        ...


@runtime_checkable
class Measurable(Protocol):
    """Measures pictures itself, such as how probable it finds them: ``restorekit benchmark`` shows its numbers."""

    def metrics(self, settings: Mapping[str, object]) -> Mapping[str, Callable[[Batch], Tensor]]:
        """Return functions of a batch with seeds by the names of their numbers, each with ``(N,)`` values.

        ``settings`` are validated values of the spec's ``settings`` class.
        """
        ...

    def metrics_protocol(self) -> Mapping[str, str | int | float | bool | None]:
        """Say what the numbers are: their unit, and everything without which they cannot be compared."""
        ...


@runtime_checkable
class FeatureExtractor(Protocol):
    """Tells what its networks see in pictures: a generator with an encoder, or a trainer with a discriminator."""

    def features(self, batch: Batch) -> Tensor:
        """Return ``(N, D)`` features; called under ``torch.no_grad``, in evaluation mode."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One optimizer's share of a training step; the core builds the optimizer from it.

    Parameters
    ----------
    networks : tuple of str
        The keys of ``networks()`` whose parameters this phase moves.
    learning_rate : float
        Before the run's schedule.
    betas : tuple of float
        Adam's decay rates.
    weight_decay : float
        Decoupled (AdamW); 0 for none.
    clip_norm : float, optional
        Largest gradient norm; ``None`` for no clipping.
    ema_decay : float, optional
        Decay a step of the exponential moving average kept of these networks; ``None`` for none.
    optimizer : {"adam", "muon"}
        Adam (decoupled from its weight decay, AdamW); or Muon (Jordan et al. 2024) for the layers between hidden
        features and Adam for all else, on one scale of learning rates.
    """

    networks: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip_norm: float | None = None
    ema_decay: float | None = None
    optimizer: Literal["adam", "muon"] = "adam"


#: A function of a batch to be minimised: the mean loss over the batch, and scalars to log.
Loss = Callable[[Batch], "tuple[Tensor, Mapping[str, Tensor]]"]


class Update(Protocol):
    """The seam of training: one optimizer step of one phase."""

    def __call__(self, phase: str, loss: Loss, batch: Batch) -> Mapping[str, Tensor]:
        """Minimise ``loss`` over ``batch`` by one step of ``phase``; return the scalars to log, left on the device.

        ``loss`` is a function, so that the core can split the batch for accumulation and still differentiate after
        another phase has stepped. The core does the backward pass for this phase's parameters only, the all-reduce,
        clipping, the skipping of gradients that are not finite, the optimizer step and the moving average.
        """
        ...


@runtime_checkable
class Trainable(Protocol):
    """Teaches a generator on the core's training runner: what a spec's ``trainer`` makes.

    It may also have ``degradation() -> Sequence[str]``: steps in the words of ``restorekit degrade``, which the core
    applies to the clean pictures (``Batch.targets``) to make ``Batch.images`` and ``Batch.masks``; without it both
    are the clean pictures. And ``preview(batch) -> Tensor``: ``(N, 3, H, W)`` in [0, 1], pictures of how far it is.
    And it may be a `FeatureExtractor`, for a linear probe of what its networks have learned.
    And ``finish(batches)``, called once before the weights are written, in evaluation mode and with the weights that
    are kept: it may take as many of the training's batches, from the first, as it needs (a VAE fits a mixture to them).

    Two optional attributes promise something. ``capturable = True``: a step does the same work each time, without
    looking at values on the host, so that it may be captured as a CUDA graph. ``uses_labels = False``: labels are
    ignored, so that pictures of different classes may be mixed (``run.mixup``).
    """

    @property
    def batches_per_step(self) -> int:
        """How many batches one training step reads (WGAN-GP: critic steps + 1)."""
        ...

    def networks(self) -> Mapping[str, nn.Module]:
        """Return every network that training changes, by name; ``"generator"`` is the one that is kept."""
        ...

    def phases(self) -> Mapping[str, Phase]:
        """Return the phases by name, in the order in which a step runs them."""
        ...

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Run one step through ``update``; return scalars to log, left on the device."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """Foreign weights in this generator's own terms.

    Parameters
    ----------
    config : object
        The configuration of the network that they are for.
    tensors : mapping of str to Tensor
        Named ``network.parameter``, as ``networks()`` and their state have it.
    training : mapping
        What is known of their origin; JSON values.
    licence : str
        Of the weights, where it is known.
    """

    config: object
    tensors: Mapping[str, Tensor]
    training: Mapping[str, object] = field(default_factory=dict)
    licence: str = ""


class Converter(Protocol):
    """Recognises a generator's network in the tensors of another toolkit's file; a spec names it as ``converter``."""

    def __call__(self, state: Mapping[str, Tensor]) -> Converted | None:
        """Return the weights converted, or ``None`` where they are some other network's.

        Decides by names and shapes. ``state`` is flat, as the file has it.
        """
        ...

"""Makes pictures with a generator: samples, ways between them, and what single latent numbers do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restorekit.contract import PictureInfo, Sampler
from restorekit.errors import NotAvailable, UsageError
from restorekit.files import replace_file
from restorekit.images import Picture, encode, format_of_extension
from restorekit.sources.sampling import sample_seeds

if TYPE_CHECKING:
    from torch import Tensor

    from restorekit.inference import Runtime
    from restorekit.registry import Loaded

__all__ = ["Drawing", "contact_sheet", "interpolated", "labels_of", "samples", "traversal", "write_pictures"]

#: White pixels between the pictures of a sheet.
_GAP = 2


@dataclass(frozen=True)
class Drawing:
    """Draws from one generator.

    Parameters
    ----------
    loaded : Loaded
        A generator with latents, and with trained weights where it is a network.
    runtime : Runtime
        Device and precision.
    labels : sequence of int, optional
        Class indices, taken in turn; for generators whose configuration has ``classes``.
    truncation : float
        What latents are multiplied by: below 1, pictures are more alike and more typical.
    batch_size : int
        Pictures at once. Every batch is filled up to it, so that no picture depends on how many are made.

    Raises
    ------
    UsageError
        The generator does not make pictures of latents, or a value is out of range.
    NotAvailable
        It is a network that has no trained weights.
    """

    loaded: Loaded
    runtime: Runtime
    labels: Sequence[int] = ()
    truncation: float = 1.0
    batch_size: int = 16

    def __post_init__(self) -> None:
        from torch import nn

        from restorekit.inference.device import placed
        from restorekit.weights.networks import networks_of

        generator, name = self.loaded.generator, self.loaded.spec.name
        if not isinstance(generator, Sampler):
            others = "`restorekit generators` shows which have the task generate"
            raise UsageError(name, "does not make pictures of its own", others)
        if isinstance(generator, nn.Module) and not self.loaded.weights_sha256:
            problem = "has no trained weights"
            raise NotAvailable(name, problem, "name a weights file: FILE.safetensors in place of the name")
        for network in networks_of(generator).values():
            placed(network, self.runtime.device)
        if not 0 <= self.truncation <= 10:
            raise UsageError("--truncation", f"{self.truncation:g} is out of range", "choose 0 to 10")
        if self.labels and not self.classes:
            raise UsageError("--label", f"this {name} was not trained on classes", "leave it out")
        if any(not 0 <= label < self.classes for label in self.labels):
            raise UsageError("--label", f"this {name} knows no such class", f"choose 0 to {self.classes - 1}")

    @property
    def classes(self) -> int:
        """How many classes it was trained on: its configuration's ``classes``; 0 for none."""
        return int(getattr(self.loaded.config, "classes", 0))

    def latents(self, seeds: NDArray[np.int64]) -> Tensor:
        """Return the latents of seeds."""
        import torch

        generator = self.loaded.generator
        assert isinstance(generator, Sampler)
        return generator.latents(torch.from_numpy(seeds).to(self.runtime.device)) * self.truncation

    def pictures(self, latents: Tensor, labels: Sequence[int] = ()) -> NDArray[np.uint8]:
        """Return ``(N, H, W, 3)`` RGB of ``(N, ...)`` latents and as many labels."""
        import torch

        generator = self.loaded.generator
        assert isinstance(generator, Sampler)
        made = []
        with torch.no_grad():
            for start in range(0, len(latents), self.batch_size):
                part = latents[start : start + self.batch_size]
                short = self.batch_size - len(part)
                filled = torch.cat([part, part[-1:].expand(short, *part.shape[1:])])
                classes = list(labels[start : start + len(part)])
                known = torch.tensor(classes + classes[-1:] * short, device=part.device) if classes else None
                with self.runtime.autocast(self.runtime.precision):
                    decoded = generator.decode(filled, known)
                values = decoded[: len(part)].float().clamp(0, 1).mul(255).round().byte()
                made.append(values.permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(made)

    def labels_for(self, numbers: Sequence[int]) -> list[int]:
        """Return the labels of samples by number; where none were chosen all classes in turn, if there are any."""
        labels = self.labels or range(self.classes)
        return [labels[number % len(labels)] for number in numbers] if len(labels) else []


def labels_of(loaded: Loaded, words: Sequence[str]) -> list[int]:
    """Return the class indices that words mean: numbers, or names where the configuration has ``class_names``.

    Raises
    ------
    UsageError
        A word is neither.
    """
    names = list(getattr(loaded.config, "class_names", ()))
    found = []
    for word in words:
        if word not in names and not word.isdecimal():
            known = f"choose from {', '.join(names)}" if names else "give its number, from 0"
            raise UsageError("--label", f"this {loaded.spec.name} knows no class {word!r}", known)
        found.append(names.index(word) if word in names else int(word))
    return found


def samples(drawing: Drawing, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Make pictures.

    Parameters
    ----------
    drawing : Drawing
        Draws them.
    count : int
        How many; the first of them are the same for every count.
    seed : int
        The same seed makes the same pictures.

    Returns
    -------
    ndarray
        ``(count, H, W, 3)`` RGB uint8.
    """
    latents = drawing.latents(sample_seeds(seed, np.arange(count)))
    return drawing.pictures(latents, drawing.labels_for(range(count)))


def interpolated(drawing: Drawing, count: int, steps: int, seed: int = 0) -> NDArray[np.uint8]:
    """Make the pictures on the ways from each sample to the next, along great circles.

    Normally distributed latents of many dimensions lie near a sphere; a straight way would leave it.

    Parameters
    ----------
    drawing : Drawing
        Draws them. Between two samples of different classes the label changes half-way.
    count : int
        Samples to pass, at least 2: the first of `samples` with this seed.
    steps : int
        Pictures a way, the sample it starts from included.
    seed : int
        See `samples`.

    Returns
    -------
    ndarray
        ``((count - 1) * steps + 1, H, W, 3)`` RGB uint8; every ``steps``-th is a sample.
    """
    import torch

    if count < 2 or steps < 1:
        raise UsageError("--interpolate", "needs at least two samples and one step", "choose -n 2 or more")
    ends = drawing.latents(sample_seeds(seed, np.arange(count)))
    places = np.arange((count - 1) * steps + 1) / steps
    numbers = np.minimum(places.astype(int), count - 2)
    latents = torch.stack([_slerp(ends[n], ends[n + 1], p - n) for n, p in zip(numbers, places, strict=True)])
    nearest = np.floor(places + 0.5).astype(int)
    return drawing.pictures(latents, drawing.labels_for(nearest.tolist()))


def traversal(
    drawing: Drawing, dimensions: int, steps: int = 9, reach: float = 3.0, seed: int = 0
) -> NDArray[np.uint8]:
    """Change one latent number at a time.

    Parameters
    ----------
    drawing : Drawing
        Draws them.
    dimensions : int
        How many numbers: a generator with ``directions()`` says which tell the most, else the first.
    steps : int
        Pictures for each.
    reach : float
        Numbers go from ``-reach`` to ``reach``, in units of the latents' standard deviation.
    seed : int
        Of the sample that is changed.

    Returns
    -------
    ndarray
        ``(dimensions * steps, H, W, 3)`` RGB uint8, number by number.
    """
    start = drawing.latents(sample_seeds(seed, np.arange(1)))
    if start.ndim != 2 or not 1 <= dimensions <= start.shape[1]:
        most = start.shape[1] if start.ndim == 2 else 0
        raise UsageError("--traverse", f"{dimensions} is out of range", f"these latents have {most} numbers")
    directions = getattr(drawing.loaded.generator, "directions", None)
    chosen = list(directions() if directions is not None else range(start.shape[1]))[:dimensions]
    latents = start.repeat(dimensions * steps, 1)
    for row, dimension in enumerate(chosen):
        for column, value in enumerate(np.linspace(-reach, reach, steps)):
            latents[row * steps + column, dimension] = float(value)
    return drawing.pictures(latents, drawing.labels_for([0] * len(latents)))


def contact_sheet(pictures: NDArray[np.uint8], columns: int | None = None) -> NDArray[np.uint8]:
    """Lay ``(N, H, W, 3)`` pictures out in rows; by default about as wide as high. White where none is left."""
    count, height, width = pictures.shape[:3]
    columns = columns or max(1, math.ceil(math.sqrt(count * height / width)))
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        y, x = number // columns * (height + _GAP), number % columns * (width + _GAP)
        sheet[y : y + height, x : x + width] = picture
    return sheet


def write_pictures(
    pictures: NDArray[np.uint8],
    output: Path,
    *,
    columns: int | None = None,
    format: str = "png",
    overwrite: bool = False,
) -> list[Path]:
    """Write pictures to a folder, one file each, or as one sheet to a picture file.

    Parameters
    ----------
    pictures : ndarray
        ``(N, H, W, 3)`` RGB; where the three channels are equal the files are grey.
    output : Path
        Ends in a picture format's suffix: a sheet. Else a folder, for ``00000.png`` and so on.
    columns : int, optional
        Of the sheet.
    format : str
        Of the files in a folder.
    overwrite : bool
        Replace files that exist; otherwise none is touched, and none written.

    Returns
    -------
    list of Path
        What was written. Each file appears whole or not at all.

    Raises
    ------
    UsageError
        A file exists, or the format is not one that is written.
    OutputError
        A file cannot be written.
    """
    if format_of_extension(output.suffix) is not None:
        targets = {output: contact_sheet(pictures, columns)}
        coding = output.suffix
    else:
        coding = format
        suffix = "." + (format_of_extension(f".{format}") or format).replace("jpeg", "jpg")
        digits = max(5, len(str(len(pictures) - 1)))
        targets = {output / f"{number:0{digits}}{suffix}": picture for number, picture in enumerate(pictures)}
    existing = next((path for path in targets if path.exists()), None)
    if existing is not None and not overwrite:
        raise UsageError(existing, "exists", "use --overwrite, or choose another -o")
    for path, picture in targets.items():
        replace_file(path, encode(_picture(picture), coding)[0])
    return list(targets)


def _picture(pixels: NDArray[np.uint8]) -> Picture:
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    pixels = np.ascontiguousarray(pixels)
    info = PictureInfo(format="png", width=pixels.shape[1], height=pixels.shape[0], channels=pixels.shape[2])
    return Picture(pixels=pixels, info=info)


def _slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Go from one latent to another at constant angular speed, the length changing in a straight line."""
    import torch

    if share == 0:
        return start
    lengths = torch.linalg.vector_norm(start), torch.linalg.vector_norm(end)
    a, b = start / lengths[0].clamp_min(1e-12), end / lengths[1].clamp_min(1e-12)
    angle = torch.acos((a * b).sum().clamp(-1, 1))
    if float(angle.sin()) < 1e-4:
        return torch.lerp(start, end, share)
    turned = (a * torch.sin((1 - share) * angle) + b * torch.sin(share * angle)) / torch.sin(angle)
    return turned * torch.lerp(lengths[0], lengths[1], share)

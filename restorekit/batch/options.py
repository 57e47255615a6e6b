"""Which files a run reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restorekit.batch.masks import MaskColor
from restorekit.batch.plan import Shard
from restorekit.errors import UsageError
from restorekit.images import DEFAULT_MAX_PIXELS
from restorekit.images.formats import formats_with

__all__ = ["BatchOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """Which files a run reads and writes, and on how much of the machine.

    Parameters
    ----------
    masks : Path, optional
        Folder of masks.
    mask_color : MaskColor, optional
        A colour that marks damage.
    format : str, optional
        Output format; by default each picture keeps its own.
    quality : int, optional
        1 to 100, of lossy formats.
    strip_metadata : bool
        Leave EXIF, XMP and comments out; the colour profile and resolution stay.
    max_pixels : int
        Larger pictures are refused before decoding.
    overwrite : bool
        Do everything again and replace what is there.
    shard : Shard
        The part of the plan that is run.
    seed : int
        Of all randomness.
    workers : int, optional
        Pictures worked on at once; by default one more than there are cores.
    report : bool
        Write ``report.html``.
    """

    masks: Path | None = None
    mask_color: MaskColor | None = None
    format: str | None = None
    quality: int | None = None
    strip_metadata: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    overwrite: bool = False
    shard: Shard = field(default_factory=Shard)
    seed: int = 0
    workers: int | None = None
    report: bool = True

    def __post_init__(self) -> None:
        writable = formats_with(written=True)
        if self.format is not None and self.format not in writable:
            raise UsageError(
                "--format", f"{self.format!r} is no format that can be written", f"choose one of {', '.join(writable)}"
            )
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError("--quality", f"{self.quality} is out of range", "give a number from 1 to 100")
        if self.workers is not None and self.workers < 1:
            raise UsageError("--workers", f"{self.workers} is out of range", "give 1 or more")

    def settings(self) -> dict[str, Any]:
        """Return what decides an output's bytes, as the manifest records it."""
        return {
            "format": self.format,
            "quality": self.quality,
            "strip_metadata": self.strip_metadata,
            "mask_color": None if self.mask_color is None else str(self.mask_color),
            "seed": self.seed,
        }

"""Under what conditions restorers are measured: the damage, and how what they made of it is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restorekit.degradations import Recipe, parse
from restorekit.errors import UsageError
from restorekit.evaluation.fidelity import Colour, Fidelity, Region
from restorekit.evaluation.protocol import Facts

__all__ = ["PUBLISHED", "Conditions", "published_conditions"]

#: The published protocols: the task, and the scales or noise levels that papers report.
PUBLISHED = {"sr": (2, 3, 4), "denoise": (15, 25, 50)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is done to clean pictures, and how a restored picture is measured against the clean one.

    Parameters
    ----------
    degradation : tuple of str
        Steps in the words of ``restorekit degrade``.
    metrics : tuple of str
        See `Fidelity`.
    colour : {"rgb", "y"}
        See `Fidelity`.
    crop_border : int
        See `Fidelity`.
    region : {"whole", "mask"}, optional
        What is measured; by default the whole picture, and the holes apart where the degradation leaves any.
    modcrop : int, optional
        Clean pictures are cut at the right and below to a multiple of this; by default by how much the degradation
        shrinks them.
    floating : bool
        Hand damaged pictures over as floats, neither rounded nor clipped, as papers on denoising do; otherwise they
        have the depth of the clean file, as a user's have.
    seed : int
        Of the damage; each picture's own seed follows from it and the picture's name, as in ``restorekit degrade``.
    published : str
        The name of the published protocol that this is; ``""`` for none.
    """

    degradation: tuple[str, ...]
    metrics: tuple[str, ...] = ("psnr", "ssim")
    colour: Colour = "rgb"
    crop_border: int = 0
    region: Region | None = None
    modcrop: int | None = None
    floating: bool = False
    seed: int = 0
    published: str = ""

    def __post_init__(self) -> None:
        if self.modcrop is not None and self.modcrop < 1:
            raise UsageError("--modcrop", f"{self.modcrop} is less than 1", "give 1 or more")
        if not self.degradation:
            raise UsageError("--degradation", "is not given", "say what is to be restored, such as downscale:4")

    @property
    def recipe(self) -> Recipe:
        """The damage, ready to be done."""
        return parse(self.degradation)

    @property
    def multiple(self) -> int:
        """What the sides of clean pictures are multiples of."""
        if self.modcrop is not None:
            return self.modcrop
        shrunk = 1.0
        for damage in self.recipe.damages:
            shrunk *= float(getattr(damage, "factor", 1))
        return round(shrunk) if shrunk == round(shrunk) else 1

    def fidelities(self, masks: bool) -> dict[str, Fidelity]:
        """Return the measurements by the suffix of their metrics' names: ``""``, and ``"_mask"`` for the holes."""
        if self.region == "mask" and not masks:
            raise UsageError("--region", "mask: the degradation leaves no holes", "measure the whole picture")
        regions: list[Region] = [self.region] if self.region else ["whole", "mask"] if masks else ["whole"]
        return {
            "_mask" if region == "mask" else "": Fidelity(
                metrics=self.metrics, colour=self.colour, crop_border=self.crop_border, region=region
            )
            for region in regions
        }

    def facts(self, fidelities: Mapping[str, Fidelity]) -> Facts:
        """Return the protocol of measurements that `fidelities` returned, for the record."""
        facts: dict[str, str | int | float | bool | None] = {}
        for fidelity in fidelities.values():
            facts |= fidelity.facts()
        facts["region"] = ", ".join(fidelity.region for fidelity in fidelities.values())
        facts |= self.damage_facts()
        facts["restored"] = "rounded to the file's depth"
        if self.published:
            facts["published"] = self.published
        return facts

    def damage_facts(self) -> Facts:
        """Return what was done to the pictures, for the record."""
        return {
            "degradation": " ".join(self.degradation),
            "degraded": "float, neither rounded nor clipped" if self.floating else "rounded to the file's depth",
            "seed": self.seed,
            "modcrop": self.multiple,
            "alpha": "ignored",
        }


def published_conditions(name: str, metrics: Sequence[str] = ("psnr", "ssim"), seed: int = 0) -> Conditions:
    """Return the conditions of published numbers.

    ``"sr:2"``, ``"sr:3"`` and ``"sr:4"`` are those of super-resolution on Set5, Set14, BSD100 and Urban100: pictures
    cut to a multiple of the scale, shrunk by MATLAB's bicubic resize and rounded to 8 bits; PSNR and SSIM of the luma
    without a border of as many pixels as the scale. ``"denoise:15"``, ``"denoise:25"`` and ``"denoise:50"`` are those
    of colour denoising on CBSD68: Gaussian noise added to floats and not clipped; PSNR of RGB.

    Raises
    ------
    UsageError
        There is no such protocol.
    """
    task, _, amount = name.partition(":")
    if not amount.isdecimal() or int(amount) not in PUBLISHED.get(task, ()):
        known = ", ".join(f"{each}:{level}" for each, levels in PUBLISHED.items() for level in levels)
        raise UsageError("--published", f"{name!r} is no published protocol", f"choose one of {known}")
    level = int(amount)
    if task == "sr":
        return Conditions(
            degradation=(f"downscale:{level}",),
            metrics=tuple(metrics),
            colour="y",
            crop_border=level,
            modcrop=level,
            seed=seed,
            published=name,
        )
    return Conditions(
        degradation=(f"noise:{level}",), metrics=tuple(metrics), floating=True, seed=seed, modcrop=1, published=name
    )

"""How a number was computed: the facts that go wherever the number goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

__all__ = ["Facts", "described", "differences"]

#: A protocol: flat, and the same in JSON. Two numbers may be compared where their facts agree.
Facts = Mapping[str, str | int | float | bool | None]


def differences(ours: Facts, theirs: Facts, ignoring: Collection[str] = ()) -> list[str]:
    """List what differs between two protocols, for people.

    Parameters
    ----------
    ours, theirs : mapping
        The protocols.
    ignoring : collection of str, optional
        Facts that may differ.

    Returns
    -------
    list of str
        In the order of ``ours``; empty where numbers of the two may be compared.

    Examples
    --------
    >>> differences({"colour": "y", "crop_border": 4}, {"colour": "y", "crop_border": 0})
    ['crop_border 4 here, 0 there']
    """
    return [
        f"{name} {_side(ours, name)} here, {_side(theirs, name)} there"
        for name in dict.fromkeys([*ours, *theirs])
        if name not in ignoring and (name not in ours or name not in theirs or ours[name] != theirs[name])
    ]


def described(facts: Facts) -> str:
    """Write a protocol in one line.

    >>> described({"metrics": "psnr, ssim", "colour": "y", "crop_border": 4, "modcrop": None})
    'metrics psnr, ssim; colour y; crop_border 4'
    """
    return "; ".join(f"{name} {_written(value)}" for name, value in facts.items() if value is not None)


def _side(facts: Facts, name: str) -> str:
    return _written(facts[name]) if name in facts else "not stated"


def _written(value: str | float | bool | None) -> str:
    if value is None:
        return "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)

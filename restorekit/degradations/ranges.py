"""Amounts that a user writes as one number or as ``LOW-HIGH``, drawn for each picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["Between", "Range"]

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_TEXT = re.compile(rf"({_NUMBER})(?:-({_NUMBER}))?")


@dataclass(frozen=True, slots=True)
class Range:
    """An interval from which an amount is drawn uniformly; one number where both ends are equal.

    Parameters
    ----------
    low, high : float
        The ends, both included.
    """

    low: float
    high: float

    @classmethod
    def read(cls, value: object) -> Range:
        """Read ``25``, ``"25"``, ``"0-50"`` or a pair.

        Raises
        ------
        ValueError
            It is none of them, or the ends are in the wrong order.
        """
        if isinstance(value, Range):
            return value
        if isinstance(value, (tuple, list)) and len(value) == 2:
            low, high = float(value[0]), float(value[1])
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            low = high = float(value)
        elif isinstance(value, str) and (match := _TEXT.fullmatch(value.strip())):
            low, high = float(match[1]), float(match[2] or match[1])
        else:
            raise ValueError("write a number or LOW-HIGH, for example 25 or 0-50")
        if low > high:
            raise ValueError(f"write the smaller number first: {high:g}-{low:g}")
        return cls(low, high)

    def draw(self, chance: np.random.Generator) -> float:
        """Draw an amount."""
        return float(chance.uniform(self.low, self.high)) if self.low < self.high else self.low

    def draw_whole(self, chance: np.random.Generator) -> int:
        """Draw a whole number; both ends are as likely as the others."""
        return int(chance.integers(int(self.low), int(self.high), endpoint=True))

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}-{self.high:g}"


@dataclass(frozen=True, slots=True)
class Between:
    """Marks a `Range` field with the values it may hold: ``Annotated[Range, Between(0, 255)]``.

    Parameters
    ----------
    least, most : float
        The smallest and the largest value.
    whole : bool
        Only whole numbers.
    """

    least: float
    most: float
    whole: bool = False

    def check(self, value: object) -> Range:
        """Read and validate a value.

        Raises
        ------
        ValueError
            It is no range, or reaches outside the bounds.
        """
        drawn = Range.read(value)
        # Written so that NaN fails too.
        if not (self.least <= drawn.low and drawn.high <= self.most):
            raise ValueError(f"stay within {self.least:g} to {self.most:g}")
        if self.whole and (drawn.low != int(drawn.low) or drawn.high != int(drawn.high)):
            raise ValueError("write whole numbers")
        return drawn

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

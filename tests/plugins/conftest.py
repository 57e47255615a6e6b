"""What the tests of plugins share."""

from tests.community import beside_torch

__all__ = ["beside_torch"]

"""Building blocks that several generators share; public for plugin authors."""

from restorekit.nn.arrays import each_picture, to_float, to_integers

__all__ = ["each_picture", "to_float", "to_integers"]

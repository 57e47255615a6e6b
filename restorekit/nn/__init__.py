"""Building blocks that several generators share; public for plugin authors.

`restorekit.nn.arrays` bridges to OpenCV and scikit-image, `restorekit.nn.estimate` measures noise and compression.
"""

from restorekit.nn.arrays import each_picture, to_float, to_integers

__all__ = ["each_picture", "to_float", "to_integers"]

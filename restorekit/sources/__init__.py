"""Training data: folders of pictures, well-known sets in their published formats, and what is drawn from them."""

from restorekit.sources.opening import open_source
from restorekit.sources.pairs import is_paired
from restorekit.sources.sampling import Sampler, Source

__all__ = ["Sampler", "Source", "is_paired", "open_source"]

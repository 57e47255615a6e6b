"""A real photo for the degradations, and their names."""

import numpy as np
import pytest
import torch
from skimage import data


@pytest.fixture(scope="session")
def photo():
    """``(1, 3, 96, 128)`` of a photo that scikit-image brings, away from pure black and white."""
    crop = data.coffee()[80:272:2, 150:406:2]
    return 0.1 + 0.8 * torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None].float() / 255

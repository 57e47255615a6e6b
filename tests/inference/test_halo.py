"""The measured halo is that of the network."""

import pytest
import torch
from torch.nn import functional as F

from restorekit.contract import Batch, Geometry
from restorekit.inference import measure_halo


def blur(radius: int):
    def restore(batch: Batch) -> torch.Tensor:
        size = 2 * radius + 1
        kernel = torch.ones(3, 1, size, size) / size**2
        return F.conv2d(F.pad(batch.images, (radius,) * 4, mode="replicate"), kernel, groups=3)

    return restore


@pytest.mark.parametrize("radius", [0, 1, 3, 9, 40])
def test_the_halo_of_a_box_blur_is_its_radius(radius):
    measured = measure_halo(blur(radius), Geometry())
    assert measured is not None
    # The outermost taps of a large box weigh less than 1/255.
    assert radius * 0.8 <= measured <= radius


def test_a_halo_that_is_declared_too_small_is_found_out():
    declared = Geometry(halo=2)
    measured = measure_halo(blur(5), declared)
    assert measured is not None
    assert measured > (declared.halo or 0)


def test_a_global_operation_has_no_halo():
    assert measure_halo(lambda batch: batch.images * batch.images.mean(), Geometry()) is None


def test_the_halo_is_counted_in_input_pixels():
    def enlarge(batch: Batch) -> torch.Tensor:
        return F.interpolate(blur(3)(batch), scale_factor=4, mode="nearest")

    assert measure_halo(enlarge, Geometry(scale=4)) == 3


def test_a_network_with_windows_of_its_own_has_no_halo_unless_tiles_begin_where_windows_do():
    def windowed(batch: Batch) -> torch.Tensor:
        return F.interpolate(F.avg_pool2d(batch.images, 8, ceil_mode=True), scale_factor=8)[
            ..., : batch.images.shape[2], : batch.images.shape[3]
        ]

    assert measure_halo(windowed, Geometry()) is None
    assert measure_halo(windowed, Geometry(multiple_of=8)) == 0

"""Perceptual metrics: the network of the house, and optional libraries that may be missing, unfit or offline."""

import sys
import types

import numpy as np
import pytest
import torch

from restorekit.errors import NotAvailable, PictureError, UsageError
from restorekit.evaluation.perceptual import PERCEPTUAL_METRICS, perceptual_metric
from restorekit.nn.features import SqueezeNet, perceptual_distance


@pytest.fixture
def squeezenet(tmp_path):
    """A file with random weights in the published layout, and the network that it holds."""
    torch.manual_seed(0)
    path = tmp_path / "squeezenet.npz"
    np.savez(path, **{name: tensor.numpy() for name, tensor in SqueezeNet().state_dict().items()})
    return path, SqueezeNet.load(path)


@pytest.fixture
def pictures(photo):
    noise = np.random.default_rng(0).normal(0, 12, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8), photo


@pytest.fixture
def fake_library(monkeypatch):
    """Put a module of functions in the place of an optional library."""

    def install(name, **contents):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        vars(sys.modules[name]).update(contents)

    return install


def lpips_of(distance):
    """A stand-in for torchmetrics' LPIPS, whose network is ``distance``."""

    class LearnedPerceptualImagePatchSimilarity:
        def __init__(self, net_type):
            assert net_type == "alex"
            self.net = distance

    return LearnedPerceptualImagePatchSimilarity


def test_squeezenet_gives_the_distance_of_the_house(squeezenet, pictures):
    path, network = squeezenet
    metric = perceptual_metric("squeezenet", path)
    restored, reference = (torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255 for picture in pictures)
    assert metric.measure(*pictures) == pytest.approx(
        float(perceptual_distance(network, restored, reference)), rel=1e-5
    )
    assert metric.measure(pictures[0], pictures[0]) == 0
    assert str(metric.facts()["squeezenet"]).startswith("unit-length features of 7 layers, equal weights, sha256 ")


def test_the_file_is_found_by_the_environment_too(squeezenet, pictures, monkeypatch):
    path, _ = squeezenet
    monkeypatch.setenv("RESTOREKIT_SQUEEZENET", str(path))
    assert perceptual_metric("squeezenet").facts() == perceptual_metric("squeezenet", path).facts()


def test_depth_and_channels_do_not_matter(squeezenet, pictures):
    metric = perceptual_metric("squeezenet", squeezenet[0])
    restored, reference = pictures
    expected = metric.measure(restored, reference)
    deep = (restored.astype(np.uint16) * 257, reference)
    assert metric.measure(*deep) == pytest.approx(expected, rel=1e-5)
    grey = restored[..., :1], reference[..., :1]
    assert metric.measure(*grey) == pytest.approx(metric.measure(*(np.repeat(each, 3, 2) for each in grey)), rel=1e-5)


def test_without_a_file_squeezenet_says_how_to_name_one(monkeypatch, tmp_path):
    monkeypatch.delenv("RESTOREKIT_SQUEEZENET", raising=False)
    with pytest.raises(NotAvailable, match="name it with --features FILE or RESTOREKIT_SQUEEZENET"):
        perceptual_metric("squeezenet")
    with pytest.raises(NotAvailable, match=r"nothing\.npz: does not exist"):
        perceptual_metric("squeezenet", tmp_path / "nothing.npz")


@pytest.mark.parametrize(("metric", "library"), [("lpips", "torchmetrics"), ("brisque", "piq")])
def test_a_library_that_is_not_installed_is_one_line_with_the_command(monkeypatch, metric, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(NotAvailable) as caught:
        perceptual_metric(metric)
    expected = f"{metric}: needs {library}, which is not installed; pip install 'restorekit[perceptual]'"
    assert str(caught.value) == expected


def test_a_library_that_does_not_fit_torch_is_one_line(fake_library):
    def unfit(net_type):
        raise RuntimeError("operator torchvision::nms does not exist")

    fake_library("torchmetrics.image.lpip", LearnedPerceptualImagePatchSimilarity=unfit)
    with pytest.raises(NotAvailable, match=r"lpips: torchmetrics cannot be used \(operator torchvision::nms does not"):
        perceptual_metric("lpips")


def test_a_library_that_cannot_fetch_its_weights_is_one_line_before_any_picture(fake_library):
    def offline(picture, data_range):
        raise OSError("<urlopen error Name or service not known>")

    fake_library("piq", brisque=offline)
    with pytest.raises(NotAvailable, match=r"brisque: piq cannot fetch its weights \(.*\); connect once"):
        perceptual_metric("brisque")


def test_lpips_gets_restored_and_reference_between_0_and_1(fake_library, pictures):
    def distance(restored, reference, normalize):
        assert normalize
        assert restored.shape == reference.shape == (1, 3, 160, 200)
        assert 0 <= restored.min() < restored.max() <= 1
        return (restored - reference).abs().mean()

    fake_library("torchmetrics.image.lpip", LearnedPerceptualImagePatchSimilarity=lpips_of(distance))
    expected = np.abs(pictures[0].astype(float) - pictures[1]).mean() / 255
    assert perceptual_metric("lpips").measure(*pictures) == pytest.approx(expected, rel=1e-5)


def test_brisque_looks_at_the_restored_picture_alone(fake_library, pictures):
    fake_library("piq", brisque=lambda picture, data_range: picture.mean() * data_range)
    metric = perceptual_metric("brisque")
    restored, reference = pictures
    assert metric.measure(restored, reference) == metric.measure(restored, restored)
    assert metric.measure(restored, reference) == pytest.approx(restored.mean() / 255, rel=1e-5)
    assert str(metric.facts()["brisque"]).startswith("of the restored picture alone, piq")


def test_what_a_library_refuses_fails_that_picture_alone(fake_library, pictures):
    def picky(picture, data_range):
        assert picture.std() > 0, "a flat picture has no statistics"
        return picture.mean()

    fake_library("piq", brisque=picky)
    metric = perceptual_metric("brisque")
    with pytest.raises(PictureError, match=r"brisque cannot take it \(a flat picture has no statistics"):
        metric.measure(np.zeros_like(pictures[0]), pictures[1])


def test_pictures_that_are_too_small_are_refused_with_the_way_out(squeezenet):
    tiny = np.zeros((16, 40, 3), np.uint8)
    with pytest.raises(PictureError, match="40x16 is too small for squeezenet, which needs 17 px a side; leave this"):
        perceptual_metric("squeezenet", squeezenet[0]).measure(tiny, tiny)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=", ".join(PERCEPTUAL_METRICS)):
        perceptual_metric("niqe")

"""SqueezeNet's features: read from files, equal to an independent computation, and useful as a distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import save_file

from restorekit.errors import NotAvailable
from restorekit.nn.features import LAYERS, SqueezeNet, feature_matching, perceptual_distance

#: Expansions are of one size each; the two are concatenated.
EXPANDED = {
    "fire2": 64,
    "fire3": 64,
    "fire4": 128,
    "fire5": 128,
    "fire6": 192,
    "fire7": 192,
    "fire8": 256,
    "fire9": 256,
}
SQUEEZED = {"fire2": 16, "fire3": 16, "fire4": 32, "fire5": 32, "fire6": 48, "fire7": 48, "fire8": 64, "fire9": 64}

Arrays = dict[str, NDArray[np.floating]]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """Random weights under the names of the original model, its classifier among them."""
    rng = np.random.default_rng(0)
    made: Arrays = {}

    def add(name: str, outputs: int, inputs: int, side: int) -> None:
        made[f"{name}.weight"] = rng.normal(0, (2 / (inputs * side**2)) ** 0.5, (outputs, inputs, side, side))
        made[f"{name}.bias"] = rng.normal(0, 0.1, outputs)

    add("conv1", 64, 3, 3)
    channels = 64
    for name in EXPANDED:
        add(f"{name}/squeeze1x1", SQUEEZED[name], channels, 1)
        add(f"{name}/expand1x1", EXPANDED[name], SQUEEZED[name], 1)
        add(f"{name}/expand3x3", EXPANDED[name], SQUEEZED[name], 3)
        channels = 2 * EXPANDED[name]
    add("conv10", 1000, 512, 1)
    made["mean_bgr_add"] = np.array([-104.0, -117.0, -123.0])
    return {name: array.astype(np.float32) for name, array in made.items()}


@pytest.fixture(scope="module")
def network(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> SqueezeNet:
    path = tmp_path_factory.mktemp("weights") / "squeezenet.npz"
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return SqueezeNet.load(path)


@pytest.fixture(scope="module")
def pictures(photo: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.stack([photo[:33, :28], photo[60:93, 70:98]])).permute(0, 3, 1, 2).float() / 255


def _convolved(x: NDArray, weight: NDArray, bias: NDArray, stride: int = 1, padding: int = 0) -> NDArray:
    side = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]


def _pooled(x: NDArray) -> NDArray:
    rows, columns = (-(-(side - 3) // 2) + 1 for side in x.shape[1:])
    result = np.empty((x.shape[0], rows, columns))
    for row in range(rows):
        for column in range(columns):
            result[:, row, column] = x[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].max(axis=(1, 2))
    return result


def _naive_features(picture: NDArray, arrays: Arrays) -> dict[str, NDArray]:
    """Compute the features of ``(3, H, W)`` in [0, 1] as the model's description says, in float64."""

    def layer(x: NDArray, name: str, **options: int) -> NDArray:
        return np.maximum(_convolved(x, arrays[f"{name}.weight"], arrays[f"{name}.bias"], **options), 0)

    x = picture[::-1].astype(np.float64) * 255 + arrays["mean_bgr_add"][:, None, None]
    x = layer(x, "conv1", stride=2)
    features = {"conv1": x}
    x = _pooled(x)
    for name in EXPANDED:
        squeezed = layer(x, f"{name}/squeeze1x1")
        x = np.concatenate([layer(squeezed, f"{name}/expand1x1"), layer(squeezed, f"{name}/expand3x3", padding=1)])
        features[name] = x
        if name in ("fire3", "fire5"):
            x = _pooled(x)
    return features


def test_features_equal_an_independent_computation(network, arrays, pictures):
    made = network(pictures, ["conv1", *EXPANDED])
    for number, picture in enumerate(pictures.numpy()):
        for name, wanted in _naive_features(picture, arrays).items():
            assert made[name][number].shape == wanted.shape
            np.testing.assert_allclose(made[name][number], wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_only_what_is_asked_for_is_returned_and_in_the_usual_sizes(network):
    features = network(torch.zeros(2, 3, 224, 160), ["fire5", "conv1"])
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        "conv1": (2, 64, 111, 79),
        "fire5": (2, 256, 27, 19),
    }


def test_the_smallest_pictures_work_and_smaller_ones_are_refused(network):
    assert network(torch.zeros(1, 3, 17, 17))["fire9"].shape == (1, 512, 1, 1)
    with pytest.raises(ValueError, match="17"):
        network(torch.zeros(1, 3, 40, 16))


def test_distance_equals_its_formula(network, arrays, pictures):
    damaged = (pictures + 0.1 * torch.sin(40 * pictures)).clamp(0, 1)
    found = perceptual_distance(network, damaged, pictures)
    for number in range(len(pictures)):
        a = _naive_features(damaged[number].numpy(), arrays)
        b = _naive_features(pictures[number].numpy(), arrays)
        wanted = 0.0
        for name in LAYERS:
            unit_a, unit_b = (f / np.maximum(np.linalg.norm(f, axis=0), 1e-5) for f in (a[name], b[name]))
            wanted += np.mean(np.sum((unit_a - unit_b) ** 2, axis=0))
        assert float(found[number]) == pytest.approx(wanted, rel=1e-3)


def test_distance_grows_with_the_damage_and_is_zero_for_equal_pictures(network, pictures):
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    distances = [perceptual_distance(network, pictures + sigma * noise, pictures) for sigma in (0.0, 0.02, 0.1)]
    assert torch.equal(distances[0], torch.zeros(2))
    assert (distances[1] < distances[2]).all()
    assert (distances[1] > 0).all()


def test_gradients_flow_into_the_restored_picture_alone_and_are_finite(network, pictures):
    restored, target = (pictures * 0.5).requires_grad_(), pictures.clone().requires_grad_()
    perceptual_distance(network, restored, target).sum().backward()
    assert restored.grad is not None
    assert torch.isfinite(restored.grad).all()
    assert restored.grad.abs().max() > 0
    assert target.grad is None
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_gradients_are_finite_where_no_feature_is_active(arrays):
    network = SqueezeNet()
    network.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()})
    restored = torch.rand(1, 3, 32, 32, requires_grad=True)
    perceptual_distance(network, restored, torch.zeros(1, 3, 32, 32)).sum().backward()
    assert restored.grad is not None
    assert torch.isfinite(restored.grad).all()


def test_feature_matching_is_the_mean_over_layers_of_mean_absolute_differences():
    made = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([[0.0]])}
    wanted = {"a": torch.tensor([0.0, 0.0]), "b": torch.tensor([[-6.0]])}
    assert float(feature_matching(made, wanted)) == pytest.approx((2 + 6) / 2)
    with pytest.raises(ValueError, match="matched"):
        feature_matching(made, {"a": wanted["a"]})


def test_safetensors_and_npz_half_precision_give_the_same_network(tmp_path: Path, arrays, pictures):
    halves = {name: array.astype(np.float16) for name, array in arrays.items() if not name.startswith("conv10")}
    np.savez(tmp_path / "a.npz", **halves)
    save_file({name.replace("/", "."): array for name, array in halves.items()}, tmp_path / "b.safetensors")
    a, b = SqueezeNet.load(tmp_path / "a.npz"), SqueezeNet.load(str(tmp_path / "b.safetensors"))
    assert torch.equal(a(pictures)["fire9"], b(pictures)["fire9"])
    assert a.conv1.weight.dtype == torch.float32


@pytest.mark.parametrize("kind", ["absent", "rubbish.npz", "rubbish.safetensors", "one_array.npy", "other.npz"])
def test_files_that_cannot_be_used_are_told_in_one_line_with_the_way_out(tmp_path: Path, kind: str):
    path = tmp_path / kind
    if kind.startswith("rubbish"):
        path.write_bytes(b"no weights" * 20)
    elif kind == "one_array.npy":
        np.save(path, np.zeros(3))
    elif kind == "other.npz":
        np.savez(path, **{"conv1.weight": np.zeros((3, 3))})  # pyright: ignore[reportArgumentType]
    with pytest.raises(NotAvailable, match=kind) as caught:
        SqueezeNet.load(path)
    assert caught.value.way_out
    assert "\n" not in str(caught.value)

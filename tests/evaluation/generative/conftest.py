"""Small sets and small generators: strokes on paper, a GAN of two classes and a VAE, hardly trained."""

import numpy as np
import pytest
import torch

from restorekit.registry import registry
from restorekit.sources.arrays import ArraySource
from restorekit.training import load_plan, train
from restorekit.weights import networks_of, save


def strokes(count, seed):
    """Grey pictures of 28 x 28: thin upright (0) or thick lying (1) strokes."""
    chance = np.random.default_rng(seed)
    pictures, labels = np.zeros((count, 28, 28), np.uint8), chance.integers(2, size=count)
    for picture, label in zip(pictures, labels, strict=True):
        place, shade = chance.integers(4, 15), chance.integers(120, 256)
        (picture.T if label else picture)[4:24, place : place + (9 if label else 3)] = shade
    return pictures, labels


@pytest.fixture(scope="session")
def npz(tmp_path_factory):
    """A set with both splits and labels."""
    path = tmp_path_factory.mktemp("data") / "strokes.npz"
    (train_x, train_y), (test_x, test_y) = strokes(300, 1), strokes(120, 2)
    np.savez(path, x_train=train_x, y_train=train_y, x_test=test_x, y_test=test_y)
    return path


@pytest.fixture(scope="session")
def gan(tmp_path_factory):
    """Weights of a small generator of two classes, untrained but with contrast."""
    torch.manual_seed(0)
    network = {"architecture": "mlp", "size": 28, "channels": 1, "width": 8, "latent": 6, "classes": 2}
    loaded = registry().build("dcgan", network)
    with torch.no_grad():
        for parameter in networks_of(loaded.generator)["network"].parameters():
            parameter.mul_(2)
    path = tmp_path_factory.mktemp("weights") / "gan.safetensors"
    save(loaded.generator, path, spec=loaded.spec, config=loaded.config)
    return path


def run(folder, name, network, recipe, steps):
    """Train on the strokes."""
    tables = {"network": {"size": 28, "channels": 1, **network}, "recipe": recipe}
    tables["run"] = {"steps": steps, "batch_size": 32, "crop": 28, "flip": False, "precision": "fp32"}
    plan = load_plan(registry().spec(name), saved=tables)
    return train(plan, ArraySource("strokes", *strokes(300, 1)), folder, registry=registry(), device="cpu").folder


@pytest.fixture(scope="session")
def vae_run(tmp_path_factory):
    """A VAE after some steps, its mixture fitted."""
    network = {"architecture": "mlp", "width": 16, "latent": 4, "likelihood": "bernoulli", "components": 3}
    recipe = {"mixture_pictures": 300, "ema_decay": 0, "learning_rate": 0.003}
    return run(tmp_path_factory.mktemp("runs") / "vae", "vae", network, recipe, 200)


@pytest.fixture(scope="session")
def gan_run(tmp_path_factory):
    """A GAN with convolutions after a few steps."""
    network = {"architecture": "dcgan", "width": 8, "latent": 8}
    recipe = {"loss": "non-saturating", "r1": 0, "r2": 0, "discriminator_width": 8}
    return run(tmp_path_factory.mktemp("runs") / "gan", "dcgan", network, recipe, 10)


@pytest.fixture(scope="session")
def vae(vae_run):
    """Weights of the VAE."""
    return vae_run / "weights.safetensors"

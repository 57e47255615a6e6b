"""Muon: orthogonalised steps, left out where gradients are not finite, resumed exactly, and faster than Adam."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from torch import nn

from restorekit.contract import Batch, Phase
from restorekit.inference.device import Runtime
from restorekit.training.muon import Muon, is_hidden_matrix, orthogonalised
from restorekit.training.update import Updater

from .test_resume import assert_same_run

CPU = Runtime(torch.device("cpu"), "fp32", "tests")
MUON = ["network.features=16", "recipe.optimizer=muon", "recipe.learning_rate=1e-3"]


@settings(deadline=None)
@given(
    rows=st.integers(1, 24),
    columns=st.integers(1, 24),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1e-6, 1, 1e6]),
)
def test_orthogonalising_brings_singular_values_near_1_and_keeps_the_singular_vectors(rows, columns, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, min(rows, columns), generator=generator))
    right, _ = torch.linalg.qr(torch.randn(columns, min(rows, columns), generator=generator))
    values = torch.rand(min(rows, columns), generator=generator) * 0.9 + 0.1
    made = orthogonalised((left * values * scale @ right.T)[None])[0]
    within = left.T @ made @ right
    assert within.diagonal().min() > 0.6
    assert within.diagonal().max() < 1.3
    torch.testing.assert_close(left * within.diagonal() @ right.T, made, atol=1e-3, rtol=0)


def test_zeros_stay_zeros_and_half_precision_is_enough():
    assert not orthogonalised(torch.zeros(2, 3, 4)).any()
    matrices = torch.randn(3, 32, 96, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalised(matrices.bfloat16()).float())
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_layers_that_see_or_make_pictures_and_biases_are_left_to_adam():
    network = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 3, 3), nn.Linear(32, 16))
    moved = [name for name, parameter in network.named_parameters() if is_hidden_matrix(parameter)]
    assert moved == ["1.weight", "3.weight"]


def test_a_step_is_as_large_as_adams_usual_one_whatever_the_gradient_s_size():
    layer = nn.Conv2d(32, 32, 3)
    weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
    layer.weight = nn.Parameter(weight)
    for size in (1e-8, 1e8):
        before = layer.weight.detach().clone()
        optimizer = Muon([layer.weight], torch.tensor(0.01))
        layer.weight.grad = torch.randn_like(layer.weight) * size
        optimizer.step()
        change = (layer.weight.detach() - before).square().mean().sqrt()
        assert change == pytest.approx(0.2 * 0.01, rel=0.15)
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_weight_decay_shrinks_by_the_learning_rate_times_it():
    weight = nn.Parameter(torch.ones(16, 16))
    weight.grad = torch.zeros(16, 16)
    Muon([weight], torch.tensor(0.1), weight_decay=0.5).step()
    torch.testing.assert_close(weight.detach(), torch.full((16, 16), 0.95))


def update_with(network: nn.Module) -> Updater:
    phase = Phase(networks=("net",), learning_rate=0.01, optimizer="muon", ema_decay=0.9)
    return Updater({"net": network}, {"only": phase}, CPU)


def test_a_step_whose_gradients_are_not_finite_changes_neither_weights_nor_momentum():
    torch.manual_seed(0)
    hidden = nn.Conv2d(16, 16, 3)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), hidden)
    update = update_with(network)
    muon = update.states["only"].optimizers[0]
    good = Batch(torch.rand(2, 3, 8, 8))
    update("only", lambda b: (network(b.images).square().mean(), {}), good)
    weights = [p.detach().clone() for p in network.parameters()]
    momentum = muon.state[hidden.weight]["momentum"].clone()
    update("only", lambda b: (network(b.images).sum() * float("inf"), {}), good)
    assert all(torch.equal(p, before) for p, before in zip(network.parameters(), weights, strict=True))
    assert torch.equal(muon.state[hidden.weight]["momentum"], momentum)
    assert int(update.skipped) == 1
    update("only", lambda b: (network(b.images).square().mean(), {}), good)
    assert not torch.equal(hidden.weight, weights[2])


def test_a_run_with_muon_resumes_exactly(tmp_path, teach):
    teach(tmp_path / "whole", settings=MUON)
    teach(tmp_path / "parts", settings=MUON, steps=4)
    kept = load_file(tmp_path / "parts/checkpoints/step-000000004/optimizers.safetensors")
    assert {key.rpartition("/")[2] for key in kept} == {"momentum", "step", "exp_avg", "exp_avg_sq"}
    teach(tmp_path / "parts", settings=MUON, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)


def test_a_deep_network_learns_with_it():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 3, 1))
    update = update_with(network)
    batch = Batch(torch.rand(8, 3, 8, 8))
    wanted = batch.images[..., 2:-2, 2:-2].flip(1)
    losses = []
    for step in range(120):
        update.begin_step(step, 1 - step / 120)
        scalars = update("only", lambda b: ((network(b.images) - wanted).square().mean(), {}), batch)
        losses.append(float(scalars["only"]))
    assert losses[-1] < losses[0] / 20

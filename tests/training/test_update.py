"""Averages of running statistics, gradients' memory layout, loss scaling, and compiled networks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from restorekit.contract import Batch, Phase
from restorekit.inference.device import Runtime
from restorekit.nn.penalties import zero_centred_penalty
from restorekit.training.averages import Averaged, running_statistics
from restorekit.training.compiling import Compiled, eager
from restorekit.training.update import PATIENCE, Diverged, Updater

from .test_resume import assert_same_run, tensors

CPU = Runtime(torch.device("cpu"), "fp32", "tests")
FP16 = Runtime(torch.device("cpu"), "fp16", "tests")
NORMED = ["network.architecture=dcgan", "recipe.ema_decay=0.9"]


def images(count: int = 8, side: int = 8, seed: int = 0) -> Batch:
    return Batch(torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 4 + 2)


def normed(ema_decay: float | None = 0.9, runtime: Runtime = CPU) -> tuple[Any, Updater]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1))
    phase = Phase(networks=("net",), learning_rate=0.01, ema_decay=ema_decay)
    return network, Updater({"net": network}, {"only": phase}, runtime)


def squares(network: nn.Module):
    return lambda b: (network(b.images).square().mean(), {})


def test_running_statistics_are_averaged_like_the_weights():
    network, update = normed()
    mean = network[1].running_mean
    expected = mean.clone()
    for step in range(1000, 1006):
        update.begin_step(step, 1.0)
        update("only", squares(network), images(seed=step))
        expected = 0.9 * expected + 0.1 * mean
    last = mean.clone()
    with Averaged({"net": network}, update.pairs()):
        torch.testing.assert_close(network[1].running_mean, expected)
        assert not network.training
    assert torch.equal(network[1].running_mean, last)
    assert network.training


def test_averaged_weights_are_normalised_by_statistics_of_their_own():
    """Of weights that drift, those of the last step would be off by much more."""
    network, update = normed(ema_decay=0.99)
    batch = images(8, 4)

    def drift(b: Batch):
        return network(b.images).mean() * 0 - network[0](b.images).mean(), {}

    for step in range(1000, 1300):
        update.begin_step(step, 1.0)
        update("only", drift, batch)
    last = network[1].running_mean.clone()
    with Averaged({"net": network}, update.pairs()), torch.no_grad():
        own = network[0](batch.images).mean(dim=(0, 2, 3))
        error = (network[1].running_mean - own).abs().max()
        assert error < 0.25 * (last - own).abs().max()


def test_only_normalisations_have_running_statistics():
    spectral = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))
    network = nn.Sequential(spectral, nn.BatchNorm2d(4), nn.InstanceNorm2d(4), nn.BatchNorm2d(4, affine=False))
    assert set(running_statistics(network)) == {f"{i}.{n}" for i in (1, 3) for n in ("running_mean", "running_var")}


def test_a_batch_that_is_not_finite_leaves_no_trace_in_running_statistics():
    network, update = normed()
    update("only", squares(network), images())
    before = [b.clone() for b in running_statistics(network).values()]
    bad = Batch(torch.full((4, 3, 8, 8), float("nan")))
    update("only", squares(network), bad)
    assert int(update.skipped) == 1
    for value, kept in zip(running_statistics(network).values(), before, strict=True):
        assert torch.equal(value, kept)
    for average in update.states["only"].averages.values():
        assert torch.isfinite(average).all()


def test_a_checkpoint_without_averaged_statistics_still_resumes(tmp_path, teach):
    teach(tmp_path / "run", "dcgan", settings=NORMED, steps=4)
    path = tmp_path / "run/checkpoints/step-000000004/averages.safetensors"
    stored = load_file(path)
    older = {key: value for key, value in stored.items() if "running_" not in key}
    assert len(older) < len(stored)
    save_file(older, path)
    with pytest.warns(UserWarning, match=r"step-000000004 holds no averages of \d+ running statistics"):
        assert teach(tmp_path / "run", "dcgan", settings=NORMED, resume=True).steps == 8


def test_a_network_with_batch_normalisation_resumes_exactly(tmp_path, teach):
    teach(tmp_path / "whole", "dcgan", settings=NORMED)
    teach(tmp_path / "parts", "dcgan", settings=NORMED, steps=4)
    teach(tmp_path / "parts", "dcgan", settings=NORMED, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)
    assert any("averages" in key and "running_mean" in key for key in tensors(tmp_path / "whole", 8))


def test_weights_move_as_plain_adam_moves_them_whatever_their_memory_layout():
    """Fused Adam walks through memory: gradients in another layout than their weights would be mixed up."""
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(1)
        network: Any = nn.Sequential(nn.Conv2d(3, 5, (3, 2)), nn.Conv2d(5, 4, 1), nn.ConvTranspose2d(4, 2, 3))
        network.to(memory_format=layout)
        plain = [p.detach().clone().requires_grad_() for p in network.parameters()]
        reference = torch.optim.AdamW(plain, lr=0.05, betas=(0.9, 0.999), weight_decay=0.1, foreach=False)
        phase = Phase(networks=("net",), learning_rate=0.05, weight_decay=0.1)
        update = Updater({"net": network}, {"only": phase}, CPU, accumulate=2)
        for step in range(5):
            values = torch.func.functional_call(
                network, dict(zip(dict(network.named_parameters()), plain, strict=True)), (images(seed=step).images,)
            )
            reference.zero_grad()
            values.square().mean().backward()
            reference.step()
            update("only", squares(network), images(seed=step))
        for own, expected in zip(network.parameters(), plain, strict=True):
            torch.testing.assert_close(own, expected, atol=2e-5, rtol=1e-4)
        results.append([p.detach().clone() for p in network.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def test_moments_are_resumed_in_their_parameters_memory_layout(tmp_path, teach):
    """A wide kernel makes a difference between layouts, which a resumed run would show."""
    settings = ["network.features=12"]
    teach(tmp_path / "whole", settings=settings)
    teach(tmp_path / "parts", settings=settings, steps=4)
    teach(tmp_path / "parts", settings=settings, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)


def linear(runtime: Runtime, **changes) -> tuple[nn.Linear, Updater]:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    phase = Phase(**{"networks": ("net",), "learning_rate": 0.1, **changes})
    return network, Updater({"net": network}, {"only": phase}, runtime)


def one(value: float) -> Batch:
    return Batch(torch.full((1, 1, 1, 1), value))


def test_fp16_keeps_gradients_that_would_vanish():
    network, update = linear(FP16)
    update("only", lambda b: ((network(b.images.flatten(1)).float() * 1e-8).mean(), {}), one(1.0))
    assert network.weight.item() == pytest.approx(0.95, abs=0.01), "Adam's epsilon is as large as the gradient"
    assert int(update.skipped) == 0


def test_fp16_logs_losses_and_clips_gradients_as_they_are_without_the_scale():
    network, update = linear(FP16, clip_norm=1e-12)
    scalars = update("only", lambda b: (network(b.images.flatten(1)).mean(), {}), one(2.0))
    assert float(scalars["only"]) == 2.0
    assert abs(network.weight.item() - 1.0) < 0.01


def test_the_loss_scale_halves_until_it_fits_and_doubles_when_it_has_fitted_for_long(monkeypatch):
    monkeypatch.setattr("restorekit.training.scaling._PATIENCE", 3)
    network, update = linear(FP16)
    scale = update.states["only"].scale
    assert scale is not None
    start = float(scale.factor)
    huge = torch.finfo(torch.float16).max / start * 3

    def loss(b: Batch):
        return (network(b.images.flatten(1)).half() * huge).float().mean(), {}

    factors = []
    for _ in range(8):
        update("only", loss, one(1.0))
        factors.append(float(scale.factor) / start)
    assert factors[:2] == [0.5, 0.25]
    assert factors[4] == 0.5, "three steps that fitted"
    assert int(update.skipped) == 3


def test_losses_that_are_never_finite_end_an_fp16_run_too():
    network, update = linear(FP16)
    for _ in range(PATIENCE):
        update("only", lambda b: (network(b.images.flatten(1)).mean() * float("nan"), {}), one(1.0))
    with pytest.raises(Diverged):
        update.check()
    assert network.weight.item() == 1.0


@pytest.mark.parametrize("name", ["denoiser", "vae"])
def test_fp16_runs_resume_exactly_with_their_loss_scale(tmp_path, teach, name):
    settings = ["run.precision=fp16"]
    teach(tmp_path / "whole", name, settings=settings)
    teach(tmp_path / "parts", name, settings=settings, steps=4)
    teach(tmp_path / "parts", name, settings=settings, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)
    assert any(key.endswith("/scale") for key in tensors(tmp_path / "whole", 8))


class Uncompilable:
    """Stands in for the compiler: compiled modules run as they are, or fail as the compiler does."""

    def __init__(self, monkeypatch, message: str):
        self.calls = 0
        self.message = message
        compiler = self

        def compile_(module: nn.Module) -> None:
            def call(*arguments, **options):
                compiler.calls += 1
                made: Any = module._call_impl(*arguments, **options)
                if compiler.message and made.requires_grad:
                    made.register_hook(compiler.fail)
                return made

            module._compiled_call_impl = call

        monkeypatch.setattr("restorekit.training.compiling._compile", compile_)

    def fail(self, gradient: torch.Tensor) -> None:
        if torch.is_grad_enabled():  # as it is while a gradient is made that is differentiated again
            raise RuntimeError(self.message)


DOUBLE = "torch.compile with aot_autograd does not currently support double backward"


def penalised(network: nn.Module):
    def loss(b: Batch):
        real = b.images.clone().requires_grad_()
        scores = network(real)
        return scores.mean() + zero_centred_penalty(scores, real), {}

    return loss


def compiled_updater() -> tuple[Any, Updater]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.5), nn.SiLU(), nn.Conv2d(4, 1, 1))
    phases = {"only": Phase(networks=("net",), learning_rate=0.01)}
    networks = {"net": network}
    return network, Updater(networks, phases, CPU, compiled=Compiled(networks))


def test_a_network_that_a_penalty_differentiates_twice_goes_on_uncompiled_with_the_same_bits(monkeypatch):
    results = []
    for message in (DOUBLE, ""):
        compiler = Uncompilable(monkeypatch, message)
        network, update = compiled_updater()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for step in range(3):
                update("only", penalised(network), images(seed=step))
        results.append([t.clone() for t in network.state_dict().values()])
        if message:
            assert [str(w.message) for w in told] == [
                "run.compile: net runs uncompiled (a penalty differentiates it twice)"
            ]
            assert compiler.calls == 1
        else:
            assert compiler.calls == 3
    for one_, other in zip(*results, strict=True):
        assert torch.equal(one_, other), "the attempt that failed left its traces in the running statistics"


def test_other_errors_are_not_taken_for_the_compilers(monkeypatch):
    Uncompilable(monkeypatch, "something else")
    network, update = compiled_updater()
    with pytest.raises(RuntimeError, match="something else"):
        update("only", penalised(network), images())


@pytest.mark.slow
def test_compiled_runs_learn_what_uncompiled_ones_do(tmp_path, teach):
    settings = ["run.precision=fp32"]
    teach(tmp_path / "plain", "denoiser", settings=settings)
    teach(tmp_path / "compiled", "denoiser", settings=[*settings, "run.compile=true"])
    for key, value in tensors(tmp_path / "plain", 8).items():
        np.testing.assert_allclose(value, tensors(tmp_path / "compiled", 8)[key], atol=2e-3, err_msg=key)
    teach(tmp_path / "parts", "denoiser", settings=[*settings, "run.compile=true"], steps=4)
    teach(tmp_path / "parts", "denoiser", settings=[*settings, "run.compile=true"], resume=True)
    assert_same_run(tmp_path / "compiled", tmp_path / "parts", 8)


@pytest.mark.slow
def test_a_real_compiler_refuses_to_differentiate_twice_and_training_goes_on():
    network, update = compiled_updater()
    with pytest.warns(UserWarning, match="a penalty differentiates it twice"):
        update("only", penalised(network), images())
    with eager():
        assert torch.isfinite(network(images().images)).all()

"""Measures the training runner beside a plain loop, for every generator that can be trained.

    python benchmarks/training.py --steps 30

The plain loop is the usual tutorial's: the same trainer and networks in fp32, contiguous, batches drawn and damaged in
the loop, one optimizer a phase. The runner prepares batches in the background, keeps channels last, and computes in
bf16 where the processor has units for it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from common import print_rows

from restorekit.contract import Trainable
from restorekit.degradations import parse
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.sources import Sampler
from restorekit.training import Plan, load_plan, train
from restorekit.training.data import clean_batch, degraded
from restorekit.training.smoke import smoke_data, smoke_settings
from restorekit.values import resolve


class PlainUpdate:
    """Backward, optimizer step: nothing else."""

    def __init__(self, trainer: Trainable):
        networks = trainer.networks()
        self.optimizers = {
            name: torch.optim.AdamW(
                [parameter for network in phase.networks for parameter in networks[network].parameters()],
                lr=phase.learning_rate,
                betas=phase.betas,
                weight_decay=phase.weight_decay,
            )
            for name, phase in trainer.phases().items()
        }

    def __call__(self, phase, loss, batch):
        """See `restorekit.contract.Update`."""
        value, scalars = loss(batch)
        self.optimizers[phase].zero_grad()
        value.backward()
        self.optimizers[phase].step()
        return {phase: value, **scalars}


def plain_seconds(plan: Plan, steps: int) -> float:
    """Train the plain way; return the seconds a step."""
    spec = registry().spec(plan.generator)
    generator = registry().construct(spec, plan.network)
    trainer = resolve(spec, spec.trainer)(generator, plan.recipe)
    steps_of = getattr(trainer, "degradation", None)
    recipe = parse(steps_of()) if steps_of is not None else None
    sampler = Sampler(smoke_data(), 0, plan.run.crop)
    update, size = PlainUpdate(trainer), plan.run.batch_size
    begun = 0.0
    for step in range(steps + 2):
        if step == 2:
            begun = time.perf_counter()
        count = trainer.batches_per_step
        starts = [(step * count + number) * size for number in range(count)]
        batches = [degraded(clean_batch(sampler, range(start, start + size)), recipe) for start in starts]
        trainer.training_step(batches, update)
    return (time.perf_counter() - begun) / steps


def runner_seconds(plan: Plan, steps: int) -> float:
    """Train with the runner; return the seconds a step, from its own log."""
    seconds: list[float] = []

    class Watcher:
        def logged(self, step, steps, values):
            seconds.append(plan.run.batch_size / values["pictures_per_second"])

    with tempfile.TemporaryDirectory() as folder:
        train(plan, smoke_data(), Path(folder, "run"), registry=registry(), steps=steps, watcher=Watcher())
    return statistics.median(seconds[1:])


def main() -> None:
    """Print one row a generator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    every = max(1, arguments.steps // 5)
    rows = []
    for spec in registry().generators:
        if not spec.trainer:
            continue
        settings = [*smoke_settings(spec), f"run.steps={arguments.steps}", f"run.log_every={every}"]
        plan = load_plan(spec, settings=[*settings, "run.sample_every=1000000", "run.checkpoint_every=1000000"])
        ratios = [
            plain_seconds(plan, arguments.steps) / runner_seconds(plan, arguments.steps)
            for _ in range(arguments.rounds)
        ]
        rows.append([spec.name, statistics.median(ratios)])
    runtime = choose_runtime()
    print(f"{runtime.device}, {runtime.precision} ({runtime.why}), {torch.get_num_threads()} threads")
    print_rows(["generator", "runner's speed / plain loop's"], rows)


if __name__ == "__main__":
    main()

"""Measures the training runner beside a plain loop, for every generator that can be trained.

    python benchmarks/training.py
    python benchmarks/training.py --generator dcgan --set run.batch_size=64 --set network.width=128 --json

The plain loop is the usual tutorial's: the same trainer, networks and batches in fp32, contiguous, PyTorch's AdamW as
it comes, one operation after the other; it clips nothing, averages nothing, and does not look whether gradients are
finite, which the runner does. Both are timed in turn, round by round, in one process:

- "step": batches are ready, on the device;
- "data": batches are drawn and damaged as well, in the plain loop between its steps, by the runner in the background.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from common import in_turn, median_ratio, print_rows

from restorekit.contract import Batch, Trainable
from restorekit.degradations import parse
from restorekit.inference import Runtime, choose_runtime
from restorekit.registry import registry
from restorekit.sources import Sampler
from restorekit.training import Plan, load_plan
from restorekit.training.data import clean_batch, degraded
from restorekit.training.distributed import Group
from restorekit.training.loop import Loop
from restorekit.training.smoke import smoke_data, smoke_settings
from restorekit.values import resolve

#: Of each contestant, before anything is timed: enough for a graph to be captured.
_WARM_UP = {"cuda": 15, "cpu": 2}
#: Different batches that "step" takes in turn.
_READY = 4


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


class Plain:
    """The plain loop."""

    def __init__(self, plan: Plan, device: torch.device):
        spec = registry().spec(plan.generator)
        torch.manual_seed(plan.run.seed)
        self.trainer = resolve(spec, spec.trainer)(registry().construct(spec, plan.network), plan.recipe)
        for network in self.trainer.networks().values():
            network.to(device).train()
        steps = getattr(self.trainer, "degradation", None)
        self.recipe = parse(steps()) if steps is not None else None
        self.sampler = Sampler(smoke_data(), plan.run.seed, plan.run.crop, plan.run.flip, plan.run.rotate)
        self.size, self.device, self.update = plan.run.batch_size, device, PlainUpdate(self.trainer)

    def batches(self, step: int) -> tuple[Batch, ...]:
        """Draw and damage a step's batches, and move them to the device."""
        count = self.trainer.batches_per_step
        starts = [(step * count + number) * self.size for number in range(count)]
        drawn = [degraded(clean_batch(self.sampler, range(s, s + self.size)), self.recipe) for s in starts]
        return tuple(plain_layout(batch, self.device) for batch in drawn)

    def step(self, batches: tuple[Batch, ...]) -> None:
        """Make one step."""
        self.trainer.training_step(batches, self.update)


def plain_layout(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to the device, contiguous as NCHW."""
    tensors = (batch.images, batch.masks, batch.labels, batch.targets, batch.seeds)
    return Batch(*(None if t is None else t.to(device).contiguous() for t in tensors))  # pyright: ignore[reportArgumentType]


def measured(plan: Plan, runtime: Runtime, steps: int, rounds: int) -> dict[str, float]:
    """Return the runner's speed over the plain loop's, and its own speed, with and without the data."""
    plain = Plain(plan, runtime.device)
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(plan, smoke_data(), Path(folder), registry(), None, None, runtime, Group(), "")
        numbers = itertools.count()
        horizon = plan.run.steps
        prepared: Iterator[tuple[Batch, ...]] = loop.batches.from_step(0, horizon)
        ready = [next(prepared) for _ in range(_READY)]
        plain_ready = [tuple(plain_layout(batch, runtime.device) for batch in batches) for batches in ready]

        def repeated(step: Callable[[int], object]) -> Callable[[], None]:
            def run() -> None:
                for number in range(steps):
                    step(number)
                if runtime.device.type == "cuda":
                    torch.cuda.synchronize(runtime.device)

            return run

        contestants = {
            "plain step": repeated(lambda i: plain.step(plain_ready[i % _READY])),
            "our step": repeated(lambda i: loop.step(next(numbers), ready[i % _READY])),
            "plain data": repeated(lambda i: plain.step(plain.batches(i))),
            "our data": repeated(lambda i: loop.step(next(numbers), next(prepared))),
        }
        for _ in range(_WARM_UP[runtime.device.type]):
            plain.step(plain_ready[0])
            loop.step(next(numbers), ready[0])
        seconds = in_turn(contestants, rounds)
        prepared.close()  # pyright: ignore[reportAttributeAccessIssue]
    pictures = steps * plan.run.batch_size * plain.trainer.batches_per_step
    return {
        "step": median_ratio(seconds["plain step"], seconds["our step"]),
        "data": median_ratio(seconds["plain data"], seconds["our data"]),
        "step_pictures_per_second": pictures / statistics.median(seconds["our step"]),
        "data_pictures_per_second": pictures / statistics.median(seconds["our data"]),
    }


def main() -> None:
    """Print one row a generator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", action="append", help="may repeat; all that can be trained")
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="settings")
    parser.add_argument("--steps", type=int, default=6, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    runtime = choose_runtime(arguments.device)
    # More steps than are made, so that the background has something to prepare to the end.
    horizon = 100 + (arguments.rounds + 2) * arguments.steps * 2
    for spec in registry().generators:
        if not spec.trainer or spec.name not in (arguments.generator or [spec.name]):
            continue
        plan = load_plan(spec, settings=[*smoke_settings(spec), *arguments.settings, f"run.steps={horizon}"])
        runtime = choose_runtime(arguments.device, plan.run.precision)
        results[spec.name] = measured(plan, runtime, arguments.steps, arguments.rounds)
    told = {
        "device": str(runtime.device),
        "precision": runtime.precision,
        "why": runtime.why,
        "threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "settings": arguments.settings,
    }
    if arguments.json:
        print(json.dumps({**told, "generators": results}, indent=2))
        return
    print(f"{told['device']}, {told['precision']} ({told['why']}), {told['threads']} threads")
    columns = ["generator", "step: ours / plain", "with data: ours / plain", "our pictures a second, with data"]
    print_rows(columns, [[n, r["step"], r["data"], r["data_pictures_per_second"]] for n, r in results.items()])


if __name__ == "__main__":
    main()

"""Chains for worker processes to run: one that only tells what it runs on, and one that some pictures kill."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from restorekit.inference import Job, Outcome
from restorekit.specs import Step


class Negative:
    """Inverts pictures, one at a time, and writes a line for each into a file: process, threads, name."""

    def __init__(self, log: Path, seconds: float = 0.0):
        self.log = log
        self.seconds = seconds

    def plan(self, job: Job) -> tuple[Step, ...]:
        return (Step("negative"),)

    def concurrent(self, steps: Sequence[Step]) -> bool:
        return False

    def run(self, chains: Sequence[tuple[Job, tuple[Step, ...]]]) -> list[Outcome]:
        return [self._invert(job, steps) for job, steps in chains]

    def _invert(self, job: Job, steps: tuple[Step, ...]) -> Outcome:
        with self.log.open("a") as log:
            log.write(f"{os.getpid()} {torch.get_num_threads()} {job.name}\n")
        time.sleep(self.seconds)
        picture = job.picture
        return Outcome(type(picture)(pixels=255 - picture.pixels, info=picture.info), steps)


class Deadly(Negative):
    """Is killed by pictures whose name says so."""

    def _invert(self, job: Job, steps: tuple[Step, ...]) -> Outcome:
        outcome = super()._invert(job, steps)
        if "deadly" in job.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome


class Telling(Negative):
    """Writes into a second file, too, what it finds where pictures are planned and where networks run."""

    def plan(self, job: Job) -> tuple[Step, ...]:
        self._tell("picture")
        return super().plan(job)

    def run(self, chains: Sequence[tuple[Job, tuple[Step, ...]]]) -> list[Outcome]:
        self._tell("network")
        return super().run(chains)

    def _tell(self, place: str) -> None:
        found = {
            "process": os.getpid(),
            "place": place,
            "torch": torch.get_num_threads(),
            "opencv": cv2.getNumThreads(),
            "thread": threading.get_ident(),
        }
        with self.log.with_suffix(".threads").open("a") as log:
            log.write(json.dumps(found) + "\n")


def make_telling(log: Path, runtime, registry, stopped, told) -> Telling:
    return Telling(log, 0.02)


def make_negative(log: Path, seconds: float, runtime, registry, stopped, told) -> Negative:
    return Negative(log, seconds)


def make_deadly(log: Path, runtime, registry, stopped, told) -> Deadly:
    return Deadly(log)


def make_dead(runtime, registry, stopped, told) -> Negative:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def told(log: Path) -> list[list[str]]:
    """Return what the workers wrote: process, threads, name."""
    return [line.split(" ", 2) for line in log.read_text().splitlines()] if log.exists() else []


__all__ = ["Deadly", "Negative", "Telling", "make_dead", "make_deadly", "make_negative", "make_telling", "told"]

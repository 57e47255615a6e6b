"""Works out what one machine, ten and a thousand restore in a day, and what saturates first.

    python benchmarks/capacity.py --cores 16 --rate 50

Measures what a picture takes of a core of this machine, busy or not: to decode, to restore, to encode, and to lead the
run it is part of. The rest is multiplication; machines, links and storage are assumptions.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from common import print_rows
from skimage import data

import restorekit
from restorekit import images
from restorekit.batch.engines.cluster import connected, ray
from restorekit.batch.engines.dispatch import Dispatcher
from restorekit.batch.engines.engine import Answer, Order, Task
from restorekit.batch.manifest import Manifest, Record
from restorekit.batch.options import BatchOptions
from restorekit.batch.output import Committer, Finished
from restorekit.batch.pipeline import checksum
from restorekit.batch.plan import Item
from restorekit.batch.workers import Stop
from restorekit.files import write_aside

DAY = 86_400


@dataclass(frozen=True)
class Constants:
    """Of one picture; times are seconds of a core."""

    megapixels: float
    bytes_read: int
    bytes_written: int
    decode: float
    restore: float
    encode: float
    #: In the one process that leads the run.
    lead: float


def core_seconds(call: Callable[[], object], times: int) -> float:
    """Return the median of what a call takes of a core, whatever else the machine does meanwhile."""
    seconds = []
    for _ in range(times):
        begun = time.process_time()
        call()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds)


class _Echo:
    """A worker whose answers are ready at once; messages are pickled both ways, as they are between processes."""

    def __init__(self, answer: Callable[[Task], Finished]):
        self.ready: Future[None] = Future()
        self.ready.set_result(None)
        self._answer = answer

    def begin(self, task: Task) -> Future[Answer]:
        future: Future[Answer] = Future()
        message = Answer(finished=self._answer(pickle.loads(pickle.dumps(task))))
        future.set_result(pickle.loads(pickle.dumps(message)))
        return future

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        pass


def leading(folder: Path, count: int) -> float:
    """Return what leading a run takes for each picture: handing out, manifest, renames and syncs; files are tiny."""
    settings = {"steps": ["super-resolver:x4"], "precision": "bf16", "seed": 0, "format": None}
    items = [Item(folder / f"{n}.jpg", f"{n}.jpg", f"{n}.jpg") for n in range(count)]
    asides = {item.name: write_aside(folder / item.output, b"") for item in items}

    def answered(task: Task) -> Finished:
        name = task.item.name
        record = Record(input=name, output=name, status="done", settings=settings, output_sha256="0" * 64)
        return Finished(record, ((asides[name], folder / name),))

    order = Order(output=folder, settings=settings, options=BatchOptions())
    dispatcher = Dispatcher([("here", lambda: _Echo(answered))], 10, order, Stop(), lambda error: None)
    with Manifest(folder / "manifest.jsonl", 0) as manifest, dispatcher.open() as work:
        committer = Committer(manifest, lambda record: None)
        begun = time.process_time()
        work([Task(item) for item in items], lambda finished, preview: committer.submit(finished), print)
        committer.close()
        return (time.process_time() - begun) / count


def calling(count: int) -> float:
    """Return what handing a picture to a Ray actor and taking its answer takes in the process that leads."""
    with connected():
        actor = ray.remote(_Pong).remote()
        task = Task(Item(Path("/data/in/photo.jpg"), "photo.jpg", "photo.jpg"))
        ray.get(actor.restore.remote(task))
        begun = time.process_time()
        waiting = [actor.restore.remote(task).future() for _ in range(count)]
        for future in waiting:
            future.result()
        return (time.process_time() - begun) / count


class _Pong:
    """An actor that restores nothing."""

    def restore(self, task: Task) -> Answer:
        return Answer(finished=Finished(Record(input=task.item.name, output=task.item.output, status="done")))


def measure(side: int, step: str, scale: int) -> Constants:
    """Measure this machine with one photo of ``side`` pixels squared."""
    photo = cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 4, photo.shape), 0, 255).astype(np.uint8)
    large = cv2.resize(noisy, (side * scale, side * scale), interpolation=cv2.INTER_CUBIC)
    encoded, result = (
        cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
        for pixels in (noisy, large)
    )
    picture = images.decode(result, name="result")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        lead = leading(Path(folder), 1000) + calling(1000)

        def read() -> None:
            checksum(encoded)
            images.probe(encoded, name="photo")
            images.decode(encoded, name="photo")

        def write() -> None:
            coded, _ = images.encode(picture, "jpeg", quality=92)
            checksum(coded)
            write_aside(Path(folder, "out", "result.jpg"), coded)

        decode, encode = core_seconds(read, 5), core_seconds(write, 3)
    part = noisy[: side // 2, : side // 2]
    restore = 4 * core_seconds(lambda: restorekit.restore(part, step), 3)
    return Constants(side * side / 1e6, len(encoded), len(result), decode, restore, encode, lead)


def limits(c: Constants, machines: int, arguments: argparse.Namespace, gpu: bool, led: bool) -> dict[str, float]:
    """Return the pictures a second at which each part of the whole is full."""
    moved = (c.bytes_read + c.bytes_written) * 8 / 1e9
    cores = c.decode + c.encode + (0 if gpu else c.restore)
    parts = {
        "cores": machines * arguments.cores / cores,
        "links": machines * arguments.link / moved,
        "storage": arguments.storage / moved,
    }
    if gpu:
        parts["GPUs"] = machines * arguments.rate / c.megapixels
    if led:
        parts["leading process"] = 1 / c.lead
    return parts


def rows(c: Constants, arguments: argparse.Namespace, gpu: bool) -> list[list[object]]:
    """Return a day's pictures for one machine, ten and a thousand."""
    table: list[list[object]] = []
    for machines in (1, 10, 1000):
        for led in (True, False):
            full = limits(c, machines, arguments, gpu, led)
            first, second = sorted(full, key=lambda part: full[part])[:2]
            later = f"{second}, at {full[second] / full[first]:.1f} times this"
            way = "one run (`--engine ray`)" if led else "`--shard`"
            table.append([machines, way, f"{full[first] * DAY:,.0f}", first, later])
    return table


def main() -> None:
    """Print the constants, and pictures a day for one machine, ten and a thousand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1000, help="of the measured photo in pixels")
    parser.add_argument("--with", dest="step", default="super-resolver:x4")
    parser.add_argument("--scale", type=int, default=4, help="that the step enlarges by")
    parser.add_argument("--rate", type=float, default=50.0, help="megapixels a second of a machine's GPUs")
    parser.add_argument("--cores", type=int, default=16, help="cores of one machine")
    parser.add_argument("--link", type=float, default=10.0, help="gigabits a second of one machine")
    parser.add_argument("--storage", type=float, default=400.0, help="gigabits a second of what all share")
    arguments = parser.parse_args()
    c = measure(arguments.side, arguments.step, arguments.scale)
    print_rows(
        ["constant", "value"],
        [
            ["picture, megapixels", c.megapixels],
            ["read, MB", c.bytes_read / 1e6],
            ["written, MB", c.bytes_written / 1e6],
            ["checksum and decode, ms of a core", c.decode * 1000],
            [f"{arguments.step}, ms of a core", c.restore * 1000],
            ["encode, checksum and write, ms of a core", c.encode * 1000],
            ["leading a run with Ray, ms of a core", c.lead * 1000],
        ],
    )
    for gpu in (False, True):
        device = f"GPUs that restore {arguments.rate:g} megapixels/s, " if gpu else ""
        print(f"\nEach machine: {device}{arguments.cores} cores, a link of {arguments.link:g} Gbit/s")
        print(f"Storage: {arguments.storage:g} Gbit/s\n")
        print_rows(["machines", "how", "pictures a day", "full first", "full next"], rows(c, arguments, gpu))


if __name__ == "__main__":
    main()

"""Takes single pictures from file to file: read, decode, restore, encode, write aside; many at once."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit import images
from restorekit.batch.chain import Chain, NetworkThread
from restorekit.batch.manifest import Record
from restorekit.batch.masks import read_mask
from restorekit.batch.options import BatchOptions
from restorekit.batch.output import Finished
from restorekit.batch.plan import Item, written_format
from restorekit.batch.report import Preview, preview
from restorekit.contract import PictureInfo
from restorekit.errors import OutputError, PictureError, RestorekitError
from restorekit.files import write_aside
from restorekit.images import Picture
from restorekit.inference import Job
from restorekit.inference.executor import Cancelled
from restorekit.registry import Registry
from restorekit.specs import Step

__all__ = ["Pipeline", "PixelBudget", "checksum", "picture_seed"]


class PixelBudget:
    """Bounds the pixels that are decoded at any time; a picture larger than the budget runs alone."""

    def __init__(self, pixels: int):
        self._limit = pixels
        self._used = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until ``pixels`` more fit, and hold them."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + pixels <= self._limit)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What it takes to carry one picture from its file to a finished output; called from several threads.

    Parameters
    ----------
    output : Path
        The folder that outputs go to.
    chain : Chain
        What is done.
    network : NetworkThread
        Runs generators that are not concurrent.
    registry : Registry
        To name the plugins in records.
    settings : mapping
        Recorded with each picture.
    budget : PixelBudget
        Bounds what is decoded at any time.
    options : BatchOptions
        Formats, masks, limits.
    write_masks : bool
        Write each picture's mask beside it.
    on_unexpected : callable
        Is given exceptions that nobody expected.
    """

    output: Path
    chain: Chain
    network: NetworkThread
    registry: Registry
    settings: Mapping[str, Any]
    budget: PixelBudget
    options: BatchOptions
    write_masks: bool = False
    on_unexpected: Callable[[BaseException], None] = lambda error: None

    def restore(self, item: Item, earlier: Record | None, with_preview: bool) -> tuple[Finished, Preview | None]:
        """Restore one picture unless an earlier run did; whatever goes wrong with it becomes its record.

        Raises
        ------
        OutputError
            Nothing can be written any more.
        Cancelled
            The run was asked to stop.
        """
        started = time.perf_counter()
        try:
            if (skipped := self._done_before(item, earlier)) is not None:
                return Finished(skipped), None
            return self._restore(item, earlier, with_preview, started)
        except (OutputError, Cancelled):
            raise
        except RestorekitError as error:
            reason = error.reason if error.subject == item.name else str(error)
        except MemoryError:
            reason = "does not fit into memory; give it to a machine with more, or make it smaller first"
        except Exception as error:  # a defect of ours or a plugin's must not take the other pictures down
            self.on_unexpected(error)
            reason = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}; --debug shows where"
        seconds = round(time.perf_counter() - started, 4)
        failed = Record(
            input=item.name,
            output=item.output,
            status="failed",
            reason=reason,
            settings=self.settings,
            seconds=seconds,
        )
        return Finished(failed), None

    def _done_before(self, item: Item, earlier: Record | None) -> Record | None:
        if self.options.overwrite or earlier is None or earlier.status != "done" or earlier.settings != self.settings:
            return None
        target = self.output / earlier.output
        status = _regular(item.source, item.name)
        if not target.exists() or status.st_size != earlier.input_size:
            return None
        if item.mask is None:
            if earlier.mask_sha256:
                return None
        elif checksum(item.mask.read_bytes()) != earlier.mask_sha256:
            return None
        if status.st_mtime_ns != earlier.input_mtime_ns and checksum(item.source.read_bytes()) != earlier.input_sha256:
            return None
        if dict(earlier.weights_sha256) != self._weights_now(earlier):
            return None
        return dataclasses.replace(earlier, status="skipped", reason="restored by an earlier run")

    def _restore(
        self, item: Item, earlier: Record | None, with_preview: bool, started: float
    ) -> tuple[Finished, Preview | None]:
        target = self.output / item.output
        self._protect(item, earlier, target)
        status = _regular(item.source, item.name)
        data = _read(item.source, item.name)
        info = images.probe(data, name=item.name, max_pixels=self.options.max_pixels)
        with self.budget.hold(info.width * info.height):
            picture = images.decode(data, name=item.name, max_pixels=self.options.max_pixels)
            mask, mask_sha256 = self._mask(item, picture)
            job = Job(item.name, picture, mask, picture_seed(self.options.seed, item.name))
            steps = self.chain.plan(job)
            if self.chain.concurrent(steps):
                outcome = self.chain.run([(job, steps)])[0]
            else:
                outcome = self.network.restore(job, steps)
            if outcome.error is not None or outcome.picture is None:
                raise outcome.error or RuntimeError("no picture and no error")
            restored = outcome.picture
            encoded, notes = self._encode(data, picture, restored)
            shown = preview(picture, restored) if with_preview else None
        times = (status.st_atime_ns, status.st_mtime_ns)
        files = [(write_aside(target, encoded, self.options.shard.suffix, times), target)]
        if self.write_masks and outcome.mask is not None:
            beside = target.with_name(f"{target.stem}.mask.png")
            files.append((write_aside(beside, _mask_png(outcome.mask), self.options.shard.suffix, times), beside))
        record = Record(
            input=item.name,
            output=item.output,
            status="done",
            reason="" if restored is not picture else _idle(outcome.steps),
            steps=[self._told(step) for step in outcome.steps] if restored is not picture else [],
            input_sha256=checksum(data),
            output_sha256=checksum(encoded),
            mask_sha256=mask_sha256,
            weights_sha256=dict(outcome.weights),
            settings=self.settings,
            seconds=round(time.perf_counter() - started, 4),
            warnings=[*_misnamed(item, picture), *notes, *outcome.warnings],
            input_size=status.st_size,
            input_mtime_ns=status.st_mtime_ns,
            output_size=len(encoded),
        )
        return Finished(record, tuple(files)), shown

    def _protect(self, item: Item, earlier: Record | None, target: Path) -> None:
        """Refuse to replace a file that no run of ours wrote, or that was changed since."""
        if self.options.overwrite or not os.path.lexists(target):
            return
        way_out = "use --overwrite to replace it, or choose another -o"
        if earlier is None or earlier.status != "done" or earlier.output != item.output:
            raise PictureError(item.name, f"{item.output} is there already and not from an earlier run", way_out)
        if not target.is_file() or checksum(target.read_bytes()) != earlier.output_sha256:
            raise PictureError(item.name, f"{item.output} was changed after it was restored", way_out)

    def _mask(self, item: Item, picture: Picture) -> tuple[NDArray[np.bool_] | None, str]:
        if item.mask is not None:
            return read_mask(item.mask, self.options.max_pixels), checksum(item.mask.read_bytes())
        if self.options.mask_color is not None:
            return self.options.mask_color.mask(picture), ""
        return None, ""

    def _encode(self, data: bytes, picture: Picture, restored: Picture) -> tuple[bytes, Sequence[str]]:
        written = self.options.format or written_format(picture.info.format)
        if restored is picture and written == picture.info.format and not self.options.strip_metadata:
            return data, ()
        encoded, notes = images.encode(
            restored, written, quality=self.options.quality, strip_metadata=self.options.strip_metadata
        )
        return encoded, (*restored.notes, *notes)

    def _weights_now(self, earlier: Record) -> dict[str, str]:
        """Return the checksums of the weights files that the steps of an earlier run would use today."""
        found: dict[str, str] = {}
        for text in earlier.weights_sha256:
            # Weights that are gone are other weights; planning the picture anew says what that means for it.
            with contextlib.suppress(RestorekitError):
                found[text] = self.registry.weights_sha256(Step.parse(text))
        return found

    def _told(self, step: Step) -> dict[str, str]:
        origin = "restorekit"  # of the final resize, which is no generator
        with contextlib.suppress(RestorekitError):
            plugin = self.registry.owner(self.registry.spec_of(step).name)
            origin = f"{plugin.distribution} {plugin.version}"
        return {"step": str(step), "reason": step.reason, "plugin": origin}


def _idle(steps: Sequence[Step]) -> str:
    """Say why a picture is as it was."""
    tried = " and ".join(step.name for step in steps)
    return f"left as it is: {tried} changed nothing" if steps else "left as it is"


def _regular(path: Path, name: str) -> os.stat_result:
    """Look at a file without opening it: a pipe or a device would never end."""
    try:
        status = path.stat()
    except FileNotFoundError:
        problem = "is a link to nothing" if path.is_symlink() else "is gone"
        raise PictureError(name, problem, "restore the file, or leave it out") from None
    except OSError as error:
        raise PictureError(name, f"cannot be read ({error.strerror})", "check its permissions") from None
    if stat.S_ISDIR(status.st_mode):
        raise PictureError(name, "is a folder named like a picture", "rename it, or leave it out")
    if not stat.S_ISREG(status.st_mode):
        raise PictureError(name, "is no regular file", "leave it out")
    return status


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(name, f"cannot be read ({error.strerror})", "check its permissions") from None


def _mask_png(mask: NDArray[np.bool_]) -> bytes:
    height, width = mask.shape
    info = PictureInfo(format="png", width=width, height=height, channels=1)
    return images.encode(Picture(pixels=np.where(mask[..., None], 255, 0).astype(np.uint8), info=info))[0]


def checksum(data: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def picture_seed(seed: int, name: str) -> int:
    """Return a picture's own seed, of the run's and its relative name: never of its place in a batch."""
    digest = hashlib.sha256(f"{seed}:{name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _misnamed(item: Item, picture: Picture) -> list[str]:
    promised = images.format_of_extension(item.source.suffix)
    if promised in (None, picture.info.format):
        return []
    return [f"is a {picture.info.format.upper()} file in spite of its name"]

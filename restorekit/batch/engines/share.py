"""Divides a machine's cores: among workers, and within each between the network and those who read and write."""

from __future__ import annotations

from dataclasses import dataclass

from restorekit.errors import UsageError

__all__ = ["Share", "divided", "refuse_too_many"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker may use.

    Parameters
    ----------
    network : int
        Threads of tensor operations in the one thread that runs networks.
    pictures : int
        Pictures worked on at once. Each has a thread that reads, decodes, encodes, writes, and runs generators which
        use one core; while a network has its picture, it waits.
    opencv : int
        Threads of one call of OpenCV.
    """

    network: int
    pictures: int
    opencv: int


def divided(cores: int, *, workers: int = 1, limit: int | None = None, pictures: int | None = None) -> Share:
    """Return what each of several workers in one machine may use.

    Their networks together have no more threads than there are cores, unless there are more workers than cores. As many
    other threads are at work, and one more a worker, since some wait for the disk.

    Parameters
    ----------
    cores : int
        That all of them may use.
    workers : int
        How many there are.
    limit : int, optional
        Threads that the user allows tensor operations (``OMP_NUM_THREADS``, `torch.set_num_threads`).
    pictures : int, optional
        Worked on at once by all of them together; by default as many as keep the cores busy.
    """
    each = max(1, cores // workers)
    at_once = max(1, pictures // workers) if pictures else each + 1
    network = max(1, min(cores, limit or cores) // workers)
    return Share(network=network, pictures=at_once, opencv=1 if at_once > 1 else each)


def refuse_too_many(workers: int, cores: int) -> None:
    """Refuse workers that compute on the same cores, if there are more of them.

    Raises
    ------
    UsageError
        There are.
    """
    if workers > cores:
        raise UsageError(
            "--processes",
            f"{workers} workers on the CPU are more than the {cores} {'core' if cores == 1 else 'cores'} they may use",
            "ask for fewer; one uses all cores",
        )

"""Notices what would make the host wait for a GPU, on a machine without one."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Unsynced"]


class Unsynced(TorchDispatchMode):
    """Refuses what would wait for a GPU: reading numbers, and shapes that depend on values."""

    REFUSED = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in self.REFUSED:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))

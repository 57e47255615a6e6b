"""Recognises community ESRGAN and Real-ESRGAN weights by their names and shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from restorekit.plugin import Converted
from restorekit_super_resolver.config import Network

__all__ = ["recognise"]

#: What toolkits wrap a network's state in, the smoothed one first.
_WRAPPERS = ("params_ema.", "params.", "model_ema.", "generator.", "module.")

#: Older spellings of the RRDB network: (pattern, name in `restorekit_super_resolver.networks.RRDBNet`).
_SPELLINGS = (
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.", r"body.\1.rdb\2.conv\3."),
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"trunk_conv\.", "conv_body."),
    (r"upconv([12])\.", r"conv_up\1."),
    (r"HRconv\.", "conv_hr."),
    (r"model\.1\.sub\.\d+\.(weight|bias)", r"conv_body.\1"),
    (r"model\.0\.", "conv_first."),
    (r"model\.3\.", "conv_up1."),
    (r"model\.6\.", "conv_up2."),
    (r"model\.8\.", "conv_hr."),
    (r"model\.10\.", "conv_last."),
)


def recognise(state: Mapping[str, Tensor]) -> Converted | None:
    """See `restorekit.contract.Converter`."""
    for wrapper in ("", *_WRAPPERS):
        inner = {key.removeprefix(wrapper): value for key, value in state.items() if key.startswith(wrapper)}
        config, tensors = _compact(inner) or _rrdb(inner) or (None, {})
        if config is not None:
            return Converted(
                config=config, tensors={f"network.network.{name}": value for name, value in tensors.items()}
            )
    return None


def _compact(state: Mapping[str, Tensor]) -> tuple[Network, Mapping[str, Tensor]] | None:
    numbers = {int(match[1]) for key in state if (match := re.fullmatch(r"body\.(\d+)\.(weight|bias)", key))}
    if not numbers or len(state) != sum(f"body.{n}.{kind}" in state for n in numbers for kind in ("weight", "bias")):
        return None
    first, last = state.get("body.0.weight"), state.get(f"body.{max(numbers)}.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4 or first.shape[1] != 3:
        return None
    scale = math.isqrt(last.shape[0] // 3)
    if scale not in (2, 3, 4) or 3 * scale**2 != last.shape[0] or max(numbers) % 2:
        return None
    blocks = (max(numbers) - 2) // 2
    return Network(architecture="compact", scale=scale, features=first.shape[0], blocks=blocks), state


def _rrdb(state: Mapping[str, Tensor]) -> tuple[Network, Mapping[str, Tensor]] | None:
    renamed = {_spelt(key): value for key, value in state.items()}
    first, dense = renamed.get("conv_first.weight"), renamed.get("body.0.rdb1.conv1.weight")
    if first is None or dense is None or "conv_last.weight" not in renamed or first.ndim != 4:
        return None
    folded: dict[int, Literal[2, 4]] = {3: 4, 12: 2}  # the channels that the first convolution reads
    scale = folded.get(first.shape[1])
    blocks = {int(match[1]) for key in renamed if (match := re.match(r"body\.(\d+)\.", key))}
    if scale is None or renamed["conv_last.weight"].shape[0] != 3:
        return None
    config = Network(
        architecture="rrdb", scale=scale, features=first.shape[0], blocks=len(blocks), growth=dense.shape[0]
    )
    return config, renamed


def _spelt(key: str) -> str:
    for pattern, replacement in _SPELLINGS:
        new, count = re.subn(f"^{pattern}", replacement, key)
        if count:
            return new
    return key

"""The names of what samplers are measured by. Free of torch."""

from __future__ import annotations

__all__ = ["OWN_METRICS"]

#: What is measured besides the distances of distributions.
OWN_METRICS = ("likelihood", "memorisation", "probe")

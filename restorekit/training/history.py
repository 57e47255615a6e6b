"""How weights came to be, over several and resumed runs: what their header tells besides the last configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from restorekit.errors import UsageError
from restorekit.specs import GeneratorSpec
from restorekit.training.config import Plan, changed_settings, load_plan
from restorekit.training.starting import Start

__all__ = ["History"]


@dataclass(frozen=True)
class History:
    """What came before the next step of a run.

    Parameters
    ----------
    start : str
        Checksum of the weights that the run started from.
    earlier : tuple of mapping
        How those were trained, the oldest training first.
    changes : tuple of str
        Settings that the run was given anew when it was resumed, and at which step.
    """

    start: str = ""
    earlier: tuple[Mapping[str, Any], ...] = ()
    changes: tuple[str, ...] = ()

    @classmethod
    def begun(cls, start: Start | None, generator: object) -> History:
        """Load what the run starts from into its generator; see `Start.load_into` for errors."""
        return cls() if start is None else cls(start.load_into(generator), tuple(start.trainings()))

    def state(self, plan: Plan) -> dict[str, Any]:
        """Return JSON values for a checkpoint."""
        return {**asdict(self), "config": plan.as_dict()}

    def resumed(self, state: Mapping[str, Any], plan: Plan, spec: GeneratorSpec) -> tuple[History, list[str]]:
        """Return the history that a checkpoint holds, and which settings differ from those that made it.

        Parameters
        ----------
        state : mapping
            From `state`, with the checkpoint's ``step``; older checkpoints know less.
        plan : Plan
            How the run goes on.
        spec : GeneratorSpec
            Of what is trained: settings that are younger than the checkpoint had its defaults.
        """
        kept = {name: _tuple(state[name]) for name in ("start", "earlier", "changes") if name in state}
        history = replace(self, **kept)
        now = plan.as_dict()
        before = state.get("config", now)
        with contextlib.suppress(UsageError):  # settings that are no more cannot be completed
            before = load_plan(spec, saved=before).as_dict()
        others = changed_settings(before, now)
        changes = (f"step {state['step']}: {other}" for other in others)
        return replace(history, changes=(*history.changes, *changes)), others


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

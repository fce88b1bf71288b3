"""Where a run stands."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Where a run stands, for people; nothing is decided by it."""

    stage: str = ""
    done: int = 0
    total: int = 0
    proposed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    trained: int = 0
    stopped: int = 0
    turned_down: int = 0
    """by the rejection protocols, on a worker"""
    failed: int = 0
    best_score: float | None = None
    best_formula: str = ""
    fresh: int = 0
    """trainings of this stage that were done by this process, not read from the journal"""
    stage_started: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """Of this stage, at the rate so far; None before the first training ended."""
        if not self.fresh:
            return None
        return (time.monotonic() - self.stage_started) / self.fresh * (self.total - self.done)

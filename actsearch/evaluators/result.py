"""What is asked of a worker and what comes back: plain data, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Rung:
    """One stage of a training; a candidate below the rung's threshold stops there.

    Args:
        steps: optimiser steps done when the rung is scored, counted from the start of the
            schedule that the rung belongs to.
        own_schedule: the rung is a short training of its own, with a complete learning-rate
            schedule over `steps`; the next rung starts again from the initial weights.
            Otherwise training goes on into the next rung.
    """

    steps: int
    own_schedule: bool = False


class Status(StrEnum):
    """How a training ended."""

    COMPLETE = "complete"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"


@dataclass(frozen=True)
class Job:
    """One training: which candidate, from which seed, how far.

    Args:
        key: names the job within its run, such as `search/17` or `final/gelu/0.02/3`.
        formula: canonical text of the candidate.
        seed: seeds initial weights, data order and augmentation.
        learning_rate: peak learning rate.
        rungs: at least one; the last is the full training.
        thresholds: score a candidate must reach at each rung but the last, to go on.
        split: `validation` or `final`, the part of the data that is scored.
    """

    key: str
    formula: str
    seed: int
    learning_rate: float
    rungs: tuple[Rung, ...]
    thresholds: tuple[float, ...] = ()
    split: str = "validation"

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Job:
        """The job of `dataclasses.asdict` or its JSON."""
        rungs = tuple(Rung(**rung) for rung in record["rungs"])
        thresholds = tuple(record["thresholds"])
        return cls(**{**record, "rungs": rungs, "thresholds": thresholds})


@dataclass(frozen=True)
class Result:
    """What came of a job.

    Args:
        key: the job's.
        status: how it ended.
        scores: the score at each rung reached, all finite; higher is better.
        curve: (steps, training loss) pairs of the last schedule, for pictures only.
        reason: why it was stopped, diverged or failed; empty when complete.
        seconds: wall-clock seconds on the worker; never used in a decision.
    """

    key: str
    status: Status
    scores: tuple[float, ...] = ()
    curve: tuple[tuple[int, float], ...] = ()
    reason: str = ""
    seconds: float = 0.0

    @property
    def score(self) -> float | None:
        """Score at the last rung reached; None if there is none."""
        return self.scores[-1] if self.scores else None

    @property
    def standing(self) -> tuple[int, float] | None:
        """(rungs reached, score there): results compare by it, higher is better.

        None if the training diverged or failed; such a result never ranks.
        """
        if self.status in (Status.DIVERGED, Status.FAILED) or not self.scores:
            return None
        return len(self.scores), self.scores[-1]

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Result:
        """The result of `dataclasses.asdict` or its JSON."""
        return cls(
            key=record["key"],
            status=Status(record["status"]),
            scores=tuple(record["scores"]),
            curve=tuple((int(step), float(loss)) for step, loss in record["curve"]),
            reason=record["reason"],
            seconds=record["seconds"],
        )

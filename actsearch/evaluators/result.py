"""What is asked of a worker and what comes back: plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    REJECTED = "rejected"
    """a protocol ended it before its first rung"""


@dataclass(frozen=True)
class Protocols:
    """Checks that throw out a bad candidate early in its training.

    Both are EvoNorm's, Liu et al. 2020, arXiv:2004.02967, given here from memory: there a candidate
    is rejected below 20 % validation accuracy after 100 steps, or where 100 steps of ascent bring
    the gradient norm above 1e8.

    Args:
        quality_steps: training steps after which the score is looked at; where the first rung is
            shorter, at its end.
        quality_score: least score to go on; 0 for no such check.
        stability_steps: most steps of ascent on the gradient norm; 0 for no such check.
        stability_bound: largest gradient norm to go on.
    """

    quality_steps: int = 100
    quality_score: float = 0.0
    stability_steps: int = 0
    stability_bound: float = 1e8

    @property
    def any(self) -> bool:
        """Whether a candidate is checked at all."""
        return self.quality_score != 0 or self.stability_steps > 0


@dataclass(frozen=True)
class Check:
    """One protocol in one network.

    Args:
        name: `quality` or `stability`.
        anchor: the network, of the task's anchors; empty for the one of a task without.
        figure: what decided: the score, or the largest gradient norm; None if it was not finite.
        steps: of training, or of ascent, after which it was taken.
        seconds: wall-clock seconds on the worker, with those of the steps; never used in a
            decision, nor in comparing two checks.
        passed: whether the candidate went on.
    """

    name: str
    anchor: str
    figure: float | None
    steps: int
    seconds: float = field(compare=False)
    passed: bool


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
        protocols: checks before the first rung; None for no check.
        task: which of the run's tasks; empty for the search's.
    """

    key: str
    formula: str
    seed: int
    learning_rate: float
    rungs: tuple[Rung, ...]
    thresholds: tuple[float, ...] = ()
    split: str = "validation"
    protocols: Protocols | None = None
    task: str = ""

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Job:
        """The job of `dataclasses.asdict` or its JSON, also of one written before `protocols`."""
        rungs = tuple(Rung(**rung) for rung in record["rungs"])
        thresholds = tuple(record["thresholds"])
        asked = record.get("protocols")
        protocols = None if asked is None else Protocols(**asked)
        changed = {"rungs": rungs, "thresholds": thresholds, "protocols": protocols}
        return cls(**{**record, **changed})


@dataclass(frozen=True)
class Result:
    """What came of a job.

    Args:
        key: the job's.
        status: how it ended.
        scores: the score at each rung reached, all finite; higher is better. On a task with
            anchors it is the mean of theirs.
        curve: (steps, training loss) pairs of the last schedule, for pictures only; means over
            the anchors.
        reason: why it was stopped, rejected, diverged or failed; empty when complete.
        seconds: wall-clock seconds on the worker; never used in a decision.
        checks: what the protocols found, in the order in which they were made.
        parts: the score of each anchor at the last rung reached, in the task's order; empty if the
            task has one network.
        measures: the task's figures beside the score of a complete training, all finite; means over
            the anchors.
    """

    key: str
    status: Status
    scores: tuple[float, ...] = ()
    curve: tuple[tuple[int, float], ...] = ()
    reason: str = ""
    seconds: float = 0.0
    checks: tuple[Check, ...] = ()
    parts: tuple[float, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def score(self) -> float | None:
        """Score at the last rung reached; None if there is none."""
        return self.scores[-1] if self.scores else None

    @property
    def standing(self) -> tuple[int, float] | None:
        """(rungs reached, score there): results compare by it, higher is better.

        None if the training diverged, failed or was rejected; such a result never ranks.
        """
        unranked = (Status.DIVERGED, Status.FAILED, Status.REJECTED)
        if self.status in unranked or not self.scores:
            return None
        return len(self.scores), self.scores[-1]

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Result:
        """The result of `dataclasses.asdict` or its JSON, also of one before `measures`."""
        return cls(
            key=record["key"],
            status=Status(record["status"]),
            scores=tuple(record["scores"]),
            curve=tuple((int(step), float(loss)) for step, loss in record["curve"]),
            reason=record["reason"],
            seconds=record["seconds"],
            checks=tuple(Check(**check) for check in record.get("checks", ())),
            parts=tuple(record.get("parts", ())),
            measures=dict(record.get("measures", {})),
        )

"""Trainers of a run that trains on more than one task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .result import Job, Result
from .training import Trainer


@dataclass(frozen=True)
class TaskTrainers:
    """Gives each job to the trainer of its task, by `Job.task`."""

    trainers: Mapping[str, Trainer]

    def __call__(self, job: Job) -> Result:
        return self.trainers[job.task](job)

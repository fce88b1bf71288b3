"""Trainings that are recorded as they end: what the journal holds is not trained again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from ..errors import RunError
from ..evaluators.pool import Pool
from ..evaluators.result import Job, Result, Status
from ..runs.journal import Entry
from ..runs.run import Run
from .engine import Progress

_REFRESH_SECONDS = 0.5


class Trainings:
    """Jobs to results, through the journal.

    Args:
        run: opened for writing. What failed there may have failed for want of time or memory, and
            is tried again.
        pool: trains.
        studies: of the journal, whose results are known.
        made_by: version of actsearch that the run was begun with, for people.
        show: called with the progress whenever it changed, and every half second.
    """

    def __init__(
        self,
        run: Run,
        pool: Pool,
        studies: Iterable[str],
        made_by: str,
        show: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.run, self.pool, self.made_by, self.show = run, pool, made_by, show
        self.progress = Progress(stage="")
        self._waiting: dict[str, tuple[str, Job, str]] = {}
        self._recorded = {
            entry.job.key: entry
            for study in studies
            for entry in run.journal.entries(study)
            if entry.result.status is not Status.FAILED
        }

    def train(
        self,
        stage: str,
        study: str,
        jobs: Sequence[tuple[str, Job]],
        ended: Callable[[Progress, Entry], None] = lambda progress, entry: None,
    ) -> dict[str, Result]:
        """Results by key of all jobs, each with the label of its function.

        Args:
            stage: for the display of progress.
            ended: called with each entry, recorded or new, in the order of arrival.

        Raises:
            RunError: the journal holds another job under the same key.
        """
        progress = self.progress
        progress.stage, progress.total, progress.done, progress.fresh = stage, len(jobs), 0, 0
        progress.stage_started = time.monotonic()
        self.show(progress)
        for label, job in jobs:
            recorded = self._recorded.get(job.key)
            if recorded is None:
                self._waiting[job.key] = (study, job, label)
                self.pool.submit(job)
            else:
                self._check_same(recorded.job, job)
                progress.done += 1
                ended(progress, recorded)
        while self._waiting:
            for result in self.pool.collect(_REFRESH_SECONDS):
                in_study, job, label = self._waiting.pop(result.key)
                entry = Entry(job, result, label)
                # On disk before anything depends on it.
                self.run.journal.append(in_study, entry)
                self._recorded[result.key] = entry
                progress.fresh += 1
                progress.done += 1
                ended(progress, entry)
            self.show(progress)
        return {job.key: self._recorded[job.key].result for _, job in jobs}

    def _check_same(self, recorded: Job, job: Job) -> None:
        if recorded == job:
            return
        there, here = asdict(recorded), asdict(job)
        differs = next(name for name in here if there[name] != here[name])
        raise RunError(
            f"{self.run.journal.path}: {differs} of {job.key} is '{there[differs]}' there and "
            f"'{here[differs]}' here; it was made by other code, finish it with actsearch "
            f"{self.made_by} or begin a new one"
        )

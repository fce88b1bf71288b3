"""Trainings that are recorded as they end: what the journal holds is not trained again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ..errors import RunError
from ..evaluators.pool import Pool
from ..evaluators.result import Job, Result, Status
from ..runs.journal import Entry
from ..runs.run import Run
from .progress import Progress

_REFRESH_SECONDS = 0.5

Ended = Callable[[Progress, Entry], None]
"""What is called with each entry, recorded or new, in the order of arrival."""


def _nothing(progress: Progress, entry: Entry) -> None:
    pass


class Trainings:
    """Jobs to results, through the journal.

    Args:
        run: opened for writing. What failed there may have failed for want of time or memory, and
            is tried again.
        pool: trains.
        studies: of the journal, whose results are known.
        made_by: version of actsearch that the run was begun with, for people.
        show: called with the progress whenever it changed, and every half second.
        settled: entries of the journal that stand even where they failed.
    """

    def __init__(
        self,
        run: Run,
        pool: Pool,
        studies: Iterable[str],
        made_by: str,
        show: Callable[[Progress], None] = lambda progress: None,
        settled: Iterable[Entry] = (),
    ) -> None:
        self.run, self.pool, self.made_by, self.show = run, pool, made_by, show
        self.progress = Progress()
        self._ended: Ended = _nothing
        self._waiting: dict[str, tuple[str, Job, str, dict[str, Any]]] = {}
        repeatable = (entry for study in studies for entry in run.journal.entries(study))
        sound = (entry for entry in repeatable if entry.result.status is not Status.FAILED)
        self._recorded = {entry.job.key: entry for entry in (*sound, *settled)}

    @property
    def recorded(self) -> list[Entry]:
        """All that ended, what was in the journal first."""
        return list(self._recorded.values())

    def begin(self, stage: str, total: int, ended: Ended = _nothing) -> None:
        """Begin a stage of that many trainings, for the display of progress."""
        self._ended = ended
        self.progress.stage, self.progress.total = stage, total
        self.progress.done = self.progress.fresh = 0
        self.progress.stage_started = time.monotonic()
        self.show(self.progress)

    def submit(
        self, study: str, label: str, job: Job, details: dict[str, Any] | None = None
    ) -> None:
        """Hand a job to the pool, unless the journal has its result.

        Raises:
            RunError: the journal holds another job under the same key.
        """
        recorded = self._recorded.get(job.key)
        if recorded is None:
            self._waiting[job.key] = (study, job, label, details or {})
            self.pool.submit(job)
        else:
            self._check_same(recorded.job, job)
            self._count(recorded)

    def collect(self, timeout: float = _REFRESH_SECONDS) -> None:
        """Record what has come in; each result is on disk before anything depends on it."""
        for result in self.pool.collect(timeout):
            study, job, label, details = self._waiting.pop(result.key)
            entry = Entry(job, result, label, details)
            self.run.journal.append(study, entry)
            self._recorded[result.key] = entry
            self.progress.fresh += 1
            self._count(entry)
        self.show(self.progress)

    def entry_of(self, job: Job) -> Entry:
        """What came of a job that was submitted, when it is there."""
        while job.key not in self._recorded:
            self.collect()
        return self._recorded[job.key]

    def train(
        self,
        stage: str,
        study: str,
        jobs: Sequence[tuple[str, Job]],
        ended: Ended = _nothing,
    ) -> dict[str, Result]:
        """Results by key of all jobs, each with the label of its function, as one stage.

        Raises:
            RunError: the journal holds another job under the same key.
        """
        self.begin(stage, len(jobs), ended)
        for label, job in jobs:
            self.submit(study, label, job)
        return {job.key: self.entry_of(job).result for _, job in jobs}

    def _count(self, entry: Entry) -> None:
        self.progress.done += 1
        self._ended(self.progress, entry)

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

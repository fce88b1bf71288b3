"""A pool with a virtual clock: nothing is trained, and no time passes.

For studies of clusters that nobody has: how busy so many workers would be, and for how long.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from .pool import Evaluate, run_job
from .result import Job, Result


class SimulatedPool:
    """Workers of equal speed that take jobs in the order of submission.

    The clock stands still while the caller computes. `collect` moves it to the next end of a job;
    with a timeout of 0 it does not move. Jobs that end at the same moment come back together, in
    the order of their submission.

    Args:
        evaluate: the result of a job. It is asked when the job is submitted; what it raises
            becomes a `FAILED` result.
        duration: seconds that a job takes, from the job and its result; at least 0. They become
            the result's `seconds`.
        workers: at least 1.

    Raises:
        ValueError: there are no workers, or a duration is negative or not a number.
    """

    def __init__(
        self, evaluate: Evaluate, duration: Callable[[Job, Result], float], workers: int
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers={workers} must be at least 1")
        self.capacity = workers
        self.now = 0.0
        """Seconds on the clock."""
        self._evaluate = evaluate
        self._duration = duration
        self._submitted = 0
        self._free_at = [0.0] * workers
        self._running: list[tuple[float, int, float, Result]] = []
        self._ended_seconds = 0.0

    def submit(self, job: Job) -> None:
        """Give the job to the worker that is free first."""
        result = run_job(self._evaluate, job)
        seconds = self._duration(job, result)
        if not seconds >= 0:
            raise ValueError(f"duration {seconds} of job {job.key} must be at least 0")
        start = max(self.now, heapq.heappop(self._free_at))
        end = start + seconds
        heapq.heappush(self._free_at, end)
        result = replace(result, seconds=seconds)
        heapq.heappush(self._running, (end, self._submitted, start, result))
        self._submitted += 1

    def collect(self, timeout: float | None = None) -> list[Result]:
        """The results of the next moment at which a job ends; see `Pool.collect`."""
        if not self._running:
            return []
        end = self._running[0][0]
        if timeout is not None and end > self.now + timeout:
            self.now += timeout
            return []
        self.now = max(self.now, end)
        ready = []
        while self._running and self._running[0][0] <= self.now:
            result = heapq.heappop(self._running)[3]
            self._ended_seconds += result.seconds
            ready.append(result)
        return ready

    @property
    def busy_seconds(self) -> float:
        """Seconds of all workers together on jobs up to now."""
        under_way = sum(max(0.0, self.now - start) for _, _, start, _ in self._running)
        return self._ended_seconds + under_way

    @property
    def utilisation(self) -> float:
        """Share of the workers' time since the start that went into jobs; 0 at the start."""
        return self.busy_seconds / (self.capacity * self.now) if self.now else 0.0

    def close(self) -> None:
        """Drop unfinished jobs; the time that they took so far stays counted."""
        self._ended_seconds = self.busy_seconds
        self._running.clear()
        self._free_at = [self.now] * self.capacity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""Run jobs and hand back their results: the interface, and a pool without workers.

A pool takes jobs and yields results in the order in which they finish. What goes wrong
while a job runs costs that job: it comes back as a `FAILED` result with a reason.

- `InProcessPool`: runs jobs one by one in the calling process, for debugging.
- `RayPool` (in `ray_pool`): runs jobs on worker processes, on one machine or a cluster.
"""

from __future__ import annotations

import sysconfig
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from .result import Job, Result, Status

Evaluate = Callable[[Job], Result]
"""Runs one training. It may raise; it must be picklable for a pool that has workers."""

_MESSAGE_LENGTH = 300
_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(__file__).parents[1])}
)


class Pool(Protocol):
    """Runs jobs; see the module's text for what every pool promises."""

    capacity: int
    """Jobs that run at the same time; more may be submitted, they wait."""

    def submit(self, job: Job) -> None:
        """Queue a job."""

    def collect(self, timeout: float | None = None) -> list[Result]:
        """Wait for at least one result and return all that are ready.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes.

        The list is empty if time is up, or at once if no job is left.
        """

    def close(self) -> None:
        """Stop all workers and drop unfinished jobs; closing twice is allowed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class InProcessPool:
    """A pool without workers: `collect` runs one job here, so that a debugger reaches it.

    A timeout cannot interrupt the job; only `KeyboardInterrupt` does, and passes through.
    """

    capacity = 1

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._queue: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._queue.append(job)

    def collect(self, timeout: float | None = None) -> list[Result]:
        return [run_job(self._evaluate, self._queue.popleft())] if self._queue else []

    def close(self) -> None:
        self._queue.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_job(evaluate: Evaluate, job: Job) -> Result:
    """Run one training; an exception, or a `sys.exit`, becomes a `FAILED` result."""
    start = time.perf_counter()
    try:
        return evaluate(job)
    except (Exception, SystemExit) as error:
        seconds = time.perf_counter() - start
        return Result(job.key, Status.FAILED, reason=describe(error), seconds=seconds)


def describe(error: BaseException) -> str:
    """One line for an exception, such as `ValueError: bad shape (line 12 of my_task.py)`.

    The place is the innermost frame of the user's own code; if there is none (a library
    called us, or we a library), the innermost frame of all.
    """
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # a __str__ that fails must not hide the error it belongs to
        lines = ["its message cannot be shown"]
    text = type(error).__name__ + (f": {lines[0][:_MESSAGE_LENGTH]}" if lines else "")
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return text
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    place = (own or frames)[-1]
    return f"{text} (line {place.lineno} of {Path(place.filename).name})"

"""A pool of Ray actors: on this machine, or on a running Ray cluster."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Self

import ray

from ..errors import ConfigError, RunError, TaskError
from .pool import Evaluate, describe
from .ray_cluster import check_room, connect
from .ray_worker import Actor
from .result import Job, Result, Status

START_SECONDS = 300.0
"""A worker that is not up by then has failed, unless another one is up."""


@dataclass
class _Attempt:
    """A job on its way, and how often it has failed so far."""

    job: Job
    failures: int = 0


@dataclass
class _Worker:
    """The coordinator's view of one actor.

    Args:
        call: Ray's reference to the call under way; None while idle.
        attempt: what it runs; None while it starts or is idle.
        deadline: monotonic time by which the call has to be back.
    """

    actor: Any
    call: Any
    deadline: float
    attempt: _Attempt | None = None


class RayPool:
    """Runs each job on one of `workers` Ray actors.

    Args:
        evaluate: sent once and loaded once per worker, so what it caches stays there.
        workers: > 0.
        address: of a running Ray cluster; None starts Ray on this machine, on loopback
            only. If this process is already connected to Ray, that connection is used, and
            left open on close.
        cpus_per_worker: > 0, a share for placement only; a worker computes with one thread.
            A local start allows any number, an existing cluster what it has.
        gpus_per_worker: >= 0; a fraction shares a GPU, 0 hides GPUs from the worker.
        job_timeout: > 0, seconds; then the job has failed and its worker is killed.
        attempts: > 0, how often a job may fail, and workers in a row may fail to start.

    A job fails if it raises, exceeds its time, or loses its worker. A worker on a GPU is
    replaced after an exception too, for a CUDA error stays with its process.

    Raises:
        ConfigError: an argument is out of range, Ray does not start or cannot be reached,
            or the cluster has no room for the workers.
        TaskError: `evaluate` cannot be pickled; from `collect`: workers cannot load it.
        RunError: from `collect`: no worker starts.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        *,
        workers: int,
        address: str | None = None,
        cpus_per_worker: float = 1.0,
        gpus_per_worker: float = 0.0,
        job_timeout: float = 600.0,
        attempts: int = 2,
    ) -> None:
        _require_positive("workers", workers)
        _require_positive("cpus_per_worker", cpus_per_worker)
        _require_positive("job_timeout", job_timeout)
        _require_positive("attempts", attempts)
        if not 0 <= gpus_per_worker < math.inf or (gpus_per_worker > 1 and gpus_per_worker % 1):
            raise ConfigError(
                f"gpus_per_worker={gpus_per_worker} must be at least 0, and whole if above 1"
            )
        self.capacity = workers
        self._gpus = gpus_per_worker
        self._job_timeout = job_timeout
        self._attempts = attempts
        self._failed_starts = 0
        self._queue: deque[_Attempt] = deque()
        self._done: list[Result] = []
        self._workers: list[_Worker] = []
        try:
            blob = ray.cloudpickle.dumps(evaluate)
        except Exception as error:
            raise TaskError(f"the task cannot be sent to workers: {describe(error)}") from error
        self._open = True
        self._owns_ray = not ray.is_initialized()
        try:
            if self._owns_ray:
                connect(address, math.ceil(workers * cpus_per_worker))
            check_room(workers, cpus_per_worker, gpus_per_worker)
            self._blob = ray.put(blob)
            self._actor_class: Any = ray.remote(Actor).options(
                num_cpus=cpus_per_worker, num_gpus=gpus_per_worker, max_restarts=0
            )
            for _ in range(workers):
                self._start_worker()
        except BaseException:
            self.close()
            raise

    def submit(self, job: Job) -> None:
        if not self._open:
            raise RunError(f"job {job.key!r} comes after the pool was closed")
        self._queue.append(_Attempt(job))
        self._assign()

    def collect(self, timeout: float | None = None) -> list[Result]:
        limit = math.inf if timeout is None else time.monotonic() + timeout
        while self._queue or any(worker.attempt for worker in self._workers):
            self._advance(limit)
            if self._done or time.monotonic() >= limit:
                break
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._queue.clear()
        if ray.is_initialized():
            for worker in self._workers:
                ray.kill(worker.actor)
            if self._owns_ray:
                ray.shutdown()
        self._workers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _assign(self) -> None:
        """Give waiting jobs to idle workers."""
        for worker in self._workers:
            if self._queue and worker.call is None:
                worker.attempt = self._queue.popleft()
                worker.call = worker.actor.run.remote(worker.attempt.job)
                worker.deadline = time.monotonic() + self._job_timeout

    def _advance(self, limit: float) -> None:
        """Wait for a worker to answer or to be overdue, at most until `limit`; settle those."""
        busy = {worker.call: worker for worker in self._workers if worker.call is not None}
        if not busy:
            return
        until = min(limit, *(worker.deadline for worker in busy.values()))
        ray.wait(list(busy), timeout=max(0.0, until - time.monotonic()))
        # Asked again, for the call above returns one at a time, and none that is overdue may
        # be killed with its result ready.
        ready, _ = ray.wait(list(busy), num_returns=len(busy), timeout=0)
        for call in ready:
            self._settle(busy.pop(call))
        for worker in busy.values():
            if worker.deadline <= time.monotonic():
                self._settle_overdue(worker)
        self._assign()

    def _settle(self, worker: _Worker) -> None:
        attempt = worker.attempt
        try:
            answer = ray.get(worker.call)
        except ray.exceptions.RayError as error:
            self._replace(worker, _reason(error))
            return
        if attempt is None and answer:
            self._replace(worker, answer)
            return
        worker.call = worker.attempt = None
        if attempt is None:
            self._failed_starts = 0
        elif answer.status is not Status.FAILED:
            self._done.append(answer)
        else:
            self._fail(attempt, answer)
            if self._gpus:
                self._replace(worker, "")

    def _settle_overdue(self, worker: _Worker) -> None:
        starting = worker.attempt is None
        if starting and any(other.attempt or not other.call for other in self._workers):
            worker.deadline = math.inf  # it waits for room on a cluster that has other users
        elif starting:
            raise RunError(f"no worker is up after {START_SECONDS:g} s; is the cluster busy?")
        else:
            self._replace(worker, f"no result within the job timeout of {self._job_timeout:g} s")

    def _replace(self, worker: _Worker, reason: str) -> None:
        """Kill a worker, charge what it was doing, and start another."""
        ray.kill(worker.actor)
        self._workers.remove(worker)
        if worker.attempt is not None:
            job = worker.attempt.job
            self._fail(worker.attempt, Result(job.key, Status.FAILED, reason=reason))
        elif worker.call is not None:
            self._failed_starts += 1
            if self._failed_starts >= self._attempts:
                raise TaskError(
                    f"the task cannot be loaded by a worker, tried {self._failed_starts} times: "
                    f"{reason}"
                )
        self._start_worker()

    def _fail(self, attempt: _Attempt, result: Result) -> None:
        """Queue the job again, ahead of the others, or give it up with `result`."""
        attempt.failures += 1
        if attempt.failures < self._attempts:
            self._queue.appendleft(attempt)
        else:
            self._done.append(result)

    def _start_worker(self) -> None:
        actor = self._actor_class.remote()
        call = actor.start.remote(self._blob, sys.path, self._gpus)
        self._workers.append(_Worker(actor, call, time.monotonic() + START_SECONDS))


def _reason(error: ray.exceptions.RayError) -> str:
    """One line for a call that came back without an answer."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "worker died: out of memory"
    if isinstance(error, ray.exceptions.RayTaskError):
        return describe(error.cause or error)
    return "worker died"


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ConfigError(f"{name}={value} must be above 0, and finite")

"""The pool that a command asks for."""

from __future__ import annotations

import os

from ..evaluators.pool import InProcessPool, Pool
from ..evaluators.tasks import Task
from ..evaluators.training import Trainer


def make_pool(
    task: Task,
    *,
    workers: int | None,
    cpus_per_worker: float,
    gpus_per_worker: float,
    address: str | None,
    job_timeout: float,
    in_process: bool,
) -> Pool:
    """Ray workers, or this process; `workers` None is one for each core this process may use.

    Raises:
        ConfigError: Ray cannot give what was asked for.
    """
    trainer = Trainer(task, "cuda" if gpus_per_worker > 0 else "cpu")
    if in_process:
        return InProcessPool(trainer)
    from ..evaluators.ray_pool import RayPool

    return RayPool(
        trainer,
        workers=workers or len(os.sched_getaffinity(0)),
        address=address,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        job_timeout=job_timeout,
    )

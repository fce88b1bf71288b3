"""The pool that a command asks for. Nothing here influences results, but the device."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import ConfigError
from ..evaluators.pool import Evaluate, InProcessPool, Pool


@dataclass(frozen=True)
class PoolOptions:
    """What was asked for on the command line; `workers` None is one for each usable core."""

    workers: int | None = None
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    address: str | None = None
    job_timeout: float = 600.0
    in_process: bool = False

    @property
    def device(self) -> str:
        return "cuda" if self.gpus_per_worker > 0 else "cpu"

    @property
    def worker_count(self) -> int:
        if self.in_process:
            return 1
        return self.workers or len(os.sched_getaffinity(0))

    def flags(self) -> list[str]:
        """The options that differ from the defaults, as typed."""
        default = PoolOptions()
        flags = ["--in-process"] if self.in_process else []
        for name in ("workers", "cpus_per_worker", "gpus_per_worker", "address", "job_timeout"):
            value = getattr(self, name)
            if value != getattr(default, name):
                flags += [f"--{name.replace('_', '-')}", str(value)]
        return flags


def make_pool(trainer: Evaluate, options: PoolOptions) -> Pool:
    """Ray workers, or this process.

    Args:
        trainer: runs a job, on `options.device`.

    Raises:
        ConfigError: Ray cannot give what was asked for, or options contradict each other.
    """
    if options.in_process:
        if len(options.flags()) > 1:
            raise ConfigError(
                f"--in-process has no workers; leave out {' '.join(options.flags()[1:])}"
            )
        return InProcessPool(trainer)
    from ..evaluators.ray_pool import RayPool

    return RayPool(
        trainer,
        workers=options.worker_count,
        address=options.address,
        cpus_per_worker=options.cpus_per_worker,
        gpus_per_worker=options.gpus_per_worker,
        job_timeout=options.job_timeout,
    )

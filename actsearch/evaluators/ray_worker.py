"""What runs in a Ray worker process."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import ray

from .pool import Evaluate, describe, run_job
from .result import Job, Result

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Actor:
    """Loads the evaluate function, then runs jobs one at a time."""

    def start(self, blob: bytes, path: list[str], gpus: float) -> str:
        """Load the evaluate function; return why that failed, or an empty text.

        One compute thread for each worker: float sums depend on how they are split over
        threads, and results must not depend on how many workers share the machine.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        sys.path.extend(entry for entry in path if entry not in sys.path)
        try:
            import torch

            torch.set_num_threads(1)
            with suppress(RuntimeError):  # the process has served someone else's torch before
                torch.set_num_interop_threads(1)
            self._evaluate: Evaluate = ray.cloudpickle.loads(blob)
        except (Exception, SystemExit) as error:
            return describe(error)
        return ""

    def run(self, job: Job) -> Result:
        return run_job(self._evaluate, job)

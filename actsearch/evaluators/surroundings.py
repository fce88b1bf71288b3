"""What a training or a measurement needs of its process, and gives back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


def generators_kept(device: str) -> AbstractContextManager[None]:
    """The global generators, of the CPU and of a device, are afterwards as they were."""
    devices = [] if device == "cpu" else [torch.device(device)]
    return torch.random.fork_rng(devices=devices)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of the CPU, as a worker has.

    Two threads of which one has to wait for a busy core take a turn of the scheduler, 8 ms.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

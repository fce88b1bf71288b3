"""Start Ray on this machine, or join a cluster, and see what fits there."""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import ray
from ray._private import ray_constants

from ..errors import ConfigError
from .pool import describe

_OBJECT_STORE_BYTES = 100 * 2**20
_LOCAL_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Read by Ray on every system, whatever its name says: 0 keeps all sockets on 127.0.0.1.
    ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0",
}


def check_room(workers: int, cpus: float, gpus: float) -> None:
    """Refuse what the cluster could never place; Ray itself would wait forever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = 0
    for node in nodes:
        places = math.floor(node.get("CPU", 0) / cpus + 1e-9)
        if gpus:
            share = math.floor(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
            places = min(places, math.floor(node.get("GPU", 0) * share + 1e-9))
        room += places
    if room < workers:
        total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
        raise ConfigError(
            f"workers={workers} with cpus_per_worker={cpus:g} and gpus_per_worker={gpus:g}: "
            f"Ray has {total['CPU']:g} CPUs and {total['GPU']:g} GPUs, room for {room} workers; "
            "ask for fewer workers or smaller shares"
        )


def connect(address: str | None, cpus: int) -> None:
    """Start Ray on this machine, or join the cluster at `address`, without a word printed."""
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    try:
        with _sigterm_kept(), warnings.catch_warnings(action="ignore"):
            if address is None:
                settings |= {
                    "address": "local",  # not None, for which Ray would follow RAY_ADDRESS
                    "num_cpus": cpus,
                    "include_dashboard": False,
                    "object_store_memory": _OBJECT_STORE_BYTES,
                }
                with _loopback():
                    ray.init(**settings)
            else:
                _knock(address)
                ray.init(address=address, **settings)
        _stop_error_printer()
    except Exception as error:
        ray.shutdown()  # of what a failed start leaves behind
        if address is None:
            raise ConfigError(f"cannot start Ray: {describe(error)}") from error
        raise ConfigError(
            f"cannot join Ray at {address!r}: {describe(error)}; is it a running cluster of "
            f"Ray {ray.__version__}, and does it need RAY_AUTH_MODE=token?"
        ) from error


def _knock(address: str) -> None:
    """Fail fast where nothing listens; Ray tries for minutes and complains on stderr."""
    if "://" in address:
        target = urlsplit(address)
    else:
        target = urlsplit(f"//{ray._private.services.canonicalize_bootstrap_address(address)}")
    socket.create_connection((target.hostname, target.port or 0), timeout=5.0).close()


def _stop_error_printer() -> None:
    """End the thread that prints `(raylet) A worker died ...`, whatever the log level.

    A dead worker is told by its job's result.
    """
    worker: Any = ray._private.worker.global_worker
    with suppress(AttributeError):  # a Ray client has no such thread
        worker.threads_stopped.set()
        worker.gcs_error_subscriber.close()


@contextmanager
def _loopback() -> Iterator[None]:
    """Make a local Ray listen on 127.0.0.1 only.

    `_node_ip_address="127.0.0.1"` is not enough: Ray turns it into the address of a network
    card, then listens on all of them. Its constant is read from the environment on import,
    which may be long past; the variable is for the processes that Ray starts.
    """
    before = dict(os.environ)
    constant = ray_constants.ENABLE_RAY_CLUSTER
    os.environ.update(_LOCAL_ENVIRONMENT)
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = constant
        for name in _LOCAL_ENVIRONMENT:
            os.environ.pop(name)
            if name in before:
                os.environ[name] = before[name]


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Put back the caller's SIGTERM handler; Ray's prints a stack trace of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

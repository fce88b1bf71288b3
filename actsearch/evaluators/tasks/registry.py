"""From a name or FILE.py:Class to a task."""

from __future__ import annotations

import difflib
import inspect
import math
from pathlib import Path
from typing import Any

from actsearch.errors import ActsearchError, ConfigError, TaskError
from actsearch.evaluators.result import Rung

from .anchors import (
    AnchorsCifar10,
    AnchorsDigits,
    AnchorsDigitsWide,
    AnchorsFashionMnist,
    AnchorsMnist1d,
    AnchorsMnist1dWide,
)
from .cifar10 import Cifar10
from .digits import Digits
from .digits_continual import DigitsContinual
from .fashion_mnist import FashionMnist
from .image import Image
from .initial_value import InitialValue
from .mnist1d import Mnist1d, Mnist1dMlp
from .mnist1d_quantised import Mnist1dQuantised
from .periodic import Periodic
from .python_text import PythonText
from .task import Task
from .user_file import file_hash, load_class, one_line

TASKS: dict[str, type[Task]] = {
    "mnist1d": Mnist1d,
    "mnist1d-mlp": Mnist1dMlp,
    "digits": Digits,
    "fashion-mnist": FashionMnist,
    "cifar10": Cifar10,
    "anchors-mnist1d": AnchorsMnist1d,
    "anchors-mnist1d-wide": AnchorsMnist1dWide,
    "anchors-digits": AnchorsDigits,
    "anchors-digits-wide": AnchorsDigitsWide,
    "anchors-fashion-mnist": AnchorsFashionMnist,
    "anchors-cifar10": AnchorsCifar10,
    "digits-continual": DigitsContinual,
    "python-text": PythonText,
    "mnist1d-quantised": Mnist1dQuantised,
    "periodic": Periodic,
    "image": Image,
    "initial-value": InitialValue,
}
"""The embedded tasks by name, the default first."""


def load_task(spec: str, data: Path | None = None, anchors: tuple[str, ...] = ()) -> Task:
    """The task of that name, or of that class in a user's file.

    Args:
        spec: a name in `TASKS`, or FILE.py:Class.
        data: where the task's data are, for tasks whose constructor takes `data`.
        anchors: which networks to use, for tasks whose constructor takes `anchors`; empty for the
            task's own choice.

    Raises:
        ConfigError: no such task; `data` is missing, does not exist or is not wanted; an anchor
            is unknown, or the task takes none.
        TaskError: the user's file or constructor raises, or a setting of the class makes no sense.
    """
    task_class = _find_class(spec)
    arguments = _arguments(spec, task_class, data) | _chosen_anchors(spec, task_class, anchors)
    try:
        task = task_class(**arguments)
    except ActsearchError:
        raise
    except Exception as error:
        raise TaskError(
            f"the constructor of task {spec} raised {type(error).__name__}: {one_line(error)}"
        ) from error
    _check_settings(spec, task)
    return task


def task_fingerprint(spec: str) -> str:
    """sha256 of the user's file, in hexadecimal; "" for an embedded task.

    Raises:
        ConfigError: no such task or file.
    """
    if spec in TASKS:
        return ""
    path, _ = _split_spec(spec)
    return file_hash(path)


def _find_class(spec: str) -> type[Task]:
    if spec in TASKS:
        return TASKS[spec]
    return load_class(*_split_spec(spec))


def _split_spec(spec: str) -> tuple[Path, str]:
    file, colon, class_name = spec.rpartition(":")
    if not colon and spec.endswith(".py"):
        raise ConfigError(f"task {spec!r} names a file but no class; write {spec}:Class")
    if not colon:
        close = difflib.get_close_matches(spec, TASKS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"unknown task {spec!r}; {hint}tasks are {', '.join(TASKS)}, and your own FILE.py:Class"
        )
    if not file.endswith(".py") or not class_name.isidentifier():
        raise ConfigError(f"task {spec!r} must be a name ({', '.join(TASKS)}) or FILE.py:Class")
    return Path(file), class_name


def _arguments(spec: str, task_class: type[Task], data: Path | None) -> dict[str, Any]:
    if data is None:
        wanted = inspect.signature(task_class).parameters.get("data")
        if wanted is not None and wanted.default is inspect.Parameter.empty:
            raise ConfigError(f"task {spec} needs its data; name their folder by --data PATH")
        return {}
    if not _takes(task_class, "data"):
        raise ConfigError(f"task {spec} takes no data path, got --data {data}; leave it out")
    if not data.exists():
        raise ConfigError(f"--data {data} does not exist; task {spec} reads its data there")
    return {"data": data}


def _chosen_anchors(
    spec: str, task_class: type[Task], anchors: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    # A task's own choice, as a resolved configuration records it, is no choice to hand over.
    if not anchors or (anchors == task_class.anchors and not _takes(task_class, "anchors")):
        return {}
    if not _takes(task_class, "anchors"):
        raise ConfigError(
            f"task {spec} has no choice of networks, got anchors {', '.join(anchors)}; "
            "leave them out"
        )
    return {"anchors": anchors}


def _takes(task_class: type[Task], argument: str) -> bool:
    parameters = inspect.signature(task_class).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return argument in parameters or takes_any


def _check_settings(spec: str, task: Task) -> None:
    if not isinstance(task.anchors, tuple) or not all(isinstance(a, str) for a in task.anchors):
        raise TaskError(f"task {spec}: anchors={task.anchors!r} must be a tuple of names")
    for name in ("steps", "batch_size", "groups"):
        value = getattr(task, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise TaskError(f"task {spec}: {name}={value!r} must be a whole number, at least 1")
    rate = task.learning_rate
    if not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise TaskError(f"task {spec}: learning_rate={rate!r} must be a number above 0")
    if not isinstance(task.rungs, tuple) or not all(isinstance(r, Rung) for r in task.rungs):
        raise TaskError(f"task {spec}: rungs={task.rungs!r} must be a tuple of Rung")
    for rung in task.rungs:
        if not 0 < rung.steps < task.steps:
            raise TaskError(
                f"task {spec}: a rung of {rung.steps} steps must lie between 0 and the full "
                f"training of {task.steps}"
            )

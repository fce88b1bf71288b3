"""Imports a user's task class from a Python file, with errors that point into that file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from actsearch.errors import ConfigError, TaskError

from .task import Task


def load_class(path: Path, class_name: str) -> type[Task]:
    """The class of that name, a subclass of `Task`, in the file.

    The file is trusted and run. Its module is pickled by value, so that workers on machines
    without the file can have the task; other files beside it are not sent along, and cannot be
    imported from it.

    Raises:
        ConfigError: no such file, or no such task class in it.
        TaskError: the file raises while it is imported.
    """
    module = _import(path)
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, Task):
        return found
    if found is not None:
        kind = f"a {type(found).__name__}" if not isinstance(found, type) else "a class"
        raise ConfigError(
            f"{class_name} in {path} is {kind}, but must be a subclass of "
            "actsearch.evaluators.tasks.Task"
        )
    tasks = sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Task)
        and value.__module__ == module.__name__
    )
    listing = f"its tasks: {', '.join(tasks)}" if tasks else "it holds no subclass of Task"
    raise ConfigError(f"no class {class_name} in {path}; {listing}")


def file_hash(path: Path) -> str:
    """sha256 of the file, in hexadecimal.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise ConfigError(f"task file {path} does not exist; expected FILE.py:Class") from None
    except OSError as error:
        raise ConfigError(f"task file {path} cannot be read: {error.strerror}") from error


class _Loader(SourceFileLoader):
    """Compiles what the file holds now: no __pycache__ beside it, and none believed."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _import(path: Path) -> ModuleType:
    origin = str(path.resolve())
    name = f"actsearch_task_{path.stem}_{file_hash(path)[:12]}"
    spec = importlib.util.spec_from_file_location(name, origin, loader=_Loader(name, origin))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it runs
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        line = _line_of(error, origin)
        raise TaskError(
            f"task file {path} raised {type(error).__name__} on import{line}: {one_line(error)}"
        ) from error
    _pickle_by_value(module)
    return module


def _line_of(error: BaseException, origin: str) -> str:
    if isinstance(error, SyntaxError) and error.filename == origin:
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == origin]
    return f", line {lines[-1]}" if lines else ""


def one_line(error: BaseException) -> str:
    """The error's message without line breaks; a syntax error's without its place."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(message.split())


def _pickle_by_value(module: ModuleType) -> None:
    # Ray has a copy of cloudpickle with a register of its own. Imported late: Ray takes 0.3 s.
    for library in ("ray.cloudpickle", "cloudpickle"):
        try:
            pickler = importlib.import_module(library)
        except ImportError:
            continue
        pickler.register_pickle_by_value(module)

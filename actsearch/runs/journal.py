"""The append-only record of a run: one Optuna trial for each training that ended.

`journal.log` is Optuna's journal storage, so `optuna.load_study` and `optuna-dashboard` open it.
Candidates are in the study `search`, known activations in `baselines`, and the trainings of the
finals in `finals`. A trial's value is the score, its intermediate values the scores at each rung.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..errors import RunError
from ..evaluators.result import Job, Result, Status

SEARCH, BASELINES, FINALS = "search", "baselines", "finals"
STUDIES = (SEARCH, BASELINES, FINALS)

_STATES = {
    Status.COMPLETE: TrialState.COMPLETE,
    Status.STOPPED: TrialState.PRUNED,
    Status.DIVERGED: TrialState.FAIL,
    Status.REJECTED: TrialState.FAIL,
    Status.FAILED: TrialState.FAIL,
}
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One training that ended.

    Args:
        job: what was asked.
        result: what came of it.
        label: what people call it: a known activation's name, or `#17` for the 17th candidate.
        details: JSON-ready facts of the proposal, such as its decisions and the counts of what
            was rejected before it; in a run that weighs cost also its `penalty`, in score points.
    """

    job: Job
    result: Result
    label: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def standing(self) -> tuple[int, float] | None:
        """The result's standing, less the penalty for cost if the run weighs cost."""
        standing = self.result.standing
        return standing and (standing[0], standing[1] - self.details.get("penalty", 0.0))


class _NoLock:
    """The run directory is locked as a whole, so that its journal needs no lock of its own."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class Journal:
    """Reads and appends entries.

    Args:
        path: `journal.log` of a run directory.
        writable: the caller holds the run's lock; a torn last line is then cut off first.

    Raises:
        RunError: the file is missing, or a record inside it cannot be read; names the line.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.path = path
        self.repaired = repair(path) if writable else 0
        check_lines(path)
        backend: BaseJournalBackend = JournalFileBackend(str(path), lock_obj=_NoLock())  # type: ignore[arg-type]
        self._storage = self._guarded(lambda: JournalStorage(backend))
        self._studies: dict[str, optuna.Study] = {}
        if writable:
            for name in STUDIES:
                if name not in self._storage_names():
                    self._create(name)

    @staticmethod
    def create(path: Path) -> Journal:
        """A new, empty journal."""
        path.touch(exist_ok=False)
        return Journal(path, writable=True)

    def entries(self, study: str) -> list[Entry]:
        """Entries of one study in the order in which they were appended."""

        def read() -> list[Entry]:
            names = self._storage_names()
            if study not in names:
                return []
            loaded = self._study(study)
            return [_entry(trial) for trial in loaded.get_trials(deepcopy=False)]

        return self._guarded(read)

    def append(self, study: str, entry: Entry) -> None:
        """Write an entry, flushed to disk before this returns.

        Raises:
            RunError: the disk is full or the file cannot be written; what was there stays.
        """
        trial, target = _trial(entry), self._study(study)
        try:
            target.add_trial(trial)
        except OSError as error:
            raise self._unusable(error) from error

    def attribute(self, name: str) -> Any:
        """A fact of the whole run, such as its configuration; None if it was never set."""

        def read() -> Any:
            if SEARCH not in self._storage_names():
                return None
            return self._study(SEARCH).user_attrs.get(name)

        return self._guarded(read)

    def set_attribute(self, name: str, value: Any) -> None:
        """Set a fact of the whole run, unless it has that value already."""
        if self.attribute(name) != value:
            self._guarded(lambda: self._study(SEARCH).set_user_attr(name, value))

    def _storage_names(self) -> set[str]:
        return {study.study_name for study in self._storage.get_all_studies()}

    def _study(self, name: str) -> optuna.Study:
        if name not in self._studies:
            self._studies[name] = optuna.load_study(study_name=name, storage=self._storage)
        return self._studies[name]

    def _create(self, name: str) -> None:
        self._studies[name] = self._guarded(
            lambda: optuna.create_study(
                study_name=name, storage=self._storage, direction="maximize"
            )
        )

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except OSError as error:
            raise self._unusable(error) from error
        except (AssertionError, KeyError, ValueError, TypeError, IndexError) as error:
            raise RunError(
                f"{self.path} is not a journal that this version reads "
                f"({type(error).__name__}: {error})"
            ) from error

    def _unusable(self, error: OSError) -> RunError:
        return RunError(
            f"cannot use {self.path}: {error.strerror or error}; nothing recorded is lost, "
            f"free the cause and type: search resume {shlex.quote(str(self.path.parent))}"
        )


def _trial(entry: Entry) -> FrozenTrial:
    score = entry.result.score
    ranked = entry.result.standing is not None
    return create_trial(
        state=_STATES[entry.result.status],
        value=score if ranked else None,
        intermediate_values=dict(enumerate(entry.result.scores)),
        user_attrs={
            "label": entry.label,
            "formula": entry.job.formula,
            "job": asdict(entry.job),
            "result": asdict(entry.result),
            "details": entry.details,
        },
    )


def _entry(trial: FrozenTrial) -> Entry:
    attributes = trial.user_attrs
    return Entry(
        job=Job.from_dict(attributes["job"]),
        result=Result.from_dict(attributes["result"]),
        label=attributes["label"],
        details=attributes["details"],
    )


def repair(path: Path) -> int:
    """Cut off a last line that a kill or a full disk left incomplete.

    Returns:
        The number of bytes removed; 0 if the file ends well.

    Raises:
        RunError: the file is missing or cannot be written.
    """
    try:
        with open(path, "r+b") as file:
            content = file.read()
            end = len(content)
            if content and not content.endswith(b"\n"):
                end = content.rfind(b"\n") + 1
            elif content:
                start = content.rfind(b"\n", 0, end - 1) + 1
                if not _is_record(content[start:]):
                    end = start
            if end < len(content):
                file.truncate(end)
                file.flush()
                os.fsync(file.fileno())
            return len(content) - end
    except OSError as error:
        raise RunError(f"cannot open {path}: {error.strerror}") from error


def check_lines(path: Path) -> None:
    """Check that every line but an unfinished last one is a record.

    Raises:
        RunError: one is not; the message names it. Nothing is skipped in silence.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunError(f"cannot open {path}: {error.strerror}") from error
    for number, line in enumerate(lines[:-1], start=1):
        if not _is_record(line):
            shown = line[:40].decode("utf-8", "replace")
            raise RunError(
                f"{path} line {number} is not a record: '{shown}'; restore the file from a copy, "
                "or remove the line and what follows, and resume"
            )


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and isinstance(record.get("op_code"), int)

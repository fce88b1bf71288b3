"""A run is a directory: config.toml, journal.log, report.html, exports/."""

from __future__ import annotations

import fcntl
import os
import tomllib
from pathlib import Path
from types import TracebackType
from typing import Any

import tomli_w

from ..errors import RunError
from .journal import Journal

CONFIG, JOURNAL, LOCK, REPORT, EXPORTS = (
    "config.toml",
    "journal.log",
    "lock",
    "report.html",
    "exports",
)
SEARCH, COMPARISON = "search", "comparison"
"""What a run directory may hold; `kind` in its configuration, which a search leaves out."""
FORMAT = 1
"""Version of the layout of a run directory; a newer one is refused."""


class Run:
    """An opened run directory. Use as a context manager; `close` gives the lock back.

    Only one process at a time has it open for writing: it holds a lock that the operating
    system frees when the process ends, however it ends, so that no lock is ever stale.
    """

    def __init__(self, path: Path, journal: Journal, lock: int | None) -> None:
        self.path = path
        self.journal = journal
        self._lock = lock

    @classmethod
    def create(cls, path: Path, config: dict[str, Any]) -> Run:
        """Make the directory and write the configuration.

        Raises:
            RunError: the directory exists and is not empty, or cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise RunError(
                    f"{path} is not empty; choose another --out, or continue that run with: "
                    f"search resume {path}"
                )
            lock = _lock(path)
            write_atomically(path / CONFIG, tomli_w.dumps(config).encode())
            run = cls(path, Journal.create(path / JOURNAL), lock)
        except OSError as error:
            raise RunError(f"cannot make the run directory {path}: {error.strerror}") from error
        run.journal.set_attribute("format", FORMAT)
        run.journal.set_attribute("config", config)
        return run

    @classmethod
    def open(cls, path: Path, *, writable: bool = False, kinds: tuple[str, ...] = (SEARCH,)) -> Run:
        """Open an existing run; for writing, take its lock and repair the end of its journal.

        Args:
            kinds: what it may hold.

        Raises:
            RunError: it is missing, half made, of a newer format, damaged, of another kind or,
                for writing, in use by another process.
        """
        if not path.is_dir():
            raise RunError(f"there is no run directory {path}; start one with: search launch")
        if not (path / JOURNAL).is_file():
            raise RunError(
                f"{path} is not a run directory: it has no {JOURNAL}; if its launch was cut off "
                "before it began, remove it and launch again"
            )
        lock = _lock(path) if writable else None
        try:
            journal = Journal(path / JOURNAL, writable=writable)
            run = cls(path, journal, lock)
            found = journal.attribute("format")
            if isinstance(found, int) and found > FORMAT:
                raise RunError(
                    f"{path} has format {found}, and this version of actsearch reads up to "
                    f"{FORMAT}; upgrade actsearch"
                )
            if run.kind not in kinds:
                raise RunError(_of_another_kind(path, run.kind))
            if writable:
                # A launch that was killed at once may not have come to write these.
                journal.set_attribute("format", FORMAT)
                journal.set_attribute("config", run.config())
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        return run

    @property
    def kind(self) -> str:
        """`search` or `comparison`."""
        config = self.journal.attribute("config")
        if config is None:
            # Killed before it was recorded there.
            config = self.config() if (self.path / CONFIG).exists() else {}
        return str(config.get("kind", SEARCH))

    def config(self) -> dict[str, Any]:
        """The resolved configuration, as launched.

        Raises:
            RunError: config.toml is unreadable, or was edited since launch; names what differs.
        """
        recorded = self.journal.attribute("config")
        path = self.path / CONFIG
        if not path.exists():
            if recorded is None:
                raise RunError(f"{self.path} has no {CONFIG}, and none is in its journal")
            return dict(recorded)
        try:
            config = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {path}: {error}") from error
        if recorded is not None:
            edited = sorted(_differences(recorded, config))
            if edited:
                raise RunError(
                    f"{path} was edited since launch ({'; '.join(edited)}); a run continues as it "
                    "was launched: undo the edit, or delete the file and resume restores it, or "
                    "launch a new run with --config"
                )
        return config

    def restore_config(self) -> bool:
        """Write config.toml again from the journal if it is gone; True if it was."""
        path = self.path / CONFIG
        if path.exists():
            return False
        write_atomically(path, tomli_w.dumps(self.config()).encode())
        return True

    def in_use(self) -> bool:
        """Whether another process has the run open for writing."""
        try:
            with open(self.path / LOCK, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def free_directory(name: str) -> Path:
    """The first of `actsearch-runs/NAME-1`, `-2`, ... that does not exist."""
    number = 1
    while (path := Path("actsearch-runs") / f"{name}-{number}").exists():
        number += 1
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a kill leaves the old content or the new, never a part."""
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _of_another_kind(path: Path, kind: str) -> str:
    if kind == COMPARISON:
        return (
            f"{path} holds a comparison, which has no candidates; see it with: search status or "
            "search report, or go on with: search resume"
        )
    return f"{path} holds a {kind}; choose another directory"


def _lock(path: Path) -> int:
    """An open descriptor that holds the run's lock; closing it, or the process's end, frees it."""
    try:
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"cannot lock {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise RunError(
            f"{path} is in use by process {holder or 'unknown'}; wait for it or stop it first"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise RunError(f"cannot lock {path}: {error.strerror}") from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise RunError(f"cannot lock {path}: {error.strerror}") from error
    return descriptor


def _differences(before: Any, after: Any, name: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in {**before, **after}
            for line in _differences(
                before.get(key), after.get(key), f"{name}.{key}" if name else str(key)
            )
        ]
    return [] if before == after else [f"{name}: {before!r} -> {after!r}"]

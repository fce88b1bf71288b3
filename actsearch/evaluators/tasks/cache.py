"""Generated data kept in the user's cache folder, safe against kills and races."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

Arrays = dict[str, np.ndarray]


def cache_folder() -> Path:
    """`ACTSEARCH_CACHE` if set, else the platform's cache folder for actsearch."""
    return Path(os.environ.get("ACTSEARCH_CACHE") or platformdirs.user_cache_dir("actsearch"))


def cached_arrays(name: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays of the file `name`.npz; made, and stored if possible, where it cannot be read.

    Args:
        name: identifies the content; changes with whatever the arrays depend on.
        make: called at most once.
    """
    path = cache_folder() / f"{name}.npz"
    arrays = _read(path)
    if arrays is None:
        arrays = make()
        with contextlib.suppress(OSError):  # no space, no permission: the cache is a convenience
            _write(path, arrays)
    return arrays


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except Exception:  # zipfile, zlib, struct and numpy each have errors of their own for damage
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Write beside `path`, then rename: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

"""Where commands print: tables and JSON to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import ConfigError

stdout = Console(markup=False)
stderr = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def print_json(value: Any) -> None:
    """JSON with sorted keys; what is not finite becomes null."""
    sys.stdout.write(json.dumps(_finite(value), indent=2, sort_keys=True, allow_nan=False) + "\n")


def write(target: Path, default_name: str, content: str | bytes) -> None:
    """Put a text or the bytes of a picture into a file, whole or not at all, and say so.

    Args:
        target: a file, or a folder in which it has the default name; missing folders are made.

    Raises:
        ConfigError: it cannot be written.
    """
    from ..runs.run import write_atomically

    if target.is_dir():
        target = target / default_name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}") from error
    stderr.print(f"wrote {target}")


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: both become null."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

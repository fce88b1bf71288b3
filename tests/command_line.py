"""Commands run in the process of a test, as a user types them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from actsearch.search.cli import main

TASK = Path(__file__).parent / "tiny_task.py"
SETTINGS = """
budget = 20
[strategy]
name = 'evolution'
population_size = 8
tournament_size = 3
[search]
lookback = 4
[finals]
contenders = 2
finalists = 1
seeds = 2
learning_rate_factors = [1.0]
"""


def search(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command, run in this process."""
    before = sys.argv
    sys.argv = ["search", *map(str, arguments)]
    handler = signal.getsignal(signal.SIGTERM)
    try:
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
        signal.signal(signal.SIGTERM, handler)
    out, err = capsys.readouterr()
    return code, out, err


def assert_one_clear_line(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert code == 2, (out, err)
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err

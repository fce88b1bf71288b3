"""The tests that need a GPU or Triton's interpreter, run in the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = [HERE / "test_triton_kernels.py", HERE / "test_numerics_of_kernels.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_passes_in_the_interpreter(path):
    pytest.importorskip("triton", reason="triton is not installed")
    # The interpreter is chosen when triton is first imported, so in a process of its own.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=HERE.parents[2],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and " skipped" not in done.stdout, done.stdout[-1000:]

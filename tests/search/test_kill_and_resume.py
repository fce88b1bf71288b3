"""A run that is killed at any moment and resumed ends as the uninterrupted one, byte for byte."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Clusters of two workers each: one at a time.
pytestmark = pytest.mark.xdist_group("ray")

TASK = Path(__file__).parents[1] / "tiny_task.py"
CLI = [sys.executable, "-m", "actsearch.search.cli"]
SETTINGS = """
seed = 3
budget = 100
[strategy]
name = 'evolution'
population_size = 16
tournament_size = 4
[search]
lookback = 6
[finals]
contenders = 4
finalists = 2
sweep_seeds = 1
seeds = 3
learning_rate_factors = [0.5, 1.0]
"""
# Writes a random part of its n-th record to the journal, then kills its process group.
KILLED_IN_WRITE = """
import json, os, random, signal, sys
from optuna.storages.journal import JournalFileBackend

n, seed = int(sys.argv.pop(1)), int(sys.argv.pop(1))
whole = JournalFileBackend.append_logs
done = 0

def append_logs(self, logs):
    global done
    done += 1
    if done < n:
        return whole(self, logs)
    record = (json.dumps(logs[0]) + "\\n").encode()
    with open(self._file_path, "ab") as file:
        file.write(record[: random.Random(seed).randrange(len(record))])
    os.killpg(0, signal.SIGKILL)

JournalFileBackend.append_logs = append_logs
from actsearch.search.cli import main
main()
"""


def search(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def top(run: Path) -> str:
    done = search("top", run, "-n", 1000, "--json")
    assert done.returncode == 0, done.stderr
    return done.stdout


def launch_arguments(folder: Path, name: str, *pool: object) -> tuple[Path, list[str]]:
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS)
    run = folder / name
    return run, [
        "launch",
        *("--task", f"{TASK}:Tiny", "--config", str(settings), "--out", str(run)),
        *map(str, pool),
    ]


def killed(command: list[str], seconds: float) -> bool:
    """Start a process group and kill all of it after that time; False if it ended before."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    if process.returncode == -signal.SIGKILL:
        return True
    assert process.returncode == 0, errors.decode()
    return False


def next_command(run: Path, launch: list[str], *pool: object) -> list[str]:
    """Resume what there is; launch only if there is nothing to resume."""
    if (run / "journal.log").exists():
        return ["resume", str(run), *map(str, pool)]
    for left in run.glob("*") if run.exists() else ():
        left.unlink()
    return launch


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    run, launch = launch_arguments(tmp_path_factory.mktemp("reference"), "run", "--in-process")
    done = search(*launch)
    assert done.returncode == 0, done.stderr
    return top(run)


@pytest.mark.slow
def test_sigkill_at_random_moments_then_resume_gives_equal_bytes(
    tmp_path: Path, reference: str
) -> None:
    generator = random.Random(11)
    kills = runs = 0
    while kills < 8:
        run, launch = launch_arguments(tmp_path, f"run{runs}", "--in-process")
        runs += 1
        # Importing takes the first second or two; what is killed after it is at work.
        while kills < 8 and killed(
            [*CLI, *next_command(run, launch, "--in-process")], generator.uniform(1.5, 5.0)
        ):
            kills += 1
        done = search(*next_command(run, launch, "--in-process"))
        assert done.returncode == 0, done.stderr
        assert top(run) == reference


@pytest.mark.slow
def test_sigkill_inside_a_journal_write_then_resume_gives_equal_bytes(
    tmp_path: Path, reference: str
) -> None:
    run, launch = launch_arguments(tmp_path, "run", "--in-process")
    generator = random.Random(5)
    # The first six are inside the six records that a launch writes before any result.
    for seed in range(14):
        arguments = next_command(run, launch, "--in-process")
        write = seed + 1 if seed < 6 else generator.randint(1, 25)
        command = [sys.executable, "-c", KILLED_IN_WRITE, str(write), str(seed)]
        assert killed([*command, *arguments], 120), "the run ended before it was killed"
    assert search(*next_command(run, launch, "--in-process")).returncode == 0
    assert top(run) == reference


@pytest.mark.slow
def test_ray_workers_killed_and_resumed_with_another_number_of_them_give_equal_bytes(
    tmp_path: Path, reference: str
) -> None:
    run, launch = launch_arguments(tmp_path, "run", "--workers", 2)
    generator = random.Random(2)
    for workers in (2, 1, 2):
        arguments = next_command(run, launch, "--workers", workers)
        if not killed([*CLI, *arguments], generator.uniform(6.0, 12.0)):
            break
    done = search(*next_command(run, launch, "--workers", 1))
    assert done.returncode == 0, done.stderr
    assert top(run) == reference

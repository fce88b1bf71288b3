"""`search compare` as a user types it: tables, directories, kills, one clear line for bad input."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import SETTINGS, TASK, assert_one_clear_line, search

from actsearch.primitives import known_activations

CLI = [sys.executable, "-m", "actsearch.search.cli"]
TINY = ("--task", f"{TASK}:Tiny")
FUNCTIONS = ("relu", "gelu", "x*tanh(softplus(x))")


def without_times(text: str) -> str:
    table = json.loads(text)
    table.pop("times")
    return json.dumps(table)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The directory of a comparison of three functions, and its JSON."""
    path = tmp_path_factory.mktemp("compare") / "run"
    done = subprocess.run(
        [
            *CLI,
            "compare",
            *FUNCTIONS,
            *TINY,
            "--seeds",
            "3",
            "--in-process",
            *("--json", "--out", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return path, done.stdout


def test_the_table_has_each_function_its_time_and_its_difference(
    finished: tuple[Path, str],
) -> None:
    table = json.loads(finished[1])
    assert {row["label"] for row in table["functions"]} == set(FUNCTIONS)
    assert table["task"] == "tiny_task.py:Tiny"
    for row in table["functions"]:
        assert len(row["scores"]) == 3
        assert (row["difference"] is None) is (row["label"] == "relu")
        assert 0 < table["times"]["step_ms"][row["label"]] < 1_000
        assert 0.1 < table["times"]["of_unit"][row["label"]] < 10
    assert {path.name for path in finished[0].iterdir()} == {
        *("config.toml", "journal.log", "lock"),
        *("report.html", "comparison.svg", "comparison.png"),
    }


def test_the_same_command_goes_on_and_another_is_refused(
    finished: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, expected = finished
    before = (path / "journal.log").read_bytes()
    options = (*TINY, "--seeds", 3, "--in-process", "--out", path)
    code, out, err = search("compare", *FUNCTIONS, *options, "--json", capsys=capsys)
    assert code == 0, err
    # Nothing is trained or measured again, so the times are the same too.
    assert out == expected
    assert (path / "journal.log").read_bytes() == before
    other = search("compare", "relu", "gelu", *options, capsys=capsys)
    assert_one_clear_line(other, "holds another comparison", "entrants differ", "search resume")
    more = search("compare", *FUNCTIONS, *options, "--seed", 1, capsys=capsys)
    assert_one_clear_line(more, "its seed differ")


def test_the_other_commands_know_a_comparison_or_refuse_it_in_a_line(
    finished: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, _ = finished
    code, out, _ = search("status", path, capsys=capsys)
    assert code == 0
    assert "finished" in out
    assert "9 final" in out
    code, out, _ = search("status", path, "--json", capsys=capsys)
    assert json.loads(out)["stages"]["final"] == 9
    code, _, _ = search("report", path, "--out", tmp_path / "page.html", capsys=capsys)
    assert code == 0
    page = (tmp_path / "page.html").read_text()
    assert page == (path / "report.html").read_text()
    assert "<svg" in page
    assert "src=" not in page
    assert "http-equiv" in page
    code, out, _ = search("resume", path, "--in-process", capsys=capsys)
    assert code == 0
    assert "Highest mean" in out
    for command in (("top", path), ("export", path), ("compare", "relu", f"{path}#1")):
        assert_one_clear_line(search(*command, capsys=capsys), "holds a comparison")


def test_a_candidate_of_a_run_takes_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.toml").write_text(SETTINGS)
    run = tmp_path / "run"
    options = (*TINY, "--in-process")
    settings = ("--config", tmp_path / "settings.toml")
    assert search("launch", *options, *settings, "--out", run, capsys=capsys)[0] == 0
    out = tmp_path / "out"
    arguments = ("compare", "relu", f"{run}#1", *options, "--seeds", 2, "--json", "--out", out)
    code, printed, err = search(*arguments, capsys=capsys)
    assert code == 0, err
    labels = {row["label"] for row in json.loads(printed)["functions"]}
    assert "relu" in labels
    assert labels == {"relu", "run#1"} or json.loads(printed)["merged"] == {"run#1": "relu"}
    refused = search("compare", "relu", "gelu", *options, "--out", run, capsys=capsys)
    assert_one_clear_line(refused, "holds a search")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["needs two different functions, got 0"]),
        (["relu"], ["needs two different functions, got 1"]),
        (["silu", "swish"], ["got 1; swish is silu again"]),
        (["relu", "sofplus(x)"], ["unknown operator 'sofplus'", "did you mean 'softplus'?"]),
        (["relu", "gelu", "--task", "minst1d"], ["did you mean 'mnist1d'?"]),
        (["relu", "gelu", "--seeds", "1"], ["seeds=1 must be at least 2"]),
        (["relu", "gelu", "--seeds", "many"], ["--seeds"]),
        (["relu", "gelu", "--seed", "-1"], ["seed=-1 must be at least 0"]),
        (["relu", "gelu", "--against", "geru"], ["unknown name 'geru'"]),
        (["relu", "no/such/run#1"], ["no run directory no/such/run"]),
        (["relu", "u*sigmoid(u)"], ["u*sigmoid(u) cannot be compared", "reads x, or u and v"]),
        (["relu", "gelu", "--data", "/no/such"], ["/no/such"]),
        (["relu", "gelu", "--task", f"{TASK}:BrokenModel"], ["ValueError: no such layer"]),
        (["relu", "gelu", "--workers", "0"], ["--workers"]),
        (["relu", "gelu", "--in-process", "--workers", "2"], ["--in-process has no workers"]),
        (["relu", "--zoo", "al"], ["unknown name 'al'"]),
        (["relu", "--zoo=al"], ["zoo 'al' must be one of: standard, all"]),
        (["relu", "gelu", "--colour", "red"], ["colour"]),
    ],
)
def test_a_bad_argument_is_one_line(
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    task = () if "--task" in arguments else TINY
    code, out, err = search("compare", *task, *arguments, capsys=capsys)
    assert code == 2, err
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    for word in words:
        assert word in lines[0]


def test_the_directory_is_named_after_the_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        arguments = ("relu", "gelu", *TINY, "--seeds", 2, "--in-process")
        code, out, _ = search("compare", *arguments, capsys=capsys)
        assert code == 0
        assert (tmp_path / f"actsearch-runs/compare-Tiny-{number}/report.html").is_file()
        assert "Difference from relu on the same seeds" in out


def test_against_names_the_reference_whether_it_is_compared_already_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*TINY, "--seeds", 2, "--in-process", "--json")
    for number, (against, reference, count) in enumerate(
        [("x*sigmoid(x)", "silu", 2), ("tanh", "tanh", 3)]
    ):
        out = tmp_path / str(number)
        arguments = ("relu", "silu", "--against", against, "--out", out)
        code, printed, err = search("compare", *arguments, *options, capsys=capsys)
        assert code == 0, err
        table = json.loads(printed)
        assert table["reference"] == reference
        assert len(table["functions"]) == count


def test_the_standard_zoo_is_halved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = (*TINY, "--seeds", 2, "--in-process", "--json", "--out", tmp_path / "run")
    code, printed, err = search("compare", "--zoo", "x*atan(x)", *options, capsys=capsys)
    assert code == 0, err
    table = json.loads(printed)
    (only,) = table["halving"]
    assert len(only["functions"]) == 16
    assert sum(row["goes_on"] for row in only["functions"]) == 8
    assert {row["label"] for row in only["functions"]} <= set(known_activations())
    assert len(table["functions"]) == 9
    assert table["reference"] == "x*atan(x)"


def start(path: Path, *pool: str) -> list[str]:
    arguments = ["compare", *FUNCTIONS, "tanh", "elu", *TINY, "--seeds", "6", "--json"]
    return [*CLI, *arguments, "--out", str(path), *pool]


def run_killed(command: list[str], seconds: float) -> bool:
    """Start a process group and kill all of it after that time; False if it ended before."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def ended(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_sigkill_at_random_moments_and_the_same_command_give_equal_bytes(tmp_path: Path) -> None:
    expected = without_times(ended(start(tmp_path / "whole", "--in-process")))
    generator = random.Random(3)
    kills = 0
    for number in range(3):
        path = tmp_path / f"run{number}"
        for _ in range(3):
            kills += run_killed(start(path, "--in-process"), generator.uniform(2.5, 5.0))
            if path.exists() and not (path / "journal.log").exists():
                for left in path.glob("*"):
                    left.unlink()
        assert without_times(ended(start(path, "--in-process"))) == expected
    assert kills > 2


@pytest.mark.slow
def test_an_interrupt_says_how_to_go_on_and_resume_does(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = subprocess.Popen(
        start(path, "--in-process"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    journal = path / "journal.log"
    while process.poll() is None and (not journal.exists() or journal.stat().st_size < 30_000):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "trainings are on disk" in err
    assert "best so far" in err
    assert f"search resume {path} --in-process" in err
    status = ended([*CLI, "status", str(path)])
    assert "stopped" in status
    refused = subprocess.run(
        [*CLI, "report", str(path)], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "is not finished; go on with: search resume" in refused.stderr
    ended([*CLI, "resume", str(path), "--in-process"])
    whole = ended(start(tmp_path / "whole", "--in-process"))
    assert without_times(ended(start(path, "--in-process"))) == without_times(whole)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_ray_workers_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    expected: Any = without_times(ended(start(tmp_path / "one", "--in-process")))
    assert without_times(ended(start(tmp_path / "two", "--workers", "2"))) == expected

"""The commands as a user types them: one clear line for bad input, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from command_line import SETTINGS, TASK, assert_one_clear_line, search
from typer.testing import CliRunner

from actsearch.search.cli import app

CLI = [sys.executable, "-m", "actsearch.search.cli"]


def launch_command(folder: Path, run: Path) -> list[str]:
    """Launch with the settings of that folder, in a process of its own."""
    pool = ("--in-process", "--task", f"{TASK}:Tiny")
    return [*CLI, "launch", *pool, "--config", f"{folder}/settings.toml", "--out", str(run)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of twenty tiny candidates."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "settings.toml").write_text(SETTINGS)
    done = subprocess.run(
        launch_command(folder, folder / "run"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "By search score" in done.stdout
    assert "search export" in done.stderr
    return folder / "run"


def test_every_command_has_help() -> None:
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert set(commands) == {
        *("launch", "resume", "status", "top", "eval", "cost", "export", "report", "compare"),
        *("derive", "zoo", "mix", "show"),
    }
    for command in commands:
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        assert len(shown.output) > 200


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("__import__('os')", ["unexpected character", "column 12"]),
        ("(" * 10_000, ["nested more than 64 levels", "column 65"]),
        ("(" * 5_000 + "x" + ")" * 5_000, ["characters; at most"]),
        ("x*sofplus(x)", ["unknown operator 'sofplus' at column 3", "did you mean 'softplus'?"]),
        ("mul(x)", ["'mul' takes 2 arguments, got 1"]),
        ("", ["formula is empty"]),
        ("   ", ["formula is empty"]),
        ("x*σ(x)", ["plain ASCII", "column 3"]),
        ("x +", ["got the end at column"]),
        ("beta*x", ["unknown name 'beta'", "beta[1]"]),
        ("x*u", ["mixes the inputs"]),
        ("no/such/run", ["unknown name"]),
    ],
)
def test_a_bad_formula_is_one_line_with_its_column(
    formula: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_clear_line(search("eval", formula, capsys=capsys), *words)
    if "/" not in formula:
        assert_one_clear_line(search("export", formula, capsys=capsys), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "0"], ["budget=0 must be at least 1"]),
        (["--budget", "many"], ["--budget"]),
        (["--seed", "-1"], ["seed=-1 must be at least 0"]),
        (["--space", "unary"], ["unknown space 'unary'", "unary-binary"]),
        (["--strategy", "evolutoin"], ["unknown strategy", "did you mean 'evolution'?"]),
        (["--task", "minst1d"], ["unknown task 'minst1d'", "did you mean 'mnist1d'?"]),
        (["--task", "missing.py:Task"], ["missing.py"]),
        (["--task", f"{TASK}:Nothing"], ["Nothing", "Tiny"]),
        (["--task", "fashion-mnist", "--data", "/no/such/folder"], ["/no/such/folder"]),
        (["--config", "missing.toml"], ["no configuration file missing.toml"]),
        (["--workers", "0"], ["--workers"]),
        (["--cost-weight", "-1"], ["search.cost_weight=-1.0 must be at least 0"]),
        (["--colour", "red"], ["--colour"]),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_nothing_behind(
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_clear_line(search("launch", *arguments, capsys=capsys), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = [", ["cannot read the configuration file"]),
        ("sed = 1", ["unknown setting 'sed'", "did you mean 'seed'?"]),
        ("[search]\nlookbak = 1", ["unknown setting 'search.lookbak'"]),
        ("strategy = 3", ["strategy"]),
        ('budget = "many"', ["budget='many'"]),
        ("[space]\nunits = 9", ["units=9 must be 1 to 3"]),
        ("[strategy]\nname = 'evolution'\ntournament_size = 1000", ["tournament_size=1000"]),
        ("[training]\nrungs = [{steps = 9}, {steps = 3}]", ["rungs=[9, 3]"]),
        ("[training]\nrungs = [{stps = 9}]", ["unknown setting 'training.rungs.stps'"]),
        ("[finals]\nseeds = 1", ["finals.seeds=1 must be at least 2"]),
        ("finals = []", ["finals"]),
        ("[strategy]\nname = 3", ["strategy.name"]),
        ("[finals]\nlearning_rate_factors = [1.0, 1.0]", ["must be different numbers"]),
        ("[screens]\nwidest = -1", ["screens.widest"]),
        ("[screens]\nlargest = nan", ["screens.largest=nan must be above 0"]),
        ("[screens]\nhighest_chi = nan", ["screens.lowest_chi"]),
        ("[training]\nkeep = nan", ["training.keep=nan"]),
        ("[search]\ncost_weight = inf", ["search.cost_weight=inf must be at least 0"]),
        ("[costs]\nexp = 0", ["costs.exp=0.0 must be above 0"]),
    ],
)
def test_a_bad_configuration_names_the_setting(
    text: str, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text(text)
    arguments = ("launch", "--config", tmp_path / "bad.toml", "--out", tmp_path / "run")
    assert_one_clear_line(search(*arguments, capsys=capsys), *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("1/0", ["raised ZeroDivisionError on import"]),
        ("def (", ["SyntaxError"]),
        (
            "from actsearch.evaluators.tasks import Task\n"
            "class MyTask(Task):\n    def load(self):\n        raise OSError('disk on fire')\n",
            ["disk on fire"],
        ),
        (
            f"import sys; sys.path.insert(0, {str(TASK.parent)!r})\n"
            "from tiny_task import BrokenModel as MyTask",
            ["no such layer"],
        ),
        (
            f"import sys; sys.path.insert(0, {str(TASK.parent)!r})\n"
            "from tiny_task import BrokenMidway as MyTask",
            ["lost the data"],
        ),
        (
            f"import sys; sys.path.insert(0, {str(TASK.parent)!r})\n"
            "from tiny_task import AlwaysNan as MyTask",
            ["not finite"],
        ),
    ],
)
def test_a_broken_task_ends_in_one_line(
    body: str, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "my_model.py").write_text(body)
    arguments = ("--task", f"{tmp_path / 'my_model.py'}:MyTask", "--out", tmp_path / "run")
    code, out, err = search("launch", "--in-process", *arguments, capsys=capsys)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]


@pytest.mark.parametrize("command", ["resume", "status", "top", "report", "export"])
def test_a_run_that_is_missing_or_damaged_is_one_line(
    command: str, finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert_one_clear_line(search(command, tmp_path / "none", capsys=capsys), "no run directory")
    assert_one_clear_line(search(command, tmp_path, capsys=capsys), "not a run directory")
    broken = tmp_path / "broken"
    broken.mkdir()
    journal = (finished / "journal.log").read_bytes().splitlines(keepends=True)
    (broken / "journal.log").write_bytes(b"".join([*journal[:3], b"noise\n", *journal[3:]]))
    assert_one_clear_line(search(command, broken, capsys=capsys), "line 4 is not a record")


def test_resuming_a_finished_run_trains_nothing_and_prints_the_same(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "journal.log").read_bytes()
    board = search("top", finished, "--json", capsys=capsys)
    assert search("resume", finished, "--in-process", capsys=capsys)[0] == 0
    assert search("top", finished, "--json", capsys=capsys) == board
    assert (finished / "journal.log").read_bytes() == before


def test_a_task_file_changed_since_launch_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text(TASK.read_text())
    (tmp_path / "settings.toml").write_text(SETTINGS.replace("budget = 20", "budget = 2"))
    arguments = ("--task", f"{own}:Tiny", "--config", tmp_path / "settings.toml")
    out = tmp_path / "run"
    assert search("launch", "--in-process", *arguments, "--out", out, capsys=capsys)[0] == 0
    own.write_text(TASK.read_text() + "\n")
    assert_one_clear_line(search("resume", out, "--in-process", capsys=capsys), "changed since")


def test_top_and_status_agree_and_hold_no_clock(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text, _ = search("top", finished, "-n", 100, "--json", capsys=capsys)
    board = json.loads(text)
    assert "seconds" not in text
    assert [row["rank"] for row in board["candidates"]] == list(
        range(1, len(board["candidates"]) + 1)
    )
    assert len(board["baselines"]) == 11
    _, text, _ = search("status", finished, "--json", capsys=capsys)
    facts = json.loads(text)
    assert facts["state"] == "finished"
    assert facts["trained"] == board["trained"] == 20
    assert facts["best"]["score"] == board["candidates"][0]["score"]
    assert facts["proposed"] == 20 + sum(facts["rejected"].values())
    _, text, _ = search("status", finished, capsys=capsys)
    assert "20 of 20 candidates trained" in text
    _, text, _ = search("top", finished, "-n", 3, capsys=capsys)
    assert "gelu" in text


def test_eval_prints_value_and_slope(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = search(
        "eval", "x*sigmoid(1.702*x)", "--at", "-1,0,2.5", "--json", capsys=capsys
    )
    result = json.loads(text)
    assert code == 0
    assert result["canonical"] == "mul(x, sigmoid(mul(1.702, x)))"
    assert [point["x"] for point in result["points"]] == [-1, 0, 2.5]
    assert result["points"][1] == {"x": 0, "f": 0, "f'": 0.5}
    _, text, _ = search("eval", "gelu", "--at", "1", "--dtype", "bfloat16", "--json", capsys=capsys)
    assert json.loads(text)["points"][0]["f"] == 0.83984375
    _, text, _ = search("eval", "swiglu", "--at", "0:3", capsys=capsys)
    assert "df/du" in text
    assert_one_clear_line(search("eval", "relu", "--at", "one", capsys=capsys), "'one'")
    assert_one_clear_line(search("eval", "relu", "--dtype", "int8", capsys=capsys), "int8")


def test_cost_prints_a_row_for_each_function_beside_the_references(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actsearch.evaluators.cost._SECONDS", 0.0005)
    options = ("--dtype", "bfloat16", "--elements", 1000)
    code, text, _ = search("cost", "-x*tanh(x)", "swiglu", *options, "--json", capsys=capsys)
    assert code == 0
    report = json.loads(text)
    rows = {row["name"]: row for row in report["rows"]}
    names = ["a plain copy", "torch relu", "torch gelu", "-x*tanh(x)", "swiglu"]
    assert [row["name"] for row in report["rows"]] == names
    # 1000 elements are rounded up to whole rows of 64 channels.
    assert report["elements"] == rows["swiglu"]["elements"] == 1024
    assert [rows[name]["forward_bytes"] for name in names] == [4, 4, 4, 4, 6]
    assert [rows[name]["backward_bytes"] for name in names] == [None, 6, 6, 6, 10]
    assert rows["-x*tanh(x)"]["canonical"] == "mul(neg(x), tanh(x))"
    code, text, _ = search("cost", "mish", *options, capsys=capsys)
    assert code == 0
    assert "bfloat16, 1,024 elements" in text
    assert [line.split()[0] for line in text.splitlines() if " forward " in line] == [
        *("a", "torch", "torch", "mish"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["relu", "--dtype", "int8"], ["unknown dtype 'int8'", "bfloat16"]),
        (["relu", "--elements", "0"], ["elements=0 must be 1 to"]),
        (["relu", "--elements", "9" * 30], ["must be 1 to"]),
        (["relu", "--elements", "9999999999"], ["GiB are free", "fewer elements"]),
        (["relu", "--device", "tpu"], ["unknown device 'tpu'"]),
        (["relu", "--device", "cuda:99"], ["no device 'cuda:99'"]),
        (["relu", "1 + 2"], ["reads no input"]),
        (["sofplus(x)"], ["did you mean 'softplus'?"]),
        ([], ["EXPR"]),
    ],
)
def test_a_cost_that_cannot_be_measured_is_one_line(
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actsearch.evaluators.cost._SECONDS", 0.0005)
    assert_one_clear_line(search("cost", *arguments, capsys=capsys), *words)


def test_top_measures_costs_only_when_asked(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actsearch.evaluators.cost._SECONDS", 0.0005)
    _, plain, _ = search("top", finished, "-n", 1, "--json", capsys=capsys)
    code, text, err = search("top", finished, "-n", 1, "--cost", "--json", capsys=capsys)
    assert code == 0
    assert "measuring 12 functions" in err
    board = json.loads(text)
    assert board["measured_on"]["device"] == "cpu" and board["measured_on"]["threads"] == 1
    rows = [*board["candidates"], *board["baselines"]]
    costs = [row.pop("cost") for row in rows]
    relu = costs[0]["ns"] / costs[0]["of_relu"]
    for cost in costs:
        assert cost["ns"] > 0
        assert cost["of_relu"] == pytest.approx(cost["ns"] / relu)
    del board["measured_on"]
    assert board == json.loads(plain)
    _, text, _ = search("top", finished, "-n", 1, "--cost", capsys=capsys)
    assert "x relu" in text
    assert "nanoseconds per element" in text


def test_a_formula_may_begin_with_a_minus_sign(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = search("eval", "-x*tanh(x)", "--at", "-1", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(text)["canonical"] == "mul(neg(x), tanh(x))"


def test_json_holds_null_where_a_value_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = search("eval", "1/x", "--at", "0", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(text, parse_constant=pytest.fail)["points"][0]["f"] is None


def test_an_operator_without_a_derivative_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_clear_line(search("eval", "sinc_slope(x)", capsys=capsys), "itself a derivative")


def test_a_copied_configuration_with_another_task_keeps_that_tasks_own_settings(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "other.py").write_text(
        TASK.read_text() + "\n\nclass Longer(Tiny):\n    steps = 15\n    learning_rate = 0.5\n"
    )
    arguments = ("--task", f"{tmp_path / 'other.py'}:Longer", "--out", tmp_path / "run")
    code, _, err = search(
        "launch", "--in-process", "--config", finished / "config.toml", *arguments, capsys=capsys
    )
    assert code == 0
    assert "of the other task are left out" in err
    assert "no difference can be significant" in err
    copied = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert copied["training"]["learning_rate"] == 0.5
    assert [rung["steps"] for rung in copied["training"]["rungs"]] == [4, 15]
    assert copied["budget"] == 20


def test_a_task_with_rungs_out_of_order_is_refused_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        TASK.read_text() + "\n\nclass Mixed(Tiny):\n    rungs = (Rung(8), Rung(4))\n"
    )
    arguments = ("--task", f"{tmp_path / 'own.py'}:Mixed", "--out", tmp_path / "run")
    assert_one_clear_line(search("launch", *arguments, capsys=capsys), "rungs=[8, 4, 12]")


def test_output_into_a_folder_gets_the_default_name(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert search("export", finished, "--out", tmp_path, capsys=capsys)[0] == 0
    assert search("report", finished, "--out", tmp_path, capsys=capsys)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"rank_1.py", "report.html"}


def test_contradictory_workers_are_refused(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = search("resume", finished, "--in-process", "--workers", 2, capsys=capsys)
    assert result[0] == 2
    assert "leave out --workers 2" in result[2]


def test_export_as_triton_kernels(capsys):
    code, out, _ = search("export", "gelu", "--format", "triton", capsys=capsys)
    assert code == 0
    assert "@triton.jit" in out and "class Gelu(nn.Module):" in out
    mistyped = search("export", "gelu", "--format", "tritn", capsys=capsys)
    assert_one_clear_line(mistyped, "did you mean 'triton'")


def test_export_of_a_run_is_a_module_with_its_provenance(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert search("export", finished, capsys=capsys)[0] == 0
    text = (finished / "exports" / "rank_1.py").read_text()
    assert "class Discovered(nn.Module)" in text
    assert "candidate #" in text
    assert "actsearch" not in [line.split()[1] for line in text.splitlines() if "import " in line]
    out = tmp_path / "sub" / "mine.py"
    assert search("export", finished, "--rank", 2, "--out", out, capsys=capsys)[0] == 0
    assert out.exists()
    result = search("export", finished, "--rank", 9999, capsys=capsys)
    assert_one_clear_line(result, "--rank 9999 is too high")
    code, text, _ = search("export", "gelu", capsys=capsys)
    assert code == 0
    assert "class Gelu(nn.Module)" in text


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(SETTINGS.replace("budget = 20", "budget = 3000"))
    run = tmp_path / "run"
    process = subprocess.Popen(
        launch_command(tmp_path, run),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = run / "journal.log"
    limit = time.monotonic() + 60
    while not journal.exists() or journal.stat().st_size < 30_000:
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert "best so far: " in err
    assert f"go on with:  search resume {run} --in-process" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_loses_nothing_that_was_recorded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small file system")
    try:
        (tmp_path / "settings.toml").write_text(SETTINGS)
        arguments = ("--task", f"{TASK}:Tiny", "--config", tmp_path / "settings.toml")
        run = disk / "run"
        code, _, err = search("launch", "--in-process", *arguments, "--out", run, capsys=capsys)
        assert code == 2
        assert "No space left on device" in err
        assert "Traceback" not in err
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        code, _, err = search("resume", run, "--in-process", capsys=capsys)
        assert code == 0, err
        _, resumed, _ = search("top", run, "--json", capsys=capsys)
        whole = tmp_path / "whole"
        search("launch", "--in-process", *arguments, "--out", whole, capsys=capsys)
        _, expected, _ = search("top", whole, "--json", capsys=capsys)
        assert resumed == expected
    finally:
        subprocess.run(["umount", str(disk)], check=False)

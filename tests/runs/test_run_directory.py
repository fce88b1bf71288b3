"""Run directories and their journals, whole and damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from actsearch.errors import RunError
from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.runs.journal import BASELINES, SEARCH, STUDIES, Entry
from actsearch.runs.leaderboard import leaderboard, ranked
from actsearch.runs.run import Run

CONFIG = {"seed": 0, "budget": 4, "space": {"name": "unary-binary", "units": 2}}


def entry(index: int, status: Status, scores: tuple[float, ...], study: str = SEARCH) -> Entry:
    key = f"{study}/{index}"
    return Entry(
        Job(key, "mul(x, sigmoid(x))", 1, 0.1, (Rung(4, True), Rung(12)), (0.5,)),
        Result(key, status, scores, ((12, 0.25),), "because" * (not scores), 1.5),
        f"#{index}",
        {"index": index, "decisions": {"units": "1"}, "known": None, "proposed": index + 1},
    )


ENTRIES = [
    entry(0, Status.COMPLETE, (0.5, 0.75)),
    entry(1, Status.STOPPED, (0.4,)),
    entry(2, Status.DIVERGED, (0.6,)),
    entry(3, Status.FAILED, ()),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed run of four candidates."""
    with Run.create(tmp_path / "run", CONFIG) as run:
        for made in ENTRIES:
            run.journal.append(SEARCH, made)
    return tmp_path / "run"


def test_entries_and_attributes_come_back_equal(path: Path) -> None:
    with Run.open(path) as run:
        assert run.journal.entries(SEARCH) == ENTRIES
        assert run.journal.entries(BASELINES) == []
        assert run.journal.attribute("nothing") is None
        assert run.config() == CONFIG


def test_optuna_loads_the_journal_and_its_values_are_the_scores(path: Path) -> None:
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(path / "journal.log"))
    )
    assert {s.study_name for s in storage.get_all_studies()} == set(STUDIES)
    study = optuna.load_study(study_name="search", storage=storage)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert [t.value for t in study.trials] == [0.75, 0.4, None, None]
    assert [t.state for t in study.trials] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.FAIL,
    ]
    assert study.trials[0].intermediate_values == {0: 0.5, 1: 0.75}
    assert study.best_value == 0.75


def test_nothing_that_diverged_or_failed_ranks(path: Path) -> None:
    with Run.open(path) as run:
        board = leaderboard(run.journal)
    assert [row["label"] for row in board["candidates"]] == ["#0", "#1"]
    assert board["unranked"] == 2


def test_ranks_go_by_rung_then_score_then_order() -> None:
    made = [
        entry(0, Status.STOPPED, (0.9,)),
        entry(1, Status.COMPLETE, (0.5, 0.6)),
        entry(2, Status.COMPLETE, (0.5, 0.7)),
        entry(3, Status.COMPLETE, (0.4, 0.7)),
    ]
    for order in (made, made[::-1]):
        assert [e.label for e in ranked(order)] == ["#2", "#3", "#1", "#0"]


def test_a_journal_cut_anywhere_in_its_last_record_loses_that_record_alone(path: Path) -> None:
    journal = path / "journal.log"
    whole = journal.read_bytes()
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(start, len(whole)):
        journal.write_bytes(whole[:end])
        with Run.open(path) as reader:  # a reader leaves an unfinished line alone
            assert reader.journal.entries(SEARCH) == ENTRIES[:3]
        assert journal.read_bytes() == whole[:end]
        with Run.open(path, writable=True) as run:
            assert run.journal.repaired == end - start
            run.journal.append(SEARCH, ENTRIES[3])
        with Run.open(path) as run:
            assert run.journal.entries(SEARCH) == ENTRIES


def test_a_broken_record_inside_is_named_by_its_line_and_never_skipped(path: Path) -> None:
    journal = path / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    for content in (b"garbage\n", b"{}\n", b"\n", b"[1, 2]\n", b'{"op_code": "x"}\n'):
        journal.write_bytes(b"".join([*lines[:4], content, *lines[5:]]))
        for writable in (False, True):
            with pytest.raises(RunError, match=r"journal\.log line 5 is not a record"):
                Run.open(path, writable=writable)
    assert len(journal.read_bytes().splitlines()) == len(lines)


def test_a_record_of_another_program_is_one_clear_error(path: Path) -> None:
    journal = path / "journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 99, "worker_id": "w"}\n{"op_code": 4}\n')
    with pytest.raises(RunError, match="not a journal that this version reads"):
        Run.open(path)


def test_a_second_writer_is_refused_and_named(path: Path) -> None:
    with Run.open(path, writable=True) as run:
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            Run.open(path, writable=True)
        with Run.open(path) as reader:  # readers may look on
            assert reader.in_use()
        assert run.journal.entries(SEARCH) == ENTRIES
    with Run.open(path, writable=True):
        pass


def test_the_lock_of_a_killed_process_is_no_lock(path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from actsearch.runs.run import Run; "
            "run = Run.open(Path(sys.argv[1]), writable=True); print('open', flush=True); "
            "time.sleep(60)",
            str(path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(RunError, match=f"in use by process {holder.pid}"):
        Run.open(path, writable=True)
    holder.kill()
    holder.wait()
    (path / "journal.log.lock").symlink_to("journal.log")  # what Optuna's own lock would leave
    with Run.open(path, writable=True) as run:
        run.journal.append(SEARCH, entry(4, Status.STOPPED, (0.1,)))
        assert len(run.journal.entries(SEARCH)) == 5


def test_missing_half_made_and_newer_directories_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run directory"):
        Run.open(tmp_path / "nowhere")
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.toml").write_text("seed = 0\n")
    with pytest.raises(RunError, match="not a run directory: it has no journal"):
        Run.open(half)
    with Run.open(path, writable=True) as run:
        run.journal.set_attribute("format", 99)
    with pytest.raises(
        RunError, match=r"has format 99, and this version .* reads up to 1; upgrade"
    ):
        Run.open(path)


def test_a_directory_with_something_in_it_is_not_overwritten(path: Path) -> None:
    before = (path / "journal.log").read_bytes()
    with pytest.raises(RunError, match="is not empty; choose another --out"):
        Run.create(path, CONFIG)
    assert (path / "journal.log").read_bytes() == before


def test_an_edited_configuration_is_refused_and_says_what_differs(path: Path) -> None:
    text = (path / "config.toml").read_text()
    (path / "config.toml").write_text(text.replace("units = 2", "units = 3"))
    with Run.open(path) as run, pytest.raises(RunError, match=r"space\.units: 2 -> 3"):
        run.config()
    (path / "config.toml").write_text("seed = [")
    with Run.open(path) as run, pytest.raises(RunError, match="cannot read"):
        run.config()


def test_a_missing_configuration_is_restored_from_the_journal(path: Path) -> None:
    text = (path / "config.toml").read_text()
    (path / "config.toml").unlink()
    with Run.open(path, writable=True) as run:
        assert run.config() == CONFIG
        assert run.restore_config()
    assert (path / "config.toml").read_text() == text

"""The virtual clock against schedules worked out by hand, and the engine on it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from surroundings import values_as_spectrum
from tiny_task import Tiny

from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.evaluators.simulated_pool import SimulatedPool
from actsearch.evaluators.training import Trainer
from actsearch.runs.leaderboard import leaderboard
from actsearch.runs.run import Run
from actsearch.search.config import load_config
from actsearch.search.engine import Engine


def job(key: str) -> Job:
    return Job(key, "x", seed=0, learning_rate=0.1, rungs=(Rung(1),))


def by_hand(*durations: float, workers: int) -> SimulatedPool:
    """A pool that was given one job for each duration; the job's key is its number."""
    pool = SimulatedPool(
        lambda job: Result(job.key, Status.COMPLETE, (1.0,)),
        lambda job, result: durations[int(job.key)],
        workers,
    )
    for number in range(len(durations)):
        pool.submit(job(str(number)))
    return pool


def test_jobs_start_in_order_on_the_worker_that_is_free_first() -> None:
    # One worker: 0 from 0 to 4, 4 from 4 to 10; the other: 1 from 0 to 1, 2 to 3, 3 to 5.
    pool = by_hand(4, 1, 2, 2, 6, workers=2)
    ends = []
    while ready := pool.collect():
        ends += [(pool.now, result.key, result.seconds) for result in ready]
    assert ends == [(1, "1", 1), (3, "2", 2), (4, "0", 4), (5, "3", 2), (10, "4", 6)]
    assert pool.busy_seconds == 15
    assert pool.utilisation == 15 / (2 * 10)


def test_busy_seconds_count_jobs_under_way_up_to_now() -> None:
    pool = by_hand(4, 1, 2, workers=2)
    assert pool.busy_seconds == pool.utilisation == 0
    pool.collect()
    # At 1 the jobs 0 and 1 have run for a second each, and 2 has just begun.
    assert pool.busy_seconds == 2
    assert pool.collect(0.5) == []
    assert pool.now == 1.5
    assert pool.busy_seconds == 3
    assert pool.utilisation == 1


def test_a_timeout_moves_the_clock_no_further_than_the_next_end() -> None:
    pool = by_hand(4, workers=1)
    assert pool.collect(0) == []
    assert pool.now == 0
    assert pool.collect(3) == []
    assert pool.now == 3
    assert [result.key for result in pool.collect(3)] == ["0"]
    assert pool.now == 4


def test_jobs_that_end_together_come_together_in_the_order_of_submission() -> None:
    pool = by_hand(2, 1, 1, 2, workers=3)
    assert [result.key for result in pool.collect()] == ["1", "2"]
    assert [result.key for result in pool.collect()] == ["0"]
    assert [result.key for result in pool.collect()] == ["3"]


def test_a_job_submitted_later_starts_later() -> None:
    pool = by_hand(1, 5, workers=2)
    pool.collect()
    pool.submit(job("0"))
    pool.collect()
    assert pool.now == 2
    assert pool.busy_seconds == 4


def test_a_raising_job_fails_and_its_time_counts() -> None:
    def broken(job: Job) -> Result:
        raise RuntimeError("boom")

    pool = SimulatedPool(broken, lambda job, result: 2.0, workers=1)
    pool.submit(job("0"))
    (result,) = pool.collect()
    assert result.status is Status.FAILED
    assert result.reason.startswith("RuntimeError: boom")
    assert pool.busy_seconds == result.seconds == 2


def test_closing_drops_jobs_and_keeps_the_time_they_took() -> None:
    pool = by_hand(3, 8, workers=2)
    pool.collect()
    pool.close()
    pool.close()
    assert pool.collect() == []
    assert pool.busy_seconds == 6


@pytest.mark.parametrize("duration", [-1.0, float("nan")])
def test_a_duration_below_zero_is_refused(duration: float) -> None:
    with pytest.raises(ValueError, match="duration"):
        by_hand(duration, workers=1)


def test_a_pool_without_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="workers=0"):
        by_hand(workers=0)


def uneven(job: Job, result: Result) -> float:
    """Seconds that depend on the job alone, long ones among them."""
    return random.Random(job.formula).lognormvariate(0, 1) * len(result.scores)


def searched(path: Path, workers: int) -> tuple[dict[str, Any], SimulatedPool]:
    settings = load_config(
        {
            "budget": 60,
            "strategy": {"name": "evolution", "population_size": 12, "tournament_size": 4},
            "search": {"lookback": 20},
            "training": {"learning_rate": 0.02, "rungs": [{"steps": 4}, {"steps": 12}]},
            "finals": {"finalists": 0},
        }
    )
    with (
        Run.create(path, settings.to_dict()) as run,
        SimulatedPool(Trainer(Tiny()), uneven, workers) as pool,
    ):
        Engine(settings, run, pool, values_as_spectrum).search()
        return leaderboard(run.journal), pool


def test_the_engine_finds_the_same_with_any_number_of_workers_only_sooner(tmp_path: Path) -> None:
    runs = {workers: searched(tmp_path / str(workers), workers) for workers in (1, 7, 100)}
    boards = {json.dumps(board) for board, _ in runs.values()}
    assert len(boards) == 1
    pools = [pool for _, pool in runs.values()]
    assert pools[0].now > pools[1].now > pools[2].now
    assert [pool.busy_seconds for pool in pools] == pytest.approx([pools[0].now] * 3)
    # No more than lookback trainings are ever under way, so most of 100 workers idle.
    assert pools[0].utilisation == pytest.approx(1)
    assert pools[2].utilisation < 0.2

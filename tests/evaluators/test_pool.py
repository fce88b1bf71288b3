"""Every pool keeps the same promises; a pool of workers also survives their deaths."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import ray
import torch

from actsearch.errors import ConfigError, RunError, TaskError
from actsearch.evaluators import ray_cluster
from actsearch.evaluators.pool import InProcessPool, Pool, describe
from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Job, Result, Rung, Status

# Clusters of two workers each: one at a time.
pytestmark = pytest.mark.xdist_group("ray")

# Workers cannot import a test module.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

JOB_TIMEOUT = 4.0


def job(key: str, formula: str = "score") -> Job:
    return Job(key=key, formula=formula, seed=len(key), learning_rate=0.1, rungs=(Rung(steps=1),))


@dataclass
class Script:
    """Does what the job's formula says; `marks` is a folder that outlives a worker."""

    marks: Path

    def __call__(self, job: Job) -> Result:
        scores = getattr(self, job.formula)(job) or (1.0,)
        return Result(key=job.key, status=Status.COMPLETE, scores=scores)

    def score(self, job: Job) -> tuple[float, ...]:
        return (float(len(job.key)),)

    def boom(self, job: Job) -> NoReturn:
        raise RuntimeError("boom\nand a second line")

    def leave(self, job: Job) -> NoReturn:
        sys.exit("no data")

    def slow(self, job: Job) -> None:
        time.sleep(1.0)

    def hang(self, job: Job) -> NoReturn:
        while True:
            pass

    def die(self, job: Job) -> NoReturn:
        os._exit(1)

    def die_once(self, job: Job) -> None:
        if self._first_time(job):
            os._exit(1)

    def killed_once(self, job: Job) -> None:
        if self._first_time(job):
            os.kill(os.getpid(), signal.SIGKILL)

    def boom_once(self, job: Job) -> None:
        if self._first_time(job):
            self.boom(job)

    def process(self, job: Job) -> tuple[float, ...]:
        return (float(os.getpid()),)

    def threads(self, job: Job) -> tuple[float, ...]:
        environment = int(os.environ["OMP_NUM_THREADS"])
        return (torch.get_num_threads(), torch.get_num_interop_threads(), environment)

    def meet(self, job: Job) -> None:
        """Return when another job is here too."""
        (self.marks / job.key).touch()
        while len(list(self.marks.glob("meet*"))) < 2:
            time.sleep(0.01)

    def train(self, job: Job) -> tuple[float, ...]:
        torch.manual_seed(job.seed)
        layers = [torch.nn.Linear(200, 200), torch.nn.Tanh(), torch.nn.Linear(200, 1)]
        model = torch.nn.Sequential(*layers)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        data = torch.randn(1000, 200)
        for _ in range(10):
            loss = (model(data) - data[:, :1]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return (loss.item(), model[0].weight.sum().item())

    def _first_time(self, job: Job) -> bool:
        mark = self.marks / job.key
        seen = mark.exists()
        mark.touch()
        return not seen


def run(pool: Pool, *jobs: Job) -> dict[str, Result]:
    """Submit the jobs and collect until each has come back exactly once."""
    for each in jobs:
        pool.submit(each)
    results: list[Result] = []
    while batch := pool.collect():
        results += batch
    assert sorted(result.key for result in results) == sorted(each.key for each in jobs)
    return {result.key: result for result in results}


class PoolContract:
    def test_every_job_comes_back_once(self, pool: Pool) -> None:
        results = run(pool, *[job("j" * length) for length in range(1, 11)])
        assert {result.score for result in results.values()} == set(range(1, 11))
        assert {result.status for result in results.values()} == {Status.COMPLETE}

    def test_a_raising_job_fails_with_one_line(self, pool: Pool) -> None:
        result = run(pool, job("good"), job("bad", "boom"))["bad"]
        assert result.status is Status.FAILED
        start, _, place = result.reason.partition(" (")
        assert start == "RuntimeError: boom"
        line = Script.boom.__code__.co_firstlineno + 1
        assert place == f"line {line} of test_pool.py)"

    def test_a_job_that_exits_python_fails(self, pool: Pool) -> None:
        result = run(pool, job("bad", "leave"))["bad"]
        assert result.status is Status.FAILED
        assert result.reason.startswith("SystemExit: no data")

    def test_nothing_to_collect_does_not_block(self, pool: Pool) -> None:
        assert pool.collect() == []

    def test_has_room_for_a_job(self, pool: Pool) -> None:
        assert pool.capacity >= 1


class TestInProcessPool(PoolContract):
    @pytest.fixture
    def pool(self, tmp_path: Path) -> Iterator[Pool]:
        with InProcessPool(Script(tmp_path)) as pool:
            yield pool

    def test_keyboard_interrupt_passes(self) -> None:
        def interrupt(job: Job) -> Result:
            raise KeyboardInterrupt

        pool = InProcessPool(interrupt)
        pool.submit(job("a"))
        with pytest.raises(KeyboardInterrupt):
            pool.collect()

    def test_close_drops_what_is_left(self, pool: Pool) -> None:
        pool.submit(job("a"))
        pool.close()
        pool.close()
        assert pool.collect() == []


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray that belongs to the caller, with a GPU that exists in its books only."""
    with ray_cluster._loopback():
        ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False)
    yield
    assert ray.is_initialized(), "a pool shut down a Ray that it did not start"
    ray.shutdown()


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marks")


@pytest.fixture(scope="module")
def ray_pool(cluster: None, marks: Path) -> Iterator[RayPool]:
    with RayPool(Script(marks), workers=2, job_timeout=JOB_TIMEOUT) as pool:
        yield pool


@pytest.mark.slow
class TestRayPool(PoolContract):
    @pytest.fixture
    def pool(self, ray_pool: RayPool) -> RayPool:
        return ray_pool

    def test_jobs_run_at_the_same_time(self, pool: RayPool) -> None:
        assert pool.capacity == 2
        results = run(pool, job("meet1", "meet"), job("meet2", "meet"))
        assert {result.status for result in results.values()} == {Status.COMPLETE}

    def test_collect_returns_when_time_is_up(self, pool: RayPool) -> None:
        pool.submit(job("s", "slow"))
        assert pool.collect(timeout=0.05) == []
        assert [result.key for result in pool.collect()] == ["s"]

    def test_a_job_gets_a_second_chance(self, pool: RayPool) -> None:
        once = ("die_once", "killed_once", "boom_once")
        results = run(pool, *[job(f"first-{formula}", formula) for formula in once])
        assert {result.status for result in results.values()} == {Status.COMPLETE}

    def test_a_job_that_always_kills_its_worker_fails_alone(self, pool: RayPool) -> None:
        results = run(pool, job("bad", "die"), *[job(f"good{i}") for i in range(5)])
        bad = results.pop("bad")
        assert (bad.status, bad.reason) == (Status.FAILED, "worker died")
        assert {result.status for result in results.values()} == {Status.COMPLETE}

    def test_a_job_that_hangs_fails_alone(self, pool: RayPool) -> None:
        results = run(pool, job("bad", "hang"), *[job(f"good{i}") for i in range(5)])
        bad = results.pop("bad")
        assert (bad.status, bad.reason) == (
            Status.FAILED,
            "no result within the job timeout of 4 s",
        )
        assert {result.status for result in results.values()} == {Status.COMPLETE}

    def test_results_do_not_depend_on_the_number_of_workers(
        self, pool: RayPool, marks: Path
    ) -> None:
        jobs = [job("t" * length, "train") for length in range(1, 5)]
        jobs += [job(f"threads{i}", "threads") for i in range(4)]
        by_two = run(pool, *jobs)
        with RayPool(Script(marks), workers=1) as single:
            by_one = run(single, *jobs)
        assert {key: result.scores for key, result in by_one.items()} == {
            key: result.scores for key, result in by_two.items()
        }
        assert by_one["threads0"].scores == (1, 1, 1)

    def test_an_exception_on_a_gpu_replaces_the_worker(self, cluster: None, marks: Path) -> None:
        with RayPool(Script(marks), workers=1, gpus_per_worker=1, attempts=1) as pool:
            before = run(pool, job("a", "process"))["a"].score
            assert run(pool, job("b", "process"))["b"].score == before
            assert run(pool, job("bad", "boom"))["bad"].reason.startswith("RuntimeError: boom")
            assert run(pool, job("c", "process"))["c"].score != before

    @pytest.mark.parametrize(
        "shares",
        [
            {"workers": 2, "gpus_per_worker": 1.0},
            {"workers": 2, "gpus_per_worker": 0.6},
            {"workers": 1, "gpus_per_worker": 2.0},
            {"workers": 2, "cpus_per_worker": 3.0},
        ],
    )
    def test_more_than_the_cluster_has_is_refused(
        self, cluster: None, marks: Path, shares: dict[str, float]
    ) -> None:
        with pytest.raises(ConfigError, match="Ray has 4 CPUs and 1 GPUs, room for"):
            RayPool(Script(marks), **shares)

    def test_a_task_that_workers_cannot_load_is_an_error(self, cluster: None) -> None:
        def missing() -> NoReturn:
            raise ModuleNotFoundError("No module named 'my_task'")

        class Broken:
            def __call__(self, job: Job) -> Result:
                raise NotImplementedError

            def __reduce__(self) -> tuple[object, ...]:
                return missing, ()

        with RayPool(Broken(), workers=1) as pool:
            pool.submit(job("a"))
            with pytest.raises(TaskError, match=r"tried 2 times: ModuleNotFoundError: No module"):
                pool.collect()

    def test_a_closed_pool_takes_no_job(self, cluster: None, marks: Path) -> None:
        pool = RayPool(Script(marks), workers=1)
        pool.close()
        pool.close()
        with pytest.raises(RunError, match="'late'"):
            pool.submit(job("late"))


def test_a_task_that_cannot_be_pickled_is_an_error() -> None:
    lock = threading.Lock()

    def evaluate(job: Job) -> Result:
        with lock:
            raise NotImplementedError

    with pytest.raises(TaskError, match="cannot be sent to workers: TypeError: cannot pickle"):
        RayPool(evaluate, workers=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": 0},
        {"workers": 1, "cpus_per_worker": 0.0},
        {"workers": 1, "gpus_per_worker": -1.0},
        {"workers": 1, "gpus_per_worker": 1.5},
        {"workers": 1, "job_timeout": float("nan")},
        {"workers": 1, "attempts": 0},
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(settings: dict[str, float]) -> None:
    name = list(settings)[-1]
    with pytest.raises(ConfigError, match=f"^{name}="):
        RayPool(Script(Path()), **settings)


class TestDescribe:
    def test_names_the_line_of_the_user_not_of_the_library(self) -> None:
        with pytest.raises(json.JSONDecodeError) as caught:
            json.loads("{")
        text = describe(caught.value)
        assert text.startswith("JSONDecodeError: Expecting property name")
        assert text.endswith(" of test_pool.py)")

    def test_takes_the_first_line_only(self) -> None:
        assert describe(ValueError("\none\ntwo")) == "ValueError: one"

    def test_needs_no_message(self) -> None:
        assert describe(ValueError()) == "ValueError"

    def test_survives_a_message_that_raises(self) -> None:
        class RudeError(Exception):
            def __str__(self) -> str:
                raise ValueError

        assert describe(RudeError()) == "RudeError: its message cannot be shown"


LOCAL_RUN = """
import os, sys, time
from actsearch.evaluators.ray_pool import RayPool
from actsearch.evaluators.result import Job, Result, Rung, Status

def evaluate(job):
    if job.formula == "die":
        os._exit(1)
    while job.formula == "hang":
        pass
    time.sleep(0.2)
    return Result(job.key, Status.COMPLETE, (float(os.getpid()),))

def job(formula):
    return Job(formula, formula, 0, 0.1, (Rung(1),))

try:
    with RayPool(evaluate, workers=2) as pool:
        pool.submit(job("die"))
        while not pool.collect():
            pass
        pids = set()
        while len(pids) < 2:  # one that is only starting would outlive a kill by 26 s
            pool.submit(job("score"))
            pids |= {result.score for result in pool.collect(timeout=0.1)}
        pool.submit(job("hang"))
        print("ready", flush=True)
        sys.stdin.readline()
except KeyboardInterrupt:
    print("interrupted")
"""


def processes_of(session: int) -> set[int]:
    """Live processes of a session; Ray's workers leave the group, but not the session."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it is gone
        if int(its_session) == session and state != "Z":
            found.add(int(stat.parent.name))
    return found


def listening_addresses(processes: set[int]) -> set[str]:
    """Hexadecimal addresses, as in /proc/net/tcp, on which these processes listen."""
    inodes = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    rows = [
        row.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for row in Path(table).read_text().splitlines()[1:]
    ]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("end", "output"),
    [("kill", "ready\n"), ("interrupt", "ready\ninterrupted\n"), ("close", "ready\n")],
)
def test_a_local_ray_is_silent_stays_on_loopback_and_leaves_nothing(
    end: str, output: str, tmp_path: Path
) -> None:
    script = tmp_path / "local_run.py"
    script.write_text(LOCAL_RUN)
    driver = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert driver.stdin is not None and driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    processes = processes_of(driver.pid)
    assert len(processes) > 5
    addresses = listening_addresses(processes)
    assert addresses and addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}

    if end == "kill":
        os.killpg(driver.pid, signal.SIGKILL)
    elif end == "interrupt":
        os.killpg(driver.pid, signal.SIGINT)
    shown, complaints = driver.communicate(input="\n" if end == "close" else None, timeout=30)
    assert ("ready\n" + shown, complaints) == (output, "")
    deadline = time.monotonic() + 30
    while left := processes_of(driver.pid):
        assert time.monotonic() < deadline, f"processes left: {left}"
        time.sleep(0.1)

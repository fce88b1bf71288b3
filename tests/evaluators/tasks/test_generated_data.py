"""MNIST-1D, its cache, and scikit-learn's digits."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from actsearch.evaluators.tasks import Splits, load_task
from actsearch.evaluators.tasks.cache import cached_arrays


def _rows(inputs: Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in inputs}


def _everything(splits: Splits) -> bytes:
    parts = (splits.train, splits.validation, splits.final)
    return b"".join(t.numpy().tobytes() for s in parts for t in (s.inputs, s.targets))


@pytest.mark.parametrize(("name", "shape"), [("mnist1d", (1, 40)), ("mnist1d-mlp", (40,))])
def test_mnist1d_splits_have_their_sizes_and_share_no_signal(name, shape):
    splits = load_task(name).load()
    parts = [splits.train, splits.validation, splits.final]
    assert [len(part) for part in parts] == [4000, 2000, 4000]
    for part in parts:
        assert part.inputs.shape[1:] == shape and part.inputs.dtype == torch.float32
        assert part.targets.dtype == torch.int64 and part.targets.unique().tolist() == [*range(10)]
    assert len(set.union(*(_rows(part.inputs) for part in parts))) == 10_000


def test_both_mnist1d_tasks_see_the_same_signals():
    cnn, mlp = load_task("mnist1d").load(), load_task("mnist1d-mlp").load()
    assert _everything(cnn) == _everything(mlp)


def test_generating_mnist1d_repeats_and_leaves_the_global_generators_alone(monkeypatch, tmp_path):
    from_cache = _everything(load_task("mnist1d").load())
    monkeypatch.setenv("ACTSEARCH_CACHE", str(tmp_path / "fresh"))
    random.seed(123)
    np.random.seed(123)
    python, numpy, torch_ = random.getstate(), np.random.get_state(), torch.get_rng_state()

    generated = load_task("mnist1d").load()

    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))
    assert torch.equal(torch.get_rng_state(), torch_)
    assert _everything(generated) == from_cache
    assert len(list((tmp_path / "fresh").iterdir())) == 1


def test_mnist1d_needs_no_network_and_no_generator_once_cached():
    load_task("mnist1d").load()
    script = (
        "import socket, sys\n"
        "socket.socket.connect = None\n"
        "sys.modules['mnist1d.data'] = None\n"
        "from actsearch.evaluators.tasks import load_task\n"
        "assert len(load_task('mnist1d').load().train) == 4000\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def _make() -> dict[str, np.ndarray]:
    return {"values": np.arange(1000)}


def _refuse() -> dict[str, np.ndarray]:
    raise AssertionError("made again although cached")


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("ACTSEARCH_CACHE", str(tmp_path))
    return tmp_path


def test_cached_arrays_are_made_once(cache):
    cached_arrays("a", _make)
    assert np.array_equal(cached_arrays("a", _refuse)["values"], np.arange(1000))


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "flipped", "pickled"])
def test_damaged_cache_file_is_made_again(cache, damage):
    cached_arrays("a", _make)
    path = cache / "a.npz"
    whole = path.read_bytes()
    if damage == "pickled":
        np.savez(path, values=np.array([object()]))
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        content = {"empty": b"", "cut": whole[:middle], "garbage": b"x" * 99, "flipped": flipped}
        path.write_bytes(content[damage])

    assert np.array_equal(cached_arrays("a", _make)["values"], np.arange(1000))
    assert np.array_equal(cached_arrays("a", _refuse)["values"], np.arange(1000))


def test_cache_folder_that_cannot_be_written_costs_only_time(monkeypatch, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("a file where the folder should be")
    monkeypatch.setenv("ACTSEARCH_CACHE", str(blocker / "cache"))
    assert np.array_equal(cached_arrays("a", _make)["values"], np.arange(1000))


def _write_for_ever(number: int, folder: str) -> None:
    from actsearch.evaluators.tasks.cache import _write

    while True:
        _write(Path(folder) / "a.npz", {"values": np.full(50_000, number)})


def test_cache_is_whole_at_every_moment_of_a_race_and_after_a_kill(cache):
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_write_for_ever, args=(number, str(cache))) for number in range(3)
    ]
    for writer in writers:
        writer.start()
    try:
        deadline = time.monotonic() + 20
        while not (cache / "a.npz").exists():
            assert time.monotonic() < deadline, "no writer wrote"
            time.sleep(0.01)
        for _ in range(100):
            assert len(set(cached_arrays("a", _refuse)["values"].tolist())) == 1
    finally:
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    values = cached_arrays("a", _refuse)["values"]
    assert values.shape == (50_000,) and len(set(values.tolist())) == 1


def test_digits_splits_are_disjoint_stratified_and_standardised():
    from sklearn.datasets import load_digits

    splits = load_task("digits").load()
    parts = [splits.train, splits.validation, splits.final]
    assert [len(part) for part in parts] == [1077, 360, 360]
    joined = torch.cat([part.inputs for part in parts])
    assert len(_rows(joined)) == len(np.unique(load_digits().data, axis=0)) == 1797
    for part in parts:
        shares = torch.bincount(part.targets, minlength=10) / len(part)
        assert shares.min() > 0.09 and shares.max() < 0.11
    assert splits.train.inputs.mean().item() == pytest.approx(0, abs=1e-4)
    assert splits.train.inputs.std().item() == pytest.approx(1, abs=1e-3)


def test_digits_train_for_twenty_epochs_at_a_constant_rate():
    task = load_task("digits")
    assert task.steps == 20 * (1077 // 128)
    optimizer = task.optimizer([torch.nn.Parameter(torch.zeros(1))], 1e-3)
    schedule = task.schedule(optimizer, 1e-3, task.steps)
    for _ in range(task.steps):
        assert optimizer.param_groups[0]["lr"] == 1e-3
        optimizer.step()
        schedule.step()


def test_digits_repeat():
    assert _everything(load_task("digits").load()) == _everything(load_task("digits").load())

"""Tiny data sets in the published formats, and a training loop of ten lines."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from actsearch.evaluators.tasks import ActivationFactory, Splits, Task


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory):
    """One cache folder for the session, so that MNIST-1D is generated once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACTSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def train() -> Callable[..., list[float]]:
    def train(task: Task, splits: Splits, steps: int) -> tuple[nn.Module, list[float]]:
        """The trained model and the loss at each step, with ReLU, in order of the data."""
        torch.manual_seed(0)
        model = task.build_model(ActivationFactory(lambda channels, dim: nn.ReLU()))
        task.initialise(model, 2**0.5)
        optimizer = task.optimizer(model.parameters(), task.learning_rate)
        schedule = task.schedule(optimizer, task.learning_rate, steps)
        generator = torch.Generator().manual_seed(0)
        losses = []
        for step in range(steps):
            batch = torch.arange(step * task.batch_size, (step + 1) * task.batch_size)
            batch %= len(splits.train)
            inputs = task.augment(splits.train.inputs[batch], generator)
            loss = task.loss(model(inputs), splits.train.targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        return model.eval(), losses

    return train


@pytest.fixture
def fashion_folder(tmp_path: Path) -> Path:
    """Fashion-MNIST of 30 + 10 images; the training images gzipped, all else not."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    random = np.random.RandomState(0)
    for part, count in (("train", 30), ("t10k", 10)):
        images = random.randint(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.randint(0, 10, count, dtype=np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    plain = folder / "train-images-idx3-ubyte"
    plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return folder


@pytest.fixture
def cifar_batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name of each batch -> images (4, 3072) uint8, labels (4,) uint8."""
    random = np.random.RandomState(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return {
        name: (
            random.randint(0, 256, (4, 3072), dtype=np.uint8),
            random.randint(0, 10, 4, dtype=np.uint8),
        )
        for name in names
    }


@pytest.fixture
def cifar_folder(tmp_path: Path, cifar_batches) -> Path:
    """The "python version" of `cifar_batches`."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, (images, labels) in cifar_batches.items():
        content = {b"data": images, b"labels": labels.tolist(), b"batch_label": name.encode()}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def idx_bytes(values: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.tobytes()


@pytest.fixture(name="idx_bytes")
def _idx_bytes() -> Callable[[np.ndarray], bytes]:
    return idx_bytes

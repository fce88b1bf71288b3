from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from actsearch.errors import TaskError
from actsearch.evaluators.tasks import load_task
from actsearch.evaluators.tasks.idx import read_idx
from actsearch.evaluators.tasks.images import channel_statistics, standardise

_INSTALLED = Path("/usr/share/datasets/fashion-mnist")


def _assert_refuses(path: Path, axes: int, message: str) -> None:
    with pytest.raises(TaskError) as caught:
        read_idx(path, axes)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1,), (7,), (0,), (3, 5, 2), (300, 1, 4)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_reads_back_what_was_written(tmp_path, idx_bytes, shape, suffix):
    values = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"values{suffix}"
    content = idx_bytes(values)
    path.write_bytes(gzip.compress(content) if suffix else content)
    read = read_idx(path, len(shape))
    assert read.dtype == np.uint8 and np.array_equal(read, values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b"\x00\x00\x0d" + b[3:], "must start with 00000803, got 00000d03"),
        (lambda b: b"\x00\x00\x08\x01" + b[4:], "must start with 00000803, got 00000801"),
        (lambda b: b"PK" + b[2:], "got 504b0803"),
        (lambda b: b[:9], "cut short inside its header of 16 bytes"),
        (lambda b: b"", "cut short inside its header"),
        (lambda b: b[:-1], "promises 24 values, it holds 23"),
        (lambda b: b + b"x", "promises 24 values, it holds 25"),
        (lambda b: b[:4] + b"\xff" * 12 + b[16:], "it holds 24"),
    ],
)
def test_damaged_idx_is_refused_in_one_line(tmp_path, idx_bytes, damage, message):
    content = damage(idx_bytes(np.zeros((2, 3, 4), np.uint8)))
    plain, zipped = tmp_path / "images", tmp_path / "images.gz"
    plain.write_bytes(content)
    zipped.write_bytes(gzip.compress(content))
    _assert_refuses(plain, 3, message)
    _assert_refuses(zipped, 3, message)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-20], lambda b: b"x" + b, lambda b: b[:-6] + b"abcdef"]
)
def test_damaged_gzip_is_refused_in_one_line(tmp_path, idx_bytes, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)))))
    _assert_refuses(path, 1, "cannot be read")


def test_fashion_mnist_reads_zipped_and_plain_files(fashion_folder):
    splits = load_task("fashion-mnist", fashion_folder).load()
    assert [len(part) for part in (splits.train, splits.validation, splits.final)] == [27, 3, 10]
    images = read_idx(fashion_folder / "t10k-images-idx3-ubyte", 3)
    final = splits.final.inputs
    assert final.shape == (10, 1, 28, 28) and final.dtype == torch.float32
    # An affine map of the pixels, the same for all: correlation with the file is 1.
    assert np.corrcoef(final.numpy().ravel(), images.ravel())[0, 1] == pytest.approx(1)
    labels = read_idx(fashion_folder / "t10k-labels-idx1-ubyte", 1)
    assert splits.final.targets.tolist() == labels.tolist()
    assert splits.train.inputs.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t10k-images-idx3-ubyte", None, "apt-get install dataset-fashion-mnist"),
        ("t10k-images-idx3-ubyte", np.zeros((10, 27, 28)), "must be 28 x 28, got 27 x 28"),
        ("t10k-labels-idx1-ubyte", np.zeros(9), "holds 10 images"),
        ("train-labels-idx1-ubyte", np.full(30, 10), "labels must be 0 to 9, got 10"),
    ],
)
def test_fashion_mnist_refuses_in_one_line(fashion_folder, idx_bytes, name, content, message):
    if content is None:
        (fashion_folder / name).unlink()
    else:
        (fashion_folder / name).write_bytes(idx_bytes(content.astype(np.uint8)))
    with pytest.raises(TaskError) as caught:
        load_task("fashion-mnist", fashion_folder).load()
    assert message in str(caught.value) and name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not _INSTALLED.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_installed_fashion_mnist_splits_as_promised():
    splits = load_task("fashion-mnist").load()
    parts = splits.train, splits.validation, splits.final
    assert [len(part) for part in parts] == [55_000, 5_000, 10_000]
    # Official: 6,000 training and 1,000 test images of each class.
    assert torch.bincount(splits.final.targets).tolist() == [1_000] * 10
    together = torch.cat([splits.train.targets, splits.validation.targets])
    assert torch.bincount(together).tolist() == [6_000] * 10
    assert splits.train.inputs.mean().item() == pytest.approx(0, abs=1e-3)
    assert splits.train.inputs.std().item() == pytest.approx(1, abs=1e-3)


def test_channel_statistics_are_those_of_numpy():
    images = np.random.RandomState(0).randint(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    images[:, 1] //= 3
    mean, deviation = channel_statistics(images)
    np.testing.assert_allclose(mean.ravel(), (images / 255).mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(deviation.ravel(), (images / 255).std(axis=(0, 2, 3)))
    expected = (images / 255 - mean) / deviation
    np.testing.assert_allclose(standardise(images, mean, deviation).numpy(), expected, atol=1e-6)


def test_constant_channel_becomes_zero():
    images = np.full((2, 1, 3, 3), 200, np.uint8)
    scaled = standardise(images, *channel_statistics(images))
    assert scaled.abs().max() < 1e-6

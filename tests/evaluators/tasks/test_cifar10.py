from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from actsearch.errors import TaskError
from actsearch.evaluators.tasks import ActivationFactory, load_task
from actsearch.evaluators.tasks.cifar10_files import read_cifar10


def _python2_pickle(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A batch as Python 2 and numpy 1 wrote it, opcode by opcode: the published files."""
    count, pixels = images.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01J" + struct.pack("<i", count) + b"J" + struct.pack("<i", pixels) + b"\x86"
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T" + struct.pack("<i", images.size) + images.tobytes() + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + numbers + b"u."


def _assert_same(found, cifar_batches) -> None:
    (images, labels), (test_images, test_labels) = found
    train = [cifar_batches[f"data_batch_{number}"] for number in range(1, 6)]
    assert np.array_equal(images.reshape(20, 3072), np.concatenate([batch[0] for batch in train]))
    assert np.array_equal(labels, np.concatenate([batch[1] for batch in train]))
    assert np.array_equal(test_images.reshape(4, 3072), cifar_batches["test_batch"][0])
    assert np.array_equal(test_labels, cifar_batches["test_batch"][1])
    assert images.shape == (20, 3, 32, 32) and labels.dtype == np.int64


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_python_3_are_read(tmp_path, cifar_batches, protocol):
    for name, (images, labels) in cifar_batches.items():
        content = {b"data": images, b"labels": labels.tolist()}
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol))
    _assert_same(read_cifar10(tmp_path), cifar_batches)


def test_pickles_of_python_2_are_read(tmp_path, cifar_batches):
    for name, batch in cifar_batches.items():
        (tmp_path / name).write_bytes(_python2_pickle(*batch))
    _assert_same(read_cifar10(tmp_path), cifar_batches)


def test_both_versions_give_equal_tensors(tmp_path, cifar_folder, cifar_batches):
    binary = tmp_path / "cifar-10-batches-bin"
    binary.mkdir()
    for name, (images, labels) in cifar_batches.items():
        records = np.concatenate([labels[:, None], images], axis=1)
        (binary / f"{name}.bin").write_bytes(records.tobytes())
    _assert_same(read_cifar10(binary), cifar_batches)

    pickled, plain = (load_task("cifar10", folder).load() for folder in (cifar_folder, binary))
    for part in ("train", "validation", "final"):
        a, b = getattr(pickled, part), getattr(plain, part)
        assert torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)
    assert [len(pickled.train), len(pickled.validation), len(pickled.final)] == [18, 2, 4]
    rows = torch.cat([pickled.train.inputs, pickled.validation.inputs]).flatten(1)
    assert len(rows.unique(dim=0)) == 20
    spread = pickled.train.inputs.transpose(0, 1).flatten(1)
    torch.testing.assert_close(spread.mean(1), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(spread.std(1), torch.ones(3), atol=1e-3, rtol=0)


def test_folder_above_is_enough(cifar_folder, cifar_batches):
    _assert_same(read_cifar10(cifar_folder.parent), cifar_batches)


class _Call:
    """Pickles to a call of `function` with `arguments`."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["data", "labels", "extra"])
def test_pickle_that_calls_a_shell_is_refused_and_not_run(tmp_path, cifar_folder, protocol, name):
    marker = tmp_path / "marker"
    content = {b"data": 0, b"labels": 0, name.encode(): _Call(os.system, f"touch {marker}")}
    (cifar_folder / "data_batch_3").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(TaskError, match=r"data_batch_3: refused: asks for (posix|nt)\.system"):
        read_cifar10(cifar_folder)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x8c\x05numpy\x8c\x13ctypeslib.os.system\x93.", "refused: asks for numpy."),
        (b"cbuiltins\neval\n(S'1'\ntR.", "refused: asks for builtins.eval"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.", "b'rot13'|'rot13'"),
        (b"", "not a CIFAR-10 batch"),
        (b"hello\nworld", "not a CIFAR-10 batch"),
        (pickle.dumps([1, 2]), "not a CIFAR-10 batch"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8)}), "key b'labels' is missing"),
        (pickle.dumps({b"data": np.zeros((1, 9)), b"labels": [1]}), r"images must be \(N, 3072\)"),
        (
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}),
            "labels must be 2 integers",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [11]}),
            "labels must be 0 to 9",
        ),
    ],
)
def test_wrong_pickle_is_refused_in_one_line(cifar_folder, content, message):
    (cifar_folder / "test_batch").write_bytes(content)
    with pytest.raises(TaskError, match=message) as caught:
        read_cifar10(cifar_folder)
    assert "test_batch" in str(caught.value) and "\n" not in str(caught.value)


def test_binary_file_of_broken_records_is_refused(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(bytes(3073 if number < 5 else 3000))
    with pytest.raises(TaskError, match=r"data_batch_5\.bin: 3000 bytes are not a whole number"):
        read_cifar10(tmp_path)


def test_missing_files_are_named(tmp_path, cifar_folder):
    (cifar_folder / "data_batch_2").unlink()
    with pytest.raises(TaskError, match="data_batch_2: cannot be read"):
        read_cifar10(cifar_folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(TaskError, match=r"no CIFAR-10 in .*cifar-10-python\.tar\.gz"):
        read_cifar10(empty)


def _resnet() -> nn.Module:
    return load_task("cifar10", Path()).build_model(
        ActivationFactory(lambda channels, dim: nn.ReLU())
    )


def test_resnet_has_20_weighted_layers_and_a_quarter_of_a_million_parameters():
    model = _resnet()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 20
    convolutions = 432 + 6 * 2304 + 4608 + 5 * 9216 + 18432 + 5 * 36864
    assert sum(layer.weight.numel() for layer in layers) == convolutions + 640
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(270_000, rel=0.01)
    assert sum(isinstance(m, nn.ReLU) for m in model.modules()) == 19


def test_resnet_shortcuts_take_every_second_pixel_and_new_channels_zero():
    model = _resnet().eval()
    for block in model.blocks:
        nn.init.zeros_(block.residual[-1].weight)
    features = torch.randn(2, 16, 32, 32)
    with torch.no_grad():
        passed = model.blocks(features)
    assert passed.shape == (2, 64, 8, 8)
    assert torch.equal(passed[:, :16], features[:, :, ::4, ::4])
    assert not passed[:, 16:].any()


def test_augment_crops_and_flips_each_image_by_its_own_draw():
    task = load_task("cifar10", Path())
    images = torch.arange(1.0, 3 * 32 * 32 + 1).reshape(1, 3, 32, 32)
    batch = images.expand(2000, -1, -1, -1).contiguous()
    augmented = task.augment(batch, torch.Generator().manual_seed(0))
    again = task.augment(batch, torch.Generator().manual_seed(0))
    assert augmented.shape == batch.shape and torch.equal(augmented, again)

    padded = functional.pad(images[0], (4, 4, 4, 4))
    possible = {}
    for down in range(9):
        for right in range(9):
            crop = padded[:, down : down + 32, right : right + 32]
            possible[crop.contiguous().numpy().tobytes()] = (down, right, False)
            possible[crop.flip(-1).contiguous().numpy().tobytes()] = (down, right, True)
    seen = {possible[image.numpy().tobytes()] for image in augmented}
    assert len(possible) == 162
    assert len(seen) == 162  # missing one of 162 in 2,000 draws: about one chance in 1,400


def test_cosine_schedule_ends_at_zero():
    task = load_task("cifar10", Path())
    optimizer = task.optimizer([nn.Parameter(torch.zeros(1))], 0.1)
    schedule = task.schedule(optimizer, 0.1, 30)
    assert optimizer.param_groups[0]["lr"] == 0.1
    for _ in range(30):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)

"""Reads CIFAR-10 as published: the "python version" and the "binary version".

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from actsearch.errors import TaskError

_PIXELS = 3 * 32 * 32
_TRAIN_NAMES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_NAME = "test_batch"

Batch = tuple[np.ndarray, np.ndarray]
"""images (N, 3, 32, 32) uint8, labels (N,) int64"""


def read_cifar10(data: Path) -> tuple[Batch, Batch]:
    """Training and test batch, in the order of the files.

    Args:
        data: the folder of either version, or the folder above it.

    Raises:
        TaskError: neither version is there, a file is missing, damaged, or a pickle that holds
            anything but arrays.
    """
    for folder in (data, data / "cifar-10-batches-py", data / "cifar-10-batches-bin"):
        for suffix, read in (("", _read_pickled), (".bin", _read_binary)):
            if (folder / f"{_TEST_NAME}{suffix}").is_file():
                train = [read(folder / f"{name}{suffix}") for name in _TRAIN_NAMES]
                images, labels = map(np.concatenate, zip(*train, strict=True))
                return (images, labels), read(folder / f"{_TEST_NAME}{suffix}")
    raise TaskError(
        f"no CIFAR-10 in {data}: neither {_TEST_NAME} nor {_TEST_NAME}.bin is there; unpack "
        "cifar-10-python.tar.gz or cifar-10-binary.tar.gz and name that folder by --data"
    )


def _read_binary(path: Path) -> Batch:
    """Records of one label byte and 3,072 pixel bytes, red, green, blue, row by row."""
    content = np.frombuffer(_bytes_of(path), np.uint8)
    if len(content) % (1 + _PIXELS):
        raise TaskError(
            f"{path}: {len(content)} bytes are not a whole number of {1 + _PIXELS}-byte records"
        )
    records = content.reshape(-1, 1 + _PIXELS)
    return _checked(path, records[:, 1:], records[:, 0])


def _read_pickled(path: Path) -> Batch:
    """A pickled dictionary; of its keys b"data" (N, 3072) uint8 and b"labels" are used."""
    file = io.BytesIO(_bytes_of(path))
    try:
        content = _ArrayUnpickler(file, encoding="bytes").load()
        images, labels = np.asarray(content[b"data"]), np.asarray(content[b"labels"])
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from error
    except KeyError as error:
        raise TaskError(f"{path}: not a CIFAR-10 batch, key {error} is missing") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to ask for
        reason = " ".join(str(error).split())
        raise TaskError(f"{path}: not a CIFAR-10 batch: {reason}") from error
    return _checked(path, images, labels)


def _checked(path: Path, images: np.ndarray, labels: np.ndarray) -> Batch:
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != _PIXELS:
        raise TaskError(
            f"{path}: images must be (N, {_PIXELS}) uint8, got {images.shape} {images.dtype}"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise TaskError(
            f"{path}: labels must be {len(images)} integers, got {labels.shape} {labels.dtype}"
        )
    if len(labels) == 0:
        raise TaskError(f"{path}: holds no images")
    if labels.min() < 0 or labels.max() > 9:
        raise TaskError(f"{path}: labels must be 0 to 9, got {labels.min()} to {labels.max()}")
    return images.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror}") from error


def _latin1(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 written by Python 3 spell bytes; no other codec is let in."""
    if encoding != "latin1":
        raise TaskError(f"refused: asks for the codec {encoding!r}, expected only latin1")
    return text.encode("latin1")


# Asked of numpy itself, as the two functions moved from numpy.core to numpy._core in numpy 2.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_FROM_BUFFER: Any = np.empty(0).__reduce_ex__(5)[0]

_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("_codecs", "encode"): _latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds arrays, numbers, strings and their containers; imports and calls nothing else."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise TaskError(
                f"refused: asks for {module}.{name}, which no CIFAR-10 batch needs"
            ) from None

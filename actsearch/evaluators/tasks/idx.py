"""The idx file format of the MNIST family, for unsigned bytes, read strictly.

Two zero bytes, a type code (8 for unsigned bytes), the number of axes, the length of each axis
as a big-endian 32-bit integer, then the values, the last axis fastest.

Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from actsearch.errors import TaskError

_UNSIGNED_BYTE = 8


def read_idx(path: Path, axes: int) -> np.ndarray:
    """uint8 array of `axes` axes; a name that ends in `.gz` is decompressed.

    Raises:
        TaskError: unreadable, not an idx file of so many axes, cut short or too long.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * axes)
            if len(header) < 4 + 4 * axes:
                raise TaskError(f"{path}: cut short inside its header of {4 + 4 * axes} bytes")
            expected = bytes([0, 0, _UNSIGNED_BYTE, axes])
            if header[:4] != expected:
                raise TaskError(
                    f"{path}: not an idx file of bytes with {axes} axes; it must start with "
                    f"{expected.hex()}, got {header[:4].hex()}"
                )
            shape = struct.unpack(f">{axes}I", header[4:])
            size = math.prod(shape)
            values = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise TaskError(f"{path}: cannot be read: {error}") from error
    if len(values) != size:
        raise TaskError(f"{path}: its header promises {size} values, it holds {len(values)}")
    return np.frombuffer(values, np.uint8).reshape(shape)

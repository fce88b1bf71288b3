"""Expressions as Triton kernels: loading the generated modules and running them on tensors."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import Tensor

from ..expr import Expr
from .layout import channel_layout, laid_out_alike
from .triton_source import kernel_source

# The oldest processor that the generated kernels are built for in the tests.
_OLDEST_CAPABILITY = (8, 0)


def is_available(device: torch.device) -> bool:
    """Whether kernels run on the device: a GPU, or the CPU in Triton's interpreter.

    The interpreter is on where TRITON_INTERPRET=1 was set before triton was first imported.
    """
    if not _is_installed():
        return False
    if device.type == "cpu":
        return os.environ.get("TRITON_INTERPRET") == "1"
    return device.type == "cuda" and _is_new_enough(device)


def forward(expr: Expr, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int) -> Tensor:
    """Value of the expression.

    Args:
        inputs: in alphabetical order, of one shape and device, all float32, bfloat16 or float16.
        parameters: one value each, or one for each channel, in the order of `variables`.
        dim: the channel axis.

    Returns:
        A tensor like the first input.
    """
    tensors = laid_out_alike(inputs)
    channels, inner = channel_layout(tensors[0], dim)
    trained = [parameter.contiguous() for parameter in parameters]
    return kernels(expr).forward(tensors, trained, channels, inner)


def backward(
    expr: Expr, grad: Tensor, inputs: Sequence[Tensor], parameters: Sequence[Tensor], dim: int
) -> list[Tensor]:
    """Gradients by the inputs and then by the parameters, each like its tensor.

    Args:
        grad: by the value of `forward`, of its shape.
    """
    *tensors, grad = laid_out_alike([*inputs, grad])
    channels, inner = channel_layout(grad, dim)
    trained = [parameter.contiguous() for parameter in parameters]
    return kernels(expr).backward(grad, tensors, trained, channels, inner)


@lru_cache(maxsize=1024)
def kernels(expr: Expr) -> ModuleType:
    """The generated module of an expression, see `kernel_source`."""
    return load(kernel_source(expr))


def load(source: str) -> ModuleType:
    """The text as an imported module; Triton reads kernels from a file, which the user's cache
    keeps under the hash of the text."""
    text = source.encode()
    name = f"kernels_{hashlib.sha256(text).hexdigest()[:32]}"
    path = user_cache_path("actsearch") / "triton" / f"{name}.py"
    if not path.exists() or path.read_bytes() != text:
        _write(path, text)
    loader = _Loader(name, str(path), text)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class _Loader(SourceFileLoader):
    """Runs a file only if it holds the expected text, and neither reads nor writes bytecode."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self._text = text

    def get_data(self, path: str) -> bytes:
        if path != self.path:
            raise OSError("bytecode is not read")
        if super().get_data(path) != self._text:
            raise ImportError(f"{path} was changed by another program", path=path)
        return self._text

    def set_data(self, path: str, data: Any, *, _mode: int = 0o600) -> None:
        pass


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Several workers may write at once; the file is complete from its first moment under its name.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    os.replace(temporary, path)


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _is_new_enough(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= _OLDEST_CAPABILITY

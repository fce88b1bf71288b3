"""A language model of characters on the source text of Python's own standard library."""

from __future__ import annotations

import math
import platform
import sysconfig
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actsearch.errors import TaskError

from .cache import Arrays, cached_arrays
from .cett import cett_sparsity
from .character_model import CharacterModel, FeedForward
from .splits import Split, Splits
from .task import ActivationFactory, Task

_TRAIN = (
    *("argparse", "difflib", "doctest", "enum", "ftplib", "functools", "imaplib", "mailbox"),
    *("optparse", "pdb", "pickle", "shutil", "smtplib", "socket", "subprocess", "tarfile"),
)
_VALIDATION = ("configparser", "dataclasses", "gettext")
_FINAL = ("ipaddress", "fractions", "textwrap")
CONTEXT = 64
_TRAIN_WINDOWS, _SCORED_WINDOWS = 8_000, 500
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
_WIDTH, _HEADS, _LAYERS = 64, 4, 2
_MEASURED = 32
"""Windows that sparsity and the perplexity under it are taken on."""


class PythonText(Task):
    """Next character of Python source, by a transformer with the candidate in its FFNs.

    The parts are whole modules of the standard library, those of one Python version, so that
    scores of two versions are not comparable. GELU -2.823, ReLU -2.857, ReLU^2 -2.902, tanh -2.937.
    No rungs: none was measured.
    """

    steps = 800
    batch_size = 8
    learning_rate = 1e-2

    def load(self) -> Splits:
        """inputs, targets (N, 64) int64, indices in `ALPHABET`; N is 8000, 500 and 500.

        Raises:
            TaskError: the running Python comes without the source of its library.
        """
        arrays = cached_arrays(f"python-text-{platform.python_version()}", _encode_library)
        return Splits(*(_windows(arrays[part]) for part in ("train", "validation", "final")))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return CharacterModel(len(ALPHABET), CONTEXT, _WIDTH, _HEADS, _LAYERS, activation)

    def initialise(self, model: nn.Module, gain: float) -> None:
        """Weights Normal(0, 1 / sqrt(fan_in)); those after the candidate times the gain.

        What is added to the stream is divided by sqrt(2 layers), as in GPT-2; logits start at 0.
        """
        assert isinstance(model, CharacterModel)
        model.initialise(gain)

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Minus bits per character; 0 is perfect, -log2(96) = -6.58 is blind."""
        return -float(functional.cross_entropy(outputs, targets)) / math.log(2)

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        """`perplexity` per character, and `sparsity` of the FFNs as of `cett_sparsity`.

        Both of the first 32 windows of the split.
        """
        assert isinstance(model, CharacterModel)
        inputs, targets = split.inputs[:_MEASURED], split.targets[:_MEASURED]

        def perplexity() -> float:
            return math.exp(min(float(functional.cross_entropy(model(inputs), targets)), 700.0))

        dense = perplexity()
        layers = [part.down for part in model.modules() if isinstance(part, FeedForward)]
        return {"perplexity": dense, "sparsity": cett_sparsity(layers, perplexity, rise=0.01)}


def _encode_library() -> Arrays:
    folder = Path(sysconfig.get_paths()["stdlib"])
    return {
        "train": _encoded(folder, _TRAIN, _TRAIN_WINDOWS * CONTEXT + 1),
        "validation": _encoded(folder, _VALIDATION, _SCORED_WINDOWS * CONTEXT + 1),
        "final": _encoded(folder, _FINAL, _SCORED_WINDOWS * CONTEXT + 1),
    }


def _encoded(folder: Path, modules: tuple[str, ...], count: int) -> np.ndarray:
    """The first `count` characters of the modules one after the other, others left out."""
    text = "".join(_source(folder / f"{module}.py") for module in modules)
    known = [index for index in map(ALPHABET.find, text) if index >= 0]
    if len(known) < count:
        raise TaskError(
            f"task python-text needs {count} characters, {', '.join(modules)} of Python "
            f"{platform.python_version()} have {len(known)}; run it with another version"
        )
    return np.array(known[:count], dtype=np.uint8)


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TaskError(
            f"task python-text reads the source of Python's library, {path}: {error.strerror}; "
            "run it with a Python that ships its .py files"
        ) from error


def _windows(text: np.ndarray) -> Split:
    codes = torch.from_numpy(text.astype(np.int64))
    return Split(codes[:-1].reshape(-1, CONTEXT), codes[1:].reshape(-1, CONTEXT))

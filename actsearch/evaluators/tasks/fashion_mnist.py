"""Fashion-MNIST: 70,000 grey images of 28 x 28 in ten classes.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from actsearch.errors import TaskError

from .idx import read_idx
from .images import channel_statistics, standardise
from .splits import Split, Splits, hold_out
from .task import ActivationFactory, Task

_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_REMEDY = "install it with 'apt-get install dataset-fashion-mnist' or name its folder by --data"


class FashionMnist(Task):
    """Fashion-MNIST with a small convolutional network, one pass over the data.

    No rungs: with a smaller network, 75 steps on a schedule of their own had tau .46
    with the full score and ranked two of the best six of 36 candidates outside the upper third.

    Args:
        data: folder with the four idx files, gzipped or not; by default where the Debian
            package `dataset-fashion-mnist` puts them.
    """

    steps = 550
    learning_rate = 1e-2

    def __init__(self, data: Path | None = None) -> None:
        self.data = _DEBIAN_FOLDER if data is None else Path(data)

    def load(self) -> Splits:
        """inputs (N, 1, 28, 28) float32, targets (N,) int64; N is 55000, 5000 and 10000.

        The final split is the official test set; validation is held out of the training
        images (a tenth of them, where a file holds fewer than 50,000).

        Raises:
            TaskError: a file is missing or damaged.
        """
        images, labels = self._read("train")
        test_images, test_labels = self._read("t10k")
        train, validation = hold_out(len(images))
        mean, deviation = channel_statistics(images[train])

        def split(images: np.ndarray, labels: np.ndarray) -> Split:
            return Split(standardise(images, mean, deviation), torch.from_numpy(labels))

        return Splits(
            train=split(images[train], labels[train]),
            validation=split(images[validation], labels[validation]),
            final=split(test_images, test_labels),
        )

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, activation.width(32), 5, stride=2, padding=2),
            activation(32),
            nn.Conv2d(32, activation.width(32), 3, stride=2, padding=1),
            activation(32),
            nn.Conv2d(32, activation.width(64), 3, stride=2, padding=1),
            activation(64),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 10),
        )

    def _read(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        images_path = self._find(f"{part}-images-idx3-ubyte")
        labels_path = self._find(f"{part}-labels-idx1-ubyte")
        images, labels = read_idx(images_path, axes=3), read_idx(labels_path, axes=1)
        if images.shape[1:] != (28, 28):
            height, width = images.shape[1:]
            raise TaskError(f"{images_path}: images must be 28 x 28, got {height} x {width}")
        if len(images) != len(labels):
            raise TaskError(
                f"{images_path} holds {len(images)} images, {labels_path} {len(labels)} labels; "
                "they must be of one release"
            )
        if labels.max(initial=0) > 9:
            raise TaskError(f"{labels_path}: labels must be 0 to 9, got {labels.max()}")
        return images[:, None], labels.astype(np.int64)

    def _find(self, name: str) -> Path:
        for path in (self.data / name, self.data / f"{name}.gz"):
            if path.is_file():
                return path
        raise TaskError(f"Fashion-MNIST needs {self.data / name}[.gz], not found; {_REMEDY}")

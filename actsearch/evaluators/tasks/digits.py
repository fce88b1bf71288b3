"""scikit-learn's handwritten digits: 1,797 images of 8 x 8, a task of seconds."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from .splits import Split, Splits
from .task import ActivationFactory, Task

_EPOCHS = 20
_TRAIN, _VALIDATION, _FINAL = 1_077, 360, 360
_SEED = 0


class Digits(Task):
    """Digits with a multilayer perceptron, 64-128-128-10, at a constant learning rate.

    Quick but blunt: 0.1 s a training, ReLU .980, GELU .983 of 360 images. No rungs.
    """

    batch_size = 128
    steps = _EPOCHS * (_TRAIN // batch_size)
    learning_rate = 1e-3

    def load(self) -> Splits:
        """inputs (N, 64) float32, targets (N,) int64; N is 1077, 360 and 360, stratified.

        One mean and one deviation for all pixels: some are constant, others nearly so, and a
        deviation for each would blow rare strokes up.
        """
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        images, labels = load_digits(return_X_y=True)
        images = (images / 16).astype(np.float32)
        everything = np.arange(len(labels))
        train, rest = train_test_split(
            everything, train_size=_TRAIN, stratify=labels, random_state=_SEED
        )
        validation, final = train_test_split(
            rest, train_size=_VALIDATION, stratify=labels[rest], random_state=_SEED
        )
        images = (images - images[train].mean()) / images[train].std()

        def split(indices: np.ndarray) -> Split:
            return Split(torch.from_numpy(images[indices]), torch.from_numpy(labels[indices]))

        return Splits(split(train), split(validation), split(final))

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(
            nn.Linear(64, activation.width(128)),
            activation(128),
            nn.Linear(128, activation.width(128)),
            activation(128),
            nn.Linear(128, 10),
        )

    def schedule(
        self, optimizer: torch.optim.Optimizer, learning_rate: float, steps: int
    ) -> LRScheduler:
        """Constant."""
        return LambdaLR(optimizer, lambda step: 1.0)

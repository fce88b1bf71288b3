"""Digits that arrive one class after the other, each image once: what does a network forget?

After Lan and Mahmood 2023, Elephant Neural Networks, arXiv:2310.01365.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from .digits import Digits
from .splits import Split, Splits
from .task import ActivationFactory, Task

_CLASSES, _PIXELS, _WIDTH = 10, 64, 512
_STEPS_OF_A_CLASS = 26


class DigitsContinual(Task):
    """One-pass class-incremental digits: 0 first, 9 last, batches of four, no replay.

    The score is the accuracy over all ten classes after the last: ReLU .340, tanh .433, the
    elephant function of width .2 .852, of width 1 .105. A function is good at it if what a batch
    changes is near that batch: of narrow support, or of high frequency. The rate is that at which
    functions differ most; a tenth of it makes any function a classifier by class means, which
    forgets little. No rungs: an early score is of fewer classes.
    """

    steps = _CLASSES * _STEPS_OF_A_CLASS
    batch_size = 4
    learning_rate = 3e-2

    def load(self) -> Splits:
        """As of `Digits`."""
        return Digits().load()

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return _Learner(activation)

    def initialise(self, model: nn.Module, gain: float) -> None:
        """Hyperplanes over the whole range of the inputs; outputs start at 0.

        What the candidate takes has mean 0 and variance 1, half of it from weights, which are
        normal, half from biases, which are uniform: so its hyperplanes lie where the inputs are, as
        the paper wants it (from memory). The gain is a fixed factor of the features, so that a step
        is as large for each function. The last layer has no bias, which forgets whatever the
        function.
        """
        assert isinstance(model, _Learner)
        nn.init.normal_(model.hidden.weight, std=math.sqrt(1 / 2 / _PIXELS))
        nn.init.uniform_(model.hidden.bias, -math.sqrt(3 / 2), math.sqrt(3 / 2))
        nn.init.zeros_(model.output.weight)
        model.scale.fill_(gain / math.sqrt(_WIDTH))

    def batches(self, split: Split, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """104 images of each class in turn, in a random order within the class."""
        device = split.inputs.device
        for label in range(_CLASSES):
            members = (split.targets == label).nonzero()[:, 0]
            order = torch.randperm(len(members), generator=generator).to(device)
            chosen = members[order][: _STEPS_OF_A_CLASS * self.batch_size]
            for batch in chosen.split(self.batch_size):
                yield split.inputs[batch], split.targets[batch]

    def optimizer(
        self, parameters: Iterable[nn.Parameter], learning_rate: float
    ) -> torch.optim.Optimizer:
        """SGD without momentum, which would carry a class into the next."""
        return torch.optim.SGD(parameters, lr=learning_rate)

    def schedule(
        self, optimizer: torch.optim.Optimizer, learning_rate: float, steps: int
    ) -> LRScheduler:
        """Constant: no class is told that it is the last."""
        return LambdaLR(optimizer, lambda step: 1.0)

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Mean of the classes' accuracies, 0 to 1; NaN if an output is not finite."""
        if not torch.isfinite(outputs).all():
            return math.nan
        return float(class_accuracies(outputs, targets).mean())

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        """`learned`, the accuracy of a class right after it was learned, and `forgetting`.

        Forgetting is that accuracy minus the one at the end. Both are means over the classes that
        were learned.
        """
        assert isinstance(model, _Learner)
        return forgetting(
            torch.stack(
                [
                    class_accuracies(functional_call(model, state, (split.inputs,)), split.targets)
                    for state in (*model.stages, model.state_dict())
                ]
            )
        )


def class_accuracies(outputs: Tensor, targets: Tensor) -> Tensor:
    """(classes,), of logits (N, classes) and indices (N,) in which each class occurs."""
    right = outputs.argmax(dim=1) == targets
    return torch.stack([right[targets == label].double().mean() for label in range(_CLASSES)])


def forgetting(accuracies: Tensor) -> dict[str, float]:
    """`learned` and `forgetting` of accuracies (times, classes); class i is learned at time i."""
    learned = accuracies.diagonal()
    lost = learned - accuracies[-1, : len(learned)]
    return {"learned": float(learned.mean()), "forgetting": float(lost.mean())}


class _Learner(nn.Module):
    """A network of one hidden layer that remembers how it was after each class but the last.

    Attributes:
        scale: () float32, factor of the features.
        stages: its state as of `state_dict` after each class, for measures alone.
    """

    scale: Tensor

    def __init__(self, activation: ActivationFactory) -> None:
        super().__init__()
        self.hidden = nn.Linear(_PIXELS, activation.width(_WIDTH))
        self.activation = activation(_WIDTH)
        self.output = nn.Linear(_WIDTH, _CLASSES, bias=False)
        self.register_buffer("scale", torch.ones(()))
        self.stages: list[dict[str, Tensor]] = []
        self._steps = 0

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self._note()
        return self.output(self.scale * self.activation(self.hidden(images)))

    def _note(self) -> None:
        """Keep the state if the step that begins is the first of a class."""
        if self._steps and self._steps % _STEPS_OF_A_CLASS == 0:
            self.stages.append({name: value.clone() for name, value in self.state_dict().items()})
        self._steps += 1

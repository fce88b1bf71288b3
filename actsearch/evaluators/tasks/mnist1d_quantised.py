"""MNIST-1D on a device that rounds to four bits and adds noise."""

from __future__ import annotations

from torch import Tensor, nn

from actsearch.evaluators.result import Rung

from .mnist1d import Mnist1d
from .quantised import EXACT, Precision, QuantisedModel
from .splits import Split
from .task import ActivationFactory

_DEVICE = Precision(bits=4, noise=0.02)
_BITS = (8, 4, 3)


class Mnist1dQuantised(Mnist1d):
    """The network of `Mnist1d`, trained plainly, scored in four bits with noise.

    Rounding after training asks for values that fill their range evenly; noise, which is a share
    of that range, for a range that is not wide for the sake of few values: ReLU that ends at 2
    .867, ReLU .785, GELU .734, tanh .688; in exact numbers .922, .928, .940, .770. Such devices
    are those of Shah and Youngblood, AnalogVNN, arXiv:2210.10048, and Learning in Quantized Noisy
    Environments, arXiv:2402.02593, who train on them too. No rungs: none was measured.
    """

    rungs: tuple[Rung, ...] = ()

    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return QuantisedModel(super().build_model, activation, _DEVICE)

    def measures(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Accuracy `exact`, and at `8_bits`, `4_bits` and `3_bits` without noise; `zero_share`.

        The last is the share of activations that four bits round to 0.
        """
        assert isinstance(model, QuantisedModel)

        def accuracy(precision: Precision) -> float:
            with model.at(precision):
                outputs: Tensor = model(split.inputs)
            return self.score(outputs, split.targets)

        return {
            "exact": accuracy(EXACT),
            **{f"{bits}_bits": accuracy(Precision(bits)) for bits in _BITS},
            "zero_share": model.zero_share(split.inputs, bits=4),
        }

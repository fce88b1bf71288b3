"""Densities of a model's pre-activations, measured and fitted, and the correction of each place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..expr import Expr, inputs
from ..lowering.activation import Activation, ActivationSlot
from ..parse import parse
from .correction import Correction, Form, correction
from .densities import Density, logistic, normal, student

MOST_VALUES = 100_000
"""Of one place; of more, every k-th is used."""
_FREEDOMS = (3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0)
# Functions of one number in torch.nn, as formulas; others are measured, but have no known base.
_FORMULAS: Mapping[type[nn.Module], str] = {
    nn.ReLU: "relu(x)",
    nn.LeakyReLU: "max(x, 0.01*x)",
    nn.ELU: "elu(x)",
    nn.SELU: "selu(x)",
    nn.GELU: "x*normal_cdf(x)",
    nn.SiLU: "x*sigmoid(x)",
    nn.Mish: "x*tanh(softplus(x))",
    nn.Tanh: "tanh(x)",
    nn.Sigmoid: "sigmoid(x)",
    nn.Softplus: "softplus(x)",
    nn.Softsign: "softsign(x)",
}
_OF_TENSORS = (nn.MultiheadAttention, nn.GLU, nn.Softmax, nn.Softmin, nn.LogSoftmax, nn.Softmax2d)


@dataclass(frozen=True)
class Measured:
    """What an activation of a model is given.

    Args:
        place: the module's name in the model.
        density: of the fitted law.
        count: values that it was fitted to.
        mean, deviation: of the values.
        distance: largest difference of the fitted and the empirical distribution function
            (Kolmogorov-Smirnov); above some hundredths the law is a poor likeness.
        base: the function there, where it is known.
    """

    place: str
    density: Density
    count: int
    mean: float
    deviation: float
    distance: float
    base: Expr | None


def fitted_density(values: np.ndarray) -> tuple[Density, float]:
    """The likeliest of normal, logistic and Student's laws, and its distance from the values.

    Each is fitted by maximum likelihood, its location and scale rounded to a thousandth of the
    scale; Student's has 3 to 30 degrees of freedom and pays for them as by Akaike's criterion. No
    random numbers are drawn.

    Args:
        values: at least ten finite numbers, not all equal.

    Raises:
        ValueError: they are not.
    """
    from scipy import stats

    sample = np.asarray(values, dtype=np.float64).ravel()
    if len(sample) < 10 or not np.isfinite(sample).all() or sample.std() == 0:
        raise ValueError(
            f"a density needs at least ten finite values that differ, got {len(sample)} values"
        )
    candidates: list[tuple[float, Density, stats.distributions.rv_frozen]] = []
    mean, deviation = _short(float(sample.mean()), float(sample.std()))
    frozen = stats.norm(mean, deviation)
    candidates.append((_likelihood(frozen, sample), normal(mean, deviation), frozen))
    location, scale = _short(*(float(part) for part in stats.logistic.fit(sample)))
    frozen = stats.logistic(location, scale)
    candidates.append((_likelihood(frozen, sample), logistic(location, scale), frozen))
    for freedom in _FREEDOMS:
        location, scale = _short(*_student_fit(sample, freedom))
        frozen = stats.t(freedom, location, scale)
        penalised = _likelihood(frozen, sample) - 1
        candidates.append((penalised, student(freedom, location, scale), frozen))
    _, density, law = max(candidates, key=lambda item: item[0])
    return density, float(stats.kstest(sample, law.cdf).statistic)


def measured_densities(model: nn.Module, batches: Tensor | Sequence[Tensor]) -> dict[str, Measured]:
    """The density at each activation of a model, by the name of its module.

    Places are `Activation` and `ActivationSlot` of one input, and the functions of one number in
    `torch.nn`; a module that is called several times is one place. The model runs in evaluation
    mode without gradients and is left as it was.

    Args:
        batches: what the model is called with, once for each tensor.

    Raises:
        ValueError: the model has no such place, or one is given values that cannot be fitted.
    """
    places = {name: module for name, module in model.named_modules() if _is_place(module)}
    if not places:
        raise ValueError(
            "the model has no activation module to measure; calls of functions in its "
            "forward are not seen, modules are"
        )
    collected: dict[str, list[np.ndarray]] = {name: [] for name in places}
    hooks = [
        module.register_forward_pre_hook(_recorder(collected[name]))
        for name, module in places.items()
    ]
    try:
        with _evaluating(model), torch.no_grad():
            for batch in [batches] if isinstance(batches, Tensor) else batches:
                model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for name, module in places.items():
        if not collected[name]:
            continue
        values = np.concatenate(collected[name])
        values = values[:: math.ceil(len(values) / MOST_VALUES) or 1]
        try:
            density, distance = fitted_density(values)
        except ValueError as error:
            raise ValueError(f"activation '{name}': {error}") from None
        found[name] = Measured(
            name,
            density,
            len(values),
            float(values.mean()),
            float(values.std()),
            distance,
            _base_of(module),
        )
    return found


def measured_corrections(
    model: nn.Module,
    batches: Tensor | Sequence[Tensor],
    base: Expr | None = None,
    form: Form | None = None,
) -> dict[str, Correction]:
    """The correction of each activation of a model under the density that it is given.

    Args:
        base: the function to correct; by default the one that is there, where it is known.

    Raises:
        ValueError: a place has a function that is not known, and no base is given; or as of
            `measured_densities` and `correction`.
    """
    found = {}
    for place, measured in measured_densities(model, batches).items():
        of = base or measured.base
        if of is None:
            raise ValueError(f"the function of activation '{place}' is not known; give base=")
        found[place] = correction(of, measured.density, form)
    return found


def _is_place(module: nn.Module) -> bool:
    if isinstance(module, Activation):
        return inputs(module.expr) == ("x",)
    if isinstance(module, ActivationSlot):
        return True
    known = type(module).__module__ == nn.ReLU.__module__
    return known and not isinstance(module, _OF_TENSORS)


def _base_of(module: nn.Module) -> Expr | None:
    if isinstance(module, Activation):
        return module.expr
    text = _FORMULAS.get(type(module))
    return parse(text) if text else None


def _recorder(into: list[np.ndarray]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def record(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        into.append(given[0].detach().to("cpu", torch.float64).flatten().numpy().copy())

    return record


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def _likelihood(law: object, sample: np.ndarray) -> float:
    return float(law.logpdf(sample).sum())  # type: ignore[attr-defined]


def _short(location: float, scale: float) -> tuple[float, float]:
    """Rounded to a thousandth of the scale, for formulas that can be read."""
    digits = 3 - math.floor(math.log10(scale))
    return round(location, digits) + 0.0, round(scale, digits)


def _student_fit(sample: np.ndarray, freedom: float) -> tuple[float, float]:
    """Location and scale by expectation maximisation, as weighted means."""
    location, spread = float(np.median(sample)), float(sample.var())
    for _ in range(200):
        weights = (freedom + 1) / (freedom + (sample - location) ** 2 / spread)
        new = float((weights * sample).sum() / weights.sum())
        moved = abs(new - location)
        location = new
        before, spread = spread, float((weights * (sample - location) ** 2).mean())
        if moved <= 1e-10 * spread**0.5 and abs(spread - before) <= 1e-10 * spread:
            break
    return location, spread**0.5

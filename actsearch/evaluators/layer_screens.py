"""The static screen, fingerprint and features of layers, on one fixed batch of random numbers."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor

from ..primitives import Expr, Layer, inputs, parameters, reads_batch
from ..primitives.layer_words import needs_square
from ..primitives.moments import without_affine
from .verdict import ACCEPTED, Reason, StaticLimits, Verdict

# Small, and no two sets of entries are the same: 4 groups of 4 channels.
_SHAPE, _SQUARE, _CHANNELS, _GROUPS = (4, 16, 6), (4, 16, 16), 16, 4
_FLAT = 1e-6
_DRAWS = 3
"""A seed that no batch has, lest noise be the batch itself."""


def layer_screen(expr: Expr, limits: StaticLimits) -> Verdict:
    """Whether a layer follows its input and is finite, value and gradient, at any scale of it.

    Tried on a batch of unit scale in float64; on one whose largest entry is `limits.widest`, and on
    one of zeros, as padding and dead channels give, in float32. Draws are at their means.
    """
    if inputs(expr) != ("x",):
        return Verdict(Reason.CONSTANT, "reads no input")
    batches = _batches(expr)
    value, slope = _value_and_slope(expr, batches[0])
    largest = float(torch.stack([value.abs().max(), slope.abs().max()]).max())
    if not math.isfinite(largest):
        return Verdict(Reason.NOT_FINITE, "on a batch of unit scale")
    other = _output(expr, batches[1], moved=False)
    change = float((other - value).square().mean().sqrt())
    if change <= _FLAT * float(value.square().mean().sqrt()):
        return Verdict(Reason.CONSTANT, f"changes by {change:.1e} with its input")
    if reads_batch(expr):
        layer = _layer(expr, torch.float64, moved=False).eval()
        with torch.no_grad():
            change = float((layer(batches[1]) - layer(batches[0])).abs().max())
        if change == 0:
            return Verdict(Reason.CONSTANT, "reads its input for running statistics alone")
    wide = batches[0].float() * (limits.widest / float(batches[0].abs().max()))
    for name, batch in (
        (f"of scale {limits.widest:g}", wide),
        ("of zeros", torch.zeros_like(wide)),
    ):
        found = _value_and_slope(expr, batch)
        if not all(bool(torch.isfinite(tensor).all()) for tensor in found):
            return Verdict(Reason.NOT_FINITE, f"on a batch {name} in float32")
    if largest > limits.largest:
        return Verdict(Reason.EXTREME, f"value or slope {largest:.3g} on a batch of unit scale")
    return ACCEPTED


def layer_fingerprint(expr: Expr) -> np.ndarray:
    """Values on a batch at two settings of the parameters, the scale divided out; in the first
    draws are at their means, in the second they are drawn from a fixed seed.

    The last scale and shift of each channel are left out: with or without them it is the same layer
    up to what the next one's weights absorb, and they would hide that a factor before them is.

    Returns:
        float64 vector, the same length for every layer. Large entries are compressed, so that
        differences are relative where the values are large.
    """
    body = without_affine(expr)
    values = [_part(_output(body, _batches(body)[0], moved=moved)) for moved in (False, True)]
    joined = torch.cat([value.flatten() for value in values])
    joined = joined / (_signed_scale(values[0]) or 1.0)
    return np.arcsinh(torch.nan_to_num(joined).numpy())


@lru_cache(maxsize=20_000)
def layer_features(expr: Expr) -> np.ndarray:
    """Values on a batch, of unit mean square and of the sign that makes the largest positive.

    The distance of two layers is a root mean square; large values are compressed by asinh.

    Returns:
        float64, read-only, the same length for every layer; NaN where it is not finite or zero
        everywhere.
    """
    value = _part(_output(expr, _batches(expr)[0], moved=False)).flatten()
    vector = torch.asinh(value / _signed_scale(value)).numpy() / math.sqrt(len(value))
    if not np.isfinite(vector).all():
        vector = np.full(len(value), math.nan)
    vector.flags.writeable = False
    return vector


def _signed_scale(value: Tensor) -> float:
    """Root mean square, with the sign of the largest entry."""
    strongest = float(value.flatten()[int(value.abs().argmax())])
    return math.copysign(float(value.square().mean().sqrt()), strongest)


def _batches(expr: Expr) -> tuple[Tensor, Tensor]:
    """Two that the layer takes."""
    shape = _SQUARE if needs_square(expr) else _SHAPE
    return _batch(0, shape), _batch(1, shape)


def _part(value: Tensor) -> Tensor:
    """As many entries of a value as every other layer has."""
    return value[..., : _SHAPE[-1]]


@cache
def _batch(number: int, shape: tuple[int, int, int]) -> Tensor:
    """Normal numbers, of another mean and scale in each channel and each example."""
    generator = torch.Generator().manual_seed(number)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    examples, channels, length = shape
    scales = (draw(1, channels, 1) / 2 + draw(examples, 1, 1) / 2).exp()
    return draw(examples, channels, length) * scales + draw(1, channels, 1) / 2


@lru_cache(maxsize=64)
def _output(expr: Expr, batch: Tensor, *, moved: bool) -> Tensor:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(_DRAWS)
        return _layer(expr, batch.dtype, moved=moved)(batch)


def _value_and_slope(expr: Expr, batch: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of its sum, weighted by random signs, by the input."""
    read = batch.clone().requires_grad_()
    value = _layer(expr, batch.dtype, moved=False)(read)
    signs = _batch(2, (*batch.shape,)).sign().to(batch.dtype)
    (slope,) = torch.autograd.grad((value * signs).sum(), read)
    return value.detach(), slope


def _layer(expr: Expr, dtype: torch.dtype, *, moved: bool) -> Layer:
    layer = Layer(expr, _CHANNELS, groups=_GROUPS).to(dtype)
    if not moved:
        return layer.at_means()
    # By their start, so that a layer with other names for them is at the same setting.
    before = Counter[float]()
    with torch.no_grad():
        for leaf in parameters(expr):
            text = f"{leaf.initial} {before[leaf.initial]}"
            _move(layer.get_parameter(leaf.name), text)
            before[leaf.initial] += 1
        for name, module in layer.named_children():
            for inner, parameter in module.named_parameters():
                _move(parameter, f"{name}.{inner}")
    return layer


def _move(parameter: Tensor, text: str) -> None:
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))

"""Classical functions for mpmath, as the truths of the zoo's tests use them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath as mp


def remembered(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """At 400 digits a value takes up to milliseconds, and a grid of pairs asks for it again."""

    @cache
    def known(x: Any, digits: int) -> Any:
        return function(x)

    return lambda x: known(x, mp.mp.dps)


@remembered
def logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any) -> Any:
    return mp.log(1 + mp.exp(x))


def normal_cdf(x: Any) -> Any:
    return (1 + erf(x / mp.sqrt(2))) / 2 if x > 0 else erfc(-x / mp.sqrt(2)) / 2


def erf(x: Any) -> Any:
    return _near(x, _erf_at, 1)


def erfc(x: Any) -> Any:
    return _near(x, _erfc_at, -1)


# Tens of milliseconds each at 400 digits, while differences ask for many within 1e-20.
@remembered
def _erf_at(x: Any) -> Any:
    return mp.erf(x)


@remembered
def _erfc_at(x: Any) -> Any:
    return mp.erfc(x)


def _near(x: Any, at: Any, sign: int) -> Any:
    """Taylor's series from the next multiple of 2^-64; derivatives of erf are Hermite's H_n."""
    base = mp.ldexp(mp.nint(mp.ldexp(x, 64)), -64)
    h = x - base
    total = at(base)
    before, here = mp.mpf(0), mp.mpf(1)
    factor = sign * 2 / mp.sqrt(mp.pi) * mp.exp(-(base**2)) * h
    least = abs(total or factor) * mp.mpf(10) ** (-mp.mp.dps - 5)
    term = mp.inf
    for n in range(60):
        last, term = term, factor * here
        total += term
        # Every other one is 0 at 0.
        if abs(last) + abs(term) < least:
            break
        before, here = here, 2 * base * here - 2 * n * before
        factor *= -h / (n + 2)
    return total


@remembered
def tanh(x: Any) -> Any:
    return mp.tanh(x)


@remembered
def arctan_gate(x: Any) -> Any:
    return mp.atan(x) / mp.pi + mp.mpf(1) / 2


def relu(x: Any) -> Any:
    return max(x, mp.mpf(0))


def clip(x: Any, low: Any, high: Any) -> Any:
    return min(max(x, low), high)


def number(text: str) -> Any:
    """A decimal as the reference writes it, at the precision of a float."""
    return mp.mpf(float(text))

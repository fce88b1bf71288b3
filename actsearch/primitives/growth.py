"""Upper bounds d with |f(t)| = O(|t|^d), from those of the arguments; inf may overflow."""

import math
from collections.abc import Callable


def bounded(*_: float) -> float:
    return 0.0


def same(d: float) -> float:
    return d


def at_most_linear(d: float) -> float:
    return min(d, 1.0)


def exponential(d: float) -> float:
    return 0.0 if d == 0 else math.inf


def unbounded(*_: float) -> float:
    return math.inf


def total(*d: float) -> float:
    return sum(d)


def power(exponent: int) -> Callable[[float], float]:
    return lambda d: exponent * d

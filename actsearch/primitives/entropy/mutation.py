"""The entropy correction as a mutation: any function, plus a small trained step along it."""

from __future__ import annotations

from functools import lru_cache

from ..expr import Expr, depth, node_count
from ..parse import MAX_DEPTH, MAX_NODES
from .correction import correction
from .densities import Density, normal

STANDARD = normal()
"""What a layer is given at its start, where weights are scaled by the gain."""


@lru_cache(maxsize=1024)
def with_correction(expr: Expr, eps: float, density: Density = STANDARD) -> Expr:
    """expr + eps*term, eps trained from the given start.

    The expression itself where it has no correction, where that is 0, or where the sum is larger
    than a formula may be.
    """
    try:
        changed = correction(expr, density).function(eps)
    except (ValueError, OverflowError):
        return expr
    small = node_count(changed) <= MAX_NODES and depth(changed) <= MAX_DEPTH
    return changed if small else expr

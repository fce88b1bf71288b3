"""Spaces of candidates as decision programs; a new space is one small file."""

from .space import (
    Choose,
    Decisions,
    Proposal,
    Space,
    crossover,
    enumerated,
    mutate,
    propose,
    replay,
    sample,
)
from .unary_binary import UnaryBinary

__all__ = [
    "Choose",
    "Decisions",
    "Proposal",
    "Space",
    "UnaryBinary",
    "crossover",
    "enumerated",
    "mutate",
    "propose",
    "replay",
    "sample",
]

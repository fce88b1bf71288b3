"""Spaces of candidates as decision programs; a new one is one small file and a line in `SPACES`."""

from collections.abc import Mapping

from .correction import Correction
from .evonorm import EvoNorm
from .four_node import FourNode
from .gated import Gated
from .piecewise import Piecewise
from .rational import Rational
from .space import Choose, Decisions, Proposal, Space, enumerated, propose, replay
from .tree import Tree
from .unary_binary import UnaryBinary

SPACES: Mapping[str, type[Space]] = {
    space.name: space
    for space in (UnaryBinary, Tree, FourNode, Gated, Correction, Rational, Piecewise, EvoNorm)
}

__all__ = [
    "SPACES",
    "Choose",
    "Correction",
    "Decisions",
    "EvoNorm",
    "FourNode",
    "Gated",
    "Piecewise",
    "Proposal",
    "Rational",
    "Space",
    "Tree",
    "UnaryBinary",
    "enumerated",
    "propose",
    "replay",
]

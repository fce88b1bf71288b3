"""Spaces of candidates as decision programs; a new one is one small file and a line in `SPACES`."""

from collections.abc import Mapping

from .space import Choose, Decisions, Proposal, Space, enumerated, propose, replay
from .unary_binary import UnaryBinary

SPACES: Mapping[str, type[Space]] = {space.name: space for space in (UnaryBinary,)}

__all__ = [
    "SPACES",
    "Choose",
    "Decisions",
    "Proposal",
    "Space",
    "UnaryBinary",
    "enumerated",
    "propose",
    "replay",
]

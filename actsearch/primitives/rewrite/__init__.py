"""Equal expressions in the spelling that floating point computes best.

`views` reads sums and products as flat lists, `matching` finds a pattern in them, `rules` is the
table, and `stable` applies it.
"""

from .rules import RULES, Rule
from .stable import stable

__all__ = ["RULES", "Rule", "stable"]

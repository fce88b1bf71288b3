"""What a function cannot leave: sound interval bounds and linear relaxations, for verifiers.

Sound means that no real number between the ends of the interval has a value outside: every
operation rounds outwards. They are what abstract interpretation of a network needs of its
activations (star sets and zonotopes of NNV, Tran et al. 2020, arXiv:2004.05519; CROWN's lines in
Xu et al. 2020, arXiv:2002.12920).
"""

from .interval_bounds import bounds_of
from .relaxation import Relaxation, relaxation_of

__all__ = ["Relaxation", "bounds_of", "relaxation_of"]

"""The shape of a function of one input: where it is what, and how sure that is.

The function is taken apart at the places where its operators switch (`pieces`); on each piece the
formula is smooth, so that one-sided slopes are its derivatives. Polynomial pieces are exact
rational arithmetic. The rest is measured on a dense grid that reaches to 1e4 and refined
(`roots`, `tails`), and replaced by what sympy proves in a child process that is stopped when the
time is up (`algebra`). `survey` holds what was found, and `verdicts`, `places`, `sizes`,
`inverse` and `classes` read the fields of the `Shape` off it.
"""

from .of import shape_of
from .record import Asymptote, Extremum, Kink, Range, Shape

__all__ = ["Asymptote", "Extremum", "Kink", "Range", "Shape", "shape_of"]

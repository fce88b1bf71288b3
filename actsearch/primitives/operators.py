"""The table of operators: one record each, and the only list of them.

Slopes at kinks follow one rule, the midpoint of the two one-sided slopes: step(0) = 1/2,
sign(0) = 0, and 1/2 to each side of a tie of max and min. It is linear, so a sum of kinks that
cancel has the right slope: relu(x) - relu(-x) has slope 1 at 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .binary_operators import BINARY
from .moments import MOMENTS
from .operator import Operator
from .tensor_words import TENSOR_WORDS
from .unary_operators import UNARY

OPERATORS: dict[str, Operator] = {record.name: record for record in (*UNARY, *BINARY)}
"""Those that act on each number by itself, by name."""
WORDS: dict[str, Operator] = {
    **OPERATORS,
    **{name: moment.operator for name, moment in MOMENTS.items()},
    **{name: word.operator for name, word in TENSOR_WORDS.items()},
}
"""All that a formula may apply: operators, moments, and other words that read a whole tensor."""


def operator(name: str) -> Operator:
    """The operator of that name.

    Raises:
        KeyError: there is none; the message suggests the nearest name.
    """
    try:
        return WORDS[name]
    except KeyError:
        raise KeyError(f"unknown operator '{name}'{did_you_mean(name, WORDS)}") from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'softplus'?` for the nearest of the known names, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""

"""What a user may name a function by: a formula, a known name, or a candidate of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..primitives import Expr, parse, read_formula
from ..runs.leaderboard import final_order
from ..runs.run import Run

_CANDIDATE = re.compile(r"(?P<run>.+)#(?P<rank>\d+)")


@dataclass(frozen=True)
class Named:
    """A function and what to call it: what the user typed."""

    label: str
    expr: Expr


def named_function(text: str) -> Named:
    """The function that a text means.

    Args:
        text: a formula, the name of a known activation or layer, or RUN#K, the candidate of rank K
            in a run directory; finalists come first.

    Raises:
        ParseError: the formula cannot be read.
        RunError: the run cannot be read.
        ConfigError: the run has no candidate of that rank.
    """
    label = text.strip()
    candidate = _CANDIDATE.fullmatch(label)
    if candidate is None:
        return Named(label, read_formula(text))
    path, rank = Path(candidate["run"]), int(candidate["rank"])
    return Named(f"{path.name}#{rank}", parse(formula_of_rank(path, rank)))


def formula_of_rank(path: Path, rank: int) -> str:
    """Canonical text of the candidate of that rank in a run, counted from 1.

    Raises:
        RunError: the run cannot be read.
        ConfigError: it has no candidate of that rank.
    """
    with Run.open(path) as run:
        order = final_order(run.journal)
    if not order:
        raise ConfigError(f"{path} has no ranked candidate yet; see: search status {path}")
    if not 1 <= rank <= len(order):
        raise ConfigError(f"{path}#{rank}: the ranks of that run are 1 to {len(order)}")
    return str(order[rank - 1].job.formula)

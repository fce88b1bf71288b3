"""The scores of every function of a space on a task: searches compared without training.

The idea is that of NAS-Bench-101 (Ying et al. 2019, arXiv:1902.09635) and of Act-Bench
(arXiv:2301.05785): a replay looks a training up that was done once.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..primitives import Expr
from .result import Result, Rung, Status
from .verdict import Reason, Verdict

KIND = "actsearch-table-1"


@dataclass(frozen=True)
class Table:
    """What came of training each function of a space.

    Args:
        settings: of the runs that made it, as in their `config.toml`.
        seeds: of those runs.
        functions: one spelling of each different function, in the order of enumeration.
        scores: (functions, seeds, rungs) float64; NaN from the rung on that was not reached.
        seconds: (functions, seeds) float32, of training.
        spellings: every expression of the space, as text.
        meanings: for each spelling the number of its function, or -1 - r for the r-th `Reason`
            that the screens reject it for.
        known: names of the known activations that were trained beside them.
        known_formulas: their expressions.
        known_scores: (known, seeds, rungs) float64, as `scores`.
    """

    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    functions: tuple[str, ...]
    scores: np.ndarray
    seconds: np.ndarray
    spellings: tuple[str, ...]
    meanings: np.ndarray
    known: tuple[str, ...]
    known_formulas: tuple[str, ...]
    known_scores: np.ndarray

    @cached_property
    def rungs(self) -> tuple[Rung, ...]:
        """Where the scores were taken; the last is the full training."""
        return tuple(Rung(**rung) for rung in self.settings["training"]["rungs"])

    @cached_property
    def quality(self) -> np.ndarray:
        """(functions,) mean full score over the seeds; the lowest score where one has none."""
        full = self.scores[:, :, -1]
        return np.where(np.isnan(full), np.nanmin(full), full).mean(axis=1)

    @cached_property
    def _meaning_of(self) -> dict[str, int]:
        return dict(zip(self.spellings, self.meanings.tolist(), strict=True))

    def function_of(self, text: str) -> int:
        """Number of the function that an accepted spelling stands for."""
        return self._meaning_of[text]

    def screen(self) -> _TableScreen:
        """A screen that judges as those of the run that made the table, at once."""
        return _TableScreen(self._meaning_of)

    def places(self, rungs: Sequence[Rung]) -> list[int]:
        """Where these rungs are among those of the table.

        Raises:
            ConfigError: it lacks one, or they do not end with the full training.
        """
        for rung in rungs:
            if rung not in self.rungs:
                raise ConfigError(f"the table has no rung at {rung.steps} steps ({rung})")
        if not rungs or rungs[-1] != self.rungs[-1]:
            raise ConfigError(
                f"the last rung must be the table's full training, {self.rungs[-1].steps} steps"
            )
        return [self.rungs.index(rung) for rung in rungs]

    def save(self, path: Path) -> None:
        """Write it as a compressed archive of arrays, without pickles."""
        parts: dict[str, Any] = {
            "kind": np.array(KIND),
            "settings": np.array(json.dumps(self.settings, sort_keys=True)),
            **{name: np.asarray(getattr(self, name)) for name in ("seeds", *_TEXTS, *_ARRAYS)},
        }
        np.savez_compressed(path, **parts)


_TEXTS = ("functions", "spellings", "known", "known_formulas")
_ARRAYS = ("scores", "seconds", "meanings", "known_scores")


def load_table(path: Path) -> Table:
    """The table in a file.

    Raises:
        ConfigError: it is missing, or is not a table of this version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["kind"]) != KIND:
                raise ConfigError(f"{path} is a table of another version: {file['kind']}")
            parts: dict[str, Any] = {
                "settings": json.loads(str(file["settings"])),
                **{name: tuple(file[name].tolist()) for name in ("seeds", *_TEXTS)},
                **{name: file[name] for name in _ARRAYS},
            }
            return Table(**parts)
    except FileNotFoundError:
        raise ConfigError(f"there is no table {path}") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is not a table of scores: {error}") from None


def result_in_table(key: str, scores: np.ndarray, thresholds: Sequence[float]) -> Result:
    """What a training comes to whose scores at its rungs are known.

    Args:
        key: of the result.
        scores: (rungs,), NaN from where it diverged.
        thresholds: for each rung but the last.
    """
    reached: list[float] = []
    for number, score in enumerate(scores.tolist()):
        if np.isnan(score):
            return Result(key, Status.DIVERGED, tuple(reached))
        reached.append(score)
        if number < len(thresholds) and score < thresholds[number]:
            return Result(key, Status.STOPPED, tuple(reached))
    return Result(key, Status.COMPLETE, tuple(reached))


class _TableScreen:
    """Rejects what the table's screens rejected, and every function after its first spelling."""

    def __init__(self, meaning_of: Mapping[str, int]) -> None:
        self._meaning_of = meaning_of
        self._accepted: set[int] = set()

    def __call__(self, expr: Expr) -> Verdict:
        meaning = self._meaning_of[expr.text]
        if meaning < 0:
            return Verdict(REASONS[-1 - meaning])
        if meaning in self._accepted:
            return Verdict(Reason.DUPLICATE)
        self._accepted.add(meaning)
        return Verdict()


REASONS = tuple(Reason)
"""In the order in which a table numbers them."""

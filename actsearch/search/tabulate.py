"""A table of scores from exhaustive runs that differ in nothing but their seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError
from ..evaluators.screens import DuplicateScreen, fingerprint, static_screen
from ..evaluators.table import REASONS, Table
from ..primitives.spaces import enumerated
from ..runs.journal import BASELINES, SEARCH, Entry
from ..runs.run import Run
from .config import Config, load_config

_FREE = ("seed", "budget", "versions")


def tabulate(paths: Sequence[Path]) -> Table:
    """The scores of several exhaustive runs, one seed each, as one table.

    Raises:
        RunError: a run is not finished, or is not of the same settings as the first.
    """
    loaded = [_read(path) for path in paths]
    config, *others = [config for config, _, _ in loaded]
    for path, other in zip(paths[1:], others, strict=True):
        differs = _difference(config.to_dict(), other.to_dict())
        if differs:
            raise RunError(f"{path} has another {differs} than {paths[0]}")
    functions, spellings, meanings = _meanings(config)
    rungs = len(config.training.rungs)
    known = [entry.label for entry in loaded[0][2]]
    scores = np.full((len(functions), len(paths), rungs), np.nan)
    seconds = np.zeros((len(functions), len(paths)), np.float32)
    known_scores = np.full((len(known), len(paths), rungs), np.nan)
    for column, (path, (_, searched, baselines)) in enumerate(zip(paths, loaded, strict=True)):
        found = {entry.job.formula: entry.result for entry in searched}
        missing = next((text for text in functions if text not in found), None)
        if missing is not None:
            raise RunError(f"{path} is not finished: it lacks {missing}; search resume {path}")
        for row, text in enumerate(functions):
            scores[row, column, : len(found[text].scores)] = found[text].scores
            seconds[row, column] = found[text].seconds
        of = {entry.label: entry.result.scores for entry in baselines}
        for row, name in enumerate(known):
            known_scores[row, column, : len(of[name])] = of[name]
    return Table(
        settings={key: value for key, value in config.to_dict().items() if key != "seed"},
        seeds=tuple(config.seed for config, _, _ in loaded),
        functions=functions,
        scores=scores,
        seconds=seconds,
        spellings=spellings,
        meanings=meanings,
        known=tuple(known),
        known_formulas=tuple(entry.job.formula for entry in loaded[0][2]),
        known_scores=known_scores,
    )


def _read(path: Path) -> tuple[Config, list[Entry], list[Entry]]:
    with Run.open(path) as run:
        config = load_config(run.config())
        searched, baselines = run.journal.entries(SEARCH), run.journal.entries(BASELINES)
    if config.strategy_name != "exhaustive" or config.training.keep < 1:
        raise RunError(
            f"{path} did not train everything: a table needs [strategy] name = 'exhaustive' and "
            "[training] keep = 1.0"
        )
    return config, searched, sorted(baselines, key=lambda entry: entry.details["index"])


def _meanings(config: Config) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Functions, spellings and what they mean, as of `Table`."""
    functions: list[str] = []
    meaning_of: dict[str, int] = {}
    accepted = DuplicateScreen()
    for proposal in enumerated(config.space):
        text = proposal.expr.text
        if text in meaning_of:
            continue
        verdict = static_screen(proposal.expr, config.screens)
        if verdict.reason is not None:
            meaning_of[text] = -1 - REASONS.index(verdict.reason)
            continue
        mark = fingerprint(proposal.expr)
        twin = accepted.find(mark)
        if twin is None:
            accepted.remember(mark, text)
            meaning_of[text] = len(functions)
            functions.append(text)
        else:
            meaning_of[text] = meaning_of[twin]
    return tuple(functions), tuple(meaning_of), np.array(list(meaning_of.values()), np.int32)


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    keys = {*one, *other} - set(_FREE)
    return next((key for key in sorted(keys) if one.get(key) != other.get(key)), None)

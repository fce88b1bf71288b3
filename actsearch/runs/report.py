"""One page about a run, for people: what won or that nothing did, and how it came about.

The page holds its pictures and its style, loads nothing and runs no script. Of clock readings it
shows only those of its section on time, so that equal runs differ nowhere else.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import tomli_w
import torch
from markupsafe import Markup

from ..evaluators.result import Status
from ..primitives import (
    Expr,
    infix,
    inputs,
    known_activations,
    layer_words,
    parameters,
    parse,
    value_and_slopes,
)
from ..primitives.analysis import at_unit_statistics
from ..primitives.spaces import SPACES, Space
from . import plots
from .front_picture import FrontPoint, front_picture
from .journal import BASELINES, FINALS, SEARCH, STUDIES, Entry, Journal
from .leaderboard import final_order, leaderboard, standings, trade_offs
from .page import page_of
from .plane_picture import plane_picture
from .report_finals import compared_finals, transfer
from .run import Run
from .status import run_status

SHAPES = ("relu", "gelu")
"""Known activations beside which the shapes of candidates are drawn."""
GATED_REFERENCE = "swiglu"
"""That which they show beside a function of u and v."""
_LISTED, _SHAPES, _CURVES, _TIMED = 20, 6, 3, 5


def report_html(run: Run) -> str:
    """The page, complete and self-contained.

    Raises:
        RunError: the journal cannot be read.
        ParseError: it holds a formula that this version does not know.
    """
    journal = run.journal
    config = journal.attribute("config") or {}
    board = leaderboard(journal, _LISTED)
    rows = standings(board)
    status = run_status(run)
    searched = sorted(journal.entries(SEARCH), key=lambda entry: entry.details["index"])
    held = board["finals"] and board["finals"]["arms"]
    finals = compared_finals(board["finals"]) if held else None
    references = _references(config)
    trainings = _compared_trainings(journal, references)
    return page_of(
        "report.html.j2",
        name=run.path.resolve().name,
        resume=f"search resume {shlex.quote(str(run.path))}",
        config=config,
        config_text=tomli_w.dumps(config),
        status=status,
        headline=_headline(board, status, config),
        board=board,
        finals=finals,
        rows=rows,
        weighed=any("objective" in row for row in rows),
        front=_front(journal),
        finalists={arm["label"] for arm in finals["arms"]} if finals else set(),
        shapes=_shapes(final_order(journal)),
        progress=_progress(searched, board, references),
        protocols=_protocols(journal),
        transfer=transfer(journal),
        funnel=Markup(plots.funnel_picture(_stages(searched, status, board["finals"]))),
        known=sum(1 for entry in searched if entry.details.get("known")),
        troubles=_troubles(journal),
        curves=_curves(trainings, references),
        seconds=_seconds(journal),
        timed=_timed(trainings, references),
    )


def _references(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Known activations that the pictures of trainings show beside the candidates."""
    space = SPACES.get(config.get("space", {}).get("name", ""), Space)
    return space.references


def _headline(
    board: Mapping[str, Any], status: Mapping[str, Any], config: Mapping[str, Any]
) -> str:
    """The verdict, or why there is none."""
    if board["finals"]:
        return str(board["finals"]["verdict"])
    if status["state"] != "finished":
        return "No claim yet: the run is not finished."
    assert not config.get("finals", {}).get("finalists", 0), "a finished run held its finals"
    return (
        "No claim: this run held no finals. Its scores are of one seed and of the data that the "
        "search itself used, which favours what was selected."
    )


def _front(journal: Journal) -> list[tuple[str, Markup]]:
    """Pictures of score against each price that is known; none if no training is complete."""
    found = trade_offs(journal)
    prices = {"nodes": [float(one.complexity) for one in found]}
    costs = [one.cost for one in found if one.cost is not None]
    if costs:
        prices["modelled ns per element"] = costs
    pictures = []
    for name, priced in prices.items() if found else ():
        points = [
            FrontPoint(
                one.entry.label, price, one.entry.result.scores[-1], one.baseline, one.on_front
            )
            for one, price in zip(found, priced, strict=True)
        ]
        drawn = front_picture(points, name, logarithmic=name != "nodes")
        pictures.append((name, Markup(drawn)))
    return pictures


def _shapes(best: Iterable[Entry]) -> list[dict[str, Any]]:
    shapes: list[dict[str, Any]] = []
    for entry in best:
        expr = parse(entry.job.formula)
        if len(shapes) == _SHAPES:
            break
        if not _has_shape(expr):
            continue
        gated = inputs(expr) == ("u", "v")
        picture = _plane_picture(entry.label, expr) if gated else _shape_picture(expr)
        shapes.append(
            {
                "label": entry.label,
                "formula": infix(expr),
                "trainable": ", ".join(f"{p.name} = {p.initial:g}" for p in parameters(expr)),
                "gated": gated,
                "layer": bool(layer_words(expr)),
                "picture": Markup(picture),
            }
        )
    return shapes


def _has_shape(expr: Expr) -> bool:
    """Whether it can be drawn: a layer may read x for its statistics alone, or mix entries."""
    try:
        return inputs(at_unit_statistics(expr)) in (("x",), ("u", "v"))
    except ValueError:
        return False


def _shape_picture(expr: Expr) -> str:
    points = torch.linspace(-4, 4, 401, dtype=torch.float64)
    references = {name: _curve(known_activations()[name].expr, points) for name in SHAPES}
    return plots.shape_picture(points.numpy(), _curve(at_unit_statistics(expr), points), references)


def _plane_picture(label: str, expr: Expr) -> str:
    points = torch.linspace(-4, 4, 49, dtype=torch.float64)
    u, v = torch.meshgrid(points, points, indexing="ij")
    functions = {label: expr, GATED_REFERENCE: known_activations()[GATED_REFERENCE].expr}
    planes = {
        name: value_and_slopes(function, {"u": u, "v": v})[0].numpy()
        for name, function in functions.items()
    }
    return plane_picture(points.numpy(), planes)


def _curve(expr: Expr, points: torch.Tensor) -> plots.Curve:
    value, (slope,) = value_and_slopes(expr, {"x": points})
    return value.numpy(), slope.numpy()


def _progress(
    searched: Sequence[Entry], board: Mapping[str, Any], references: Sequence[str]
) -> Markup | None:
    points = [
        (entry.details["index"], entry.result.score, entry.result.status is Status.COMPLETE)
        for entry in searched
        if entry.result.standing is not None
    ]
    if not points:
        return None
    unranked = [entry.details["index"] for entry in searched if entry.result.standing is None]
    scores = {row["label"]: row["score"] for row in board["baselines"] if row["complete"]}
    lines = {name: scores[name] for name in references if name in scores}
    return Markup(plots.progress_picture(points, unranked, lines))


def _stages(
    searched: Sequence[Entry], status: Mapping[str, Any], finals: Mapping[str, Any] | None
) -> list[tuple[str, int, str]]:
    """What became of the proposals: (name, count, kind) from the first to the last."""
    ended = status["ended"]
    turned_down = Counter(
        next(check.name for check in entry.result.checks if not check.passed)
        for entry in searched
        if entry.result.status is Status.REJECTED
    )
    stopped = Counter(
        (len(entry.result.scores), entry.job.rungs[len(entry.result.scores) - 1].steps)
        for entry in searched
        if entry.result.status is Status.STOPPED
    )
    rejected = sorted(status["rejected"].items(), key=lambda item: (-item[1], item[0]))
    stages = [
        ("proposed", status["proposed"], "flow"),
        *((f"rejected: {reason}", count, "rejected") for reason, count in rejected),
        ("trained", status["trained"], "flow"),
        *((f"turned down: {name}", count, "lost") for name, count in turned_down.items()),
        *(
            (f"stopped at rung {rung} ({steps} steps)", count, "lost")
            for (rung, steps), count in sorted(stopped.items())
        ),
        *((name, ended[name], "lost") for name in ("diverged", "failed") if name in ended),
        ("complete", ended.get("complete", 0), "flow"),
    ]
    if finals:
        stages.append(("finalists", sum(arm["candidate"] for arm in finals["arms"]), "flow"))
    return stages


def _protocols(journal: Journal) -> list[dict[str, Any]]:
    """What each rejection protocol turned down in the search, and its seconds on the workers."""
    rows = []
    entries = journal.entries(SEARCH)
    for name in dict.fromkeys(check.name for entry in entries for check in entry.result.checks):
        checks = [[c for c in entry.result.checks if c.name == name] for entry in entries]
        tried = [found for found in checks if found]
        rows.append(
            {
                "name": name,
                "tried": len(tried),
                "killed": sum(not all(check.passed for check in found) for found in tried),
                "seconds": sum(check.seconds for found in tried for check in found),
            }
        )
    return rows


def _troubles(journal: Journal) -> list[tuple[str, str, str, int]]:
    """(study, how it ended, reason, count) of trainings that diverged or failed."""
    counts = Counter(
        (study, str(entry.result.status), entry.result.reason or "no reason given")
        for study in STUDIES
        for entry in journal.entries(study)
        if entry.result.status in (Status.DIVERGED, Status.FAILED)
    )
    ordered = sorted(counts.items(), key=lambda item: (STUDIES.index(item[0][0]), -item[1], item))
    return [(*what, count) for what, count in ordered]


def _compared_trainings(
    journal: Journal, references: Sequence[str]
) -> tuple[str, dict[str, list[Entry]]]:
    """Complete trainings of the best candidates and the references by label, and their source.

    Those of the finals, each at its best learning rate; without finalists those of the search.
    """
    finals = journal.attribute("finals") or {"arms": []}
    labels = [arm["label"] for arm in finals["arms"] if arm["candidate"] and not arm["unsound"]]
    source = "finals" if labels else "search"
    if labels:
        entries = [e for e in journal.entries(FINALS) if e.job.split == "final"]
    else:
        entries = [*journal.entries(SEARCH), *journal.entries(BASELINES)]
        labels = [e.label for e in final_order(journal) if e.result.status is Status.COMPLETE]
    by_label = {
        label: [e for e in entries if e.label == label and e.result.status is Status.COMPLETE]
        for label in (*labels[:_TIMED], *references)
    }
    return source, {label: found for label, found in by_label.items() if found}


def _curves(
    trainings: tuple[str, dict[str, list[Entry]]], references: Sequence[str]
) -> dict[str, Any] | None:
    source, by_label = trainings
    drawn = {label: curve for label, found in by_label.items() if (curve := _median_curve(found))}
    candidates = [label for label in drawn if label not in references][:_CURVES]
    if not drawn:
        return None
    known = [label for label in references if label in drawn]
    picture = plots.curves_picture(
        {label: drawn[label] for label in candidates}, {label: drawn[label] for label in known}
    )
    return {
        "source": source,
        "picture": Markup(picture),
        "formulas": {label: _formula(by_label[label]) for label in (*candidates, *known)},
    }


def _median_curve(entries: Iterable[Entry]) -> list[tuple[int, float]]:
    """Median training loss over the entries at each step that any of them recorded."""
    losses: defaultdict[int, list[float]] = defaultdict(list)
    for entry in entries:
        for step, loss in entry.result.curve:
            losses[step].append(loss)
    return [(step, float(np.median(at_step))) for step, at_step in sorted(losses.items())]


def _seconds(journal: Journal) -> list[tuple[str, int, float]]:
    """(study, trainings, their seconds)."""
    return [
        (study, len(entries), sum(entry.result.seconds for entry in entries))
        for study in STUDIES
        if (entries := journal.entries(study))
    ]


def _timed(
    trainings: tuple[str, dict[str, list[Entry]]], references: Sequence[str]
) -> dict[str, Any]:
    source, by_label = trainings
    seconds = {
        label: median(entry.result.seconds for entry in found) for label, found in by_label.items()
    }
    unit = seconds.get(references[0])
    rows = [
        {
            "label": label,
            "formula": _formula(found),
            "count": len(found),
            "median": seconds[label],
            "ratio": seconds[label] / unit if unit else None,
        }
        for label, found in by_label.items()
    ]
    return {"source": source, "unit": references[0], "rows": rows}


def _formula(entries: Sequence[Entry]) -> str:
    return infix(parse(entries[0].job.formula))

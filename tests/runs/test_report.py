import re
import shlex
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.primitives import baselines, parse
from actsearch.runs.journal import BASELINES, FINALS, SEARCH, Entry
from actsearch.runs.leaderboard import final_order, leaderboard, standings
from actsearch.runs.report import report_html
from actsearch.runs.run import Run

RUNGS = (Rung(75, own_schedule=True), Rung(200), Rung(600))
FORMULAS = (
    "mul(x, sigmoid(x))",
    "max(x, mul(beta[0.25, channel], x))",
    "sub(tanh(x), abs(x))",
    "exp(sinh(x))",
    "div(1, x)",
    "sinc(x)",
    "atan(x)",
)
HOSTILE = "<script>alert('&amp; $x_{1}$ $')</script>"
CURVE = ((20, 2.3), (40, 0.9), (60, 0.04))


def config(**other):
    return {
        "seed": 3,
        "budget": 12,
        "space": {"name": "unary-binary"},
        "strategy": {"name": "evolution"},
        "task": {"name": "mnist1d"},
        "finals": {"finalists": 0},
        "versions": {"actsearch": "0.1.0", "torch": "2.9.0"},
        **other,
    }


def entry(index, formula, status=Status.COMPLETE, scores=(0.3, 0.6, 0.9), **other):
    """A training of the search; `other` goes into the result, but for label and known."""
    job = Job(f"search/{index}", parse(formula).text, 5, 0.02, RUNGS)
    details = {
        "index": index,
        "decisions": {},
        "known": other.pop("known", None),
        "proposed": 2 * index + 1,
        "rejected": {"duplicate": index},
    }
    label = other.pop("label", f"#{index}")
    result = Result(job.key, status, scores, **{"curve": CURVE, "seconds": 1.5, **other})
    return Entry(job, result, label, details)


def known_entries(seconds=1.0):
    return [
        Entry(
            Job(f"baselines/{known.name}", known.expr.text, 5, 0.02, RUNGS),
            Result(
                f"baselines/{known.name}",
                Status.COMPLETE,
                (0.31, 0.61, 0.85 + index / 128),
                CURVE,
                "",
                seconds,
            ),
            known.name,
            {"index": index},
        )
        for index, known in enumerate(baselines())
    ]


def finals_of(label, formula, scores, seconds=1.0):
    """Trainings of an arm in the finals."""
    return [
        Entry(
            Job(f"final/{label}/0.02/{n}", formula, n, 0.02, RUNGS[-1:], split="final"),
            Result(f"final/{label}/0.02/{n}", Status.COMPLETE, (score,), CURVE, "", seconds),
            label,
        )
        for n, score in enumerate(scores)
    ]


def arm(label, formula, scores, candidate=False, unsound=0):
    mean = sum(scores) / len(scores) if scores else None
    spread = sum((s - mean) ** 2 for s in scores) if scores else 0.0
    return {
        "label": label,
        "formula": formula,
        "candidate": candidate,
        "learning_rate": 0.02,
        "mean": mean,
        "deviation": (spread / (len(scores) - 1)) ** 0.5 if len(scores) > 1 else None,
        "scores": scores,
        "unsound": unsound,
    }


def comparison(name, against, effect, p, better=False):
    return {
        "name": name,
        "against": against,
        "effect": effect,
        "low": effect - 0.0123,
        "high": effect + 0.0234,
        "p": p / 2,
        "p_holm": p,
        "better": better,
    }


FINALS_TABLE = {
    "confidence": 0.95,
    "best_baseline": "gelu",
    "arms": [
        arm("#0", "mul(x, sigmoid(x))", [0.95, 0.96, 0.97], candidate=True),
        arm("gelu", "mul(x, normal_cdf(x))", [0.94, 0.95, 0.93]),
        arm("relu", "relu(x)", [0.92, 0.91, 0.93]),
        arm("#2", "sub(tanh(x), abs(x))", [0.90], candidate=True, unsound=2),
        arm("#1", "max(x, mul(beta[0.25, channel], x))", [0.8, 0.7, 0.75], candidate=True),
        arm("tanh", "tanh(x)", [0.2, 0.1, 0.3]),
        arm("selu", "selu(x)", [], unsound=3),
    ],
    "comparisons": [
        comparison("#0", "gelu", 0.0222, 0.0321, better=True),
        comparison("#1", "gelu", -0.2, 0.0001),
        comparison("#0", "relu", 0.0404, 0.0444, better=True),
        comparison("#1", "relu", -0.18, 0.75),
    ],
    "verdict": "1 of 2 finalists beat gelu, the best baseline; most of all #0.",
}


def make(path, entries=(), known=(), finals=None, final_entries=(), ended=True, **settings):
    """Report of a journal with these entries."""
    with Run.create(path, config(**settings)) as run:
        for study, some in ((SEARCH, entries), (BASELINES, known), (FINALS, final_entries)):
            for one in some:
                run.journal.append(study, one)
        if ended:
            trained = len(entries)
            summary = {"proposed": 30, "rejected": {"not finite": 18}, "trained": trained}
            run.journal.set_attribute("search", {**summary, "exhausted": False})
        if finals:
            run.journal.set_attribute("finals", finals)
    return report_html(Run.open(path))


def ordinary_entries(seconds=1.5):
    return [
        *(
            entry(i, text, scores=(0.3, 0.6, 0.97 - i / 100), seconds=seconds)
            for i, text in enumerate(FORMULAS)
        ),
        entry(7, "cos(x)", Status.STOPPED, (0.21,), seconds=seconds),
        entry(8, "sin(x)", Status.STOPPED, (0.3, 0.41), seconds=seconds),
        entry(9, "cosh(x)", Status.DIVERGED, (), reason="loss not finite at step 3"),
        entry(10, "cube(x)", Status.DIVERGED, (), reason="loss not finite at step 3"),
    ]


def make_ordinary(path, seconds=1.5):
    """With finals, as most runs end."""
    held = [
        one
        for held_arm in FINALS_TABLE["arms"]
        for one in finals_of(held_arm["label"], held_arm["formula"], held_arm["scores"], seconds)
    ]
    return make(
        path,
        ordinary_entries(seconds),
        known_entries(seconds),
        FINALS_TABLE,
        held,
        finals={"finalists": 3},
    ) if False else _make_with_finals(path, seconds, held)


def _make_with_finals(path, seconds, held):
    with Run.create(path, config(finals={"finalists": 3})) as run:
        for study, some in (
            (SEARCH, ordinary_entries(seconds)),
            (BASELINES, known_entries(seconds)),
            (FINALS, held),
        ):
            for one in some:
                run.journal.append(study, one)
        summary = {"proposed": 30, "rejected": {"not finite": 18}, "trained": 11}
        run.journal.set_attribute("search", {**summary, "exhausted": False})
        run.journal.set_attribute("finals", FINALS_TABLE)
    return report_html(Run.open(path))

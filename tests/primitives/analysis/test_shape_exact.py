"""What sympy makes exact, the inverses, and the time limit."""

from __future__ import annotations

import math
import time

import pytest
import sympy as sp
import torch
from sympy.parsing.sympy_parser import parse_expr

from actsearch.primitives import evaluate, parse
from actsearch.primitives.analysis.shape import algebra, shape_of

# Questions have a limit of processor time of their own; this is for a machine under load.
PATIENT = 120.0
Y = sp.Symbol("y", real=True)
WORDS = {
    "y": Y,
    "log1p": lambda v: sp.log(1 + v),
    "expm1": lambda v: sp.exp(v) - 1,
    "cbrt": lambda v: sp.sign(v) * sp.Abs(v) ** sp.Rational(1, 3),
}


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        (
            "sigmoid(x)",
            {
                "limits": ("0", "1"),
                "lipschitz": "1/4",
                "slope_lipschitz": "sqrt(3)/18",
                "inflections": ("0",),
            },
        ),
        ("softplus(x)", {"limits": ("0", "oo"), "lipschitz": "1", "slope_lipschitz": "1/4"}),
        ("x*normal_cdf(x)", {"limits": ("0", "oo"), "inflections": ("-sqrt(2)", "sqrt(2)")}),
        ("elu(x)", {"limits": ("-1", "oo"), "lipschitz": "1", "slope_lipschitz": "1"}),
    ],
)
def test_exact_figures(text, exact):
    shape = shape_of(parse(text), seconds=PATIENT)
    rough = shape_of(parse(text), seconds=0)
    for name, truth in exact.items():
        found, measured = getattr(shape, name), getattr(rough, name)
        pairs = (
            zip(found, measured, truth, strict=True)
            if isinstance(truth, tuple)
            else [(found, measured, truth)]
        )
        for figure, numeric, closed in pairs:
            assert figure.exact, f"{name} of {text}: {figure}"
            assert sp.simplify(sp.sympify(figure.text) - sp.sympify(closed)) in (0, sp.nan)
            assert figure.value == pytest.approx(float(sp.sympify(closed)), rel=1e-15)
            if math.isfinite(figure.value):
                assert abs(figure.value - numeric.value) <= numeric.error + 1e-12


@pytest.mark.parametrize(
    "text",
    [
        *(
            "sigmoid(x)",
            "tanh(x)",
            "softplus(x)",
            "max(x, 0.01*x)",
            "sinh(x)",
            "2*x - 1",
            "selu(x)",
        ),
        *("elu(x)", "exp(-x)", "atan(x)", "log(1 + exp(x))", "asinh(x)", "cube(x)", "erf(x)"),
        *(
            "normal_cdf((x - 0.7)/1.5)",
            "1.7159*tanh(x/1.5)",
            "max(x, 0.25*x) - 3",
            "-softplus(-x)",
        ),
        *("exp(-exp(-x))", "max(x, sigmoid(x))"),
    ],
)
def test_inverses_undo(text):
    shape = shape_of(parse(text), seconds=0)
    assert_undone(text, shape.inverse)


@pytest.mark.parametrize("text", ["0.5*(x + sqrt(square(x) + 4))", "softsign(x)"])
def test_inverses_by_sympy(text):
    assert_undone(text, shape_of(parse(text), seconds=PATIENT).inverse)


def assert_undone(text, inverse):
    """Each x in a part's domain comes back, and each y is in one domain."""
    parts = []
    for part in inverse.split("; "):
        formula, _, domain = part.partition(" for ")
        parts.append((parse_expr(formula, WORDS), domain))
    for x in (-3.2, -1.0, -0.3, 0.2, 0.9, 2.5):
        y = evaluate(parse(text), {"x": torch.tensor([x], dtype=torch.float64)}).item()
        fitting = [formula for formula, domain in parts if is_in(domain, y)]
        assert len(fitting) == 1, f"y = {y} of {inverse}"
        assert float(fitting[0].subs(Y, sp.Float(y, 30))) == pytest.approx(x, rel=1e-9), inverse


def is_in(domain, y):
    """Whether y fits `0 < y < 1`, `y >= 2` or nothing at all."""
    if not domain:
        return True
    words = domain.split()
    at = words.index("y")
    below = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b}
    both = {**below, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}
    fits = True
    if at > 0:
        fits &= below[words[at - 1]](float(sp.sympify(words[at - 2])), y)
    if at < len(words) - 1:
        fits &= both[words[at + 1]](y, float(sp.sympify(words[at + 2])))
    return bool(fits)


def test_the_inverses_that_are_in_the_reference():
    def inverse(text):
        return shape_of(parse(text), seconds=0).inverse

    assert inverse("sigmoid(x)") == "log(y/(1 - y)) for 0 < y < 1"
    assert inverse("tanh(x)") == "atanh(y) for -1 < y < 1"
    assert inverse("softplus(x)") == "log(expm1(y)) for y > 0"
    assert inverse("max(x, 0.01*x)") == "100*y for y < 0; y for y >= 0"
    assert inverse("sinh(x)") == "asinh(y)"


def test_what_is_not_monotone_has_none():
    for text in ("x*sigmoid(x)", "relu(x)", "step(x)", "abs(x)", "1/x", "x + step(x)"):
        assert shape_of(parse(text), seconds=0).inverse is None, text


def test_without_time_no_process_starts(monkeypatch):
    monkeypatch.setattr(algebra.subprocess, "Popen", None)
    shape = shape_of(parse("sigmoid(x)"), seconds=0)
    assert not shape.lipschitz.exact and shape.lipschitz.value == pytest.approx(0.25)
    assert shape_of(parse("relu(x)"), seconds=10).lipschitz.exact


def test_a_child_that_hangs_is_stopped_and_what_it_said_is_kept(monkeypatch, tmp_path):
    hanging = tmp_path / "hanging.py"
    line = '{"what": "limit", "index": 0, "order": 0, "side": 1, "text": "1", "value": 1.0}'
    hanging.write_text(
        "import sys, time\n"
        f"print({line!r})\n"
        "print('{\"what\": \"lim', end='', flush=True)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(algebra, "_CHILD", hanging)
    began = time.monotonic()
    shape = shape_of(parse("sigmoid(x)"), seconds=4)
    assert time.monotonic() - began < 20
    assert shape.limits[1].exact and not shape.limits[0].exact


def test_a_wrong_answer_is_dropped(monkeypatch):
    wrong = [
        {"what": "limit", "index": 0, "order": 0, "side": 1, "text": "2", "value": 2.0},
        {"what": "limit", "index": 0, "order": 0, "side": -1, "text": "-oo", "value": -math.inf},
    ]
    monkeypatch.setattr(algebra, "_answers", lambda *_: wrong)
    shape = shape_of(parse("sigmoid(x)"))
    assert [round(f.value, 12) for f in shape.limits] == [0, 1]
    assert not any(f.exact for f in shape.limits)

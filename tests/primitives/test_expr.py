"""Expressions as data: equality, hashes, measures, pickling."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from strategies import PARAMETERS, exprs

from actsearch.primitives import (
    OPERATORS,
    Apply,
    Constant,
    Expr,
    Input,
    Parameter,
    depth,
    inputs,
    node_count,
    parameters,
    parse,
)
from actsearch.primitives.expr import postorder, substitute


@given(exprs(parameters=PARAMETERS))
def test_equal_expressions_are_interchangeable(expr):
    twin = parse(expr.text)
    assert twin == expr and hash(twin) == hash(expr) and twin.text == expr.text
    for other in (pickle.loads(pickle.dumps(expr)), copy.deepcopy(expr)):  # noqa: S301
        assert other == expr and hash(other) == hash(expr)


@given(exprs(("u", "v"), parameters=PARAMETERS))
def test_measures_agree_with_the_definition(expr):
    def walk(node: Expr) -> tuple[int, int]:
        if not isinstance(node, Apply):
            return 1, 1
        below = [walk(a) for a in node.arguments]
        return 1 + sum(n for n, _ in below), 1 + max(d for _, d in below)

    assert (node_count(expr), depth(expr)) == walk(expr)
    order = list(postorder(expr))
    assert len(set(order)) == len(order) and order[-1] == expr
    for position, node in enumerate(order):
        if isinstance(node, Apply):
            assert all(argument in order[:position] for argument in node.arguments)


def test_pickled_in_another_process_it_hashes_as_here():
    code = (
        "import pickle, sys\nfrom actsearch.primitives import parse\n"
        "expr = parse('x*sigmoid(x)')\nhash(expr), expr.text\n"
        "sys.stdout.buffer.write(pickle.dumps(expr))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        expr = pickle.loads(done.stdout)  # noqa: S301
        assert expr in {parse("x*sigmoid(x)")}


def test_minus_zero_is_zero():
    assert Constant(-0.0).text == Constant(0.0).text == "0"
    assert Parameter("a", -0.0).text == "a[0]"


def test_inputs_are_sorted_and_parameters_in_order_of_appearance():
    expr = parse("v*b[1]*u + a[2]*b")
    assert inputs(expr) == ("u", "v")
    assert [p.name for p in parameters(expr)] == ["b", "a"]


def test_substitution_reaches_every_occurrence():
    expr = parse("x*sigmoid(x)")
    assert substitute(expr, {Input("x"): parse("tanh(x)")}) == parse("tanh(x)*sigmoid(tanh(x))")
    assert substitute(expr, {parse("sigmoid(x)"): Constant(1)}) == parse("x*1")


def test_wrong_number_of_arguments_is_refused():
    with pytest.raises(ValueError, match="operator 'mul' takes 2 arguments, got 1"):
        Apply(OPERATORS["mul"], (Input("x"),))


@pytest.mark.parametrize("name", ["lambda", "training", "forward", "_x", "a b", "", "1a", "ä"])
def test_names_that_no_module_can_hold_are_refused(name):
    with pytest.raises(ValueError, match="cannot name a trainable parameter"):
        Parameter(name, 1.0)

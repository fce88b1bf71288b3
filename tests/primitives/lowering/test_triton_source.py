"""The text of generated kernels: readable, the same every time, and made of checked names."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from hypothesis import given
from kernel_cases import FUNCTIONS
from strategies import PARAMETERS, exprs

from actsearch.primitives import OPERATORS, Apply, Input, Parameter, parse, read_formula
from actsearch.primitives.lowering.program import linearise
from actsearch.primitives.lowering.triton_source import kernel_source
from actsearch.primitives.lowering.triton_text import Names, straight_line

FORMULAS = {
    **FUNCTIONS,
    "constant": read_formula("exp(2) + 0.5"),
    "gate with channels": read_formula("u*sigmoid(beta[1]*u)*v + gamma[0.1, channel]*v"),
    "many parameters": read_formula(
        "sin(a[1]*x) + cos(b[1]*x) + tanh(c[1, channel]*x) + erf(d[1, channel]*x) + atan(e[1]*x)"
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_text_is_the_same_every_time_and_tidy(name):
    source = kernel_source(FORMULAS[name])
    assert source == kernel_source(parse(str(FORMULAS[name]), input_names=("x", "u", "v")))
    assert all(len(line) <= 100 and line == line.rstrip() for line in source.splitlines())
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"torch", "triton", "triton.language"}


def test_text_passes_ruff(tmp_path):
    for index, expr in enumerate(FORMULAS.values()):
        (tmp_path / f"file_{index}.py").write_text(kernel_source(expr))
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--isolated", "--line-length=100", "--select=E,F,W,I,B,UP,S102,S307"],
        ["format", "--isolated", "--line-length=100", "--check", "--diff"],
    ):
        done = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def lines_of(formula):
    """Assignments and result of the formula as it is written."""
    program = linearise((read_formula(formula),))
    lines, (result,) = straight_line(program, {Input("x"): "x"}, Names(()).temporaries())
    return [*lines, result]


def test_signs_stand_for_operators_and_shared_parts_are_computed_once():
    assert lines_of("square(tanh(x)*x) - tanh(x)/x") == ["t0 = tanh(x)", "square(t0 * x) - t0 / x"]


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("x - (1 - x)", "x - (1.0 - x)"),
        ("x/(2/x)", "x / (2.0 / x)"),
        ("-(x + 1)*x", "-(x + 1.0) * x"),
        ("(x*3)*(x*2)", "x * 3.0 * (x * 2.0)"),
        ("x - -2*x", "x - -2.0 * x"),
        ("x*neg(x)", "x * -x"),
        ("1e300*x", 'float("inf") * x'),
    ],
)
def test_parentheses_keep_the_tree(formula, wanted):
    assert lines_of(formula) == [wanted]


def test_long_formulas_become_several_lines():
    lines = lines_of(" + ".join(f"tanh({n}*x)*cos({n}*x)" for n in range(2, 30)))
    assert len(lines) > 5 and max(map(len, lines)) < 90


@given(expr=exprs(parameters=PARAMETERS))
def test_random_formulas_give_programs_of_plain_names(expr):
    tree = ast.parse(kernel_source(expr))
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef)):
        names = [argument.arg for argument in function.args.args]
        assert len(names) == len(set(names))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(defined) == len(set(defined))


@pytest.mark.parametrize("name", ["x; import os", "a b", "class", "é", ""])
def test_an_input_must_be_an_identifier(name):
    with pytest.raises(ValueError, match="must have an identifier"):
        kernel_source(Apply(OPERATORS["tanh"], (Input(name),)))


@pytest.mark.parametrize(
    "name", ["tl", "grad", "value", "x_grad", "y", "sigmoid", "index", "t0", "x_pointer", "tanh"]
)
def test_names_of_the_module_are_not_hidden_by_a_parameter(name):
    x = Input("x")
    inner = Apply(OPERATORS["mul"], (Parameter(name, 0.5), x))
    gate = Apply(OPERATORS["sigmoid"], (Apply(OPERATORS["tanh"], (inner,)),))
    tree = ast.parse(kernel_source(Apply(OPERATORS["mul"], (gate, x))))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    bound = {n.arg for f in functions for n in ast.walk(f) if isinstance(n, ast.arg)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    assert not bound & called and not bound & {"tl", "torch", "triton"}

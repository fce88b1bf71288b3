"""Calls of known functions with other values of their parameters."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from actsearch.errors import ParseError
from actsearch.primitives import Parameter, Scope, parameters, parse, read_formula
from actsearch.primitives.named_function import NamedFunction

FUNCTIONS = {
    "wave": NamedFunction(
        parse("x + square(sin(a*x))/a", input_names=("x", "a")),
        MappingProxyType({"a": 1.0}),
        parse("x + square(sin(x))"),
    ),
    "leak": NamedFunction(parse("max(x, 0) + a[0.25, channel]*min(x, 0)")),
    "gate": NamedFunction(
        parse("u*sigmoid(b*u)*v", input_names=("u", "v", "b")), MappingProxyType({"b": 1.0})
    ),
    "tanh": NamedFunction(
        parse("c*tanh(x)", input_names=("x", "c")), MappingProxyType({"c": 1.0}), parse("tanh(x)")
    ),
}


@pytest.mark.parametrize(
    ("call", "meaning"),
    [
        ("wave(x)", "x + square(sin(x))"),
        ("wave(a=1)", "x + square(sin(x))"),
        ("wave(a=5)", "x + square(sin(5*x))/5"),
        ("wave(2*x, a=5)", "2*x + square(sin(5*(2*x)))/5"),
        ("wave(a=-5)", "x + square(sin((-5)*x))/(-5)"),
        ("wave(a=1/4 + pi*0)", "x + square(sin(0.25*x))/0.25"),
        ("wave(a=alpha[5, channel])", "x + square(sin(alpha[5, channel]*x))/alpha"),
        ("alpha[2]*x + wave(a=alpha)", "alpha[2]*x + (x + square(sin(alpha*x))/alpha)"),
        ("x*wave(wave(a=2), a=3)", "x*((x + square(sin(2*x))/2) + square(sin(3*(x + "
         "square(sin(2*x))/2)))/3)"),
        ("leak(x)", "max(x, 0) + a[0.25, channel]*min(x, 0)"),
        ("leak(a=0.1)", "max(x, 0) + a[0.1, channel]*min(x, 0)"),
        ("leak(-x, a=0.25)", "max(-x, 0) + a[0.25, channel]*min(-x, 0)"),
        ("leak(a=k[3])", "max(x, 0) + k[3]*min(x, 0)"),
        ("gate(u, v)", "u*sigmoid(1*u)*v"),
        ("gate(b=2)", "u*sigmoid(2*u)*v"),
        ("gate(v, u, b=2)", "v*sigmoid(2*v)*u"),
        ("gate(x, 1, b=2)", "x*sigmoid(2*x)*1"),
        ("tanh(x)", "tanh(x)"),
        ("tanh(c=3)", "3*tanh(x)"),
    ],
)  # fmt: skip
def test_a_call_means(call: str, meaning: str) -> None:
    assert parse(call, FUNCTIONS) == parse(meaning)


def test_a_trained_parameter_stays_trained() -> None:
    assert parameters(parse("leak(a=0.1)", FUNCTIONS)) == (Parameter("a", 0.1, Scope.CHANNEL),)
    assert parameters(parse("wave(a=b[2])", FUNCTIONS)) == (Parameter("b", 2.0),)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("wave(b=5)", "'wave' has no parameter 'b' at column 6 .*; it has a$"),
        ("leak(scale=5)", "'leak' has no parameter 'scale' .*; it has a$"),
        ("sin(a=5)", "'sin' has no parameter 'a' at column 5"),
        ("tanh(cc=5)", "'tanh' has no parameter 'cc' .*did you mean 'c'"),
        ("wave(a=)", r"expected a number, a name or '\(', got '\)' at column 8"),
        ("wave(a=x)", "'a' of 'wave' must be a number or a trainable parameter .*wave\\(a=2\\)"),
        ("wave(a=beta[1]*2)", "'a' of 'wave' must be a number or a trainable parameter"),
        ("wave(a=1/0)", "'a' of 'wave' must be finite, got inf"),
        ("wave(a=nothing)", "unknown name 'nothing' at column 8"),
        ("wave(a=1, a=2)", "'a' is given twice in 'wave' at column 11"),
        ("wave(a=1, x)", "an argument without a name stands after one with a name at column 11"),
        ("wave(x, 5)", "'wave' takes 1 argument, got 2 .*by its name, as in wave\\(x, a=2\\)"),
        ("gate(u, b=2)", "'gate' takes 2 arguments, got 1"),
        ("gate(b=2)*x", "mixes the inputs u, v, x"),
        ("wave + x", "'wave' needs its argument, as in wave\\(x\\)"),
        ("gate*x", "'gate' needs its argument, as in gate\\(u, v\\)"),
        ("wav(a=2)", "unknown operator 'wav' .*did you mean 'wave'"),
        ("leak(x) + leak(a=1)", "'a' was given another initial value"),
        ("wave()", r"expected a number, a name or '\(', got '\)'"),
        ("x, a=5", "expected an operator or the end, got ','"),
    ],
)
def test_a_bad_call_says_what_is_wrong(call: str, error: str) -> None:
    with pytest.raises(ParseError, match=error):
        parse(call, FUNCTIONS)


def test_names_of_the_zoo_take_parameters() -> None:
    assert read_formula("elu(a=0.5)") == read_formula("max(x, 0) + 0.5*expm1(min(x, 0))")
    assert read_formula("elu") == read_formula("elu(x)") == parse("elu(x)")
    assert read_formula("snake") == parse("x + square(sin(x))")
    assert read_formula("swiglu(u, v)") == read_formula("swiglu")
    assert read_formula("swiglu(x, x)") == parse("x*sigmoid(x)*x")
    assert parameters(read_formula("prelu(a=0.1)")) == (Parameter("a", 0.1, Scope.CHANNEL),)

"""The parser: laws, precedence, errors, limits and hostile text."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import PARAMETERS, exprs

from actsearch.errors import ActsearchError, ParseError
from actsearch.primitives import (
    OPERATORS,
    Constant,
    Expr,
    Input,
    Parameter,
    Scope,
    infix,
    node_count,
    parse,
    read_formula,
)
from actsearch.primitives.named_function import NamedFunction
from actsearch.primitives.parse import MAX_DEPTH, MAX_LENGTH, MAX_NODES

ANY = tuple(OPERATORS)


@given(exprs(operators=ANY, parameters=PARAMETERS, max_leaves=20))
def test_call_form_reads_back_to_the_same_expression(expr):
    assert parse(expr.text) == expr
    assert parse(expr.text).text == expr.text


@given(exprs(operators=ANY, parameters=PARAMETERS, max_leaves=20))
def test_infix_reads_back_to_the_same_expression(expr):
    assert parse(infix(expr)) == expr


@given(exprs(("u", "v"), operators=("add", "sub", "mul", "div", "pow", "neg"), max_leaves=25))
def test_signs_read_back_to_the_same_expression(expr):
    assert parse(infix(expr)) == expr


SIGNS = st.recursive(
    st.sampled_from(["x", "1", "2.5", "-3", "-x", "--2"]),
    lambda below: st.one_of(
        st.tuples(below, st.sampled_from([" + ", "-", "*", "/", "**"]), below).map("".join),
        below.map("({})".format),
        below.map("-{}".format),
    ),
    max_leaves=10,
)


@given(SIGNS)
def test_signs_bind_as_in_python(text):
    def value(expr: Expr) -> complex:
        match expr:
            case Input():
                return 1.7
            case Constant(number):
                return number
        signs = {
            "add": lambda a, b: a + b,
            "sub": lambda a, b: a - b,
            "mul": lambda a, b: a * b,
            "div": lambda a, b: a / b,
            "pow": lambda a, b: a**b,
            "neg": lambda a: -a,
        }
        return signs[expr.operator.name](*(value(a) for a in expr.arguments))

    expr = parse(text)
    try:
        # Text made above from x, numbers and signs alone.
        expected = eval(text, {"__builtins__": {}}, {"x": 1.7})  # noqa: S307
    except (ZeroDivisionError, OverflowError):
        return
    assert value(expr) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("-2^2", "neg(pow(2, 2))"),
        ("(-2)^2", "pow(-2, 2)"),
        ("2^-2", "pow(2, -2)"),
        ("2^3^2", "pow(2, pow(3, 2))"),
        ("x**2", "pow(x, 2)"),
        ("1 - 2 - 3", "sub(sub(1, 2), 3)"),
        ("8/4/2", "div(div(8, 4), 2)"),
        ("-x*2", "mul(neg(x), 2)"),
        ("2*-x", "mul(2, neg(x))"),
        ("1 + 2*x", "add(1, mul(2, x))"),
        ("--x", "neg(neg(x))"),
        ("-3", "-3"),
        ("-0", "0"),
        (".5*x", "mul(0.5, x)"),
        ("1.*x", "mul(1, x)"),
        ("2e-3*x", "mul(0.002, x)"),
        ("pi", "3.141592653589793"),
        (" x\n\t*x ", "mul(x, x)"),
        ("a[-.5]*x", "mul(a[-0.5], x)"),
        ("a[1, tensor]*x + a", "add(mul(a[1], x), a[1])"),
        ("a[1,channel]", "a[1, channel]"),
    ],
)
def test_reads_as(text, tree):
    assert parse(text).text == tree


ERRORS = {
    "": "the formula is empty",
    "  ": "the formula is empty",
    "sofplus(x)": "unknown operator 'sofplus' at column 1 of .*; did you mean 'softplus'?",
    "mul(x, sofplus(x))": "unknown operator 'sofplus' at column 8",
    "x*qwertyuiop(x)": "unknown operator 'qwertyuiop' at column 3",
    "relu": r"'relu' needs its argument, as in relu\(x\)",
    "relu(x, x)": "'relu' takes 1 argument, got 2 at column 1",
    "x + mul(x)": "'mul' takes 2 arguments, got 1 at column 5",
    "relu()": r"expected a number, a name or '\(', got '\)' at column 6",
    "relu(x": r"expected '\)', got the end at column 7",
    "x)": r"got '\)' at column 2 of 'x\)'; every '\)' needs its '\('",
    "2x": r"got 'x' at column 2 of '2x'; a product is written with '\*'",
    "x(2)": r"unknown operator 'x' at column 1",
    "(x)(x)": r"at column 4 of .*; a product is written with '\*'",
    "x x": r"got 'x' at column 3",
    "x +": "got the end at column 4",
    "x * / 2": "got '/' at column 5",
    "x = 2": "expected an operator or the end, got '=' at column 3 .*as in snake\\(a=5\\)",
    "x\n+ $": "unexpected character '\\$' at line 2, column 3",
    "beta*x": "unknown name 'beta' at column 1 .*; a trainable parameter is written beta",
    "sigmoidd": "did you mean 'sigmoid'",
    "beta[x]": r"expected an initial value, as in beta\[1\] at column 6",
    "beta[]": "expected an initial value",
    "beta[1e999]": "expected an initial value",
    "beta[1, layer]": "expected channel or tensor, got 'layer' at column 9",
    "beta[1": r"expected '\]', got the end",
    "beta[1]*beta[2]*x": "trainable parameter 'beta' was given another initial value at column 9",
    "x[1]": "'x' is taken and cannot name a trainable parameter",
    "sin[1]": "'sin' is taken",
    "pi[1]": "'pi' is taken",
    "lambda[1]*x": "'lambda' cannot name .* it is a word of the Python language at column 1",
    "x*None[1]": "'None' cannot name .* at column 3",
    "training[1]": "'training' cannot name .* it is an attribute of every torch module",
    "forward[1]": "it is an attribute of every torch module",
    "half[1]": "it is an attribute of every torch module",
    "dim[1]": "it is an attribute of every torch module",
    "a" * 41 + "[1]": "it is longer than 40 characters",
    "_b[1]": "it starts with an underscore",
    "x*u": "formula mixes the inputs u, x; use x alone, or u and v for a gated unit",
    "1e999*x": "number '1e999' is too large at column 1",
    "x × 2": r"unexpected character '\\xd7' at column 3 .*; formulas are plain ASCII",
    "٣*x": "unexpected character .* formulas are plain ASCII",
    "ｘ": "formulas are plain ASCII",
}


@pytest.mark.parametrize("text", ERRORS)
def test_error_says_what_where_and_what_to_do(text):
    with pytest.raises(ParseError, match=ERRORS[text]) as caught:
        parse(text)
    assert isinstance(caught.value, ActsearchError) and isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_text_must_be_text():
    with pytest.raises(ParseError, match="must be text, got bytes"):
        parse(b"x")  # type: ignore[arg-type]


HOSTILE = {
    "import": "__import__('os').system('true')",
    "dunder": "x.__class__.__bases__",
    "open parentheses": "(" * 10_000,
    "balanced parentheses": "(" * 4_999 + "x" + ")" * 4_999,
    "minus signs": "-" * 9_999 + "x",
    "calls": "sin(" * 1_900 + "x" + ")" * 1_900,
    "open calls": "sin(" * 2_500,
    "powers": "x^" * 4_999 + "x",
    "products": "x*" * 4_999 + "x",
    "two equal long products": f"({'x*' * 2_400}x) + ({'x*' * 2_400}x)",
    "wide sum of products": "+".join(["x*x*x*x"] * 1_000),
    "brackets": "a[" * 3_000,
    "one digit after another": "1" * 10_000,
    "long fraction": "0." + "1" * 9_000 + "e99999*x",
    "long exponent": "1e" + "9" * 9_000,
    "long name": "a" * 10_000,
    "long operator": "a" * 9_000 + "(x)",
    "long parameter name": "_" + "a" * 9_000 + "[1]",
    "doubling": "gelu(" * 60 + "x" + ")" * 60,
    "commas": "max(" + "x," * 4_000 + "x)",
    "null": "x\0",
    "nulls": "\0" * 10_000,
    "escape sequence": "\x1b[31m",
    "surrogate": "\ud800",
    "bidirectional": "\u202ex",
    "unicode digits": "x*٤٢",
    "too long": "x+" * 10_000,
}


@pytest.mark.parametrize("read", [parse, read_formula])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_quickly(name, read):
    start = time.perf_counter()
    with pytest.raises(ParseError) as caught:
        read(HOSTILE[name])
    assert time.perf_counter() - start < 1.0
    message = str(caught.value)
    assert len(message) < 400 and message.isprintable()


@given(st.text(max_size=200))
def test_any_text_gives_an_expression_or_a_parse_error(text):
    try:
        expr = parse(text)
    except ParseError as error:
        assert str(error).isprintable()
    else:
        assert parse(expr.text) == expr


@given(st.text(alphabet="xuv0123456789.e+-*/^()[], \nsinmaxchl", max_size=60))
def test_text_of_the_alphabet_gives_an_expression_or_a_parse_error(text):
    test_any_text_gives_an_expression_or_a_parse_error.hypothesis.inner_test(text)


def test_limits_are_those_stated():
    assert parse("-" * (MAX_DEPTH - 1) + "x")
    with pytest.raises(ParseError, match=f"nested more than {MAX_DEPTH} levels"):
        parse("-" * (MAX_DEPTH + 1) + "x")
    assert parse("+".join(["x"] * MAX_DEPTH))
    with pytest.raises(ParseError, match=f"more than {MAX_DEPTH} levels deep"):
        parse("+".join(["x"] * (MAX_DEPTH + 1)))
    half = "(" + "+".join(["square(x)*x"] * 60) + ")"
    assert 400 < node_count(parse(f"{half}*{half}")) <= MAX_NODES
    with pytest.raises(ParseError, match="more than 1,000 nodes"):
        parse(f"{half}*{half} + {half}*{half}")
    assert parse("x" + " " * (MAX_LENGTH - 1))
    with pytest.raises(ParseError, match="formula of 10,001 characters; at most 10,000"):
        parse("x" + " " * MAX_LENGTH)


def test_known_functions_expand_and_share_parameters():
    functions = {
        "swish": NamedFunction(parse("x*sigmoid(beta[1]*x)")),
        "gate": NamedFunction(parse("u*v")),
    }
    expr = parse("swish(2*x) + swish(x)", functions)
    assert expr == parse("2*x*sigmoid(beta[1]*(2*x)) + x*sigmoid(beta[1]*x)")
    with pytest.raises(ParseError, match="'beta' was given another initial value at column 13"):
        parse("beta[2]*x + swish(x)", functions)
    with pytest.raises(ParseError, match="'swish' is taken"):
        parse("swish[1]*x", functions)
    assert parse("gate(x, swish(x))", functions) == parse("x*(x*sigmoid(beta[1]*x))")
    with pytest.raises(ParseError, match="'gate' takes 2 arguments, got 1"):
        parse("gate(x)", functions)
    with pytest.raises(ParseError, match="'swish' takes 1 argument, got 2"):
        parse("swish(x, x)", functions)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_must_be_finite(value):
    with pytest.raises(ValueError, match="must be a finite number"):
        Constant(value)
    with pytest.raises(ValueError, match="'a' must be a finite number"):
        Parameter("a", value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back(value):
    assert parse(Constant(value).text) == Constant(value)
    assert parse(infix(Parameter("a", value, Scope.CHANNEL))) == Parameter(
        "a", value, Scope.CHANNEL
    )

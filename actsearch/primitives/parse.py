"""Text to expression. Text is hostile: it is read by this parser alone and never evaluated.

Grammar (`**` is `^`; the power binds tightest and to the right):

    sum      = product { ("+" | "-") product }
    product  = negation { ("*" | "/") negation }
    negation = "-" negation | power
    power    = atom [ "^" negation ]
    atom     = NUMBER | "(" sum ")" | NAME | NAME "(" sum { "," sum } ")"
             | NAME "(" [ sum { "," sum } "," ] value { "," value } ")"
             | NAME "[" ["-"] NUMBER [ "," ("channel" | "tensor") ] "]"
    value    = NAME "=" sum

A name is an input (`x`; or `u` and `v`), `pi`, an operator, a known function given by the caller,
or a trainable parameter, which is written with its initial value, as `beta[1]` or
`beta[0.25, channel]`; once it has been written so, `beta` alone means the same one. A call may
give parameters of a known function other values, a number or a trainable parameter each, as in
`snake(2*x, a=5)`; then it may leave out the inputs, and `snake(a=5)` is `snake(x, a=5)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NoReturn

from ..errors import ParseError
from .calls import INPUTS, called, read_call
from .expr import (
    Apply,
    Constant,
    Expr,
    Input,
    Parameter,
    Scope,
    depth,
    inputs,
    node_count,
    parameters,
)
from .layer_words import layer_problem
from .named_function import NamedFunction
from .operators import WORDS, did_you_mean
from .tokens import Tokens, quoted, short

MAX_LENGTH = 10_000
MAX_DEPTH = 64
MAX_NODES = 1_000


def parse(
    text: str,
    functions: Mapping[str, NamedFunction] | None = None,
    input_names: tuple[str, ...] = INPUTS,
) -> Expr:
    """Read a formula in call form or infix.

    Args:
        text: for example `mul(x, sigmoid(mul(1.702, x)))` or `x*sigmoid(1.702*x)`.
        functions: known functions that may be called by name, such as `silu`.
        input_names: names that stand for inputs, or for fixed parameters of a known function.

    Raises:
        ParseError: the text is not a formula, or is longer than MAX_LENGTH characters, deeper
            than MAX_DEPTH levels or larger than MAX_NODES nodes; the message gives the line
            and column.
    """
    if not isinstance(text, str):
        raise ParseError(f"a formula must be text, got {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise ParseError(f"formula of {len(text):,} characters; at most {MAX_LENGTH:,} are allowed")
    if not text.strip():
        raise ParseError("the formula is empty; write for example 'x*sigmoid(x)'")
    expr = _Parser(text, functions or {}, input_names).formula()
    used = inputs(expr)
    if "x" in used and len(used) > 1 and input_names == INPUTS:
        raise ParseError(
            f"formula mixes the inputs {', '.join(used)}; use x alone, or u and v for a gated unit"
        )
    problem = layer_problem(expr) if input_names == INPUTS else ""
    if problem:
        raise ParseError(problem)
    return expr


class _Parser:
    def __init__(
        self, text: str, functions: Mapping[str, NamedFunction], input_names: tuple[str, ...]
    ):
        self.tokens = Tokens(text)
        self.functions = functions
        self.input_names = input_names
        self.parameters: dict[str, Parameter] = {}
        self.level = 0

    def apply(self, name: str, arguments: tuple[Expr, ...], offset: int) -> Expr:
        return self.limited(Apply(WORDS[name], arguments), offset)

    def limited(self, expr: Expr, offset: int) -> Expr:
        # Checked while the tree grows: comparing two equal trees of 5,000 levels would exhaust
        # the stack before a check at the end is reached.
        if depth(expr) > MAX_DEPTH:
            self.tokens.fail(f"formula more than {MAX_DEPTH} levels deep", offset)
        if node_count(expr) > MAX_NODES:
            self.tokens.fail(f"formula of more than {MAX_NODES:,} nodes", offset)
        return expr

    def formula(self) -> Expr:
        expr = self.sum()
        kind, word, offset = self.tokens.current
        if kind != "end":
            hint = ""
            if word == ")":
                hint = "; every ')' needs its '('"
            elif word == "=":
                hint = "; '=' stands in a call, as in snake(a=5)"
            elif kind != "sign" or word == "(":
                hint = "; a product is written with '*'"
            self.tokens.fail(f"expected an operator or the end, got '{short(word)}'", offset, hint)
        return expr

    def sum(self) -> Expr:
        return self.left_associative({"+": "add", "-": "sub"}, self.product)

    def product(self) -> Expr:
        return self.left_associative({"*": "mul", "/": "div"}, self.negation)

    def left_associative(self, signs: dict[str, str], operand: Callable[[], Expr]) -> Expr:
        expr = operand()
        while self.tokens.current[0] == "sign" and self.tokens.current[1] in signs:
            _, sign, offset = self.tokens.current
            self.tokens.position += 1
            expr = self.apply(signs[sign], (expr, operand()), offset)
        return expr

    def negation(self) -> Expr:
        offset = self.tokens.current[2]
        if not self.tokens.take("-"):
            return self.power()
        self.enter(offset)
        operand = self.negation()
        self.level -= 1
        # A negative number is one constant, unless it was the base of a power: -2^2 is -(2^2).
        if isinstance(operand, Constant) and self.tokens.previous[0] == "number":
            return Constant(-operand.value)
        return self.apply("neg", (operand,), offset)

    def power(self) -> Expr:
        base = self.atom()
        offset = self.tokens.current[2]
        if self.tokens.take("^") or self.tokens.take("**"):
            self.enter(offset)
            exponent = self.negation()
            self.level -= 1
            return self.apply("pow", (base, exponent), offset)
        return base

    def atom(self) -> Expr:
        kind, word, offset = self.tokens.current
        self.tokens.position += 1
        if kind == "number":
            value = float(word)
            if not math.isfinite(value):
                self.tokens.fail(f"number '{short(word)}' is too large", offset)
            return Constant(value)
        if kind == "name":
            if self.tokens.take("("):
                return self.call(word, offset)
            if self.tokens.take("["):
                return self.parameter(word, offset)
            return self.bare_name(word, offset)
        if kind == "sign" and word == "(":
            self.enter(offset)
            expr = self.sum()
            self.tokens.expect(")")
            self.level -= 1
            return expr
        self.tokens.fail(f"expected a number, a name or '(', got {quoted(word)}", offset)

    def enter(self, offset: int) -> None:
        self.level += 1
        if self.level > MAX_DEPTH:
            self.tokens.fail(f"nested more than {MAX_DEPTH} levels deep", offset)

    def call(self, name: str, offset: int) -> Expr:
        self.enter(offset)
        call = read_call(self.tokens, name, offset, self.sum)
        self.level -= 1
        expr = called(call, self.functions, self.tokens)
        # A known function brings trainable parameters of its own.
        for inner in parameters(expr):
            if self.parameters.setdefault(inner.name, inner) != inner:
                self.conflict(inner.name, offset)
        return self.limited(expr, offset)

    def parameter(self, name: str, offset: int) -> Expr:
        if name in self.input_names or name in WORDS or name in self.functions or name == "pi":
            self.tokens.fail(
                f"'{short(name)}' is taken and cannot name a trainable parameter", offset
            )
        negative = self.tokens.take("-")
        kind, word, number_offset = self.tokens.current
        if kind != "number" or not math.isfinite(float(word)):
            self.tokens.fail("expected an initial value, as in beta[1]", number_offset)
        self.tokens.position += 1
        scope = Scope.TENSOR
        if self.tokens.take(","):
            _, word_scope, scope_offset = self.tokens.current
            if word_scope not in set(Scope):
                self.tokens.fail(
                    f"expected channel or tensor, got {quoted(word_scope)}", scope_offset
                )
            scope = Scope(word_scope)
            self.tokens.position += 1
        self.tokens.expect("]")
        try:
            made = Parameter(name, -float(word) if negative else float(word), scope)
        except ValueError as error:
            self.tokens.fail(str(error), offset)
        if self.parameters.setdefault(name, made) != made:
            self.conflict(name, offset)
        return made

    def conflict(self, name: str, offset: int) -> NoReturn:
        self.tokens.fail(
            f"trainable parameter '{short(name)}' was given another initial value", offset
        )

    def bare_name(self, name: str, offset: int) -> Expr:
        if name in self.input_names:
            return Input(name)
        if name == "pi":
            return Constant(math.pi)
        if name in self.parameters:
            return self.parameters[name]
        if name in WORDS or name in self.functions:
            known = self.functions.get(name)
            own = ", ".join(known.inputs) if known and name not in WORDS else "x"
            self.tokens.fail(f"'{name}' needs its argument, as in {name}({own})", offset)
        names = [*self.input_names, *WORDS, *self.functions, *self.parameters]
        shown = short(name)
        hint = f"; a trainable parameter is written {shown}[1]{did_you_mean(name, names)}"
        self.tokens.fail(f"unknown name '{shown}'", offset, hint)
